"""Trains what scikit-learn has for the same data, with `mlflow.sklearn.autolog()`, and prints what was recorded.

Read from standard input: {case: {"x": rows, "y": targets or null}}. Invariant: nothing is logged but by autologging.
"""

import json
import sys
import tempfile

import mlflow
import numpy
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.tree import DecisionTreeClassifier

ESTIMATORS = {
    "linear regression": lambda: LinearRegression(),
    "logistic regression of two classes": lambda: LogisticRegression(tol=1e-9, max_iter=10_000),
    "logistic regression of many classes": lambda: LogisticRegression(tol=1e-9, max_iter=10_000),
    "decision tree": lambda: DecisionTreeClassifier(max_depth=2, random_state=0),
    "k-means": lambda: KMeans(n_clusters=3, n_init=20, random_state=0),
}


def files(client, run_id, folder=None):
    found = []
    for entry in client.list_artifacts(run_id, folder):
        found += files(client, run_id, entry.path) if entry.is_dir else [entry.path]
    return found


def main():
    place = tempfile.mkdtemp()
    mlflow.set_tracking_uri(f"sqlite:///{place}/mlflow.db")
    experiment = mlflow.create_experiment("beside", artifact_location=f"file://{place}/artifacts")
    mlflow.set_experiment(experiment_id=experiment)
    mlflow.sklearn.autolog(silent=True)
    client = mlflow.MlflowClient()
    answer = {}
    for case, data in json.load(sys.stdin).items():
        with mlflow.start_run() as run:
            estimator = ESTIMATORS[case]()
            x, y = numpy.array(data["x"]), data["y"]
            estimator.fit(x, numpy.array(y)) if y else estimator.fit(x)
        run = client.get_run(run.info.run_id)
        answer[case] = {
            "metrics": run.data.metrics,
            "tags": sorted(key for key in run.data.tags if not key.startswith("mlflow.")),
            "contexts": [tag.value for one in run.inputs.dataset_inputs for tag in one.tags],
            "models": len(run.outputs.model_outputs),
            "artifacts": sorted(files(client, run.info.run_id)),
        }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
