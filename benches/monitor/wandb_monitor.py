"""A process that is watched once a second by W&B, offline, and does nothing else."""

import sys

import wandb

settings = wandb.Settings(x_disable_stats=sys.argv[1] == "off", x_stats_sampling_interval=1.0, mode="offline")
run = wandb.init(project="watched", settings=settings)
print("ready", flush=True)
sys.stdin.read()
run.finish()
