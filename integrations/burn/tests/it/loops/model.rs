//! Logged models: what is in their files, and that they come back as they were, in another process too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use burn::module::{Module, Quantizer};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::optim::AdamConfig;
use burn::tensor::quantization::{Calibration, QuantScheme};
use burn::tensor::{Device, Distribution, Tensor};
use runlog_burn::{Autolog, example_of, load_model, signature_of};
use runlog_core::fluent::with_tracker;
use runlog_core::{Error, ErrorKind, LoggedModel, ModelStatus, Tracker};

use super::setup::*;

const PLACE: &str = "RUNLOG_BURN_MODEL";

/// Layers whose weights burn makes when they are first used.
#[derive(Module, Debug)]
struct Layers {
    first: Linear,
    norm: BatchNorm,
    heads: Vec<Linear>,
}

impl Layers {
    fn new(device: &Device) -> Self {
        Self {
            first: LinearConfig::new(6, 4).init(device),
            norm: BatchNormConfig::new(4).init(device),
            heads: (0..2).map(|_| LinearConfig::new(4, 2).init(device)).collect(),
        }
    }

    fn forward(&self, items: Tensor<2>) -> Tensor<2> {
        let hidden = self.norm.forward(self.first.forward(items));
        Tensor::cat(self.heads.iter().map(|head| head.forward(hidden.clone())).collect(), 1)
    }
}

/// What a model predicts, bit by bit.
fn predictions(model: &Layers) -> String {
    let output = model.valid().forward(items(7, &Device::flex()));
    format!("{:08x?}", output.into_data().iter::<f32>().map(f32::to_bits).collect::<Vec<_>>())
}

/// One step of training, and the model logged.
fn logged<M: Module + std::fmt::Display>(dir: &Path, model: &M) -> (LoggedModel, Tracker) {
    let (model, _, tracker) = recorded_in(&uri(dir), || {
        let mut optim = AdamConfig::new().init().autolog();
        let _epoch = optim.epoch();
        optim.log_model(model).unwrap()
    });
    (model, tracker)
}

fn folder(model: &LoggedModel) -> PathBuf {
    model.artifact_location.trim_start_matches("file://").into()
}

/// Does nothing unless it is a child.
#[test]
fn in_a_child() {
    #[expect(clippy::disallowed_methods, reason = "tells a child from its parent")]
    let Some(place) = std::env::var_os(PLACE) else { return };
    let device = Device::flex();
    device.seed(1);
    let fresh = Layers::new(&device);
    let model = load_model(&place, fresh).unwrap();
    let next = || Tensor::<1>::random([4], Distribution::Default, &device).into_data();
    let after = next();
    device.seed(1);
    assert_eq!(after, next(), "loading makes no weights only to replace them");
    println!("said: {}", predictions(&model));
}

fn predicted_by_a_child(place: &Path) -> String {
    let mut test = Command::new(std::env::current_exe().unwrap());
    let output =
        test.args(["loops::model::in_a_child", "--exact", "--nocapture"]).env(PLACE, place).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said.lines().find_map(|line| line.split_once("said: ")).unwrap().1.to_owned()
}

#[test]
fn a_model_predicts_the_same_bits_in_another_process() {
    let dir = tempfile::tempdir().unwrap();
    let model = Layers::new(&device());
    // Statistics that are not those of a new layer.
    model.forward(items(1, &device()));
    let expected = predictions(&model);
    let (logged, tracker) = logged(dir.path(), &model);
    assert_eq!(logged.status, ModelStatus::Ready);
    let folder = folder(&logged);
    for place in [folder.clone(), folder.join("model.bpk"), folder.join("model.safetensors")] {
        assert_eq!(predicted_by_a_child(&place), expected, "{place:?}");
    }
    for uri in
        [format!("models:/{}", logged.model_id), format!("runs:/{}/model", logged.source_run_id.unwrap())]
    {
        let loaded = with_tracker(&tracker, || load_model(&uri, Layers::new(&Device::flex()))).unwrap();
        assert_eq!(predictions(&loaded), expected, "{uri}");
    }
}

