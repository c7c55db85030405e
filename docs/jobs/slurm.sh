#!/bin/bash
#SBATCH --job-name=lenet
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=04:00:00
#SBATCH --signal=INT@60

# One launcher on each machine, which starts a process for each GPU. The folder is on a disk that all machines share.
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))

srun netc train lenet.net --nproc 4 --nodes "$SLURM_NNODES" --rdzv "$first:$port" --max-restarts 3
