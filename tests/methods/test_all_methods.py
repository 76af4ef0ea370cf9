"""What holds for every method of the registry, learned or not."""

import functools
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from inpainting_jax.data import guides
from inpainting_jax.methods import METHODS
from inpainting_jax.types import UNKNOWN_LABEL

SIDE = 32
QUICK = {"xla_backend_optimization_level": 0}  # each program runs a few times


def tiny(name, preset="tiny"):
    """A method as small as its config makes it, with variables where it has some."""
    try:
        module = importlib.import_module(f"inpainting_jax.configs.{name}")
    except ModuleNotFoundError:
        return METHODS[name](), None
    config = module.get_config(preset)
    return METHODS[name](**config.model, compute_dtype=config.compute_dtype), config


def make_batch(method, block_labels, count=2, side=SIDE):
    rng = np.random.default_rng(3)
    ramp = np.linspace(-0.8, 0.8, side)[:, None, None] * np.ones((1, side, 3))
    image = ramp[None] + 0.1 * rng.standard_normal((count, side, side, 3))
    mask = np.zeros((count, side, side, 1), np.float32)
    for i in range(count):
        mask[i, 6 + i : 16 + 2 * i, 9 + i : 20] = 1
    batch = {
        "image": jnp.asarray(np.clip(image, -1, 1), jnp.float32),
        "mask": jnp.asarray(mask),
        "keys": jax.random.split(jax.random.key(4), count),
    }
    if method.guide_channels and method.guide_kind == "labels":
        labels = block_labels(batch["image"], method.guide_classes)
        batch["guide"] = jnp.asarray(labels, jnp.float32)
    elif method.guide_channels:
        batch["guide"] = guides.edges(batch["image"]) * batch["mask"]
    return batch


@pytest.fixture(scope="module", params=list(METHODS))
def prepared(request, fresh_variables, block_labels):
    method, config = tiny(request.param)
    batch = make_batch(method, block_labels)
    variables = fresh_variables(method, jax.random.key(0), batch)
    predict = jax.jit(method.predict) if method.traceable else method.predict
    return method, config, variables, batch, predict


SLOW_STEPS = ("spg_net", "deepfill_v1")
STEPS = [
    # Six networks, and a penalty on a gradient: 45 and 35 s of compiling.
    pytest.param(name, marks=pytest.mark.slow if name in SLOW_STEPS else ())
    for name in METHODS
    if METHODS[name]().objectives
]


@pytest.fixture(scope="module", params=STEPS)
def learned(request, fresh_variables, block_labels):
    """Variables, a batch, and one compiled loss-and-gradient per network."""
    method, config = tiny(request.param)
    batch = make_batch(method, block_labels)
    variables = fresh_variables(method, jax.random.key(0), batch)
    weights = dict(config.phases[config.schedule[-1]].loss_weights)

    def compiled(objective):
        def loss(params, variables, batch):
            return objective(params, variables, jax.random.key(1), batch, weights)

        return jax.jit(jax.value_and_grad(loss, has_aux=True), compiler_options=QUICK)

    steps = {name: compiled(f) for name, f in method.objectives.items()}
    return variables, batch, steps


def complete(prepared, image, mask, key=0, rows=slice(None)):
    """The completed images; the guides are those of the batch's `rows`.

    A label map states no label of the hole: the method finds its own.
    """
    method, _, variables, batch, predict = prepared
    guide = batch.get("guide")
    if guide is not None:
        guide = guide[rows]
        if method.guide_kind == "labels":
            guide = jnp.where(mask > 0, UNKNOWN_LABEL, guide)
    return predict(variables, jax.random.key(key), image, mask, guide)["completed"]


def test_known_pixels_are_untouched(prepared):
    batch = prepared[3]
    completed = complete(prepared, batch["image"], batch["mask"])
    assert completed.shape == batch["image"].shape
    assert jnp.isfinite(completed).all()
    known = np.broadcast_to(np.asarray(batch["mask"]) == 0, completed.shape)
    np.testing.assert_array_equal(
        np.asarray(completed)[known], np.asarray(batch["image"])[known]
    )
    changed = np.asarray(completed)[~known] != np.asarray(batch["image"])[~known]
    assert changed.mean() > 0.9


def test_the_hole_is_never_read(prepared):
    """Bit-equal for two contents of the hole, not-a-number among them."""
    batch = prepared[3]
    hole = batch["mask"] == 1
    other = jnp.where(hole, jnp.nan, batch["image"])
    expected = complete(prepared, batch["image"], batch["mask"])
    np.testing.assert_array_equal(complete(prepared, other, batch["mask"]), expected)


@pytest.mark.parametrize(
    # Host methods have no gradient: the test above compares their bits.
    "prepared",
    [name for name in METHODS if METHODS[name]().traceable],
    indirect=True,
)
def test_gradient_to_the_hole_is_exactly_zero(prepared):
    method, _, variables, batch, _ = prepared
    assert method.traceable

    def total(image):
        stages = method.predict(
            variables, jax.random.key(0), image, batch["mask"], batch.get("guide")
        )
        return sum(jnp.sum(stage**2) for stage in stages.values())

    gradient = jax.jit(jax.grad(total), compiler_options=QUICK)(batch["image"])
    assert (jnp.where(batch["mask"] == 1, gradient, 0) == 0).all()
    assert jnp.abs(gradient).max() > 0


