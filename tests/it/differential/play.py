"""Plays the scenarios in a file with MLflow's own fluent API: `play.py SCENARIOS GIVEN URI OUTCOMES`.

What each step returned, or how it was refused, goes to the file OUTCOMES; `read.py` reads the stores afterwards.
"""

import json
import math
import os
import re
import sys
import time
from pathlib import Path

import mlflow
import numpy
import pandas
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import LoggedModelOutput, Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.tracking import fluent
from mlflow.types import ColSpec, Schema, TensorSpec

VIEWS = {"active": ViewType.ACTIVE_ONLY, "deleted": ViewType.DELETED_ONLY, "all": ViewType.ALL}


class Flavor:
    """A way to save a model that writes the files it is given, as an integration for a framework would."""

    @staticmethod
    def save_model(path, mlflow_model, files, signature=None, **_ignored):
        root = Path(path)
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        mlflow_model.add_flavor("rust_ridge", format="json")
        mlflow_model.signature = signature
        mlflow_model.model_size_bytes = sum(len(text.encode()) for text in files.values())
        mlflow_model.save(root / "MLmodel")


class Scenario:
    """One scenario's names for what it made, and the calls that it may make."""

    def __init__(self, name, given):
        self.name = name
        self.names = {"scenario": name, "given": given}
        self.client = mlflow.MlflowClient()

    def expand(self, value):
        """Puts names' values and long texts where the data only speaks of them."""
        if isinstance(value, str):
            return re.sub(r"\$(\w+)", lambda found: str(self.names.get(found[1], found[0])), value)
        if isinstance(value, list):
            return [self.expand(item) for item in value]
        if isinstance(value, dict):
            if set(value) == {"repeat", "times"}:
                return value["repeat"] * value["times"]
            if set(value) == {"numbered", "times"}:
                return {f"{value['numbered']}{number}": str(number) for number in range(value["times"])}
            return {self.expand(key): self.expand(item) for key, item in value.items()}
        return value

    def play(self, step):
        arguments = self.expand(step.get("args", {}))
        call = getattr(self, step["call"], None) or getattr(mlflow, step["call"])
        try:
            returned = call(**arguments)
        except MlflowException as error:
            return {"error": error.error_code, "message": error.message}
        except Exception as error:
            return {"error": type(error).__name__, "message": str(error)}
        if "as" in step:
            self.names[step["as"]] = identity(returned)
        return {"ok": plain(returned)}

    # What is no function of the module `mlflow`, or takes objects that JSON has not.

    def environment(self, **variables):
        os.environ.update(variables)

    def start_run(self, **options):
        next_millisecond()
        return mlflow.start_run(**options).info.run_id

    def active_run(self):
        run = mlflow.active_run()
        return run and run.info.run_id

    def last_active_run(self):
        run = mlflow.last_active_run()
        return run and run.info.run_id

    def get_parent_run(self, run_id):
        run = mlflow.get_parent_run(run_id)
        return run and run.info.run_id

    def create_experiment(self, **options):
        next_millisecond()
        return mlflow.get_experiment(mlflow.create_experiment(**options))

    def rename_experiment(self, experiment_id, new_name):
        self.client.rename_experiment(experiment_id, new_name)

    def search_experiments(self, view_type="active", **options):
        return [found.name for found in mlflow.search_experiments(view_type=VIEWS[view_type], **options)]

    def search_runs(self, run_view_type="active", **options):
        found = mlflow.search_runs(run_view_type=VIEWS[run_view_type], output_format="list", **options)
        return [run.info.run_id for run in found]

    def log_metric(self, value, **options):
        mlflow.log_metric(value=number(value), synchronous=True, **options)

    def log_metrics(self, metrics, **options):
        mlflow.log_metrics({key: number(value) for key, value in metrics.items()}, synchronous=True, **options)

    def log_param(self, key, value):
        mlflow.log_param(key, value, synchronous=True)

    def log_batch(self, run_id, metrics=(), params=None, tags=None):
        points = [Metric(point["key"], number(point["value"]), point["timestamp"], point["step"]) for point in metrics]
        params = [Param(key, str(value)) for key, value in (params or {}).items()]
        tags = [RunTag(key, str(value)) for key, value in (tags or {}).items()]
        self.client.log_batch(run_id, points, params, tags, synchronous=True)

    def get_metric_history(self, run_id, key):
        history = self.client.get_metric_history(run_id, key)
        return [[point.step, point.value] for point in history]

    def list_artifacts(self, run_id, path=None):
        return sorted([file.path, file.is_dir, file.file_size] for file in self.client.list_artifacts(run_id, path))

    def download_artifacts(self, **options):
        path = Path(mlflow.artifacts.download_artifacts(**options))
        if path.is_file():
            return {path.name: path.read_text()}
        files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != "registered_model_meta")
        return {file.relative_to(path).as_posix(): file.read_text() for file in files if file.name != "MLmodel"}

    def load_text(self, artifact_uri):
        return mlflow.artifacts.load_text(artifact_uri)

    def load_dict(self, artifact_uri):
        return mlflow.artifacts.load_dict(artifact_uri)

    def log_stream(self, path, artifact_file):
        with open(path, "rb") as stream:
            mlflow.log_stream(stream, artifact_file)

    def log_image(self, image, **options):
        pixels = numpy.array(image["pixels"], dtype=image["dtype"])
        mlflow.log_image(pixels, synchronous=True, **options)

    def log_table(self, data, artifact_file):
        mlflow.log_table(data, artifact_file)

    def load_table(self, **options):
        table = mlflow.load_table(**options)
        cells = table.astype(object).where(table.notna(), None)
        return {"columns": list(cells.columns), "data": cells.to_numpy().tolist()}

    def dataset(self, kind, source=None, name=None, digest=None, **content):
        if kind == "numpy":
            array = lambda given: given and numpy.array(given["values"], dtype=given["dtype"])
            targets = array(content.get("targets"))
            return mlflow.data.from_numpy(
                array(content["features"]), source=source, targets=targets, name=name, digest=digest
            )
        if kind == "pandas":
            frame = pandas.DataFrame(content["columns"])
            return mlflow.data.from_pandas(
                frame, source=source, targets=content.get("targets"), name=name, digest=digest
            )
        return MetaDataset(HTTPDatasetSource(source), name=name, digest=digest)

    def log_input(self, dataset, **options):
        made = self.dataset(**dataset)
        mlflow.log_input(made, **options)
        return {"name": made.name, "digest": made.digest}

    def log_inputs(self, datasets, contexts, tags_list):
        mlflow.log_inputs([self.dataset(**dataset) for dataset in datasets], contexts, tags_list)

    def log_model(self, name, files, signature=None, **options):
        next_millisecond()
        signature = signature and ModelSignature(schema(signature.get("inputs")), schema(signature.get("outputs")))
        made = Model.log(None, Flavor, name=name, files=files, signature=signature, **options)
        return made.model_id

    def initialize_logged_model(self, **options):
        next_millisecond()
        return mlflow.initialize_logged_model(**options).model_id

    def create_external_model(self, **options):
        next_millisecond()
        return mlflow.create_external_model(**options).model_id

    def finalize_logged_model(self, model_id, status):
        return mlflow.finalize_logged_model(model_id, status)

    def delete_logged_model(self, model_id):
        self.client.delete_logged_model(model_id)

    def last_logged_model(self):
        model = mlflow.last_logged_model()
        return model and model.model_id

    def set_active_model(self, **options):
        return mlflow.set_active_model(**options).model_id

    def clear_active_model(self):
        mlflow.clear_active_model()

    def search_logged_models(self, **options):
        return [model.model_id for model in mlflow.search_logged_models(output_format="list", **options)]

    def log_outputs(self, models):
        mlflow.log_outputs([LoggedModelOutput(model["model_id"], model["step"]) for model in models])


