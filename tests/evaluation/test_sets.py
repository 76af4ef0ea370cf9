"""What is noted of a hole."""

import math

import numpy as np
from scipy import ndimage

from inpainting_jax.evaluation.sets import describe_hole


def test_the_radius_is_the_root_of_a_whole_number_to_the_last_bit():
    """OpenCV's distances vary in their last digit; reports must not."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        hole = (rng.random((40, 40)) > 0.004).astype(np.uint8)
        exact = ndimage.distance_transform_edt(hole).max() ** 2
        assert describe_hole(hole)["radius"] == math.sqrt(round(exact))


def test_share_bucket_and_border_of_a_box():
    hole = np.zeros((200, 200), np.uint8)
    hole[50:110, 50:150] = 1
    facts = {"ratio": 0.15, "radius": 30.0, "bucket": "0.1-0.2", "border": False}
    assert describe_hole(hole) == facts
    moved = np.roll(hole, -50, axis=0)  # the box begins at the edge
    assert describe_hole(moved)["border"]
