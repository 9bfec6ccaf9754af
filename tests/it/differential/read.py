"""Reads with MLflow's client what the scenarios left in stores: `read.py PLACE…`, one for each side that played them.

A place has a directory for each store, with what the steps returned in `outcomes.json`. The answer is JSON on stdout:
what there is in each place, store and scenario, with the scenario's own names for ids, and without times that were not
given.
"""

import json
import math
import re
import sys
from pathlib import Path

import mlflow
import yaml
from mlflow.entities import ViewType
from mlflow.utils.file_utils import local_file_uri_to_path
from PIL import Image

# Tags that say who wrote and from where: the two programs are not one.
DROPPED_TAGS = (
    "mlflow.user",  # the login, or nothing where the system has none
    "mlflow.source.",  # the program and its repository
    "runlog.owner",  # which process may end the run; only runlog has it
    "runlog.version",  # what built the program
    "runlog.build.",
)
# What a model's description says of the program that wrote it, and the files that say what built it.
DROPPED_OF_MODELS = ("mlflow_version", "utc_time_created")
ENVIRONMENT = ("rust_env.yaml", "Cargo.lock")
# Points in time before this one were given by a scenario.
NOW_FROM = 1_650_000_000_000

RANDOM_NAME = re.compile(r"[a-z]+-[a-z]+-\d{1,4}")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ID = re.compile(r"(m-)?[0-9a-f]{32}")
EXPERIMENT_IN_PATH = re.compile(r"(?<=/mlruns/)\d+")


class Names:
    """The scenarios' names for ids, so that two stores can be compared."""

    def __init__(self, root, outcomes):
        self.root = str(root)
        self.labels = {}
        for outcome in outcomes.values():
            for label, value in outcome["names"].items():
                if isinstance(value, str):
                    self.labels.setdefault(value, f"${label}")

    def of(self, identity):
        return identity if identity in (None, "", "0") else self.labels.get(identity, "$unnamed")

    def text(self, text):
        if len(text) > 1000 and len(set(text)) == 1:
            return f"{text[0]} × {len(text)}"
        text = text.replace(self.root, "$root")
        text = EXPERIMENT_IN_PATH.sub(lambda found: self.of(found[0]), text)
        text = ID.sub(lambda found: self.of(found[0]), UUID.sub("$uuid", text))
        return "$random" if RANDOM_NAME.fullmatch(text) else text

    def plain(self, value, key=None):
        if isinstance(value, str):
            return self.of(value) if key == "experiment_id" else self.text(value)
        if isinstance(value, float) and not math.isfinite(value):
            return repr(value)
        if isinstance(value, list):
            return [self.plain(item) for item in value]
        if isinstance(value, dict):
            kept = {name: item for name, item in value.items() if key != "tags" or not name.startswith(DROPPED_TAGS)}
            return {self.text(name): self.plain(item, name) for name, item in kept.items()}
        return value

    def moment(self, timestamp):
        return timestamp if timestamp < NOW_FROM else "now"


def read_files(names, root, files, path=None):
    """Every file below a run or a model, as what people would see in it."""
    found = {}
    for file in files(path):
        if file.is_dir:
            found.update(read_files(names, root, files, file.path))
        # The one is left by MLflow when it reads the model.
        elif file.path not in ("registered_model_meta", *ENVIRONMENT):
            found[names.text(file.path)] = read_file(names, Path(root, file.path))
    return found


def read_file(names, path):
    if path.suffix == ".png":
        with Image.open(path) as image:
            return {"mode": image.mode, "size": image.size, "pixels": [*image.get_flattened_data()]}
    if path.suffix == ".webp":
        with Image.open(path) as image:
            return {"size": image.size}  # the compression may lose as it likes
    if path.name == "MLmodel":
        described = yaml.safe_load(path.read_text())
        if described.get("metadata", {}).pop("rust_env", None) in ENVIRONMENT:
            described["model_size_bytes"] -= sum(
                file.stat().st_size for name in ENVIRONMENT if (file := path.with_name(name)).exists()
            )
            described = {key: value for key, value in described.items() if (key, value) != ("metadata", {})}
        return names.plain({key: value for key, value in described.items() if key not in DROPPED_OF_MODELS})
    content = path.read_bytes()
    try:
        return names.text(content.decode())
    except UnicodeDecodeError:
        return content.hex()