def schema(columns):
    """A signature's side: named columns, or tensors where a shape is given."""
    if columns is None:
        return None
    return Schema(
        [
            TensorSpec(numpy.dtype(column["type"]), tuple(column["shape"]), column.get("name"))
            if "shape" in column
            else ColSpec(column["type"], column.get("name"), required=column.get("required", True))
            for column in columns
        ]
    )


def number(value):
    """JSON has no NaN and no infinities: they are text in the data."""
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value


def next_millisecond():
    """What is made one after the other is not made at the same time, so that the newest is one."""
    made = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 <= made:
        pass


def identity(returned):
    for attribute in ("run_id", "experiment_id", "model_id"):
        if hasattr(returned, attribute):
            return getattr(returned, attribute)
    return returned


def plain(value):
    """What a step returned, as far as both sides have it."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    kind = type(value).__name__
    if kind == "Experiment":
        return {
            "experiment_id": value.experiment_id,
            "name": value.name,
            "lifecycle_stage": value.lifecycle_stage,
            "tags": value.tags,
        }
    if kind in ("Run", "ActiveRun"):
        return {
            "run_id": value.info.run_id,
            "run_name": value.info.run_name,
            "status": value.info.status,
            "lifecycle_stage": value.info.lifecycle_stage,
            "metrics": plain(value.data.metrics),
            "params": value.data.params,
            "tags": value.data.tags,
        }
    if kind == "LoggedModel":
        return {
            "model_id": value.model_id,
            "name": value.name,
            "status": str(value.status),
            "model_type": value.model_type,
            "source_run_id": value.source_run_id,
            "params": value.params,
            "tags": value.tags,
        }
    return value


def play(scenario, given):
    """One scenario from a clean slate: no run, no active experiment, no active model, nothing in the environment."""
    scene = Scenario(scenario["name"], given)
    environment = dict(os.environ)
    if scenario.get("experiment", True):
        next_millisecond()
        scene.names["experiment"] = mlflow.set_experiment(scenario["name"]).experiment_id
    steps = [scene.play(step) for step in scenario["steps"]]
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.clear_active_model()
    fluent._active_experiment_id = None
    fluent._last_active_run_id.set(None)
    os.environ.clear()
    os.environ.update(environment)
    labels = {name: value for name, value in scene.names.items() if name not in ("scenario", "given")}
    return {"steps": steps, "names": labels}


def main(scenarios, given, uri, outcomes):
    mlflow.set_tracking_uri(uri)
    played = {scenario["name"]: play(scenario, given) for scenario in json.loads(Path(scenarios).read_text())}
    Path(outcomes).write_text(json.dumps(played))


main(*sys.argv[1:])
