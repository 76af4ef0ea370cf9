"""Trains the toy GAN in a process of its own: `run_tiny.py WORKDIR DATA [k=v ...]`.

`kill_at=N` ends the process by SIGKILL once the numbers of step N are written and the
checkpoint of step `kill_after` is complete.
"""

import os
import pathlib
import signal
import sys
import time

import jax

jax.config.update("jax_num_cpu_devices", int(os.environ.get("TINY_DEVICES", 4)))
jax.config.update("jax_default_matmul_precision", "highest")

import tiny_gan  # noqa: E402

from inpainting_jax import runtime  # noqa: E402


def main() -> None:
    workdir, data, *settings = sys.argv[1:]
    runtime.join_cluster("auto")
    from inpainting_jax.training import loop, writer

    config = tiny_gan.get_config()
    config.data.source = data
    options = dict(setting.split("=") for setting in settings)
    kill_at, kill_after = (int(options.pop(k, 0)) for k in ("kill_at", "kill_after"))
    config.update_from_flattened_dict(
        {k: type_like(config, k)(v) for k, v in options.items()}
    )
    if kill_at:
        write = writer.Writer.metrics

        def write_and_die(self, step, values):
            write(self, step, values)
            if step == kill_at:
                complete = pathlib.Path(workdir, "checkpoints", str(kill_after))
                while not complete.is_dir():
                    time.sleep(0.01)
                os.kill(os.getpid(), signal.SIGKILL)

        writer.Writer.metrics = write_and_die
    loop.train(config, workdir, method=tiny_gan.build())


def type_like(config, name):
    for part in name.split("."):
        config = config[part]
    return type(config)


if __name__ == "__main__":
    main()
