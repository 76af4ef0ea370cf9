"""The one table of checkpoints that can be converted: `<method>_<codebase>`."""

from inpainting_jax.registry import Registry

_HERE = "inpainting_jax.converters"

SOURCES = Registry(
    "checkpoint source",
    {
        "deepfill_v2_tf": f"{_HERE}.deepfill_v2:from_tensorflow",
        "deepfill_v2_nipponjo": f"{_HERE}.deepfill_v2:from_nipponjo",
        "deepfill_v2_nipponjo_tf": f"{_HERE}.deepfill_v2:from_nipponjo_tf",
        "global_local_otenim": f"{_HERE}.global_local:from_otenim",
        "global_local_mmagic": f"{_HERE}.global_local:from_mmagic",
    },
)
