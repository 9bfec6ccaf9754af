//! A program that is built with this crate as its `burn`: its config is recorded when it saves it.

extern crate runlog_burn as burn;

use burn::prelude::*;
use burn::train::SupervisedTraining;
use burn::train::metric::LossMetric;

use super::setup::*;

#[derive(Config, Debug)]
struct TrainingConfig {
    #[config(default = 0.1)]
    rate: f64,
}

fn train(directory: &std::path::Path) -> Net {
    let (train, valid) = loaders();
    let training = SupervisedTraining::new(directory, train, valid).with_application_logger(None);
    training.metrics((LossMetric::new(),)).launch(learner(0.1)).model
}

#[test]
fn a_config_that_is_saved_before_a_training_is_its_params() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.json");
    let ((), runs, _) = recorded(|| {
        for rate in [0.1, 0.2] {
            TrainingConfig::new().with_rate(rate).save(&file).unwrap();
            train(dir.path());
        }
    });
    assert_eq!(runs.iter().map(|run| run.param("rate")).collect::<Vec<_>>(), [Some("0.1"), Some("0.2")]);
    assert_eq!(TrainingConfig::load(&file).unwrap().rate.to_string(), "0.2");
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(TrainingConfig::load_binary(&bytes).unwrap().rate.to_string(), "0.2");
}

#[test]
fn a_config_that_is_saved_into_the_folder_of_a_training_after_it_is_its_params() {
    let dir = tempfile::tempdir().unwrap();
    let ((), runs, _) = recorded(|| {
        for rate in [0.1, 0.2] {
            train(dir.path());
            TrainingConfig::new().with_rate(rate).save(dir.path().join("config.json")).unwrap();
        }
    });
    assert_eq!(runs.iter().map(|run| run.param("rate")).collect::<Vec<_>>(), [Some("0.1"), Some("0.2")]);
}

/// The derives name `burn`, and so resolve through this crate.
#[derive(Module, Debug)]
struct Layer {
    linear: nn::Linear,
}

#[test]
fn burns_derives_and_types_are_there() {
    let device = Device::flex();
    let layer = Layer { linear: nn::LinearConfig::new(2, 3).init(&device) };
    assert_eq!(layer.num_params(), 9);
    let optimizer: burn::optim::ModuleOptimizer = burn::optim::AdamConfig::new().init();
    assert_eq!(Module::num_params(&layer.valid()), 9);
    drop(optimizer);
    assert!(burn::config::config_to_json(&TrainingConfig::new()).contains("0.1"));
}
