"""From a config to the parts of a run, its first state and its checkpoints."""

import dataclasses
import functools
import json
import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from inpainting_jax import masks
from inpainting_jax.checkpoints import Checkpoints
from inpainting_jax.data import TrainBatches, guides, open_source, train_batches
from inpainting_jax.methods import METHODS, Method
from inpainting_jax.registry import UnknownNameError
from inpainting_jax.training import parallel, resume
from inpainting_jax.training.batches import prepare_batch
from inpainting_jax.training.optimizers import build_optimizer
from inpainting_jax.training.phases import Plan
from inpainting_jax.training.state import TrainState, create_state
from inpainting_jax.training.step import Step
from inpainting_jax.training.validation import best_mode


@dataclasses.dataclass(frozen=True)
class Run:
    """The parts of a run; nothing here changes while it goes on but `data`."""

    config: ConfigDict
    workdir: pathlib.Path
    method: Method
    plan: Plan
    step: Step
    runner: parallel.Runner
    data: TrainBatches
    checkpoints: Checkpoints


def set_up(
    config: ConfigDict, workdir: str | os.PathLike, method: Method | None = None
) -> Run:
    """Builds everything that can be wrong before any time is spent on training."""
    method, plan, step, runner = build_step(config, method)
    local_batch = parallel.check_batch_size(config.batch_size, runner.mesh)
    return Run(
        config=config,
        workdir=pathlib.Path(workdir),
        method=method,
        plan=plan,
        step=step,
        runner=runner,
        data=open_batches(config, local_batch),
        checkpoints=Checkpoints(
            workdir,
            keep_latest=config.keep_latest,
            keep_every=config.keep_every,
            best=config.evaluation.best if config.evaluation.every else "",
            best_mode=best_mode(config.evaluation.best),
        ),
    )


def build_step(
    config: ConfigDict, method: Method | None = None
) -> tuple[Method, Plan, Step, parallel.Runner]:
    """What is trained, when, by which step, and how that runs; touches no file."""
    method = method or build_method(config)
    if not method.objectives:
        raise ValueError(f"{method.name} has nothing to train: use it as it is")
    _check_guide(config.data.guide, method)
    for kind in ("optimizers", "ema"):
        for name in config[kind]:
            if name not in method.networks:
                raise UnknownNameError(f"network in {kind}", name, method.networks)
    best_mode(config.evaluation.best)  # raises for an unknown metric
    plan = Plan(config, method.objectives)
    step = Step(
        method=method,
        optimizers=_build_optimizers(config, plan.networks),
        prepare=_build_prepare(config),
        ema=config.ema.to_dict(),
        fresh_batches=config.fresh_batches,
        remat=config.remat,
    )
    return method, plan, step, parallel.make_runner(config.parallel, step)


def _check_guide(guide: str, method: Method) -> None:
    """Whether the data brings the guide that the method is built for."""
    drawn = {"lines": "edges", "labels": "labels"}[method.guide_kind]
    wanted = drawn if method.guide_channels else ""
    if guide != wanted:
        raise ValueError(
            f"{method.name}, as config.model builds it, takes"
            f" {method.guide_kind if wanted else 'no guide'}, but config.data.guide is"
            f" {guide!r}: set config.data.guide={wanted!r}, or change config.model"
        )


def build_method(config: ConfigDict) -> Method:
    """The method that a config names, with its `model` arguments."""
    return METHODS[config.method](**config.model, compute_dtype=config.compute_dtype)


def _build_optimizers(config: ConfigDict, networks: tuple[str, ...]) -> dict[str, Any]:
    for name in networks:
        if name not in config.optimizers:
            raise UnknownNameError("optimizer of network", name, config.optimizers)
    return {name: build_optimizer(config.optimizers[name]) for name in networks}


def _build_prepare(config: ConfigDict):
    """What the step does first with a raw batch; see `prepare_batch`."""
    on_host = masks.is_host(config.masks)
    return functools.partial(
        prepare_batch,
        draw_mask=None if on_host else masks.sampler(config.masks),
        draw_guide=guides.edges if config.data.guide == "edges" else None,
    )


def open_batches(config: ConfigDict, local_batch: int) -> TrainBatches:
    """This process's endless stream of raw batches."""
    data = config.data
    folder = masks.host_sampler(config.masks) if masks.is_host(config.masks) else None
    return train_batches(
        open_source(data.source, "train"),
        image_size=data.image_size,
        batch_size=local_batch,
        seed=config.seed,
        fit=data.fit,
        min_scale=data.min_scale,
        flip=data.flip,
        guide=data.guide,
        threads=data.threads,
        workers=data.workers,
        prefetch=data.prefetch,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        mask_folder=folder,
    )


