"""What MLflow's own client finds: `search.py URI FILE`, a file with one search a line. The answers are JSON on stdout.

An answer is the ids that were found, in order, or `null` with the reason if the search was refused.
"""

import json
import sys

import mlflow
from mlflow.entities import ViewType

VIEWS = {"active": ViewType.ACTIVE_ONLY, "deleted": ViewType.DELETED_ONLY, "all": ViewType.ALL}
PAGE = 12


def every_page(search):
    """Small pages, so that paging is compared as well."""
    found, token = [], None
    while True:
        page = search(token)
        found.extend(page)
        token = page.token
        if not token:
            return found


def order_of_models(text):
    """MLflow takes objects here."""
    name, _, direction = text.rpartition(" ")
    if direction.lower() not in ("asc", "desc"):
        name, direction = text, "asc"
    return {"field_name": name.rstrip(), "ascending": direction.lower() == "asc"}


def answer(client, experiment_ids, search):
    view = VIEWS[search.get("view", "active")]
    order = search.get("order")
    if "runs" in search:
        runs = every_page(lambda token: client.search_runs(experiment_ids, search["runs"], view, PAGE, order, token))
        return [run.info.run_id for run in runs]
    if "experiments" in search:
        found = every_page(
            lambda token: client.search_experiments(view, PAGE, search["experiments"], order, token)
        )
        return [experiment.experiment_id for experiment in found]
    datasets = [
        {"dataset_name": name} if digest is None else {"dataset_name": name, "dataset_digest": digest}
        for name, digest in search.get("datasets", [])
    ]
    found = every_page(
        lambda token: client.search_logged_models(
            experiment_ids,
            search["models"] or None,
            datasets or None,
            PAGE,
            order and [order_of_models(text) for text in order],
            token,
        )
    )
    return [model.model_id for model in found]


def main(uri, file):
    client = mlflow.MlflowClient(uri)
    experiments = client.search_experiments(ViewType.ALL)
    ids = [experiment.experiment_id for experiment in experiments]
    answers = []
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            try:
                answers.append([answer(client, ids, json.loads(line)), None])
            except Exception as error:
                answers.append([None, f"{type(error).__name__}: {error}"])
    json.dump(answers, sys.stdout)


main(*sys.argv[1:])
