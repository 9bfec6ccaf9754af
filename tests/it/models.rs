//! Datasets and models: MLflow reads ours and we read its, and both describe the same data alike.

use std::path::Path;

use runlog::data::{Arrays, Columns, Source};
use runlog::model::{
    Column, DataType, InputExample, ModelOptions, ModelSpec, ParamField, Property, Schema, Signature,
};
use runlog::{Dataset, DatasetInput, Metric, ModelOutput, ModelQuery, ModelStatus};
use serde_json::{Value, json};

use crate::support::Place;

/// A model with everything that can be said of one.
fn ranker(code: &Path) -> ModelSpec {
    let question = Schema::Columns(vec![
        Column::new("alcohol", DataType::Double),
        Column::new(
            "notes",
            DataType::Array(Box::new(DataType::Object(vec![Property {
                name: "text".to_owned(),
                data_type: DataType::String,
                required: false,
            }]))),
        ),
    ]);
    let answer = Arrays::new("answer").features([0_i64, 1], &[2]).features_schema().unwrap();
    let params = ParamField { name: "t".to_owned(), default: json!(0.5), data_type: DataType::Double };
    ModelSpec::new(ModelOptions::new().name("ranker").model_type("gbdt").param("depth", 3))
        .tag("team", "search")
        .flavor("runlog_ranker", [("data", "w.bin")])
        .metadata("note", json!({"é": [1, true, null]}))
        .signature(Signature::new(question, answer).param(params))
        .input_example(InputExample::table(["alcohol"], [json!([12.5])]))
        .file("w.bin", [1, 2, 3])
        .file_from("code", code)
        .step(3)
}

