//! Programs with a training that autologging observes, or that it waits for in vain.

use std::sync::Mutex;

use runlog::integration::{Integration, Training, configure};
use runlog::{AutologOptions, Error, Result, RunOptions};

static FRAMEWORK: Integration =
    Integration::new("scenario", "0").unseen("the scenario must be asked for a training");

/// A training that nobody ends.
static ALIVE: Mutex<Option<Training>> = Mutex::new(None);

/// A training that is observed, in a run that autologging started for it, and that logged something.
pub(crate) fn observed() -> Training {
    configure(&FRAMEWORK, AutologOptions::new(), ());
    let training = Training::start(&FRAMEWORK).unwrap();
    training.run().log_metric("loss", 0.5, 1);
    training
}

pub(crate) fn end(how: &[&str]) -> Result<()> {
    if let ["aloud-or-not", how] = how {
        aloud_or_not(how);
        return Ok(());
    }
    let training = observed();
    match how {
        ["finish"] => training.finish(),
        ["drop"] => drop(training),
        ["error"] => training.fail(&Error::invalid("the data is empty")),
        ["interrupted"] => training.kill("the user has seen enough"),
        ["panic"] => panic!("shapes differ: [2] and [3]"),
        ["panic-caught-before"] => {
            std::panic::catch_unwind(|| panic!("caught")).unwrap_err();
        }
        ["moved"] => std::thread::spawn(move || drop(training)).join().unwrap(),
        ["fork"] => return fork(training),
        ["alive", then] => {
            *ALIVE.lock().unwrap() = Some(training);
            return leave(then);
        }
        ["alive-in-thread", then] => {
            std::thread::spawn(move || {
                training.run().log_metric("loss", 0.5, 2).wait().unwrap();
                std::thread::park();
            });
            return leave(then);
        }
        other => panic!("no ending {other:?}"),
    }
    Ok(())
}

fn leave(how: &str) -> Result<()> {
    match how {
        "return" => Ok(()),
        "error" => Err(Error::invalid("after all")),
        "panic" => panic!("after all"),
        code => std::process::exit(code.parse().unwrap()),
    }
}

/// A training of which there is something to say.
fn aloud_or_not(how: &str) {
    configure(&FRAMEWORK, AutologOptions::new().silent(how == "silent"), ());
    let training = Training::start(&FRAMEWORK).unwrap();
    training.record("the params", |run| {
        run.log_param("long", "x".repeat(10_000));
        Ok(())
    });
    training.record("the model", |_| Err(Error::invalid("it has no weights")));
    training.finish();
}

/// The child has the guard as well: it logs, drops it and exits, and the parent's training goes on.
fn fork(training: Training) -> Result<()> {
    training.run().flush()?;
    // SAFETY: the child only uses what runlog promises to work after a fork, then exits.
    #[expect(unsafe_code, reason = "there is no safe fork")]
    let child = unsafe { libc::fork() };
    if child == 0 {
        let stored = training.run().log_metric("from_child", 1.0, 1).wait();
        drop(training);
        std::process::exit(i32::from(stored.is_err()));
    }
    let mut status = -1;
    // SAFETY: waits for the child made above.
    #[expect(unsafe_code, reason = "the child is no `std::process::Child`")]
    unsafe {
        libc::waitpid(child, &raw mut status, 0);
    }
    let run = runlog::get_run(training.run().run_id())?;
    assert_eq!((status, run.metric("from_child")), (0, Some(1.0)));
    assert_eq!(run.info.status, runlog::RunStatus::Running, "the child did not end it");
    training.finish();
    Ok(())
}

/// Autologging is on, and no training comes.
pub(crate) fn unseen(how: &str) -> Result<()> {
    runlog::integration::register(&FRAMEWORK);
    runlog::autolog_with(AutologOptions::new().silent(how == "silent"));
    match how {
        "finished" | "silent" => {
            runlog::start_run("first")?.finish()?;
            runlog::start_run("second")?.finish()
        }
        "trained" => {
            Training::start(&FRAMEWORK).unwrap().finish();
            runlog::start_run("after")?.finish()
        }
        "nested" => {
            let _outer = runlog::start_run("outer")?;
            runlog::start_run(RunOptions::new().name("inner").nested(true))?.finish()
        }
        "failed" => runlog::start_run("failed")?.fail("the data is empty"),
        "alive" => {
            let _run = runlog::start_run("alive")?;
            std::process::exit(0);
        }
        "opened" => runlog::log_metric("loss", 0.5, 1).wait(),
        other => panic!("no ending {other:?}"),
    }
}