def test_two_masks_in_a_batch_equal_two_batches(prepared):
    batch = prepared[3]
    both = complete(prepared, batch["image"], batch["mask"])
    for i in range(2):
        row = slice(i, i + 1)
        one = complete(prepared, batch["image"][row], batch["mask"][row], rows=row)
        np.testing.assert_allclose(both[row], one, atol=1e-5)


def test_the_same_key_gives_the_same_bits(prepared):
    batch = prepared[3]
    once = complete(prepared, batch["image"], batch["mask"], key=5)
    again = complete(prepared, batch["image"], batch["mask"], key=5)
    np.testing.assert_array_equal(once, again)


@pytest.mark.parametrize("extreme", ["one pixel missing", "one pixel known", "none"])
def test_extreme_holes_stay_finite(prepared, extreme):
    batch = prepared[3]
    mask = np.zeros(batch["mask"].shape, np.float32)
    if extreme == "one pixel missing":
        mask[:, 7, 9] = 1
    elif extreme == "one pixel known":
        mask[:] = 1
        mask[:, 7, 9] = 0
    completed = complete(prepared, batch["image"], jnp.asarray(mask))
    assert np.isfinite(np.asarray(completed)).all()


def test_an_update_touches_only_its_own_network(learned):
    variables, batch, steps = learned
    for name, step in steps.items():
        (value, aux), gradient = step(variables[name]["params"], variables, batch)
        assert jnp.isfinite(value)
        assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(gradient))
        assert optax.tree.norm(gradient) > 0
        assert all(jnp.shape(metric) == () for metric in aux.metrics.values())
        for network, collections in aux.updates.items():
            assert "params" not in collections
            assert set(collections) <= set(variables[network])


@pytest.mark.parametrize("extreme", ["one pixel missing", "one pixel known"])
def test_extreme_holes_have_finite_gradients(learned, extreme):
    variables, batch, steps = learned
    mask = jnp.zeros_like(batch["mask"]).at[:, 7, 9].set(1)
    batch = batch | {"mask": mask if extreme == "one pixel missing" else 1 - mask}
    for name, step in steps.items():
        _, gradient = step(variables[name]["params"], variables, batch)
        assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(gradient))


LEARNED = [name for name in METHODS if METHODS[name]().objectives]
FIVE_TIMES = {"deepfill_v2"}  # what that method was asked to reach


# The adversarial loss of latent_search compares distributions: nothing asks its
# generator for these eight images, and 250 steps left hole L1 at 0.47 of 0.49. What it
# fits to an image is the latent: test_latent_search.py has the same test of that.
FITTED = [name for name in LEARNED if name != "latent_search"]


@pytest.mark.slow
@pytest.mark.parametrize("name", FITTED)
def test_tiny_overfits_eight_images(name, fresh_variables, block_labels):
    """Hole L1 falls at least three times in the steps that the config states.

    8 photographs, each with one fixed hole of the kind that the config trains on.
    """
    from inpainting_jax import masks
    from inpainting_jax.data import eval_images, open_source
    from inpainting_jax.images import to_signed
    from inpainting_jax.losses import masked_l1_loss
    from inpainting_jax.training.optimizers import build_optimizer
    from inpainting_jax.training.phases import Plan
    from inpainting_jax.training.state import create_state
    from inpainting_jax.training.step import Step

    method, config = tiny(name)
    side = config.data.image_size
    pictures = eval_images(open_source("photos", "validation"), side, 8)
    holes, _ = masks.fixed_set(config.evaluation.masks, 0, 8, side, side)
    fixed = {
        "image": jnp.asarray(to_signed(np.stack([image for _, image in pictures]))),
        "mask": jnp.asarray(holes[..., None] > 0, jnp.float32),
    }
    if method.guide_kind == "labels":
        labels = block_labels(fixed["image"], method.guide_classes)
        fixed["guide"] = jnp.asarray(labels, jnp.float32)

    def prepare(key, raw):
        return {**raw, "keys": jax.random.split(key, 8)}

    chains = {name: build_optimizer(spec) for name, spec in config.optimizers.items()}
    batch = prepare(jax.random.key(1), fixed)
    init = functools.partial(fresh_variables, method, batch=batch)
    state = create_state(jax.random.key(0), init, chains)
    train = Step(method, chains, prepare=prepare)
    plan = Plan(config, method.networks)
    step = jax.jit(
        lambda state, phase: train(state, fixed, phase=phase)[0], static_argnums=1
    )
    predict = jax.jit(method.predict)

    def hole_l1(state):
        stages = predict(
            state.variables, jax.random.key(0), fixed["image"], fixed["mask"], None
        )
        # The network's own: blending with the surroundings is not learned.
        own = stages["prediction" if "prediction" in stages else "refined"]
        return float(masked_l1_loss(own, fixed["image"], fixed["mask"]).mean())

    before = hole_l1(state)
    # The phases keep their shares of the run.
    for index in range(config.overfit_steps):
        at = index * plan.total_steps // config.overfit_steps
        state = step(state, plan.at(at))
    after = hole_l1(state)
    print(
        f"{name}: hole L1 {before:.4f} -> {after:.4f}: {before / after:.1f} times less"
    )
    assert before / after >= (5 if name in FIVE_TIMES else 3)
