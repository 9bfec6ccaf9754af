//! Which run a call without a handle means: on threads, in a pool of threads, in async tasks of every kind of runtime.
//!
//! Every test has a tracker of its own; the free functions find its runs by the scope they are called in.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Barrier;
use std::time::Duration;

use rayon::prelude::*;
use runlog::{Config, InRun as _, Result, Run, RunOptions, RunQuery, RunStatus, Tracker};
use tokio::runtime::{Builder, Runtime};

use crate::support::Place;

fn tracker() -> Tracker {
    Tracker::with_config(Some("memory:"), Config::from_map(&HashMap::new()).unwrap()).unwrap()
}

fn runs(tracker: &Tracker) -> Vec<Run> {
    tracker.search_runs(RunQuery::new().all_experiments()).unwrap()
}

fn run_named(tracker: &Tracker, name: &str) -> Run {
    runs(tracker).into_iter().find(|run| run.info.run_name == name).unwrap()
}

fn threads(count: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(count).enable_time().build().unwrap()
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// Gives way long enough for other tasks to be polled, and for this one to be polled on another thread.
async fn elsewhere() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Waits for the tasks and fails if one of them did.
async fn all(tasks: Vec<tokio::task::JoinHandle<Result<()>>>) {
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

#[test]
fn threads_of_a_pool_log_into_the_run_of_their_program() {
    let tracker = tracker();
    let run = tracker.start_run("pool").unwrap();
    (0..100).into_par_iter().for_each(|item| {
        runlog::with_tracker(&tracker, || runlog::log_metric("loss", 0.5, item).wait().unwrap());
    });
    run.finish().unwrap();
    let [run] = &runs(&tracker)[..] else { panic!("no thread opened a run of its own") };
    assert_eq!(tracker.metric_history(&run.info.run_id, "loss").unwrap().len(), 100);
}

#[test]
fn items_of_a_pool_each_have_a_run_below_the_programs() {
    let tracker = tracker();
    let sweep = tracker.start_run("sweep").unwrap();
    (0..20).into_par_iter().for_each(|item: u32| {
        let child = RunOptions::new().name(format!("trial {item}")).parent_run_id(sweep.run_id());
        let run = tracker.start_run(child).unwrap();
        runlog::log_metric("item", item, 0).wait().unwrap();
        run.finish().unwrap();
    });
    let parent = sweep.run_id().to_owned();
    sweep.finish().unwrap();
    for item in 0..20 {
        let trial = run_named(&tracker, &format!("trial {item}"));
        assert_eq!(trial.metric("item"), Some(f64::from(item)));
        assert_eq!(trial.tag("mlflow.parentRunId"), Some(parent.as_str()));
    }
}

#[test]
fn several_runs_and_none_of_this_thread_is_an_error_that_each_of_them_counts() {
    let tracker = tracker();
    let (started, asked) = (Barrier::new(3), Barrier::new(3));
    std::thread::scope(|scope| {
        let losses = ["one", "two"].map(|name| {
            let (tracker, started, asked) = (&tracker, &started, &asked);
            scope.spawn(move || {
                let run = tracker.start_run(name).unwrap();
                started.wait();
                asked.wait();
                let error = run.finish().unwrap_err();
                error.losses().to_string()
            })
        });
        started.wait();
        runlog::with_tracker(&tracker, || {
            assert!(runlog::active_run().is_none());
            assert!(runlog::log_metric("loss", 0.5, 1).is_refused());
        });
        asked.wait();
        for losses in losses {
            let losses = losses.join().unwrap();
            assert!(losses.contains("RunHandle") && losses.contains("2 runs"), "{losses}");
        }
    });
    assert_eq!(runs(&tracker).len(), 2);
}

#[test]
fn siblings_are_several_runs_although_they_have_one_parent() {
    let tracker = tracker();
    let parent = tracker.start_run("parent").unwrap();
    let child = || RunOptions::new().parent_run_id(parent.run_id());
    let (started, asked) = (Barrier::new(2), Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let only = tracker.start_run(child().name("first")).unwrap();
            started.wait();
            asked.wait();
            let other = std::thread::scope(|scope| {
                scope.spawn(|| tracker.start_run(child().name("second")).unwrap()).join().unwrap()
            });
            started.wait();
            asked.wait();
            other.finish().unwrap();
            only.finish().unwrap();
        });
        let seen_elsewhere = || {
            let look = || runlog::with_tracker(&tracker, runlog::active_run).map(|run| run.name().to_owned());
            std::thread::scope(|scope| scope.spawn(look).join().unwrap())
        };
        started.wait();
        assert_eq!(seen_elsewhere().as_deref(), Some("first"), "the innermost");
        asked.wait();
        started.wait();
        assert_eq!(seen_elsewhere(), None, "which of them is not clear");
        asked.wait();
    });
    parent.finish().unwrap();
}

