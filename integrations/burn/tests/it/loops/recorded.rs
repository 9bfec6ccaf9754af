//! What a recorded loop leaves behind, and that its training is untouched.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::optim::{AdamConfig, GradientsAccumulator, ModuleOptimizer, MultiGradientsParams};
use burn::tensor::Device;
use runlog_burn::{Autolog, LogAs};
use runlog_core::fluent;
use runlog_core::{Error, RunStatus};

use super::setup::*;

/// The plain loop, with the lines that are added.
fn train() -> Net {
    recorded_loop(|_| ()).0
}

#[test]
fn every_step_has_its_loss_and_its_learning_rate() {
    let (_, run, tracker) = one_run(train);
    let (_, losses) = plain();
    let expected: Vec<_> = (1..).zip(losses.into_iter().map(f64::from)).collect();
    assert_eq!(history(&tracker, &run, "train_loss"), expected);
    let rates: Vec<_> = (1..=6).map(|step| (step, RATE)).collect();
    assert_eq!(history(&tracker, &run, "learning_rate"), rates);
    assert_eq!((run.info.status, run.tag("mlflow.autologging")), (RunStatus::Finished, Some("burn")));
    assert!(run.tag("runlog.source").unwrap().contains("recorded.rs:"));
}

#[test]
fn the_configuration_becomes_params() {
    let (_, run, _) = one_run(train);
    for (key, value) in [("num_epochs", "2"), ("optimizer.beta_1", "0.9"), ("optimizer.weight_decay", "None")]
    {
        assert_eq!(run.param(key), Some(value), "{key} in {:#?}", run.data.params);
    }
}

#[test]
fn an_epoch_has_the_mean_of_its_losses_and_its_speed() {
    let (_, run, tracker) = one_run(train);
    let (_, losses) = plain();
    let mean = |epoch: usize| losses[3 * epoch..][..3].iter().copied().map(f64::from).sum::<f64>() / 3.0;
    assert_eq!(history(&tracker, &run, "train_loss_epoch"), [(1, mean(0)), (2, mean(1))]);
    let (seconds, speed) =
        (history(&tracker, &run, "epoch_seconds"), history(&tracker, &run, "samples_per_second"));
    assert_eq!((seconds.len(), speed.len()), (2, 2));
    assert_eq!(history(&tracker, &run, "epoch"), [(3, 1.0), (6, 2.0)]);
    for ((_, seconds), (_, speed)) in seconds.into_iter().zip(speed) {
        assert!((seconds * speed - 12.0).abs() < 1e-9, "{seconds} {speed}");
    }
}

#[test]
fn weights_are_the_same_bit_for_bit() {
    let (model, _, _) = one_run(train);
    assert_eq!(model.bits(), plain().0.bits());
}

#[test]
fn accumulated_gradients_are_one_step_with_the_mean_of_their_losses() {
    let (losses, run, tracker) = one_run(|| {
        let mut model = Net::new(&device());
        let mut optim = AdamConfig::new().init().autolog();
        let (mut accumulator, mut losses) = (GradientsAccumulator::new(), Vec::new());
        for batch in 0..2 {
            let loss = model.loss(batch).log_as("train_loss");
            losses.push(f64::from(loss.clone().into_scalar::<f32>()));
            accumulator.accumulate(&model, model.gradients(&loss));
        }
        model = optim.step(RATE, model, accumulator.grads());
        drop(model);
        losses
    });
    assert_eq!(history(&tracker, &run, "train_loss"), [(1, losses.iter().sum::<f64>() / 2.0)]);
}

#[test]
fn values_after_the_last_step_belong_to_it() {
    let (expected, run, tracker) = one_run(|| {
        let mut model = Net::new(&device());
        let mut optim = AdamConfig::new().init().autolog();
        let mut expected = Vec::new();
        for _ in 0..2 {
            let epoch = optim.epoch();
            let grads = model.gradients(&model.loss(0));
            model = optim.step(RATE, model, grads);
            // More than are kept unread.
            let losses = (0..300).map(|batch| model.loss(batch).log_as("valid_loss").into_scalar::<f32>());
            expected.push(losses.map(f64::from).sum::<f64>() / 300.0);
            drop(epoch);
        }
        let last = model.loss(5).log_as("test_loss").into_scalar::<f32>();
        expected.push(last.into());
        expected
    });
    assert_eq!(history(&tracker, &run, "valid_loss"), [(1, expected[0]), (2, expected[1])]);
    assert_eq!(history(&tracker, &run, "valid_loss_epoch"), [(1, expected[0]), (2, expected[1])]);
    assert_eq!(history(&tracker, &run, "test_loss"), [(2, expected[2])]);
}