def read_dataset(names, given):
    dataset = given.dataset
    read = lambda text: json.loads(text) if text else None
    return {
        "name": dataset.name,
        "digest": dataset.digest,
        "source_type": dataset.source_type,
        "source": names.plain(read(dataset.source)),
        "schema": read(dataset.schema),
        "profile": read(dataset.profile),
        "tags": {tag.key: tag.value for tag in given.tags},
    }


def read_run(client, names, run):
    run = client.get_run(run.info.run_id)
    history = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
    root = local_file_uri_to_path(run.info.artifact_uri)
    return names.plain(
        {
            "name": run.info.run_name,
            "experiment_id": run.info.experiment_id,
            "status": run.info.status,
            "has_ended": run.info.end_time is not None,
            "lifecycle_stage": run.info.lifecycle_stage,
            "artifact_uri": run.info.artifact_uri,
            "params": run.data.params,
            "tags": run.data.tags,
            "metrics": run.data.metrics,
            "history": {
                key: [[point.step, point.value, names.moment(point.timestamp)] for point in points]
                for key, points in history.items()
            },
            "datasets": sorted(
                (read_dataset(names, given) for given in run.inputs.dataset_inputs),
                key=lambda dataset: (dataset["name"], dataset["digest"]),
            ),
            "model_inputs": sorted(names.of(given.model_id) for given in run.inputs.model_inputs),
            "model_outputs": sorted([made.step, names.of(made.model_id)] for made in run.outputs.model_outputs),
            "files": read_files(names, root, lambda path: client.list_artifacts(run.info.run_id, path)),
        }
    )


def read_model(client, names, model):
    points = client.get_logged_model(model.model_id).metrics or []
    root = local_file_uri_to_path(model.artifact_location)
    measured = [
        [
            point.key,
            point.step,
            names.plain(point.value),
            names.moment(point.timestamp),
            names.of(point.run_id),
            point.dataset_name,
            point.dataset_digest,
        ]
        for point in points
    ]
    return names.plain(
        {
            "name": model.name,
            "experiment_id": model.experiment_id,
            "status": str(model.status),
            "model_type": model.model_type,
            "source_run_id": model.source_run_id,
            "artifact_location": model.artifact_location,
            "params": model.params,
            "tags": model.tags,
            "metrics": sorted(measured, key=str),
            "files": read_files(names, root, lambda path: client.list_logged_model_artifacts(model.model_id, path)),
        }
    )


def labelled(names, kind, found):
    """What was found, in the order of its making, by the scenario's names; what has none is numbered."""
    numbered = 0
    for identity, read in found:
        label = names.labels.get(identity)
        if label is None:
            numbered += 1
            label = f"another {kind} {numbered}"
        yield label, read


def read_store(store, root):
    outcomes = json.loads((root / "outcomes.json").read_text())
    mlflow.set_tracking_uri(f"sqlite:///{root}/mlflow.db" if store == "sqlite" else f"{root}/mlruns")
    client = mlflow.MlflowClient()
    names = Names(root, outcomes)
    scenarios = {
        name: {
            "steps": [{key: names.plain(value) for key, value in step.items()} for step in outcome["steps"]],
            "experiments": {},
            "runs": {},
            "models": {},
        }
        for name, outcome in outcomes.items()
    }
    for experiment in client.search_experiments(view_type=ViewType.ALL):
        name, identity = experiment.name, experiment.experiment_id
        owner = max((scenario for scenario in scenarios if name.startswith(scenario)), key=len, default=None)
        if identity == "0":
            owner = "the default experiment"
        scene = scenarios[owner]
        scene["experiments"][name] = names.plain(
            {
                "experiment_id": identity,
                "lifecycle_stage": experiment.lifecycle_stage,
                "artifact_location": experiment.artifact_location,
                "tags": experiment.tags,
            }
        )
        runs = client.search_runs([identity], run_view_type=ViewType.ALL, order_by=["start_time ASC"])
        runs = [(run.info.run_id, read_run(client, names, run)) for run in runs]
        scene["runs"].update(labelled(names, f"run of {name}", runs))
        models = client.search_logged_models([identity], order_by=[{"field_name": "creation_time", "ascending": True}])
        models = [(model.model_id, read_model(client, names, model)) for model in models]
        scene["models"].update(labelled(names, f"model of {name}", models))
    return scenarios


def main(*places):
    answer = {}
    for place in places:
        place = Path(place).resolve()
        answer[place.name] = {store: read_store(store, place / store) for store in ("sqlite", "file")}
    json.dump(answer, sys.stdout)


main(*sys.argv[1:])
