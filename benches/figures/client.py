"""What MLflow's own client takes: `ingest POINTS` prints seconds, `run` is one whole program."""

import sys
import time

import mlflow
from mlflow.entities import Metric

KEYS = 10
BATCH = 1000

mlflow.set_tracking_uri("sqlite:///theirs.db")
if sys.argv[1] == "run":
    mlflow.start_run()
    mlflow.log_metric("loss", 0.25, step=0)
    mlflow.end_run()
else:
    client = mlflow.MlflowClient()
    run = client.create_run("0").info.run_id
    points = int(sys.argv[2])
    start = time.perf_counter()
    for first in range(0, points, BATCH):
        now = int(time.time() * 1000)
        numbers = range(first, min(first + BATCH, points))
        client.log_batch(run, [Metric(f"metric_{n % KEYS}", n * 0.37, now, n // KEYS) for n in numbers])
    client.set_terminated(run)
    print(time.perf_counter() - start)
