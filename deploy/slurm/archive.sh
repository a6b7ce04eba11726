#!/bin/bash
# An archive of scenes as an array of Slurm jobs: each works on its part of one list, into one folder.
#
#     find /data/scenes -name '*.tif' | sort > scenes.txt
#     sbatch --array=1-40 deploy/slurm/archive.sh scenes.txt features/ --sensor sentinel2-l2a --unit dn
#
# A job that is killed, preempted or out of time is queued again and goes on where it stopped. When all have ended, the
# last line below, without --part, does what is left and writes the report of the whole.
#SBATCH --job-name=skyweave-archive
#SBATCH --array=1-40
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=skyweave-archive-%A-%a.log
set -eu

list=$1 folder=$2
shift 2

export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-4}
exec skyweave embed --list "$list" --into "$folder" "$@" \
    --part "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
