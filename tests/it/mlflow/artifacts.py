"""What the tests of artifacts ask of real MLflow: `artifacts.py COMMAND URI ARGUMENTS…`. Answers are JSON on stdout."""

import json
import pathlib
import sys
import warnings

import mlflow
import numpy
import pandas


def rows(table):
    return json.loads(table.to_json(orient="records"))


def read(run_id):
    """Everything that MLflow's own functions read of a run."""
    root = f"runs:/{run_id}"
    image = mlflow.artifacts.load_image(f"{root}/shapes/square.png")
    series = [file.path for file in mlflow.artifacts.list_artifacts(run_id=run_id, artifact_path="images")]
    small = mlflow.artifacts.load_image(f"{root}/{next(path for path in series if path.endswith('.webp'))}")
    table = mlflow.load_table("eval/answers.json", extra_columns=["run_id", "params.lr"])
    cell = mlflow.load_table("eval/pictures.json", run_ids=[run_id])["picture"][0]
    return {
        "text": mlflow.artifacts.load_text(f"{root}/notes/hello.txt"),
        "json": mlflow.artifacts.load_dict(f"{root}/config.json"),
        "downloaded": pathlib.Path(mlflow.artifacts.download_artifacts(f"{root}/tree")).joinpath("sub/a.txt").read_text(),
        "pixels": numpy.asarray(image).tolist(),
        "mode": image.mode,
        "series": series,
        "small": small.size,
        "table": rows(table),
        "cell": {name: mlflow.artifacts.load_image(f"{root}/{cell[name]}").size for name in ["filepath", "compressed_filepath"]},
        "cell_type": cell["type"],
        "listed": sorted(file.path for file in mlflow.artifacts.list_artifacts(run_id=run_id)),
        "tags": mlflow.get_run(run_id).data.tags,
    }


def write():
    """One of everything."""
    with mlflow.start_run() as run:
        mlflow.log_param("lr", 0.5)
        mlflow.log_text("é", "notes/hello.txt")
        mlflow.log_dict({"b": [1, 2.5], "a": None}, "config.yaml")
        mlflow.log_image(numpy.arange(24, dtype="uint8").reshape(2, 4, 3), "square.png")
        mlflow.log_image(numpy.zeros((200, 400)), key="train/sample", step=3, timestamp=17, synchronous=True)
        mlflow.log_table({"input": ["a/b", None], "score": [0.25, 1.0]}, "answers.json")
        mlflow.log_table(pandas.DataFrame({"input": ["c"], "new": [True]}), "answers.json")
    return run.info.run_id


def dicts(values, extension):
    """The files of log_dict, in order."""
    with mlflow.start_run() as run:
        for place, value in enumerate(json.loads(pathlib.Path(values).read_text())):
            mlflow.log_dict(value, f"{place}.{extension}")
    return run.info.run_id


def tables(batches):
    """Tables of several batches each, every batch a dict of columns."""
    with mlflow.start_run() as run:
        for place, table in enumerate(json.loads(pathlib.Path(batches).read_text())):
            for batch in table:
                mlflow.log_table(batch, f"t/{place}.json")
    return run.info.run_id


def images(arrays):
    """An image of each array: `{"dtype", "shape", "values"}`."""
    warnings.simplefilter("ignore")
    with mlflow.start_run() as run:
        for place, array in enumerate(json.loads(pathlib.Path(arrays).read_text())):
            pixels = numpy.array(array["values"], dtype=array["dtype"]).reshape(array["shape"])
            mlflow.log_image(pixels, f"{place}.png")
            mlflow.log_image(pixels, key=str(place), synchronous=True)
    return run.info.run_id


def model(run_id):
    """A model of the run with two files."""
    with mlflow.start_run(run_id=run_id):
        tree = mlflow.initialize_logged_model(name="tree")
    place = pathlib.Path(tree.artifact_location)
    place.joinpath("data").mkdir(parents=True)
    place.joinpath("MLmodel").write_text("flavors: {}")
    place.joinpath("data/weights").write_text("w")
    return tree.model_id


def files(run_id):
    return sorted(file.path for file in mlflow.artifacts.list_artifacts(run_id=run_id))


command, uri, *arguments = sys.argv[1:]
mlflow.set_tracking_uri(uri)
commands = {"read": read, "write": write, "dicts": dicts, "tables": tables, "images": images, "model": model, "files": files}
json.dump(commands[command](*arguments), sys.stdout)