#[test]
fn mlflow_reads_our_datasets_and_models_as_its_own() {
    let place = Place::new();
    let tracker = place.tracker();
    let files = place.path().join("code");
    std::fs::create_dir_all(files.join("sub")).unwrap();
    std::fs::write(files.join("sub/train.rs"), "fn main() {}").unwrap();

    let run = tracker.start_run("models").unwrap();
    run.log_param("epochs", 5);
    let table = Columns::new("wine").column("alcohol", [12.5, 13.0]).nullable("colour", [Some("red"), None]);
    let wine = table.source("https://example.com/wine.csv").dataset().unwrap();
    run.log_input(DatasetInput::new(wine.clone(), "test").tag("split", "1/5"));
    run.log_input((Arrays::new("pixels").features([0.5_f32; 12], &[3, 4]).dataset().unwrap(), "train"));
    run.log_input(Dataset::meta("reviews", "s3://bucket/reviews.txt", None).unwrap());
    run.log_metric("score", 1.5, 3);
    let made = run.log_model(ranker(&files)).unwrap();
    let used = tracker.create_external_model(ModelOptions::new().name("served").param("depth", 3)).unwrap();
    run.log_outputs([ModelOutput::new(&*made.model_id, 3)]);
    run.log_points([
        Metric::new("accuracy", 0.5, 1, 3).for_model(&used.model_id).on(&wine),
        Metric::new("lost", f64::NAN, 1, 4).for_model(&made.model_id),
    ]);
    let run_id = run.run_id().to_owned();
    run.finish().unwrap();

    let read = place.ask("models.py", &["read", &place.uri(), &run_id]);
    let inputs = read["inputs"].as_array().unwrap();
    let kinds: Vec<_> = inputs.iter().map(|input| [&input["name"], &input["source_class"]]).collect();
    assert_eq!(
        json!(kinds),
        json!([
            ["pixels", "CodeDatasetSource"],
            ["reviews", "S3ArtifactDatasetSource"],
            ["wine", "HTTPDatasetSource"],
        ])
    );
    assert!(inputs[0]["source"].as_str().unwrap().contains(r#""mlflow.user": "ada""#), "{}", inputs[0]);
    assert_eq!(inputs[1]["tags"], json!({}));
    assert_eq!(inputs[2]["tags"], json!({"mlflow.data.context": "test", "split": "1/5"}));
    assert_eq!(
        (&read["model_inputs"], &read["outputs"]),
        (&json!([used.model_id]), &json!([[made.model_id, 3]]))
    );
    assert_eq!(read["found"], json!(["served", "ranker"]));

    let ranker = &read["models"][&made.model_id];
    assert_eq!(
        (&ranker["name"], &ranker["status"], &ranker["model_type"]),
        (&json!("ranker"), &json!("READY"), &json!("gbdt"))
    );
    assert_eq!(ranker["params"], json!({"depth": "3", "epochs": "5"}));
    assert_eq!(ranker["tags"], json!({"team": "search", "mlflow.user": "ada"}));
    // MLflow's table of a model's points has no NaN.
    assert_eq!(ranker["metrics"], json!([["lost", 0.0, 4, null, null], ["score", 1.5, 3, null, null]]));
    assert_eq!(ranker["flavors"], json!({"runlog_ranker": {"data": "w.bin"}}));
    assert_eq!(ranker["metadata"], json!({"note": {"é": [1, true, null]}, "rust_env": "rust_env.yaml"}));
    assert_eq!((&ranker["model_id"], &ranker["run_id"]), (&json!(made.model_id), &json!(run_id)));
    assert_eq!(
        ranker["inputs"],
        json!([
            {"type": "double", "name": "alcohol", "required": true},
            {
                "type": "array",
                "items": {"type": "object", "properties": {"text": {"type": "string", "required": false}}},
                "name": "notes",
                "required": true,
            },
        ])
    );
    assert_eq!(
        ranker["outputs"],
        json!([{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}])
    );
    assert_eq!(
        ranker["params_schema"],
        json!([{"name": "t", "type": "double", "default": 0.5, "shape": null}])
    );
    assert_eq!(ranker["example"], json!({"alcohol": [12.5]}));
    assert_eq!(
        ranker["files"],
        json!([
            "Cargo.lock",
            "MLmodel",
            "code",
            "input_example.json",
            "rust_env.yaml",
            "serving_input_example.json",
            "w.bin",
        ])
    );
    let served = &read["models"][&used.model_id];
    assert_eq!(served["metrics"], json!([["accuracy", 0.5, 3, "wine", wine.digest]]));
    assert_eq!(served["tags"]["mlflow.model.isExternal"], "true");
    assert_eq!(
        (&served["metadata"], &served["flavors"]),
        (&json!({"mlflow.model.isExternal": true}), &json!({}))
    );
}

#[test]
fn we_read_the_datasets_and_models_that_mlflow_wrote() {
    let place = Place::new();
    let written = place.ask("models.py", &["write", &place.uri()]);
    let text = |key: &str| written[key].as_str().unwrap();
    let tracker = place.tracker();
    let run = tracker.get_run(text("run_id")).unwrap();
    let input = &run.inputs.datasets[0];
    assert_eq!((&*input.dataset.digest, input.context()), (text("digest"), Some("train")));
    let frame = Columns::new("frame").column("a", [1.0, 2.0]).column("s", ["x", "y"]);
    let ours = frame.source("s3://bucket/frame.csv").dataset().unwrap();
    assert_eq!(input.dataset, ours, "the same data has the same description");
    let made = [(text("model_id"), 3), (text("external_id"), 4)].map(|(id, step)| ModelOutput::new(id, step));
    assert_eq!(run.outputs, made);

    let model = tracker.get_logged_model(text("model_id")).unwrap();
    assert_eq!((&*model.name, model.status), ("doubler", ModelStatus::Ready));
    let measured: Vec<_> =
        model.metrics.iter().map(|metric| (&*metric.key, metric.dataset_name.as_deref())).collect();
    assert_eq!(measured, [("accuracy", Some("frame"))]);
    let found = tracker
        .search_logged_models(
            ModelQuery::new().experiment_id(&*run.info.experiment_id).filter("params.depth = '3'"),
        )
        .unwrap();
    assert_eq!((found.len(), &*found[0].model_id), (1, text("external_id")));

    for uri in [format!("models:/{}", text("model_id")), format!("runs:/{}/doubler", text("run_id"))] {
        let files = tracker.load_model(&uri).unwrap();
        let described = files.mlmodel();
        let flavor = described.flavor("python_function").unwrap();
        assert_eq!(flavor["loader_module"], "mlflow.pyfunc.model");
        let pickled = files.read(flavor["python_model"].as_str().unwrap()).unwrap();
        assert!(!pickled.is_empty());
        assert_eq!(
            (described.model_id.as_deref(), described.run_id.as_deref()),
            (Some(text("model_id")), Some(text("run_id")))
        );
        assert_eq!(described.mlflow_version.as_deref(), Some("3.17.2"));
        assert_eq!(described.metadata.get("team"), Some(&json!("vision")));
        let example = files.input_example().unwrap().unwrap();
        assert_eq!(example, json!({"inputs": {"a": 1.0, "nested": [{"k": "v"}]}, "params": {"t": 0.25}}));
        let signature = described.signature().unwrap().unwrap();
        let Some(Schema::Columns(columns)) = &signature.inputs else { panic!("{signature:?}") };
        assert_eq!(columns[1].name.as_deref(), Some("nested"));
        assert!(matches!(columns[1].data_type, DataType::Array(_)));
        assert_eq!((signature.params.len(), &signature.params[1].default), (2, &json!(["x"])));
        let local = files.download(place.path().join("local")).unwrap();
        assert!(local.join("MLmodel").is_file() && local.join("requirements.txt").is_file());
        std::fs::remove_dir_all(local).unwrap();
    }
    let kept: Vec<_> = tracker.list_artifacts(&format!("models:/{}", text("model_id")), "").unwrap();
    assert!(kept.iter().all(|file| file.path != "registered_model_meta"), "reading leaves nothing: {kept:?}");
    let outside = tracker.load_model(&format!("models:/{}", text("external_id"))).unwrap();
    assert_eq!(outside.mlmodel().metadata.get("mlflow.model.isExternal"), Some(&json!(true)));
}

/// Numbers that look random and are the same in every run.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(seed), |state| {
        Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    })
    .skip(1)
    .map(|state| state >> 33)
}

