//! What a recorded training leaves behind: metrics, params and the model.

use burn::config::Config;
use burn::tensor::{Device, TensorReadError};
use burn::train::metric::store::{Aggregate, Direction, Split};
use burn::train::metric::{
    AccuracyMetric, LearningRateMetric, LossMetric, Metric, MetricMetadata, MetricName, SerializedEntry,
};
use burn::train::{
    ExecutionStrategy, MetricEarlyStoppingStrategy, MultiDeviceOptim, StoppingCondition, TrainingStrategy,
};
use runlog_burn::{Autolog, SupervisedTraining, load_model, signature_of};
use runlog_core::fluent::with_tracker;
use runlog_core::{ModelStatus, RunStatus};

use super::setup::*;

#[test]
fn every_metric_is_recorded_by_step_and_by_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let (result, run, tracker) = one_run(|| {
        let training = plain(dir.path()).metrics((AccuracyMetric::new(), LossMetric::new())).num_epochs(2);
        training.autolog().launch(learner(0.1))
    });
    assert!(result.error.is_none() && result.interrupted.is_none());
    assert_eq!(run.info.status, RunStatus::Finished);
    for metric in ["loss", "accuracy"] {
        assert_eq!(steps(&tracker, &run, &format!("train_{metric}_step")), [1, 2, 3, 4, 5, 6]);
        assert_eq!(steps(&tracker, &run, &format!("valid_{metric}_step")), [1, 2, 3, 4]);
        assert_eq!(steps(&tracker, &run, &format!("train_{metric}")), [1, 2]);
        assert_eq!(steps(&tracker, &run, &format!("valid_{metric}")), [1, 2]);
    }
    assert_eq!(history(&tracker, &run, "learning_rate"), (1..=6).map(|step| (step, 0.1)).collect::<Vec<_>>());
    let epochs: Vec<f64> = history(&tracker, &run, "epoch").into_iter().map(|(_, epoch)| epoch).collect();
    assert_eq!(epochs, [0.4, 0.8, 1.0, 1.4, 1.8, 2.0]);
    assert_eq!((run.metric("epochs_run"), run.metric("stopped_epoch")), (Some(2.0), None));
    for (param, value) in [
        ("epochs", "2"),
        ("batch_size", "8"),
        ("train_items", "20"),
        ("valid_items", "10"),
        ("valid_batch_size", "8"),
    ] {
        assert_eq!(run.param(param), Some(value), "{param}");
    }
}

#[test]
fn the_value_of_an_epoch_is_burns_own() {
    let dir = tempfile::tempdir().unwrap();
    let (_, run, _) = one_run(|| {
        let training = plain(dir.path()).metrics((AccuracyMetric::new(), LossMetric::new()));
        training.autolog().launch(learner(0.1))
    });
    for split in ["train", "valid"] {
        for metric in ["Loss", "Accuracy"] {
            let file = dir.path().join(split).join("epoch-1").join(metric).with_extension("log");
            let lines = std::fs::read_to_string(file).unwrap();
            let burns: f64 = lines.lines().last().unwrap().strip_suffix(",final").unwrap().parse().unwrap();
            assert_eq!(run.metric(&format!("{split}_{}", metric.to_lowercase())), Some(burns));
        }
    }
}

#[test]
fn metrics_are_described_with_their_unit_and_direction() {
    let dir = tempfile::tempdir().unwrap();
    let (_, run, tracker) = one_run(|| {
        let training = plain(dir.path()).metrics((AccuracyMetric::new(), LossMetric::new()));
        training.autolog().launch(learner(0.1))
    });
    let described: serde_json::Value =
        serde_json::from_str(&text(&tracker, &run, "metric_definitions.json")).unwrap();
    assert_eq!(
        described,
        serde_json::json!({
            "accuracy": {"name": "Accuracy", "unit": "%", "higher_is_better": true},
            "loss": {"name": "Loss", "higher_is_better": false},
        })
    );
}

/// Says something that is no number.
#[derive(Clone)]
struct Mood;

impl Metric for Mood {
    type Input = ();

    fn name(&self) -> MetricName {
        MetricName::new("Mood".to_owned())
    }

    fn update(&mut self, (): &(), _: &MetricMetadata) -> Result<SerializedEntry, TensorReadError> {
        Ok(SerializedEntry::new("good".to_owned(), "good".to_owned()))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(SerializedEntry::new("very good".to_owned(), "very good".to_owned()))
    }

    fn clear(&mut self) {}
}

#[test]
fn metrics_that_are_registered_as_text_are_recorded_too() {
    let dir = tempfile::tempdir().unwrap();
    let (_, run, tracker) = one_run(|| {
        let training = plain(dir.path()).metrics_text((LossMetric::new(), Mood));
        training.autolog().launch(learner(0.1))
    });
    assert_eq!(steps(&tracker, &run, "train_loss_step"), [1, 2, 3]);
    assert_eq!(steps(&tracker, &run, "valid_loss"), [1]);
    let texts: serde_json::Value = serde_json::from_str(&text(&tracker, &run, "text_metrics.json")).unwrap();
    assert_eq!(texts, serde_json::json!({"1": {"train_mood": "very good", "valid_mood": "very good"}}));
}