/// Tasks that each log into the run they were put into, between awaits.
fn tasks_log_into_their_runs(runtime: &Runtime) {
    let tracker = tracker();
    let guards: Vec<_> = (0..10)
        .map(|number| {
            tracker.start_run(RunOptions::new().name(format!("task {number}")).nested(true)).unwrap()
        })
        .collect();
    runtime.block_on(async {
        let tasks = guards.iter().zip(0..).map(|(run, number)| {
            let logs = async move {
                for step in 0..10 {
                    runlog::log_metric("number", number, step).wait()?;
                    elsewhere().await;
                }
                Ok(())
            };
            tokio::spawn(logs.in_run(run))
        });
        all(tasks.collect()).await;
    });
    for (number, run) in guards.into_iter().enumerate().rev() {
        let number = f64::from(u32::try_from(number).unwrap());
        let history = tracker.metric_history(run.run_id(), "number").unwrap();
        assert_eq!(history.len(), 10);
        assert!(history.iter().all(|point| point.value.total_cmp(&number).is_eq()));
        run.finish().unwrap();
    }
}

#[test]
fn tasks_log_into_their_runs_on_whatever_thread_they_are_polled() {
    tasks_log_into_their_runs(&threads(4));
}

#[test]
fn tasks_on_one_thread_log_into_their_runs() {
    tasks_log_into_their_runs(&current_thread());
}

/// Tasks that each start a run, and one below it, in a scope of their own.
fn tasks_start_runs(runtime: &Runtime) {
    let tracker = tracker();
    runtime.block_on(async {
        let task = |number: u32| {
            let tracker = tracker.clone();
            async move {
                let run = tracker.start_run(format!("task {number}"))?;
                elsewhere().await;
                tracker.start_run("not nested").unwrap_err();
                let inner =
                    tracker.start_run(RunOptions::new().name(format!("below {number}")).nested(true))?;
                elsewhere().await;
                runlog::log_metric("number", number, 0).wait()?;
                inner.finish()?;
                elsewhere().await;
                assert_eq!(runlog::active_run().unwrap().run_id(), run.run_id());
                runlog::end_run(RunStatus::Finished)?;
                assert_eq!(tracker.get_run(run.run_id())?.info.status, RunStatus::Finished);
                Ok(())
            }
        };
        all((0..10).map(|number| tokio::spawn(task(number).in_own_scope())).collect()).await;
    });
    assert_eq!(runs(&tracker).len(), 20);
    for number in 0..10 {
        let (outer, inner) =
            (run_named(&tracker, &format!("task {number}")), run_named(&tracker, &format!("below {number}")));
        assert_eq!(inner.tag("mlflow.parentRunId"), Some(outer.info.run_id.as_str()));
        assert_eq!((inner.metric("number"), outer.metric("number")), (Some(f64::from(number)), None));
    }
}

#[test]
fn tasks_start_runs_that_move_with_them_between_threads() {
    tasks_start_runs(&threads(4));
}

#[test]
fn tasks_on_one_thread_start_runs_that_are_not_in_each_others_way() {
    tasks_start_runs(&current_thread());
}

