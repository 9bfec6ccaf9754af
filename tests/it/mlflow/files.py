"""What the tests of the file store ask of real MLflow: `files.py look|change|names URI [ID …]`. Answers are JSON on stdout."""

import json
import math
import sys

import mlflow
from mlflow.entities import LoggedModelOutput, ViewType


def value(number):
    """JSON has no NaN and no infinities."""
    return number if math.isfinite(number) else repr(number)


def described_run(client, run):
    return {
        "name": run.info.run_name,
        "run_id": run.info.run_id,
        "stage": run.info.lifecycle_stage,
        "status": run.info.status,
        "user": run.info.user_id,
        "times": [run.info.start_time, run.info.end_time],
        "params": run.data.params,
        "tags": run.data.tags,
        "metrics": {key: value(latest) for key, latest in run.data.metrics.items()},
        "history": {
            key: [[point.timestamp, value(point.value), point.step] for point in client.get_metric_history(run.info.run_id, key)]
            for key in run.data.metrics
        },
        "datasets": sorted([given.dataset.name, {tag.key: tag.value for tag in given.tags}] for given in run.inputs.dataset_inputs),
        "used": [given.model_id for given in run.inputs.model_inputs],
        "made": [[output.model_id, output.step] for output in run.outputs.model_outputs],
        "files": [file.path for file in client.list_artifacts(run.info.run_id)] if run.info.lifecycle_stage == "active" else None,
    }


def described_model(model):
    return {
        "name": model.name,
        "status": model.status.value,
        "type": model.model_type,
        "run": model.source_run_id,
        "params": model.params,
        "tags": model.tags,
        "metrics": sorted(
            [point.key, value(point.value), point.step, point.dataset_name, point.run_id] for point in model.metrics or []
        ),
    }


def look(client):
    """Everything there is, by name."""
    everything = {}
    for experiment in client.search_experiments(view_type=ViewType.ALL):
        ids = [experiment.experiment_id]
        runs = client.search_runs(ids, run_view_type=ViewType.ALL)
        everything[experiment.name] = {
            "experiment_id": experiment.experiment_id,
            "stage": experiment.lifecycle_stage,
            "location": experiment.artifact_location,
            "times": [experiment.creation_time, experiment.last_update_time],
            "tags": experiment.tags,
            "runs": {run.info.run_name: described_run(client, run) for run in runs},
            "models": {model.name: described_model(model) for model in client.search_logged_models(ids)},
        }
    # The table that notebooks begin with.
    everything["columns"] = sorted(mlflow.search_runs(search_all_experiments=True).columns)
    return everything


def change(client, renamed, deleted, restored, run_id, deleted_run, restored_run, model_id):
    """Goes on where somebody else stopped."""
    client.rename_experiment(renamed, "renamed by MLflow")
    client.set_experiment_tag(renamed, "by", "MLflow")
    client.delete_experiment(deleted)
    client.restore_experiment(restored)
    client.delete_run(deleted_run)
    client.restore_run(restored_run)
    with mlflow.start_run(run_id=run_id):
        mlflow.log_metric("loss", 7.5, step=7, timestamp=7)
        mlflow.log_metric("by/MLflow", float("inf"), step=1, timestamp=1)
        mlflow.log_metric("f1", 0.75, step=9, timestamp=9, model_id=model_id)
        mlflow.set_tag("stage", "by MLflow")
        mlflow.log_param("more", "1e3")
    client.finalize_logged_model(model_id, "FAILED")
    client.set_logged_model_tags(model_id, {"by": "MLflow"})
    made = client.create_logged_model(renamed, name="made", source_run_id=run_id, params={"p": "1"}, model_type="t")
    client.log_outputs(run_id, [LoggedModelOutput(made.model_id, 3)])
    gone = client.create_logged_model(renamed, name="gone")
    client.delete_logged_model(gone.model_id)
    new = client.create_experiment("new: Größe #1", tags={"a/b": "c"}, artifact_location="./elsewhere")
    return {"made": made.model_id, "gone": gone.model_id, "new": new}


def names(client):
    """The names of all runs, which MLflow then writes anew."""
    found = {run.info.run_id: run.info.run_name for run in client.search_runs(["0"])}
    for run_id, name in found.items():
        client.update_run(run_id, name=f"{name}{name}")
    return found


command, uri, *arguments = sys.argv[1:]
mlflow.set_tracking_uri(uri)
answer = {"look": look, "change": change, "names": names}[command](mlflow.MlflowClient(), *arguments)
json.dump(answer, sys.stdout)
