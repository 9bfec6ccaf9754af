//! Evaluations: into the run of the training whose renderer they are given, or into one of their own.

use burn::train::metric::{AccuracyMetric, AurocMetric, ClassReduction, LossMetric};
use runlog_burn::Autolog;
use runlog_burn::train::{EvaluatorBuilder, SupervisedTraining};
use runlog_core::RunStatus;

use super::setup::*;

#[test]
fn an_evaluation_with_the_renderer_of_a_result_goes_into_that_run_though_it_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (means, run, tracker) = one_run(|| {
        let training = plain(dir.path()).metrics((LossMetric::new(),)).num_epochs(2);
        let result = training.autolog().launch(learner(0.1));
        let evaluator = burn::train::EvaluatorBuilder::new(dir.path().join("eval"))
            .renderer(result.renderer)
            .metrics((LossMetric::new(), AccuracyMetric::new()))
            .build(result.model);
        assert!(evaluator.eval("Hold out", loader(TRAIN_ITEMS)).error.is_none());
        ["Loss.log", "Accuracy.log"]
            .map(|file| mean_of_burns_file(&dir.path().join("eval/test/hold-out").join(file)))
    });
    assert_eq!(run.info.status, RunStatus::Finished);
    assert_eq!(steps(&tracker, &run, "test_hold_out_loss_step"), [1, 2, 3]);
    assert_eq!(history(&tracker, &run, "test_hold_out_loss"), [(2, means[0])], "at the last epoch");
    assert_eq!(run.metric("test_hold_out_accuracy"), Some(means[1]), "weighted by items");
    assert_eq!(run.metric("test_hold_out_items"), Some(20.0));
    let model = tracker.get_logged_model(&run.outputs[0].model_id).unwrap();
    assert!(model.metrics.iter().any(|metric| metric.key == "test_hold_out_loss"), "{:?}", model.metrics);
}

/// The mean over items, from the file that burn writes and reads for its own summary.
fn mean_of_burns_file(file: &std::path::Path) -> f64 {
    let (mut sum, mut items) = (0.0, 0.0);
    for line in std::fs::read_to_string(file).unwrap().lines() {
        let (value, count) = line.split_once(',').unwrap();
        let (value, count): (f64, f64) = (value.parse().unwrap(), count.parse().unwrap());
        sum += value * count;
        items += count;
    }
    sum / items
}

/// burn 0.22.1 looks for what its summary is made from before its own thread has surely written it: it finds here what an
/// earlier evaluation wrote.
#[test]
fn an_evaluation_by_itself_has_a_run_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let earlier = burn::train::EvaluatorBuilder::new(dir.path()).metrics((LossMetric::new(),));
    earlier.build(Net::new(&burn::tensor::Device::flex())).eval("test", loader(VALID_ITEMS));
    let (_, run, tracker) = one_run(|| {
        let evaluator = EvaluatorBuilder::new(dir.path()).metrics((LossMetric::new(),)).summary();
        let model = Net::new(&burn::tensor::Device::flex());
        evaluator.build(model).eval_all([("test", loader(VALID_ITEMS)), ("other", loader(BATCH))])
    });
    assert_eq!((run.info.status, run.tag("mlflow.autologging")), (RunStatus::Finished, Some("burn")));
    assert_eq!(steps(&tracker, &run, "test_loss_step"), [1, 2]);
    assert_eq!(steps(&tracker, &run, "test_other_loss_step"), [1]);
    assert_eq!(steps(&tracker, &run, "test_loss"), [0]);
    assert!(text(&tracker, &run, "summary.txt").contains("Learner Summary"));
    assert!(text(&tracker, &run, "metric_definitions.json").contains("loss"));
    assert!(run.tag("runlog.source").unwrap().contains("evaluated.rs"));
}

#[test]
fn burns_builder_of_evaluators_is_recorded_with_autolog() {
    let dir = tempfile::tempdir().unwrap();
    let (_, run, _) = one_run(|| {
        let evaluator =
            burn::train::EvaluatorBuilder::new(dir.path()).metrics((LossMetric::new(),)).autolog();
        evaluator.build(Net::new(&burn::tensor::Device::flex())).eval("test", loader(VALID_ITEMS))
    });
    assert!(run.metric("test_loss").is_some());
}

/// burn 0.22.1 computes what needs a whole data set only for training and validation.
#[test]
fn a_metric_that_burn_does_not_compute_for_tests_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let (_, run, _) = one_run(|| {
        let evaluator = EvaluatorBuilder::new(dir.path())
            .metrics((AurocMetric::multiclass(ClassReduction::Macro), LossMetric::new()));
        evaluator.build(Net::new(&burn::tensor::Device::flex())).eval("test", loader(VALID_ITEMS))
    });
    let keys: Vec<&str> = run.data.metrics.iter().map(|metric| metric.key.as_str()).collect();
    assert!(keys.contains(&"test_loss") && !keys.iter().any(|key| key.contains("auroc")), "{keys:?}");
}

#[test]
fn a_training_with_the_renderer_of_another_is_recorded_once_and_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let ((), runs, tracker) = recorded(|| {
        let train = |renderer| {
            let (train, valid) = loaders();
            let mut training = SupervisedTraining::new(dir.path(), train, valid)
                .with_application_logger(None)
                .metrics((LossMetric::new(),));
            if let Some(renderer) = renderer {
                training = training.renderer(renderer);
            }
            training.launch(learner(0.1))
        };
        let first = train(None);
        let second = train(Some(first.renderer));
        let evaluator =
            EvaluatorBuilder::new(dir.path()).renderer(second.renderer).metrics((LossMetric::new(),));
        evaluator.build(second.model).eval("test", loader(VALID_ITEMS));
    });
    assert_eq!(runs.len(), 2);
    for run in &runs {
        assert_eq!(steps(&tracker, run, "train_loss_step"), [1, 2, 3]);
    }
    assert_eq!((runs[0].metric("test_loss").is_some(), runs[1].metric("test_loss").is_some()), (false, true));
}

/// The renderer of an ended training only waits for evaluations.
#[test]
fn a_training_that_is_not_recorded_does_not_go_into_the_run_whose_renderer_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let (_, run, tracker) = one_run(|| {
        let first = plain(dir.path()).metrics((LossMetric::new(),)).autolog().launch(learner(0.1));
        plain(dir.path()).metrics((LossMetric::new(),)).renderer(first.renderer).launch(learner(0.1))
    });
    assert_eq!(steps(&tracker, &run, "train_loss_step"), [1, 2, 3]);
}
