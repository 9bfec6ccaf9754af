"""Every public name of MLflow's tracking, as JSON: `functions.py`."""

import inspect
import json
import sys

import mlflow
import mlflow.artifacts
import mlflow.system_metrics
import mlflow.tracking
from mlflow.tracking import fluent


def functions(module):
    """What a module itself defines for others."""
    found = inspect.getmembers(module, inspect.isfunction)
    return {name for name, function in found if function.__module__ == module.__name__ and not name.startswith("_")}


names = functions(fluent) | functions(mlflow.system_metrics)
names |= {name for name in [*mlflow.__all__, *mlflow.tracking.__all__] if not name.startswith("_")}
names |= {f"artifacts.{name}" for name in functions(mlflow.artifacts)}
methods = inspect.getmembers(mlflow.MlflowClient, inspect.isfunction)
names |= {f"MlflowClient.{name}" for name, _ in methods if not name.startswith("_")}
json.dump(sorted(names), sys.stdout)
