"""What MLflow's monitor of NVIDIA's GPUs reads, as JSON: `gpus.py`."""

import json
import sys

from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

monitor = GPUMonitor()
for _ in range(3):
    monitor.collect_metrics()
json.dump(monitor.aggregate_metrics(), sys.stdout)