#[derive(Config, Debug)]
struct Optimizer {
    #[config(default = 0.9)]
    momentum: f64,
}

#[derive(Config, Debug)]
struct Settings {
    optimizer: Optimizer,
    #[config(default = 99)]
    batch_size: usize,
    #[config(default = "None")]
    dropout: Option<f64>,
}

#[test]
fn the_config_is_recorded_as_params_and_comes_before_what_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new(Optimizer::new());
    let (_, run, _) = one_run(|| {
        let training = plain(dir.path()).metrics((LossMetric::new(),)).autolog();
        training.config(&settings).config(&serde_json::json!({"team": "vision"})).launch(learner(0.1))
    });
    for (param, value) in [
        ("optimizer.momentum", "0.9"),
        ("batch_size", "99"),
        ("dropout", "None"),
        ("team", "vision"),
        ("epochs", "1"),
    ] {
        assert_eq!(run.param(param), Some(value), "{param}");
    }
    assert_eq!(run.info.status, RunStatus::Finished);
}

#[test]
fn the_same_named_builder_also_sees_how_is_trained() {
    let dir = tempfile::tempdir().unwrap();
    let (train, valid) = loaders();
    let (_, run, _) = one_run(|| {
        SupervisedTraining::new(dir.path(), train, valid)
            .with_application_logger(None)
            .metrics((LossMetric::new(),))
            .with_training_strategy(TrainingStrategy::Default(ExecutionStrategy::single(Device::flex())))
            .grads_accumulation(2)
            .gradient_checkpointing()
            .label("baseline")
            .with_burn(|burn| burn.num_epochs(2))
            .launch(learner_on(&Device::flex().autodiff().gradient_checkpointing(), 0.1))
    });
    assert_eq!(run.param("strategy"), Some("SingleDevice"));
    assert!(run.param("devices").unwrap().contains("Flex"), "{:?}", run.param("devices"));
    assert_eq!(run.param("grads_accumulation"), Some("2"));
    assert_eq!(run.param("gradient_checkpointing"), Some("True"));
    assert_eq!(run.param("epochs"), Some("2"));
    assert_eq!(run.tag("label"), Some("baseline"));
    assert!(run.tag("runlog.source").unwrap().contains("recorded.rs"));
}

/// burn says 0 before the optimizer's first step, which is no learning rate.
#[test]
fn the_learning_rate_is_recorded_from_the_first_step_of_the_optimizer() {
    let dir = tempfile::tempdir().unwrap();
    let (_, run, tracker) = one_run(|| {
        let training = plain(dir.path()).metrics((LearningRateMetric::new(),)).grads_accumulation(2);
        training.autolog().launch(learner(0.5))
    });
    assert_eq!(steps(&tracker, &run, "learning_rate"), [2, 3]);
    assert_eq!(history(&tracker, &run, "train_learning_rate_step"), [(1, 0.0), (2, 0.5), (3, 0.5)]);
}

#[test]
fn two_devices_report_into_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let devices = vec![Device::flex(), Device::flex()];
    let strategy = ExecutionStrategy::multi(devices, MultiDeviceOptim::OptimMainDevice);
    let (train, valid) = loaders();
    let (result, run, tracker) = one_run(|| {
        SupervisedTraining::new(dir.path(), train, valid)
            .with_application_logger(None)
            .metrics((LossMetric::new(),))
            .with_training_strategy(TrainingStrategy::Default(strategy))
            .num_epochs(2)
            .launch(learner(0.1))
    });
    assert!(result.error.is_none(), "{:?}", result.error);
    assert_eq!((run.info.status, run.param("strategy")), (RunStatus::Finished, Some("MultiDevice")));
    assert_eq!(steps(&tracker, &run, "train_loss"), [1, 2]);
    assert_eq!(steps(&tracker, &run, "valid_loss"), [1, 2]);
    assert!(!history(&tracker, &run, "train_loss_step").is_empty());
    let mut rates = history(&tracker, &run, "learning_rate");
    rates.dedup_by_key(|(_, rate)| *rate);
    assert_eq!(rates, [(1, 0.1)]);
}

