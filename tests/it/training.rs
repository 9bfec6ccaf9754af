//! Trainings that autologging observes, wherever they go on: threads, pools of threads, async tasks. And what it says.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Barrier;
use std::thread;

use rayon::prelude::*;
use runlog::integration::{Integration, Training, configure};
use runlog::{AutologOptions, Config, InRun as _, Result, Run, RunQuery, RunStatus, Tracker, with_tracker};

use crate::support::{Place, text};

fn tracker() -> Tracker {
    Tracker::with_config(Some("memory:"), Config::from_map(&HashMap::new()).unwrap()).unwrap()
}

fn runs(tracker: &Tracker) -> Vec<Run> {
    tracker.search_runs(RunQuery::new().all_experiments()).unwrap()
}

fn integration() -> &'static Integration {
    named("it", AutologOptions::new())
}

/// Integrations of one name share their configuration.
fn named(name: &'static str, options: AutologOptions) -> &'static Integration {
    let integration = Box::leak(Box::new(Integration::new(name, "0")));
    configure(integration, options.silent(true), ());
    integration
}

/// A call that trains and says which one it was.
fn train(integration: &'static Integration, number: u32) {
    let training = Training::start(integration).unwrap();
    training.run().log_param("number", number);
    training.run().log_metric(&format!("loss {number}"), number, 0);
    training.finish();
}

/// Each number was trained in a run of its own.
fn assert_own_runs(tracker: &Tracker, count: u32) {
    let runs = runs(tracker);
    let mut numbers: Vec<u32> = runs
        .iter()
        .map(|run| {
            assert_eq!((run.info.status, run.data.metrics.len()), (RunStatus::Finished, 1));
            assert_eq!(run.tag("mlflow.autologging"), Some("it"));
            run.param("number").unwrap().parse().unwrap()
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..count).collect::<Vec<_>>());
}

#[test]
fn trainings_that_go_on_at_once_on_two_threads_get_runs_of_their_own() {
    let (tracker, integration) = (tracker(), integration());
    let both_train = Barrier::new(2);
    thread::scope(|scope| {
        for number in 0..2 {
            let (tracker, both_train) = (&tracker, &both_train);
            scope.spawn(move || {
                with_tracker(tracker, || {
                    let training = Training::start(integration).unwrap();
                    both_train.wait();
                    training.run().log_param("number", number);
                    runlog::log_metric("loss", number, 0);
                    both_train.wait();
                    training.finish();
                });
            });
        }
    });
    assert_own_runs(&tracker, 2);
}

#[test]
fn trainings_in_a_pool_of_threads_get_runs_of_their_own() {
    let (tracker, integration) = (tracker(), integration());
    (0..20).into_par_iter().for_each(|number| with_tracker(&tracker, || train(integration, number)));
    assert_own_runs(&tracker, 20);
}

#[test]
fn a_worker_threads_training_joins_the_run_of_its_program_unless_it_is_exclusive() {
    let tracker = tracker();
    let (joining, exclusive) = (integration(), named("exclusive", AutologOptions::new().exclusive(true)));
    let run = tracker.start_run("mine").unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            with_tracker(&tracker, || {
                train(joining, 0);
                assert!(Training::start(exclusive).is_none() && Training::open(exclusive).is_none());
            });
        });
    });
    let mine = tracker.get_run(run.run_id()).unwrap();
    assert_eq!((mine.info.status, mine.param("number")), (RunStatus::Running, Some("0")));
    run.finish().unwrap();
    assert_eq!(runs(&tracker).len(), 1);
}

#[test]
fn a_training_that_ends_on_another_thread_is_over_on_its_own() {
    let (tracker, integration) = (tracker(), integration());
    with_tracker(&tracker, || {
        for start in [Training::start, Training::open] {
            let training = start(integration).unwrap();
            thread::scope(|scope| scope.spawn(|| drop(training)).join().unwrap());
            assert!(runs(&tracker).iter().all(|run| run.info.status == RunStatus::Finished));
        }
        train(integration, 0);
    });
    assert_eq!(runs(&tracker).len(), 3);
}

#[test]
fn a_clone_of_the_recorder_logs_from_any_thread_and_ends_nothing() {
    let (tracker, integration) = (tracker(), integration());
    let training = with_tracker(&tracker, || Training::start(integration)).unwrap();
    let recorder = training.clone();
    let log = |run: &runlog::RunHandle| run.log_metric("loss", 0.5, 1).wait();
    thread::scope(|scope| scope.spawn(|| recorder.record("the loss", log)).join().unwrap());
    assert_eq!(runs(&tracker)[0].info.status, RunStatus::Running);
    training.finish();
    assert_eq!(runs(&tracker)[0].metric("loss"), Some(0.5));
}

/// On one thread tasks take turns, on several they move between them.
fn runtimes() -> [tokio::runtime::Runtime; 2] {
    use tokio::runtime::Builder;
    [Builder::new_current_thread(), Builder::new_multi_thread()]
        .map(|mut builder| builder.worker_threads(2).build().unwrap())
}

/// Polls eight tasks, each with its number and in a scope of its own, in turns.
fn in_tasks<F: Future<Output = Result<()>> + Send + 'static>(task: impl Fn(u32) -> F) {
    for runtime in runtimes() {
        let tasks: Vec<_> = (0..8).map(|number| runtime.spawn(task(number).in_own_scope())).collect();
        for task in tasks {
            runtime.block_on(task).unwrap().unwrap();
        }
    }
}

#[test]
fn a_tasks_training_joins_the_run_that_the_task_started() {
    let (tracker, integration) = (tracker(), integration());
    in_tasks(|number| {
        let tracker = tracker.clone();
        async move {
            let run = tracker.start_run(format!("task {number}"))?;
            tokio::task::yield_now().await;
            let training = Training::open(integration).unwrap();
            tokio::task::yield_now().await;
            training.run().log_param("number", number);
            training.finish();
            run.finish()
        }
    });
    assert_eq!(runs(&tracker).len(), 16);
    for run in runs(&tracker) {
        assert_eq!(run.info.run_name, format!("task {}", run.param("number").unwrap()));
    }
}

#[test]
fn trainings_that_a_task_opens_share_a_run_and_with_no_other_task() {
    let (tracker, integration) = (tracker(), integration());
    in_tasks(|number| {
        let open = {
            let tracker = tracker.clone();
            move || with_tracker(&tracker, || Training::open(integration)).unwrap()
        };
        async move {
            let first = open();
            first.run().log_param("number", number);
            tokio::task::yield_now().await;
            let second = open();
            assert_eq!((first.part(), second.part()), (1, 2));
            assert_eq!(first.run().run_id(), second.run().run_id());
            tokio::task::yield_now().await;
            Ok(())
        }
    });
    assert_eq!(runs(&tracker).len(), 16, "one for each task of each runtime");
    assert!(runs(&tracker).iter().all(|run| run.info.status == RunStatus::Finished));
}

/// What a program says that trains, with a hook that fails and a value that is cut.
fn said(how: &str) -> Vec<String> {
    let output = Place::new().play(&["training", "aloud-or-not", how]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stderr).lines().map(str::to_owned).collect()
}

#[test]
fn silent_means_that_nothing_is_said() {
    let aloud = said("aloud");
    for part in ["see `runlog show", "was cut to", "autologging stopped for this training (the model)"] {
        assert!(aloud.iter().any(|line| line.contains(part)), "{part}: {aloud:?}");
    }
    assert_eq!(said("silent"), [""; 0]);
}