#[test]
fn a_models_folder_says_what_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let (logged, _) = logged(dir.path(), &Layers::new(&device()));
    let folder = folder(&logged);
    let described = fs::read_to_string(folder.join("MLmodel")).unwrap();
    for line in
        ["  runlog.burn:", "    data: model.bpk", "    burn_version: '0.22.1'", "    total_params: 64"]
    {
        assert!(described.contains(line), "{line} in\n{described}");
    }
    let architecture = fs::read_to_string(folder.join("architecture.json")).unwrap();
    let architecture: serde_json::Value = serde_json::from_str(&architecture).unwrap();
    assert_eq!(
        architecture["tensors"][0],
        serde_json::json!({"name": "first.weight", "shape": [6, 4], "dtype": "f32", "params": 24})
    );
    assert_eq!((&architecture["total_params"], &architecture["total_bytes"]), (&64.into(), &256.into()));
    let summary = fs::read_to_string(folder.join("model_summary.txt")).unwrap();
    for line in ["first: Linear {d_input: 6", "heads.1.bias", "Total params: 64\nSize: 256 bytes\n"] {
        assert!(summary.contains(line), "{line} in\n{summary}");
    }
    // What other programs read.
    let weights = fs::read(folder.join("model.safetensors")).unwrap();
    let header = String::from_utf8_lossy(&weights[8..600]).into_owned();
    assert!(header.contains(r#""first.weight":{"dtype":"F32","shape":[6,4]"#), "{header}");
}

#[test]
fn a_model_has_the_signature_and_the_example_of_the_users_tensors_and_its_step() {
    let dir = tempfile::tempdir().unwrap();
    let (logged, runs, tracker) = recorded_in(&uri(dir.path()), || {
        let mut model = Net::new(&device());
        let mut optim = AdamConfig::new().init().autolog();
        for batch in 0..2 {
            let grads = model.gradients(&model.loss(batch));
            model = optim.step(RATE, model, grads);
        }
        let items = items(0, &device());
        let output = model.forward(items.clone());
        optim
            .log_model_with(&model, |spec| {
                Ok(spec.signature(signature_of(&items, &output)).input_example(example_of(&items)?))
            })
            .unwrap()
    });
    assert_eq!(runs[0].outputs[0].step, 2);
    assert!(Path::new(&runs[0].info.artifact_uri).join("model_summary.txt").exists());
    let files = tracker.load_model(&format!("models:/{}", logged.model_id)).unwrap();
    let signature = files.mlmodel().signature().unwrap().unwrap();
    assert_eq!(
        signature.inputs.unwrap().to_json().unwrap(),
        r#"[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 6]}}]"#
    );
    assert_eq!(
        signature.outputs.unwrap().to_json().unwrap(),
        r#"[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}]"#
    );
    let example = files.input_example().unwrap().unwrap();
    assert_eq!((example.as_array().unwrap().len(), example[0].as_array().unwrap().len()), (BATCH, 6));
}

#[test]
fn quantized_weights_are_stored_in_burns_own_format_alone() {
    let dir = tempfile::tempdir().unwrap();
    let quantized = || {
        let mut quantizer = Quantizer::new(Calibration::MinMax, QuantScheme::default());
        LinearConfig::new(32, 32).init(&Device::flex()).quantize_weights(&mut quantizer)
    };
    let model = quantized();
    let (logged, _) = logged(dir.path(), &model);
    assert!(!folder(&logged).join("model.safetensors").exists());
    let loaded = load_model(folder(&logged), quantized()).unwrap();
    assert_eq!(loaded.weight.val().into_data(), model.weight.val().into_data());
}

fn refused(place: impl AsRef<Path>, module: Net) -> Error {
    load_model(place, module).unwrap_err()
}

#[test]
fn a_model_of_another_architecture_is_refused_by_the_names_of_its_tensors() {
    let dir = tempfile::tempdir().unwrap();
    let (net, _) = logged(dir.path(), &Net::new(&device()));
    let wider = refused(folder(&net), Net::with_hidden(&Device::flex(), 8));
    assert_eq!(wider.kind(), ErrorKind::InvalidInput);
    assert!(wider.to_string().contains("hidden is [6, 8] in the module and [6, 5] in the model"), "{wider}");
    let other = load_model(folder(&net), Layers::new(&Device::flex())).unwrap_err().to_string();
    for part in
        ["not in the model: first.bias, first.weight, ", "not in the module: bias, hidden, output", "more"]
    {
        assert!(other.contains(part), "{part} in {other}");
    }
}

#[test]
fn another_flavor_another_minor_of_burn_and_no_model_are_each_told() {
    let dir = tempfile::tempdir().unwrap();
    let (net, _) = logged(dir.path(), &Net::new(&device()));
    let (folder, device) = (folder(&net), Device::flex());
    let mlmodel = folder.join("MLmodel");
    let described = fs::read_to_string(&mlmodel).unwrap();
    let cases = [
        ("burn_version: '0.22.1'", "burn_version: '0.21.0'", ErrorKind::Unsupported, "burn 0.21"),
        ("runlog.burn:", "sklearn:", ErrorKind::NotFound, "sklearn"),
    ];
    for (was, is, kind, told) in cases {
        fs::write(&mlmodel, described.replace(was, is)).unwrap();
        let error = refused(&folder, Net::new(&device));
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(told), "{error}");
    }
    fs::write(folder.join("model.bpk"), b"not a model").unwrap();
    assert_eq!(refused(folder.join("model.bpk"), Net::new(&device)).kind(), ErrorKind::Corrupt);
    assert_eq!(refused(dir.path().join("nowhere"), Net::new(&device)).kind(), ErrorKind::NotFound);
}
