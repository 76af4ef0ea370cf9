#!/bin/bash
# Trains on a TPU pod slice: the same command on every host. jax.distributed finds the
# other hosts by itself.
#
#   TPU_NAME=my-slice ZONE=us-central2-b launch/tpu/train_pod.sh \
#       --config=inpainting_jax/configs/deepfill_v2.py:paper --workdir=/mnt/shared/run
#
# Expects the checkout at CHECKOUT (default ~/inpainting_jax) on every host, with the
# package installed in its .venv with the extra [tpu], and a workdir that all hosts see
# as a folder (NFS, or a bucket mounted by gcsfuse).

set -euo pipefail

: "${TPU_NAME:?set TPU_NAME to the name of the TPU slice}"
: "${ZONE:?set ZONE to the zone of the TPU slice}"
checkout="${CHECKOUT:-inpainting_jax}"

if [[ $# -eq 0 ]]; then
    echo "usage: TPU_NAME=... ZONE=... $0 --config=... --workdir=..." >&2
    exit 2
fi

# Quoted once more, since the command passes through a shell on each host.
printf -v arguments ' %q' "$@"
printf -v folder '%q' "$checkout"

exec gcloud compute tpus tpu-vm ssh "$TPU_NAME" --zone="$ZONE" --worker=all \
    --command="cd $folder && .venv/bin/python -m launch.train --distributed=on$arguments"
