//! What burn leaves in its folder, and what of it is stored.

use burn::train::metric::{AccuracyMetric, LossMetric};
use runlog_burn::{Autolog, SupervisedTraining};

use super::recorded::DIVERGES;
use super::setup::*;

#[test]
fn the_last_and_the_best_checkpoint_are_stored() {
    let dir = tempfile::tempdir().unwrap();
    let (train, valid) = loaders();
    let (_, run, tracker) = one_run(|| {
        SupervisedTraining::new(dir.path(), train, valid)
            .with_application_logger(None)
            .metrics((AccuracyMetric::new(), LossMetric::new()))
            .with_default_checkpointers()
            .num_epochs(3)
            .launch(learner(DIVERGES))
    });
    let losses = history(&tracker, &run, "valid_loss");
    let best = losses.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
    assert!(best < 2, "the best must not be one of the last two to show anything: {losses:?}");
    let mut expected: Vec<String> = [best, 3]
        .iter()
        .flat_map(|epoch| {
            ["checkpoint_metrics.json", "model.bpk", "optim.bpk", "scheduler.bpk"]
                .map(|file| format!("checkpoints/epoch_{epoch}/{file}"))
        })
        .collect();
    expected.sort();
    let stored: Vec<String> =
        files(&tracker, &run).into_iter().filter(|file| file.starts_with("checkpoints/")).collect();
    assert_eq!(stored, expected);
    assert_eq!(run.tag("mlflow.latest_checkpoint_artifact"), Some("checkpoints/epoch_3"));
    assert_eq!(
        run.tag("runlog.best_checkpoint_artifact"),
        Some(format!("checkpoints/epoch_{best}").as_str())
    );
    let metrics: serde_json::Value =
        serde_json::from_str(&text(&tracker, &run, "checkpoints/epoch_3/checkpoint_metrics.json")).unwrap();
    assert_eq!(metrics["valid_loss"].as_f64(), run.metric("valid_loss"));
}

#[test]
fn checkpoints_of_other_trainings_in_the_folder_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let earlier = plain(dir.path()).metrics((LossMetric::new(),)).with_default_checkpointers().num_epochs(6);
    earlier.launch(learner(0.1));
    let (_, run, tracker) = one_run(|| {
        let training = plain(dir.path()).metrics((LossMetric::new(),)).with_default_checkpointers();
        training.autolog().directory(dir.path()).launch(learner(0.1))
    });
    let stored: Vec<String> =
        files(&tracker, &run).into_iter().filter(|file| file.ends_with("model.bpk")).collect();
    assert_eq!(stored, ["checkpoints/epoch_1/model.bpk"]);
}

#[test]
fn without_checkpoints_and_log_there_is_nothing_to_store() {
    let dir = tempfile::tempdir().unwrap();
    let (_, run, tracker) = one_run(|| {
        let training = plain(dir.path()).metrics((LossMetric::new(),));
        training.autolog().directory(dir.path()).launch(learner(0.1))
    });
    assert_eq!(files(&tracker, &run), ["metric_definitions.json", "model_summary.txt"]);
    assert_eq!(run.tag("mlflow.latest_checkpoint_artifact"), None);
}

/// The learning rate comes from a metric that is added; neither burn's files nor its renderers show it.
#[test]
fn burns_folder_holds_what_it_holds_without_autologging() {
    let (alone, observed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    plain(alone.path()).metrics((LossMetric::new(),)).launch(learner(0.1));
    one_run(|| plain(observed.path()).metrics((LossMetric::new(),)).autolog().launch(learner(0.1)));
    let contents = |folder: &std::path::Path| {
        let mut contents = Vec::new();
        for split in ["train", "valid"] {
            for file in std::fs::read_dir(folder.join(split).join("epoch-1")).unwrap() {
                let path = file.unwrap().path();
                let name = path.strip_prefix(folder).unwrap().to_owned();
                contents.push((name, std::fs::read_to_string(path).unwrap()));
            }
        }
        contents.sort();
        contents
    };
    assert_eq!(contents(observed.path()), contents(alone.path()));
    assert_eq!(contents(alone.path()).len(), 2);
}
