//! How runs end: as the training ended.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::{Device, ExecutionError, TensorReadError};
use burn::train::metric::{LossMetric, Metric, MetricMetadata, MetricName, SerializedEntry};
use burn::train::{Interrupter, LearningResult};
use runlog_burn::{Autolog, EvaluatorBuilder};
use runlog_core::fluent::start_run;
use runlog_core::{RunStatus, fluent};

use super::setup::*;

/// Does something at one of its updates.
#[derive(Clone)]
struct At<F>(usize, F);

impl<F: Fn() -> Result<(), TensorReadError> + Clone + Send + Sync> Metric for At<F> {
    type Input = ();

    fn name(&self) -> MetricName {
        MetricName::new("At".to_owned())
    }

    fn update(&mut self, (): &(), _: &MetricMetadata) -> Result<SerializedEntry, TensorReadError> {
        self.0 = self.0.wrapping_sub(1);
        if self.0 == 0 {
            (self.1)()?;
        }
        Ok(SerializedEntry::not_available(None))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(SerializedEntry::not_available(None))
    }

    fn clear(&mut self) {}
}

fn train_with<F>(act: F, interrupter: Interrupter) -> LearningResult<Net>
where
    F: Fn() -> Result<(), TensorReadError> + Clone + Send + Sync + 'static,
{
    let dir = tempfile::tempdir().unwrap();
    let training = plain(dir.path()).metrics((LossMetric::new(),)).metric_train(At(4, act)).num_epochs(5);
    training.with_interrupter(interrupter).autolog().launch(learner(0.1))
}

#[test]
fn an_interrupted_training_is_killed_with_its_reason() {
    let interrupter = Interrupter::new();
    let stop = interrupter.clone();
    let (result, run, tracker) = one_run(|| {
        let act = move || {
            stop.stop(Some("the cluster is needed"));
            Ok(())
        };
        train_with(act, interrupter)
    });
    assert_eq!(result.interrupted.unwrap().reason.as_deref(), Some("the cluster is needed"));
    assert_eq!(run.info.status, RunStatus::Killed);
    assert!(run.tag("runlog.ended_by").unwrap().contains("the cluster is needed"));
    assert_eq!((run.metric("epochs_run"), run.metric("stopped_epoch")), (Some(1.0), None));
    assert_eq!(run.outputs.len(), 1, "what was trained is kept");
    assert_eq!(steps(&tracker, &run, "train_loss_step")[..4], [1, 2, 3, 4]);
}

#[test]
fn an_interruption_without_a_reason_is_one_too() {
    let interrupter = Interrupter::new();
    let stop = interrupter.clone();
    let (_, run, _) = one_run(|| {
        let act = move || {
            stop.stop(None);
            Ok(())
        };
        train_with(act, interrupter)
    });
    assert_eq!((run.info.status, run.tag("runlog.ended_by")), (RunStatus::Killed, Some("interrupted")));
}

#[test]
fn an_error_of_burns_fails_the_run_with_its_message() {
    let fails = || Err(ExecutionError::with_context("the device is gone").into());
    let (result, run, _) = one_run(|| train_with(fails, Interrupter::new()));
    let error = result.error.unwrap().to_string();
    assert_eq!(run.info.status, RunStatus::Failed);
    assert_eq!(run.tag("runlog.ended_by"), Some(error.as_str()));
    assert!(error.contains("the device is gone"), "{error}");
    assert_eq!(run.outputs.len(), 0);
}

#[test]
fn a_panic_reaches_the_caller_and_fails_the_run() {
    let panics = || panic!("a metric of the user's");
    let (caught, run, _) =
        one_run(|| catch_unwind(AssertUnwindSafe(|| train_with(panics, Interrupter::new()))));
    let payload = caught.err().unwrap();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"a metric of the user's"));
    assert_eq!(run.info.status, RunStatus::Failed);
    assert!(run.tag("runlog.ended_by").unwrap().contains("a metric of the user's"), "{:?}", run.data.tags);
}

#[test]
fn an_evaluation_ends_as_burn_says_too() {
    let evaluate = |act: fn() -> Result<(), TensorReadError>| {
        let dir = tempfile::tempdir().unwrap();
        let evaluator = EvaluatorBuilder::new(dir.path()).metrics_text((At(2, act),));
        evaluator.build(Net::new(&Device::flex())).eval("test", loader(TRAIN_ITEMS))
    };
    let (result, run, _) = one_run(|| evaluate(|| Err(ExecutionError::with_context("gone").into())));
    assert!(result.error.is_some());
    assert_eq!(run.info.status, RunStatus::Failed);
    let (caught, run, _) = one_run(|| catch_unwind(|| evaluate(|| panic!("a metric of the user's"))));
    assert!(caught.is_err());
    assert_eq!(run.info.status, RunStatus::Failed);
    assert!(run.tag("runlog.ended_by").unwrap().contains("a metric of the user's"), "{:?}", run.data.tags);
}

#[test]
fn a_run_of_the_users_is_joined_and_not_ended() {
    let ((), run, _) = one_run(|| {
        let run = start_run("mine").unwrap();
        train_with(|| Err(ExecutionError::with_context("gone").into()), Interrupter::new());
        assert_eq!(fluent::get_run(run.run_id()).unwrap().info.status, RunStatus::Running);
        run.finish().unwrap();
    });
    assert_eq!((run.info.run_name.as_str(), run.info.status), ("mine", RunStatus::Finished));
    assert_eq!(run.tag("mlflow.autologging"), None);
    assert!(run.metric("train_loss").is_some());
}
