"""The version, readable without importing JAX (setup.cfg takes it from here)."""

__version__ = "0.6.0"
