"""Files as other frameworks write them."""

import itertools

import h5py
import numpy as np
import pytest


@pytest.fixture
def keras_file(tmp_path):
    """Writes `{layer: {name: array}}` as Keras 2 saves weights; returns the path."""
    numbers = itertools.count()

    def write(layers):
        path = tmp_path / f"weights{next(numbers)}.h5"
        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = [name.encode() for name in layers]
            for layer, weights in layers.items():
                group = file.create_group(layer)
                names = list(weights)
                group.attrs["weight_names"] = np.array(names, "S") if names else []
                for name, array in weights.items():
                    group[name] = array
        return path

    return write