def first_state(run: Run, init_from: str) -> tuple[TrainState, str]:
    """The state to go on from, as global arrays, and a phrase that says where from."""
    config, mesh = run.config, run.runner.mesh
    whole = parallel.replicated(mesh)
    create = state_builder(config, run.method, run.step)
    key = jax.random.key(config.seed)
    latest = run.checkpoints.latest_step()
    if latest is None:
        state = parallel.run_once(create, mesh, key)
        if not init_from:
            return state, "fresh run"
        state = parallel.local_copy(state)
        state, origin = resume.adopt_weights(state, init_from, run.method.name)
        return parallel.put_replicated(state, mesh), origin

    record = run.checkpoints.read_run(latest)
    new = resume.to_json(config)
    changes = resume.check_config(record["config"], new, run.workdir)
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole),
        jax.eval_shape(create, key),
    )
    items = run.checkpoints.restore(to_items(abstract), latest)
    run.data.set_state(record["data"])
    origin = f"resumed step {latest}" + (" (--init_from ignored)" if init_from else "")
    return from_items(items), "; ".join([origin, *changes])


def to_items(state: TrainState) -> dict[str, Any]:
    """A state as items of a checkpoint: what inference needs, and the rest."""
    fields = {f.name: getattr(state, f.name) for f in dataclasses.fields(state)}
    own = {name: fields.pop(name) for name in ("variables", "ema")}
    return {**own, "progress": fields}


def from_items(items: dict[str, Any]) -> TrainState:
    """The inverse of `to_items`."""
    own = {name: items[name] for name in ("variables", "ema")}
    return TrainState(**own, **items["progress"])


def save(
    run: Run, step: int, state: TrainState, metrics: dict[str, float] | None
) -> None:
    """Starts a checkpoint of a global state; one of this step may exist already."""
    if run.checkpoints.latest_step() == step:
        return
    record = {
        "config": resume.to_json(run.config),
        "data": run.data.get_state(),
        "best": {
            "metric": run.config.evaluation.best,
            "mode": best_mode(run.config.evaluation.best),
        },
    }
    run.checkpoints.save(step, to_items(state), record, metrics)


def write_config(run: Run) -> None:
    """`WORKDIR/config.json`, for people; checkpoints hold their own copy."""
    if jax.process_index() == 0:
        run.workdir.mkdir(parents=True, exist_ok=True)
        text = json.dumps(resume.to_json(run.config), indent=2)
        (run.workdir / "config.json").write_text(text + "\n")


def describe(run: Run, state: TrainState, origin: str) -> str:
    """One line: method, devices, batch, parameters, where the run starts."""
    mesh = run.runner.mesh
    per_device = run.config.batch_size // mesh.size
    kind = mesh.devices.flat[0].device_kind
    processes = jax.process_count()
    counts = {
        name: sum(x.size for x in jax.tree.leaves(collections["params"]))
        for name, collections in state.variables.items()
    }
    return (
        f"{run.method.name}: {mesh.size} x {kind}"
        + (f" in {processes} processes" if processes > 1 else "")
        + f" ({run.config.parallel}), batch {run.config.batch_size} = {mesh.size} x "
        f"{per_device}, parameters "
        + ", ".join(f"{name} {count:,}" for name, count in counts.items())
        + f", {run.plan.total_steps} steps, {origin}"
    )


def state_builder(config: ConfigDict, method: Method, step: Step):
    """Key -> a fresh `TrainState` of the run."""

    def init(key):
        raw = jax.tree.map(
            lambda x: jnp.zeros(x.shape, x.dtype), raw_shapes(config, count=1)
        )
        return method.init(key, step.prepare(jax.random.key(0), raw))

    return functools.partial(
        create_state, init=init, optimizers=step.optimizers, ema=tuple(config.ema)
    )


def raw_shapes(config: ConfigDict, *, count: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and types of a batch of `count` images as the reader delivers them."""
    side = config.data.image_size
    shapes = {"image": (count, side, side, 3)}
    if masks.is_host(config.masks):
        shapes["mask"] = (count, side, side, 1)
    if config.data.guide == "labels":
        shapes["guide"] = (count, side, side, 1)
    raw = {name: jax.ShapeDtypeStruct(s, np.uint8) for name, s in shapes.items()}
    return raw | {"index": jax.ShapeDtypeStruct((count,), np.uint32)}
