"""How long MLflow's own client takes for the same searches: `client.py URI`, a list of seconds a search on stdout."""

import json
import sys
import time

import mlflow

client = mlflow.MlflowClient(sys.argv[1])


def every(filter_string, order_by, count):
    found, token = 0, None
    while True:
        page = client.search_runs(["0"], filter_string, max_results=min(10_000, count), order_by=order_by, page_token=token)
        found, token = found + len(page), page.token
        if not token or found >= count:
            return found


def best():
    return every("metrics.loss < 0.5 AND params.optimizer = 'adam'", ["metrics.accuracy DESC"], 1000)


def newest():
    return every("", None, 1000)


def everything():
    return every("", None, 50_000)


def seconds(search):
    begun = time.perf_counter()
    search()
    return time.perf_counter() - begun


best()
json.dump([sorted(seconds(search) for _ in range(3))[1] for search in (best, newest, everything)], sys.stdout)