#[test]
fn a_task_that_logs_late_still_logs_into_its_run() {
    let tracker = tracker();
    let run = tracker.start_run("ended").unwrap();
    let handle = run.handle();
    let late = async { runlog::log_metric("late", 1.0, 0).wait() }.in_run(&handle);
    run.finish().unwrap();
    current_thread().block_on(late).unwrap();
    let [run] = &runs(&tracker)[..] else { panic!("no other run was opened") };
    assert_eq!(run.metric("late"), Some(1.0));
}

#[test]
fn scopes_nest_and_end_with_their_future() {
    let tracker = tracker();
    let (outer, inner) = (tracker.start_run("outer").unwrap(), RunOptions::new().name("inner").nested(true));
    let inner = tracker.start_run(inner).unwrap();
    let name = || runlog::active_run().map(|run| run.name().to_owned());
    current_thread().block_on(async {
        assert_eq!(name().as_deref(), Some("inner"), "the thread's own");
        async {
            assert_eq!(name().as_deref(), Some("outer"));
            async { assert_eq!(name().as_deref(), Some("inner")) }.in_run(&inner).await;
            assert_eq!(name().as_deref(), Some("outer"));
        }
        .in_run(&outer)
        .await;
        let panics = async { panic!("in a scope") }.in_run(&outer);
        tokio::spawn(panics).await.unwrap_err();
        assert_eq!(name().as_deref(), Some("inner"), "a panic ends the scope too");
    });
    inner.finish().unwrap();
    outer.finish().unwrap();
}

#[test]
fn a_runtime_that_is_dropped_ends_the_runs_of_its_tasks() {
    for runtime in [threads(2), current_thread()] {
        let tracker = tracker();
        let task = {
            let tracker = tracker.clone();
            async move {
                let _run = tracker.start_run("left").unwrap();
                let _last_word = LastWord;
                std::future::pending::<()>().await;
            }
        };
        let polled = |task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            runtime.block_on(async {
                tokio::spawn(task);
                while runs(&tracker).is_empty() {
                    tokio::task::yield_now().await;
                }
            });
        };
        polled(Box::pin(task.in_own_scope()));
        drop(runtime);
        let [run] = &runs(&tracker)[..] else { panic!("one run") };
        assert_eq!(run.info.status, RunStatus::Failed);
        assert!(run.tag("runlog.ended_by").unwrap().contains("dropped without finish()"));
        assert_eq!(run.metric("last_word"), Some(1.0), "what a task drops is still in its scope");
    }
}

/// Logs when it is dropped.
struct LastWord;

impl Drop for LastWord {
    fn drop(&mut self) {
        runlog::log_metric("last_word", 1.0, 0);
    }
}

#[test]
fn a_guard_that_ends_on_another_thread_leaves_nothing_on_the_first() {
    let (tracker, ended) = (tracker(), Barrier::new(2));
    let (send, receive) = std::sync::mpsc::sync_channel(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            send.send(tracker.start_run("moves").unwrap()).unwrap();
            ended.wait();
            let seen = runlog::with_tracker(&tracker, runlog::active_run);
            assert!(seen.is_none(), "{seen:?}");
            tracker.start_run("next").unwrap().finish().unwrap();
        });
        receive.recv().unwrap().finish().unwrap();
        ended.wait();
    });
}

#[test]
fn a_guard_held_across_awaits_moves_between_workers_and_keeps_no_tracker_open() {
    let (runtime, place) = (threads(4), Place::new());
    runtime.block_on(async {
        let task = |number: u32, tracker: Tracker| async move {
            let options = RunOptions::new().name(number.to_string()).nested(true);
            let run = tracker.start_run(options)?;
            for step in 0..5 {
                run.log_metric("step", step, step);
                elsewhere().await;
            }
            run.finish()
        };
        let tracker = place.tracker();
        all((0..20).map(|number| tokio::spawn(task(number, tracker.clone()))).collect()).await;
        drop(tracker);
    });
    // The tracker was closed with its last handle, so its journal is gone, although the workers live on.
    assert_eq!(place.journals().len(), 0);
    let runs = place.runs();
    assert_eq!(runs.len(), 20);
    assert!(runs.iter().all(|run| run.info.status == RunStatus::Finished && run.metric("step") == Some(4.0)));
}
