//! Programs that the tests start to see how processes end: each logs something, then ends in its own way.
//!
//! The store and the journal come from the environment, as a user's would.
#![expect(
    clippy::print_stdout,
    clippy::exit,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "these programs end in every way there is, and tell the tests how far they are"
)]

mod bounded;
mod calls;
mod counters;
mod death;
mod disk;
mod killed;
mod logging;
mod records;
#[cfg(target_os = "linux")]
mod seccomp;
mod signals;
mod store;
mod training;

use std::io::Read as _;
use std::panic::catch_unwind;
use std::path::Path;

use runlog::{ActiveRun, Error, Result, RunOptions, RunStatus};

#[expect(clippy::too_many_lines, reason = "a few lines for each of many programs")]
fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (scenario, arguments) = arguments.split_first().unwrap();
    match (*scenario, arguments) {
        ("finish", []) => start()?.finish(),
        ("fail", []) => start()?.fail("the data is empty"),
        ("end", []) => start()?.end(RunStatus::Killed),
        ("end-run", []) => {
            let run = start()?;
            runlog::end_run(RunStatus::Killed)?;
            assert!(runlog::active_run().is_none());
            drop(run);
            Ok(())
        }
        ("body", [how]) => {
            body(how).ok();
            Ok(())
        }
        ("early-return", []) => {
            early_return().unwrap_err();
            Ok(())
        }
        ("main-error", []) => early_return(),
        ("panic", []) => {
            let _run = start()?;
            panic!("shapes differ: [2] and [3]");
        }
        ("panic-in-thread", []) => {
            std::thread::spawn(panic_with_a_guard).join().unwrap_err();
            Ok(())
        }
        ("panic-caught", []) => {
            catch_unwind(panic_with_a_guard).unwrap_err();
            Ok(())
        }
        ("panic-then-finish", []) => {
            let run = start()?;
            catch_unwind(|| panic!("caught")).unwrap_err();
            run.finish()
        }
        ("panic-in-thread-then-finish", []) => {
            let run = start()?;
            std::thread::spawn(|| panic!("on another thread")).join().unwrap_err();
            run.finish()
        }
        ("runtime-dropped", []) => {
            runtime_dropped();
            Ok(())
        }
        ("exit", [code]) => {
            let _run = start()?;
            std::process::exit(code.parse().unwrap());
        }
        ("exit-with-system-metrics", []) => {
            let run = runlog::start_run(RunOptions::new().log_system_metrics(true))?;
            run.log_metric("loss", 0.5, 1);
            std::process::exit(0);
        }
        ("exit-beside-a-store-that-panics", []) => death::exit_beside_a_store_that_panics(),
        ("opened", [how]) => {
            runlog::log_metric("loss", 0.5, 1);
            match *how {
                "return" => Ok(()),
                "error" => Err(Error::invalid("after all")),
                "panic" => panic!("after all"),
                code => std::process::exit(code.parse().unwrap()),
            }
        }
        ("opened-in-thread", []) => {
            std::thread::scope(|scope| scope.spawn(|| runlog::log_metric("loss", 0.5, 1)).join().unwrap())
                .wait()
        }
        ("worker-thread", []) => {
            let run = runlog::start_run("worker-thread")?;
            std::thread::scope(|scope| scope.spawn(|| runlog::log_metric("loss", 0.5, 1)).join().unwrap())
                .wait()?;
            run.finish()
        }
        ("nested", []) => {
            let outer = runlog::start_run("outer")?;
            let inner = runlog::start_run(RunOptions::new().name("inner").nested(true))?;
            inner.log_metric("loss", 0.5, 1);
            std::process::exit(i32::from(outer.run_id() == inner.run_id()));
        }
        ("last-active-run", []) => {
            assert_eq!(runlog::last_active_run()?, None);
            let last = || runlog::last_active_run().unwrap().unwrap().info.run_id;
            let outer = runlog::start_run("outer")?;
            let inner = runlog::start_run(RunOptions::new().name("inner").nested(true))?;
            let ids = [outer.run_id().to_owned(), inner.run_id().to_owned()];
            assert_eq!(last(), ids[1]);
            inner.finish()?;
            assert_eq!(last(), ids[0], "the current one, though the other ended last");
            outer.finish()?;
            assert_eq!(last(), ids[0]);
            Ok(())
        }
        ("delete", []) => {
            let run = start()?;
            runlog::delete_run(run.run_id())?;
            assert!(runlog::active_run().is_none());
            // So that the test sees it.
            runlog::restore_run(run.run_id())?;
            run.finish()
        }
        ("fork", []) => death::fork(),
        ("fork-while-sampled", []) => death::fork_while_sampled(),
        ("abort-on-panic", []) => death::abort_on_panic(),
        ("abort", []) => {
            let _run = start()?;
            std::process::abort();
        }
        ("kill", []) => {
            let run = start()?;
            println!("ready");
            wait_for_the_end_of_input();
            run.finish()
        }
        ("kill", ["training"]) => {
            let _training = training::observed();
            println!("ready");
            wait_for_the_end_of_input();
            Ok(())
        }
        ("training", how) => training::end(how),
        ("unseen", [how]) => training::unseen(how),
        ("die-at-creation", []) => death::die_at_creation(),
        ("as-pid-1", arguments) => death::as_pid_1(arguments),
        ("signal", [handling, then @ ..]) => signals::wait_for_signal(handling, then.first().copied()),
        ("system-metrics", options) => logging::system_metrics(options),
        ("system-metrics-until", keys) => logging::system_metrics_until(keys),
        ("bad-key", []) => {
            let run = start()?;
            run.log_metric("loss*", 0.5, 1);
            run.finish().unwrap_err();
            Ok(())
        }
        ("handle", [run_id]) => {
            runlog::run_handle(run_id)?.log_metric("from_handle", 0.5, 1);
            Ok(())
        }
        ("play", [scenarios, given, uri, outcomes]) => {
            calls::play(scenarios, given, uri, outcomes);
            Ok(())
        }
        ("append", arguments) => store::append(arguments),
        ("parent-process", []) => logging::parent_process(),
        ("child-process", []) => logging::child_process(),
        ("log-many", []) => logging::log_many(),
        #[cfg(target_os = "linux")]
        ("log-without-a-system-call", more) => seccomp::log_without_a_system_call(*more == ["and-ask"]),
        ("set-experiments", []) => logging::set_experiments(),
        ("log-and-count", [counters, mix, pause_us, told]) => {
            killed::log_and_count(Path::new(counters), mix, pause_us, Path::new(told))
        }
        ("log-slowly", [counters]) => killed::log_slowly(Path::new(counters)),
        ("fork-and-count", [counters]) => killed::fork_and_count(Path::new(counters)),
        ("on-small-disk", [kib, dir, arguments @ ..]) => disk::on_small_disk(kib, dir, arguments),
        ("log-on-a-full-disk", []) => disk::log_on_a_full_disk(),
        ("recover", [dir]) => killed::recover(Path::new(dir)),
        ("exit-while-logging", [counter]) => logging::exit_while_logging(Path::new(counter)),
        ("end-unstored", [how]) => bounded::end_unstored(how),
        ("log-past-the-bound", [points]) => bounded::log_past_the_bound(points),
        ("log-stream", []) => {
            let run = runlog::start_run("log-stream")?;
            run.log_text("what was there before", "big.bin")?;
            println!("{}", run.run_id());
            run.log_stream(std::io::stdin(), "big.bin")?;
            run.finish()
        }
        ("exit-with-upload", [path]) => {
            let run = runlog::start_run("exit-with-upload")?;
            run.log_artifact_async(path, None)?;
            println!("{}", run.run_id());
            std::process::exit(0);
        }
        (scenario, arguments) => panic!("no scenario {scenario:?} with {arguments:?}"),
    }
}

/// A run that logged something.
#[track_caller]
fn start() -> Result<ActiveRun> {
    let run = runlog::start_run("scenario")?;
    run.log_metric("loss", 0.5, 1);
    Ok(run)
}

fn body(how: &str) -> Result<()> {
    runlog::run("body", |run| {
        run.log_metric("loss", 0.5, 1);
        match how {
            "ok" => Ok(()),
            "error" => Err(Error::invalid("the data is empty")),
            _ => panic!("shapes differ: [2] and [3]"),
        }
    })
}

fn early_return() -> Result<()> {
    let run = start()?;
    let steps: u32 = "many".parse().map_err(|cause| Error::invalid("not a number").because(cause))?;
    run.log_param("steps", steps);
    run.finish()
}

fn panic_with_a_guard() {
    let _run = start();
    panic!("shapes differ: [2] and [3]");
}

fn runtime_dropped() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let started = runtime.spawn(async {
        let run = start()?;
        std::future::pending::<()>().await;
        run.finish()
    });
    // Polls the task once: it is spawned before this one.
    runtime.block_on(tokio::task::yield_now());
    assert!(!started.is_finished());
    drop(runtime);
}

/// The test ends the input when the program may go on.
fn wait_for_the_end_of_input() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}
