//! Saved models: what candle itself would have written, described, and read again, also in another process.

use std::path::Path;
use std::process::Command;

use candle_core::{DType, Device, Tensor};
use candle_nn::{Optimizer, VarBuilder};
use runlog_candle::{AdamW, VarMap, load_model, loss};
use runlog_core::fluent::with_tracker;
use runlog_core::{ErrorKind, ModelStatus};

use crate::{Mlp, bits, data, model, params, recorded_in, train};

const MODEL: &str = "RUNLOG_CANDLE_MODEL";

fn database(dir: &Path) -> String {
    format!("sqlite:///{}", dir.join("mlflow.db").display())
}

/// The bits of what a model predicts.
fn predictions(model: &Mlp) -> String {
    let output: Vec<Vec<f32>> = model.forward(&data().0).unwrap().to_vec2().unwrap();
    format!("{:?}", output.concat().into_iter().map(f32::to_bits).collect::<Vec<_>>())
}

fn rebuilt(vb: VarBuilder<'_>) -> Mlp {
    Mlp::new(vb).unwrap()
}

#[test]
fn a_saved_model_is_described_and_holds_the_bytes_that_candle_saves() {
    let dir = tempfile::tempdir().unwrap();
    let (varmap, runs, tracker) = recorded_in(&database(dir.path()), || train().unwrap());
    let logged = tracker.get_logged_model(&runs[0].outputs[0].model_id).unwrap();
    assert_eq!((logged.status, &*logged.name), (ModelStatus::Ready, "model"));
    assert!(logged.params.iter().any(|param| param.key == "optimizer_name" && param.value == "AdamW"));

    let own = dir.path().join("own.safetensors");
    varmap.save(&own).unwrap();
    let saved = Path::new(&logged.artifact_location).join("model.safetensors");
    assert_eq!(std::fs::read(&saved).unwrap(), std::fs::read(&own).unwrap());

    let described = std::fs::read_to_string(Path::new(&logged.artifact_location).join("MLmodel")).unwrap();
    for line in [
        "  runlog.candle:",
        "    architecture: architecture.json",
        "    candle_version: '0.11'",
        "    data: model.safetensors",
        "  total_params: 67",
        r#"  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}]'"#,
    ] {
        assert!(described.contains(line), "{line} in\n{described}");
    }
    assert!(described.contains("  inputs: null"), "what goes in is not seen");
}

/// Does nothing unless it is a child.
#[test]
fn in_a_child_that_loads() {
    #[expect(clippy::disallowed_methods, reason = "tells a child from its parent")]
    let Some(uri) = std::env::var_os(MODEL) else { return };
    let loaded = load_model(uri, &Device::Cpu).unwrap();
    println!("said: {}", predictions(&rebuilt(loaded.var_builder(DType::F32))));
}

#[test]
fn a_model_predicts_the_same_bits_when_it_is_loaded_by_another_process() {
    let dir = tempfile::tempdir().unwrap();
    let (varmap, runs, tracker) = recorded_in(&database(dir.path()), || train().unwrap());
    let expected = predictions(&rebuilt(VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu)));
    let folder = tracker.get_logged_model(&runs[0].outputs[0].model_id).unwrap().artifact_location;
    for place in [folder.clone(), format!("{folder}/model.safetensors")] {
        let mut test = Command::new(std::env::current_exe().unwrap());
        let output =
            test.args(["models::in_a_child_that_loads", "--exact", "--nocapture"]).env(MODEL, place).output();
        let said = String::from_utf8(output.unwrap().stdout).unwrap();
        assert_eq!(said.lines().find_map(|line| line.split_once("said: ")).unwrap().1, expected);
    }
    for uri in
        [format!("models:/{}", runs[0].outputs[0].model_id), format!("runs:/{}/model", runs[0].info.run_id)]
    {
        let loaded = with_tracker(&tracker, || load_model(&uri, &Device::Cpu)).unwrap();
        assert_eq!(bits(&loaded.var_map().unwrap()), bits(&varmap), "{uri}");
        let again = VarMap::new();
        model(&again);
        loaded.load_into(&again).unwrap();
        assert_eq!(bits(&again), bits(&varmap), "{uri}");
    }
}

#[test]
fn a_model_that_does_not_fit_says_where_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("other.safetensors");
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let other = [
        ("hidden.weight", zeros(&[8, 5])),
        ("hidden.bias", zeros(&[8])),
        ("output.weight", zeros(&[3, 8])),
        ("head.bias", zeros(&[3])),
    ];
    candle_core::safetensors::save(&other.into_iter().collect(), &file).unwrap();
    let varmap = VarMap::new();
    model(&varmap);
    let before = bits(&varmap);
    let error = load_model(&file, &Device::Cpu).unwrap().load_into(&varmap).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the saved model is another one: `head.bias` is not in this model, `hidden.weight` is [8, 4] here and was \
         saved as [8, 5], `output.bias` is not in the saved model"
    );
    assert_eq!((error.kind(), bits(&varmap)), (ErrorKind::InvalidInput, before));
}

#[test]
fn what_is_no_model_of_this_candle_is_refused_with_its_kind() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("MLmodel"), "flavors: {sklearn: {}, python_function: {}}\n").unwrap();
    let error = load_model(dir.path(), &Device::Cpu).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("no flavor `runlog.candle`"), "{error}");
    assert!(error.to_string().contains("sklearn, python_function"), "{error}");
    let old = "flavors: {runlog.candle: {candle_version: '0.10', data: model.safetensors}}\n";
    std::fs::write(dir.path().join("MLmodel"), old).unwrap();
    let error = load_model(dir.path(), &Device::Cpu).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("saved with candle 0.10"), "{error}");
    let broken = dir.path().join("broken.safetensors");
    std::fs::write(&broken, "not weights").unwrap();
    assert_eq!(load_model(&broken, &Device::Cpu).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(load_model(dir.path().join("none"), &Device::Cpu).unwrap_err().kind(), ErrorKind::NotFound);
}

/// In a map of candle's own: nothing names the variables until the user does.
#[test]
fn a_map_of_candles_own_is_saved_when_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let step = |named: bool| {
        let ((), runs, _) = recorded_in("memory:", || {
            let varmap = candle_nn::VarMap::new();
            let model = Mlp::new(VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu)).unwrap();
            let mut optimizer = AdamW::new(varmap.all_vars(), params()).unwrap();
            if named {
                optimizer.weights(&varmap);
            }
            let (inputs, labels) = data();
            let loss = loss::nll(&model.log_probabilities(&inputs).unwrap(), &labels).unwrap();
            optimizer.backward_step(&loss).unwrap();
        });
        runs[0].outputs.len()
    };
    assert_eq!((step(false), step(true)), (0, 1));
    drop(dir);
}