/// Data of every type, as JSON for MLflow and as we describe it.
fn samples() -> Vec<(Value, Dataset)> {
    const LENGTH: usize = 10_007;
    let mut samples = Vec::new();
    macro_rules! arrays {
        ($($dtype:literal: $of:expr;)*) => {$({
            let values: Vec<_> = numbers(7).take(LENGTH).map($of).collect();
            let few: Vec<_> = numbers(8).take(6).map($of).collect();
            let given = json!({"arrays": [
                ["few", {"dtype": $dtype, "shape": [2, 1, 3], "values": few}],
                ["all", {"dtype": $dtype, "shape": [LENGTH], "values": values}],
            ]});
            let arrays = Arrays::new("data").feature("few", &few, &[2, 1, 3]).feature("all", &values, &[LENGTH]);
            samples.push((given, arrays.source("x").dataset().unwrap()));
            let given = json!({"columns": [
                ["s", {"dtype": null, "values": values.iter().map(|_| "text").collect::<Vec<_>>()}],
                ["é", {"dtype": $dtype, "values": values}],
            ]});
            // Texts of a data frame have a type of their own.
            if $dtype != "str" {
                let table = Columns::new("data").column("s", vec!["text"; LENGTH]).column("é", &values);
                samples.push((given, table.source("x").dataset().unwrap()));
            }
        })*};
    }
    let low = |n: u64| n.to_le_bytes();
    arrays! {
        "bool": |n| n % 3 == 0;
        "int8": |n| i8::from_le_bytes([low(n)[0]]);
        "int16": |n| i16::from_le_bytes([low(n)[0], low(n)[1]]);
        "int32": |n| i32::try_from(n).unwrap() - 1_000_000_000;
        "int64": |n| i64::try_from(n).unwrap() * -3_000_000_000;
        "uint8": |n| low(n)[0];
        "uint16": |n| u16::from_le_bytes([low(n)[0], low(n)[1]]);
        "uint32": |n| u32::try_from(n).unwrap();
        "float32": |n| f32::from(low(n)[1]) / 7.0;
        "float64": |n| f64::from(u32::try_from(n).unwrap()) / -7.0;
        "str": |n| format!("é{n}");
    }
    let texts: Vec<String> = numbers(9).take(50).map(|n| format!("{n} 🦀")).collect();
    let gaps: Vec<Option<i64>> =
        numbers(10).take(50).map(|n| (n % 4 > 0).then_some(i64::try_from(n).unwrap())).collect();
    let given = json!({"columns": [
        ["z", {"dtype": null, "values": texts}],
        ["i", {"dtype": null, "values": gaps}],
        ["a", {"dtype": null, "values": texts.iter().rev().collect::<Vec<_>>()}],
    ]});
    let table = Columns::new("data").column("z", &texts).nullable("i", gaps).column("a", texts.iter().rev());
    samples.push((given, table.source(Source::from("x")).dataset().unwrap()));
    samples
}

#[test]
fn the_same_data_has_the_same_digest_schema_and_profile_in_python() {
    let place = Place::new();
    let (given, ours): (Vec<Value>, Vec<Dataset>) = samples().into_iter().unzip();
    let file = place.path().join("data.json");
    std::fs::write(&file, json!(given).to_string()).unwrap();
    let theirs = place.ask("models.py", &["describe", &place.uri(), file.to_str().unwrap()]);
    assert_eq!(theirs.as_array().unwrap().len(), ours.len());
    for (ours, theirs) in ours.iter().zip(theirs.as_array().unwrap()) {
        let described = json!({
            "name": ours.name,
            "digest": ours.digest,
            "source": ours.source,
            "source_type": ours.source_type,
            "schema": ours.schema,
            "profile": ours.profile,
        });
        assert_eq!(&described, theirs);
    }
}
