//! Several optimizers at once: one run, and each with the weights of its own model.

use candle_core::{DType, Device, Tensor};
use candle_nn::{Module, Optimizer, VarBuilder};
use runlog_candle::{AdamW, SGD, VarMap, load_model, loss};
use runlog_core::fluent::with_tracker;

use crate::{bits, data, model, one_run_of, params, recorded, tree};

#[test]
fn optimizers_that_live_at_once_share_a_run_and_each_saves_its_own_model() {
    let (kept, run, tracker) = one_run_of(|| {
        let (inputs, labels) = data();
        let (classifier, regressor) = (VarMap::new(), VarMap::new());
        let classes = model(&classifier);
        let vb = VarBuilder::from_varmap(&regressor, DType::F32, &Device::Cpu);
        let line = candle_nn::linear(4, 1, vb.pp("line")).unwrap();
        let mut first = AdamW::new(classifier.all_vars(), params()).unwrap();
        let mut second = SGD::new(regressor.all_vars(), 0.25).unwrap();
        for _ in 0..2 {
            let loss = loss::nll(&classes.log_probabilities(&inputs).unwrap(), &labels).unwrap();
            first.backward_step(&loss).unwrap();
            let target = Tensor::ones((60, 1), DType::F32, &Device::Cpu).unwrap();
            second.backward_step(&loss::mse(&line.forward(&inputs).unwrap(), &target).unwrap()).unwrap();
        }
        (classifier, regressor)
    });
    assert_eq!(
        tree(&tracker, &run),
        "\
run FINISHED
  params
    batch_size = 60
    batch_size-2 = 60
    beta1 = 0.9
    beta2 = 0.999
    eps = 1e-08
    loss_function = nll
    loss_function-2 = mse
    lr = 0.01
    lr-2 = 0.25
    optimizer_name = AdamW
    optimizer_name-2 = SGD
    total_params = 67
    total_params-2 = 5
    trainable_params = 67
    trainable_params-2 = 5
    weight_decay = 0.01
  tags
    mlflow.autologging = candle
    runlog.source
    runlog.source-2
  metrics
    learning_rate: 2 points, steps 1..2
    learning_rate-2: 2 points, steps 1..2
    samples: 1 points, steps 2..2
    samples-2: 1 points, steps 2..2
    steps: 1 points, steps 2..2
    steps-2: 1 points, steps 2..2
    train_loss: 2 points, steps 1..2
    train_loss-2: 2 points, steps 1..2
  datasets
  artifacts
    model_summary-2.txt
    model_summary.txt
  model model at step 2, Ready
    MLmodel
    architecture.json
    model.safetensors
  model model-2 at step 2, Ready
    MLmodel
    architecture.json
    model.safetensors
"
    );
    let (classifier, regressor) = kept;
    for (name, map) in [("model", classifier), ("model-2", regressor)] {
        let uri = format!("runs:/{}/{name}", run.info.run_id);
        let loaded = with_tracker(&tracker, || load_model(uri, &Device::Cpu)).unwrap().var_map().unwrap();
        assert_eq!(bits(&loaded), bits(&map), "{name}");
    }
}

#[test]
fn optimizers_that_live_one_after_the_other_have_a_run_each() {
    let ((), runs) = recorded(|| {
        crate::train().unwrap();
        crate::train().unwrap();
    });
    assert_eq!(runs.len(), 2);
    assert!(runs.iter().all(|run| run.param("lr") == Some("0.01") && run.outputs.len() == 1));
}

/// Fine-tuning: the optimizer has a part of the map, and is made while the map is locked.
#[test]
fn a_part_of_a_map_is_trained_and_all_of_it_saved() {
    let ((), run, tracker) = one_run_of(|| {
        let (inputs, labels) = data();
        let varmap = VarMap::new();
        let model = model(&varmap);
        let mut optimizer = AdamW::new(
            varmap
                .data()
                .lock()
                .unwrap()
                .iter()
                .filter(|(name, _)| name.starts_with("output"))
                .map(|(_, var)| var.clone())
                .collect(),
            params(),
        )
        .unwrap();
        let loss = loss::nll(&model.log_probabilities(&inputs).unwrap(), &labels).unwrap();
        optimizer.backward_step(&loss).unwrap();
    });
    assert_eq!((run.param("total_params"), run.param("trainable_params")), (Some("67"), Some("27")));
    let model = tracker.load_model(&format!("models:/{}", run.outputs[0].model_id)).unwrap();
    let architecture: serde_json::Value =
        serde_json::from_slice(&model.read("architecture.json").unwrap()).unwrap();
    let trained = |tensor: &serde_json::Value| tensor["trainable"].as_bool().unwrap();
    let trained: Vec<_> = architecture["tensors"].as_array().unwrap().iter().map(trained).collect();
    assert_eq!(trained, [false, false, true, true]);
    assert_eq!(architecture["tensors"][3]["shape"], serde_json::json!([3, 8]));
}

/// A guard on the map at the end costs the model, not a deadlock.
#[test]
fn a_map_that_is_locked_when_the_training_ends_hangs_nothing() {
    let ((), run) = crate::one_run(|| {
        let (inputs, labels) = data();
        let varmap = VarMap::new();
        let model = model(&varmap);
        let mut optimizer = AdamW::new(varmap.all_vars(), params()).unwrap();
        let loss = loss::nll(&model.log_probabilities(&inputs).unwrap(), &labels).unwrap();
        optimizer.backward_step(&loss).unwrap();
        let _locked = varmap.data().lock().unwrap();
        drop(optimizer);
    });
    assert_eq!((run.info.status, run.outputs.len()), (runlog_core::RunStatus::Finished, 0));
}
