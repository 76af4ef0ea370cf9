"""Public checkpoints of other code bases, read into our variables.

`convert(source, tensors)` takes plain named arrays, so that any reader serves;
`read_tensors(path)` reads the files themselves without the frameworks that wrote them.
"""

from inpainting_jax.converters.base import Converted, convert
from inpainting_jax.converters.files import read_tensors, write
from inpainting_jax.converters.runs import read_run
from inpainting_jax.converters.sources import SOURCES

__all__ = ["SOURCES", "Converted", "convert", "read_run", "read_tensors", "write"]