#[test]
fn a_panic_fails_the_run_and_keeps_what_was_logged() {
    let (panic, run, tracker) = one_run(|| {
        catch_unwind(AssertUnwindSafe(|| {
            let mut model = Net::new(&device());
            let mut optim = AdamConfig::new().init().autolog();
            let grads = model.gradients(&model.loss(0).log_as("train_loss"));
            model = optim.step(RATE, model, grads);
            let diverged = model.loss(1).log_as("train_loss").into_scalar::<f32>();
            assert!(diverged < 0.0, "diverged");
        }))
    });
    assert!(panic.is_err(), "the panic reaches the caller");
    assert_eq!(run.info.status, RunStatus::Failed);
    assert!(run.tag("runlog.ended_by").unwrap().contains("diverged"));
    assert_eq!(history(&tracker, &run, "train_loss").len(), 2);
}

#[test]
fn an_error_that_is_told_fails_the_run_with_its_text() {
    let ((), run, _) = one_run(|| {
        let model = Net::new(&device());
        let mut optim = AdamConfig::new().init().autolog();
        let grads = model.gradients(&model.loss(0));
        let _model = optim.step(RATE, model, grads);
        optim.fail(&Error::invalid("the disk is full"));
    });
    assert_eq!((run.info.status, run.tag("runlog.ended_by")), (RunStatus::Failed, Some("the disk is full")));
}

#[test]
fn a_run_of_the_users_is_joined_and_not_ended() {
    let ((), run, _) = one_run(|| {
        let run = fluent::start_run("mine").unwrap();
        train();
        assert_eq!(fluent::get_run(run.run_id()).unwrap().info.status, RunStatus::Running);
        run.finish().unwrap();
    });
    assert_eq!((run.info.run_name.as_str(), run.tag("mlflow.autologging")), ("mine", None));
    assert!(run.metric("train_loss").is_some());
}

#[test]
fn what_the_user_logs_in_the_loop_goes_to_its_run() {
    let ((), run, _) = one_run(|| {
        let model = Net::new(&device());
        let mut optim = AdamConfig::new().init().autolog();
        let grads = model.gradients(&model.loss(0));
        let _model = optim.step(RATE, model, grads);
        fluent::log_metric("valid_accuracy", 0.5, 1);
    });
    assert_eq!(run.metric("valid_accuracy"), Some(0.5));
}

#[test]
fn the_optimizer_is_burns_in_every_other_respect() {
    let ((), run, tracker) = one_run(|| {
        let clipping = burn::grad_clipping::GradientClippingConfig::Norm(1.0).init();
        let mut optim = AdamConfig::new().init().autolog().with_grad_clipping(clipping);
        assert!(optim.has_gradient_clipping());
        let model = Net::new(&device());
        let grads = model.gradients(&model.loss(0));
        let model = optim.step(RATE, model, grads);

        // Its record goes on where it was, and is recorded as the same training.
        let state = optim.into_bytes().unwrap();
        let mut optim = optim.from_bytes(state).unwrap();
        let record = optim.to_record();
        optim = optim.load_record(record);
        let mut plain: ModuleOptimizer = optim.clone();
        let grads = || model.gradients(&model.loss(1));
        let expected = plain.step(RATE, model.clone(), grads());
        let stepped = optim.step(RATE, model.clone(), grads());
        assert_eq!(stepped.bits(), expected.bits());

        let mut several = MultiGradientsParams::default();
        several.grads.push((grads(), Device::flex()));
        let model = optim.step_multi(RATE, model, several);
        let mut inner = optim.into_inner();
        let grads = model.gradients(&model.loss(1));
        let _model = inner.step(RATE, model, grads);
    });
    assert_eq!(history(&tracker, &run, "learning_rate").len(), 3, "the last step is nobody's");
    assert_eq!(run.info.status, RunStatus::Finished);
}
