"""Datasets and models, asked of real MLflow: `models.py read|write|describe URI …`. Answers are JSON on stdout."""

import json
import math
import sys

import mlflow
import numpy
import pandas
from mlflow.entities import LoggedModelOutput
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import Array, ColSpec, Object, ParamSchema, ParamSpec, Property, Schema


def value(number):
    """JSON has no NaN and no infinities."""
    return number if math.isfinite(number) else repr(number)


def read_model(model_id):
    model = mlflow.get_logged_model(model_id)
    described = Model.load(f"models:/{model_id}")
    signature = described.signature
    local = mlflow.artifacts.download_artifacts(f"models:/{model_id}")
    example = described.load_input_example(local) if described.saved_input_example_info else None
    return {
        "name": model.name,
        "status": model.status.value,
        "model_type": model.model_type,
        "source_run_id": model.source_run_id,
        "params": model.params,
        "tags": {key: tag for key, tag in model.tags.items() if not key.startswith("mlflow.source")},
        "metrics": sorted(
            [metric.key, value(metric.value), metric.step, metric.dataset_name, metric.dataset_digest]
            for metric in model.metrics or []
        ),
        "flavors": described.flavors,
        "metadata": described.metadata,
        "model_id": described.model_id,
        "run_id": described.run_id,
        "size": described.model_size_bytes,
        "inputs": signature and signature.inputs and signature.inputs.to_dict(),
        "outputs": signature and signature.outputs and signature.outputs.to_dict(),
        "params_schema": signature and signature.params and signature.params.to_dict(),
        "example": example.to_dict("list") if isinstance(example, pandas.DataFrame) else example,
        # The download above left a file of MLflow's own beside the model's.
        "files": sorted(
            file.path
            for file in mlflow.MlflowClient().list_logged_model_artifacts(model_id)
            if file.path != "registered_model_meta"
        ),
    }


def read(run_id):
    run = mlflow.get_run(run_id)
    models = mlflow.search_logged_models(
        experiment_ids=[run.info.experiment_id], filter_string="params.depth = '3'", output_format="list"
    )
    return {
        "inputs": [
            {
                **{key: text for key, text in given.dataset.to_dictionary().items() if key != "profile"},
                "source_class": type(mlflow.data.get_source(given)).__name__,
                "tags": {tag.key: tag.value for tag in given.tags},
            }
            for given in sorted(run.inputs.dataset_inputs, key=lambda given: given.dataset.name)
        ],
        "model_inputs": [used.model_id for used in run.inputs.model_inputs],
        "outputs": [[made.model_id, made.step] for made in run.outputs.model_outputs],
        "found": [model.name for model in models],
        "models": {
            linked.model_id: read_model(linked.model_id)
            for linked in run.outputs.model_outputs + run.inputs.model_inputs
        },
    }


class Doubler(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input


def write():
    mlflow.set_experiment("models by MLflow")
    signature = ModelSignature(
        inputs=Schema([
            ColSpec("double", "a"),
            ColSpec(Array(Object([Property("k", "string", required=False)])), "nested"),
        ]),
        outputs=Schema([ColSpec("double")]),
        params=ParamSchema([ParamSpec("t", "double", 0.5), ParamSpec("stop", "string", ["x"], (-1,))]),
    )
    with mlflow.start_run() as run:
        frame = pandas.DataFrame({"a": [1.0, 2.0], "s": ["x", "y"]})
        data = mlflow.data.from_pandas(frame, source="s3://bucket/frame.csv", name="frame")
        mlflow.log_input(data, context="train", tags={"split": "1/5"})
        logged = mlflow.pyfunc.log_model(
            name="doubler",
            python_model=Doubler(),
            signature=signature,
            input_example=({"a": 1.0, "nested": [{"k": "v"}]}, {"t": 0.25}),
            pip_requirements=["mlflow"],
            metadata={"team": "vision"},
            step=3,
        )
        mlflow.log_metric("accuracy", 0.5, step=3, model_id=logged.model_id, dataset=data)
        external = mlflow.create_external_model(name="outside", params={"depth": "3"})
        mlflow.log_outputs([LoggedModelOutput(external.model_id, step=4)])
    return {
        "run_id": run.info.run_id,
        "model_id": logged.model_id,
        "external_id": external.model_id,
        "digest": data.digest,
    }


def describe(file):
    """What MLflow says of data that is written as JSON."""
    with open(file) as given:
        datasets = json.load(given)

    def array(given):
        return numpy.array(given["values"], dtype=given["dtype"]).reshape(given["shape"])

    answers = []
    for given in datasets:
        if "columns" in given:
            columns = {
                name: [math.nan if item == "nan" else item for item in column["values"]]
                if column["dtype"] is None
                else numpy.array(column["values"], dtype=column["dtype"])
                for name, column in given["columns"]
            }
            dataset = mlflow.data.from_pandas(pandas.DataFrame(columns), source="x", name="data")
        else:
            features = {name: array(one) for name, one in given["arrays"]}
            dataset = mlflow.data.from_numpy(features, source="x", name="data")
        answers.append(dataset.to_dict())
    return answers


command, uri, *arguments = sys.argv[1:]
mlflow.set_tracking_uri(uri)
json.dump({"read": read, "write": write, "describe": describe}[command](*arguments), sys.stdout)
