"""What the interoperability tests ask of real MLflow: `client.py COMMAND URI [RUN]`. Answers are JSON on stdout."""

import itertools
import json
import math
import sys
import threading

import mlflow
import numpy
from mlflow.entities import Metric, ViewType


def value(number):
    """JSON has no NaN and no infinities."""
    return number if math.isfinite(number) else repr(number)


def read_model(client, model_id):
    model = client.get_logged_model(model_id)
    described = mlflow.models.Model.load(model.artifact_location)
    signature = described.signature
    return {
        "model_id": model.model_id,
        "name": model.name,
        "status": model.status.value,
        "model_type": model.model_type,
        "source_run_id": model.source_run_id,
        "params": model.params,
        "metrics": {metric.key: value(metric.value) for metric in model.metrics or []},
        "flavors": sorted(described.flavors),
        "inputs": signature and signature.inputs and signature.inputs.to_dict(),
        "outputs": signature and signature.outputs and signature.outputs.to_dict(),
        "files": sorted(file.path for file in client.list_logged_model_artifacts(model_id)),
    }


def read_artifacts(client, run_id, path=None):
    for file in client.list_artifacts(run_id, path):
        if file.is_dir:
            yield from read_artifacts(client, run_id, file.path)
        else:
            yield file.path


def read_run(client, run_id):
    run = client.get_run(run_id)
    history = {key: client.get_metric_history(run_id, key) for key in run.data.metrics}
    return {
        "run_id": run_id,
        "name": run.info.run_name,
        "status": run.info.status,
        "experiment_id": run.info.experiment_id,
        "user": run.info.user_id,
        "start_time": run.info.start_time,
        "end_time": run.info.end_time,
        "params": run.data.params,
        "tags": run.data.tags,
        "metrics": {key: value(latest) for key, latest in run.data.metrics.items()},
        "history": {key: [[point.step, value(point.value)] for point in points] for key, points in history.items()},
        "datasets": [
            {
                "name": given.dataset.name,
                "digest": given.dataset.digest,
                "schema": json.loads(given.dataset.schema or "null"),
                "profile": json.loads(given.dataset.profile or "null"),
                "tags": {tag.key: tag.value for tag in given.tags},
            }
            for given in run.inputs.dataset_inputs
        ],
        "models": [read_model(client, output.model_id) for output in run.outputs.model_outputs],
        "artifacts": sorted(read_artifacts(client, run_id)),
    }


def read(client):
    experiments = [experiment.experiment_id for experiment in client.search_experiments(view_type=ViewType.ALL)]
    runs = client.search_runs(experiments)
    return [read_run(client, run.info.run_id) for run in runs]


def watch(client):
    """Reads again and again until stdin is closed, and prints after each round how many points there were at least."""
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    points = {}
    for turn in itertools.count():
        if stop.is_set():
            return
        experiments = [experiment.experiment_id for experiment in client.search_experiments(view_type=ViewType.ALL)]
        runs = client.search_runs(experiments, "metrics.loss >= 0", order_by=["metrics.loss DESC", "run_id"])
        for run in runs:
            assert client.get_run(run.info.run_id).data.metrics["loss"] == 0.5
        if runs:
            run_id = runs[turn % len(runs)].info.run_id
            steps = sorted(point.step for point in client.get_metric_history(run_id, "loss"))
            assert steps == list(range(len(steps))), "each point once, and none left out"
            points[run_id] = len(steps)
        print(sum(points.values()), flush=True)


def lifecycle(client):
    """What is deleted, renamed and tagged, and what belongs to models."""
    experiments = client.search_experiments(view_type=ViewType.ALL)
    runs = client.search_runs([experiment.experiment_id for experiment in experiments], run_view_type=ViewType.ALL)
    models = client.search_logged_models([experiment.experiment_id for experiment in experiments])
    return {
        "experiments": {
            experiment.name: [experiment.lifecycle_stage, experiment.last_update_time, experiment.tags]
            for experiment in experiments
        },
        "runs": {
            # A search does not say which models a run used.
            run.info.run_name: [
                run.info.lifecycle_stage,
                [used.model_id for used in client.get_run(run.info.run_id).inputs.model_inputs],
            ]
            for run in runs
        },
        "models": {
            model.name: {
                "params": model.params,
                "tags": model.tags,
                "metrics": [
                    [point.key, point.value, point.run_id, point.dataset_name, point.dataset_digest]
                    for point in model.metrics
                ],
            }
            for model in models
        },
    }


def write(client):
    experiment_id = client.create_experiment("written by MLflow", tags={"team": "vision"})
    with mlflow.start_run(experiment_id=experiment_id, run_name="from-python", tags={"k": "v"}) as run:
        mlflow.log_params({"lr": 0.1, "layers": [1, 2], "none": None})
        for step in range(3):
            mlflow.log_metric("loss", 1.0 / (step + 1), step=step)
        mlflow.log_metrics({"nan": float("nan"), "inf": float("inf")})
        mlflow.log_text("hello", "notes/hello.txt")
        data = mlflow.data.from_numpy(numpy.arange(6.0).reshape(3, 2), targets=numpy.arange(3.0), name="six")
        mlflow.log_input(data, context="train")
        model = mlflow.initialize_logged_model(name="empty", model_type="nothing")
        mlflow.finalize_logged_model(model.model_id, "READY")
    return {"run_id": run.info.run_id, "model_id": model.model_id, "digest": data.digest}


def resume(client, run_id):
    """Goes on with a run of somebody else's, as a notebook would."""
    with mlflow.start_run(run_id=run_id):
        mlflow.log_metric("from_python", 2.5, step=7)
        mlflow.set_tag("seen_by", "MLflow")
        mlflow.log_param("lr_again", "0.1")
    client.log_batch(run_id, metrics=[Metric("batch", 1.0, 1_700_000_000_000, 0)])
    return {}


def experiments(client):
    found = client.search_experiments(view_type=ViewType.ALL)
    return {
        experiment.name: {
            "experiment_id": experiment.experiment_id,
            "artifact_location": experiment.artifact_location,
            "lifecycle_stage": experiment.lifecycle_stage,
            "tags": experiment.tags,
            "runs": len(client.search_runs([experiment.experiment_id])),
        }
        for experiment in found
    }


def rule(client):
    """Does to experiments what their owners do in notebooks."""
    kept, gone = client.create_experiment("kept"), client.create_experiment("gone")
    client.rename_experiment(kept, "renamed")
    client.set_experiment_tag(kept, "team", True)
    client.delete_experiment(gone)
    return {"kept": kept, "gone": gone}


def table(client):
    frame = mlflow.search_runs(search_all_experiments=True)
    return {"columns": list(frame.columns), "csv": frame.to_csv(index=False)}


command, uri, *arguments = sys.argv[1:]
mlflow.set_tracking_uri(uri)
commands = [read, write, resume, experiments, rule, table, watch, lifecycle]
answer = {named.__name__: named for named in commands}[command](mlflow.MlflowClient(), *arguments)
json.dump(answer, sys.stdout)
