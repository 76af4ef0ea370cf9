"""Values only: one `get_config(preset)` per method, over the fields of `base.py`."""
