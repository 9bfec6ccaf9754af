"""What scikit-learn's autologging leaves behind after each list of words, as JSON: `autolog.py '[["own", "train"]]'`."""

import json
import sys

import mlflow
import mlflow.sklearn
import numpy
from mlflow.utils.autologging_utils import AUTOLOGGING_INTEGRATIONS
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X = numpy.arange(8.0).reshape(4, 2)
OPTIONS = {
    "": {},
    "disable": {"disable": True},
    "exclusive": {"exclusive": True},
    "tag": {"extra_tags": {"team": "vision"}},
    "reserved": {"extra_tags": {"team": "vision", "mlflow.autologging": "mine"}},
    "exclude": {"exclude_flavors": ["sklearn"]},
}


def play(word):
    word, _, option = word.partition(":")
    options = {"log_models": False, "log_datasets": False, **OPTIONS[option]}
    if word == "own":
        mlflow.sklearn.autolog(log_post_training_metrics=False, **options)
    elif word == "global":
        mlflow.autolog(log_traces=False, **options)
    elif word == "start":
        mlflow.start_run()
    elif word == "nested":
        mlflow.start_run(nested=True)
    elif word == "end":
        mlflow.end_run()
    elif word == "train":
        LinearRegression().fit(X, X[:, 0])
    elif word == "train-inside-another":
        make_pipeline(StandardScaler(), LinearRegression()).fit(X, X[:, 0])
    elif word == "train-and-fail":
        try:
            LinearRegression().fit(X, X[:3, 0])
        except ValueError:
            pass
    else:
        raise ValueError(word)


def left(experiment_id):
    for run in mlflow.search_runs([experiment_id], output_format="list"):
        tags = run.data.tags
        yield {
            "status": run.info.status,
            "managed": "mlflow.autologging" in tags and tags["mlflow.autologging"] == "sklearn",
            "team": tags.get("team"),
            # Of a training that fails, its params are still on their way on another thread.
            "recorded": bool(run.data.params) if run.info.status == "FINISHED" else None,
            "child": "mlflow.parentRunId" in tags,
        }


outcomes = []
for number, words in enumerate(json.loads(sys.argv[1])):
    mlflow.sklearn.autolog(disable=True)
    AUTOLOGGING_INTEGRATIONS.clear()
    experiment = mlflow.set_experiment(f"e{number}")
    for word in words:
        play(word)
    while mlflow.active_run():
        mlflow.end_run()
    outcomes.append(list(left(experiment.experiment_id)))
json.dump(outcomes, sys.stdout)