#[test]
fn the_trained_model_is_stored_and_predicts_the_same_when_it_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let valid = loader(VALID_ITEMS);
    let (result, run, tracker) = one_run(|| {
        let training = plain(dir.path()).metrics((LossMetric::new(),)).num_epochs(3).autolog();
        let training = training.signature(&valid, |model, batch| {
            signature_of(&batch.items, &model.forward(batch.items.clone()))
        });
        training.launch(learner(0.1))
    });
    assert_eq!((run.outputs.len(), run.outputs[0].step), (1, 3));
    let model = tracker.get_logged_model(&run.outputs[0].model_id).unwrap();
    assert_eq!((model.name.as_str(), model.status), ("model", ModelStatus::Ready));
    assert!(model.metrics.iter().any(|metric| metric.key == "valid_loss"), "{:?}", model.metrics);
    let loaded: Net = with_tracker(&tracker, || {
        load_model(format!("models:/{}", model.model_id), Net::new(&Device::flex())).unwrap()
    });
    assert_eq!(loaded.bits(), result.model.bits());
    let described = with_tracker(&tracker, || {
        runlog_core::model::load(&format!("models:/{}", model.model_id)).unwrap().read("MLmodel").unwrap()
    });
    let described = String::from_utf8(described).unwrap();
    for line in [
        r#"inputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 4]}}]'"#,
        r#"outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}]'"#,
    ] {
        assert!(described.contains(line), "{line} in\n{described}");
    }
}

pub(super) fn patience(epochs: usize) -> MetricEarlyStoppingStrategy {
    MetricEarlyStoppingStrategy::new(
        &LossMetric::new(),
        Aggregate::Mean,
        Direction::Lowest,
        Split::Valid,
        StoppingCondition::NoImprovementSince { n_epochs: epochs },
    )
    .with_warmup_epochs(Some(1))
}

/// A learning rate with which the loss grows from the second epoch on.
pub(super) const DIVERGES: f64 = 60.0;

#[test]
fn early_stopping_stops_where_it_would_and_is_recorded() {
    let (plainly, recorded) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let metrics = || (LossMetric::new(),);
    let alone = plain(plainly.path()).metrics(metrics()).num_epochs(20).early_stopping(patience(2));
    let alone = alone.launch(learner(DIVERGES));
    let (train, valid) = loaders();
    let (result, run, tracker) = one_run(|| {
        SupervisedTraining::new(recorded.path(), train, valid)
            .with_application_logger(None)
            .metrics(metrics())
            .num_epochs(20)
            .early_stopping(patience(2))
            .launch(learner(DIVERGES))
    });
    let epochs = std::fs::read_dir(plainly.path().join("train")).unwrap().count();
    assert!(epochs < 20, "it must stop early to show anything");
    assert_eq!(result.model.bits(), alone.model.bits());
    let last = f64::from(u32::try_from(epochs).unwrap());
    assert_eq!((run.metric("stopped_epoch"), run.metric("epochs_run")), (Some(last), Some(last)));
    assert_eq!(steps(&tracker, &run, "valid_loss").len(), epochs);
    assert_eq!(run.param("early_stopping"), Some("MetricEarlyStoppingStrategy"));
    assert_eq!(run.param("early_stopping_warmup_epochs"), Some("1"));
    assert_eq!((run.info.status, run.param("epochs")), (RunStatus::Finished, Some("20")));
}

#[test]
fn a_training_that_is_resumed_counts_on() {
    let dir = tempfile::tempdir().unwrap();
    let train = |from: Option<usize>, epochs| {
        let training =
            plain(dir.path()).metrics((LossMetric::new(),)).num_epochs(epochs).with_default_checkpointers();
        let training = from.into_iter().fold(training.autolog(), SupervisedTraining::checkpoint);
        training.launch(learner(0.1))
    };
    let ((), runs, tracker) = recorded(|| {
        train(None, 2);
        train(Some(2), 3);
    });
    assert_eq!(steps(&tracker, &runs[1], "train_loss_step"), [7, 8, 9]);
    assert_eq!(steps(&tracker, &runs[1], "valid_loss_step"), [5, 6]);
    assert_eq!(steps(&tracker, &runs[1], "train_loss"), [3]);
    assert_eq!(runs[1].param("first_epoch"), Some("3"));
}

/// Two metrics whose names differ in what a key cannot hold.
#[derive(Clone)]
struct Named(&'static str, f64);

impl Metric for Named {
    type Input = ();

    fn name(&self) -> MetricName {
        MetricName::new(self.0.to_owned())
    }

    fn update(&mut self, (): &(), _: &MetricMetadata) -> Result<SerializedEntry, TensorReadError> {
        Ok(SerializedEntry::new(String::new(), self.1.to_string()))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(SerializedEntry::new(String::new(), self.1.to_string()))
    }

    fn clear(&mut self) {}
}

#[test]
fn metrics_whose_keys_would_be_the_same_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (_, run, _) = one_run(|| {
        let training = plain(dir.path()).metrics_text((Named("F1 (micro)", 1.0), Named("F1 [micro]", 2.0)));
        training.autolog().launch(learner(0.1))
    });
    assert_eq!((run.metric("train_f1_micro"), run.metric("train_f1_micro_2")), (Some(1.0), Some(2.0)));
}
