//! Whatever goes wrong with recording, the training is what it is without it.

use burn::train::metric::{AccuracyMetric, LossMetric};
use runlog_burn::Autolog;
use runlog_core::autolog::testing::Fault;
use runlog_core::fluent::with_tracker;

use super::setup::*;

/// Trains, evaluates, and returns the weights and what burn printed of its metrics.
fn train(autolog: bool) -> (Vec<u32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let training = plain(dir.path())
        .metrics((AccuracyMetric::new(), LossMetric::new()))
        .num_epochs(3)
        .early_stopping(super::recorded::patience(1))
        .with_default_checkpointers();
    let result = if autolog {
        let training = training.autolog().directory(dir.path()).config(&serde_json::json!({"rate": 0.1}));
        training.launch(learner(0.1))
    } else {
        training.launch(learner(0.1))
    };
    assert!(result.error.is_none() && result.interrupted.is_none());
    let evaluator = burn::train::EvaluatorBuilder::new(dir.path()).renderer(result.renderer);
    let bits = result.model.bits();
    let evaluated =
        evaluator.metrics((LossMetric::new(),)).build(result.model).eval("test", loader(VALID_ITEMS));
    assert!(evaluated.error.is_none());
    let losses = std::fs::read_to_string(dir.path().join("valid/epoch-3/Loss.log")).unwrap();
    (bits, losses)
}

#[test]
fn a_training_is_what_it_is_under_every_fault() {
    let expected = train(false);
    runlog_burn::autolog();
    for fault in Fault::ALL {
        assert_eq!(with_tracker(&fault.tracker(), || train(true)), expected, "{fault:?}");
    }
}

/// The hooks come in a fixed order, three for each metric and item; each one may be the one that fails.
#[test]
fn a_training_is_what_it_is_whichever_hook_fails() {
    let expected = train(false);
    runlog_burn::autolog();
    for at in (0..150).step_by(7) {
        for fault in [Fault::HookFails(at), Fault::HookPanics(at)] {
            assert_eq!(with_tracker(&fault.tracker(), || train(true)), expected, "{fault:?}");
        }
    }
}
