"""What users are told, once, of a network that works far from its training images."""

import warnings

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.evaluation.inpainter import Inpainter
from inpainting_jax.methods import Method


def make(full_size):
    def run(variables, key, image, mask, guide=None):
        return {"completed": jnp.where(mask > 0, 0.0, image)}

    method = Method(
        "grey",
        run,
        networks={"generator": nn.Dense(1)},
        full_size=full_size,
        train_size=32,
    )
    return Inpainter(method, {"generator": {}})


def picture(side, hole):
    image = np.full((side, side, 3), 128, np.uint8)
    mask = np.zeros((side, side), np.uint8)
    mask[2 : 2 + hole, 2 : 2 + hole] = 1
    return image, mask


def test_a_network_of_one_size_says_once_that_it_scales():
    fill = make(full_size=False)
    with pytest.warns(UserWarning, match="grey completes 32 x 32 pixels") as notes:
        fill(*picture(100, 40))
        fill(*picture(110, 50))
    assert len(notes) == 1


def test_it_is_silent_where_nothing_is_scaled():
    fill = make(full_size=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fill(*picture(32, 10))
        fill(*picture(100, 10))  # a crop of 32 pixels holds it


def test_a_network_of_any_size_speaks_of_its_training_images():
    fill = make(full_size=True)
    with pytest.warns(UserWarning, match="its weights were trained at 32") as notes:
        fill(*picture(100, 40), strategy="full")
        fill(*picture(100, 40), strategy="full")
    assert len(notes) == 1
