//! The subcommands of `runlog`, one file each.
//!
//! Each makes its whole output as text first, which only this file writes. Beside it only `progress.rs` draws on the
//! terminal, and clears what it drew before that. No command creates a store.

mod doctor;
mod list;
mod progress;
mod show;
mod sync;
mod text;
mod time;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use progress::Bar;
use runlog::{Config, Error, Experiment, Result, Tracker};

/// How long who only looks at runs waits for a busy store, beside what the store itself waits for a lock.
const BUSY_MAX: Duration = Duration::from_secs(2);

/// Looks at recorded training runs, and brings them home.
#[derive(Debug, Parser)]
#[command(name = "runlog", version, arg_required_else_help = true)]
struct Cli {
    /// Where the runs are, if not where `MLFLOW_TRACKING_URI` says, else in `sqlite:///mlflow.db`
    #[arg(long, global = true, value_name = "URI")]
    tracking_uri: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says what a run would use, and whether it could: store, files, journal, GPUs, launcher
    Doctor(doctor::Arguments),
    /// Lists runs, newest first
    List(list::Arguments),
    /// Shows everything that one run recorded
    Show(show::Arguments),
    /// Delivers what processes that died left in their journals, and ends their runs, for every store
    Sync(sync::Arguments),
}

/// Runs the command; the exit code is 1 if it failed and 2 if it was called wrongly.
pub(crate) fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(Output { text, failed }) => match write(&mut io::stdout().lock(), &text) {
            _ if failed => ExitCode::FAILURE,
            written => written,
        },
        Err(error) => {
            write(&mut io::stderr().lock(), &format!("error: {}\n", text::plain(&error.to_string())));
            ExitCode::FAILURE
        }
    }
}

/// Writes the output; a reader that has seen enough (`runlog list | head`) is no failure.
fn write(to: &mut dyn Write, output: &str) -> ExitCode {
    match to.write_all(output.as_bytes()).and_then(|()| to.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// What a subcommand says.
struct Output {
    text: String,
    /// Whether that is bad news.
    failed: bool,
}

fn run(cli: &Cli) -> Result<Output> {
    let uri = cli.tracking_uri.as_deref();
    let now = runlog_core::clock::now_ms();
    let text = match &cli.command {
        Command::Doctor(arguments) => return Ok(doctor::run(uri, arguments)),
        Command::List(arguments) => list::run(&open(uri)?, arguments, now)?,
        Command::Sync(arguments) => {
            let bar = Bar::new(!arguments.json);
            return sync::run(uri, arguments, now, &mut |progress| bar.show(progress));
        }
        Command::Show(arguments) => show::run(&open(uri)?, arguments, now)?,
    };
    Ok(Output { text, failed: false })
}

fn open(uri: Option<&str>) -> Result<Tracker> {
    let mut config = Config::from_env()?;
    config.finish_timeout.get_or_insert(BUSY_MAX);
    let tracker = Tracker::open_existing(uri, config)?;
    // What a killed process left in its journal belongs to its run, and so does the end of that run. Where the store
    // cannot be written, what it has is still worth a look.
    if let Err(error) = tracker.recover() {
        let error = text::plain(&error.to_string());
        let said = format!("warning: what killed processes logged last is not shown yet: {error}\n");
        write(&mut io::stderr().lock(), &said);
    }
    Ok(tracker)
}

/// The experiment with this name, else the one with this id.
fn experiment(tracker: &Tracker, name_or_id: &str) -> Result<Experiment> {
    if let Some(experiment) = tracker.get_experiment_by_name(name_or_id)? {
        return Ok(experiment);
    }
    tracker.get_experiment(name_or_id).map_err(|error| {
        Error::not_found("no experiment has this name or id").with("experiment", name_or_id).because(error)
    })
}

fn json(value: &serde_json::Value) -> String {
    // The alternate form of a JSON value is indented and cannot fail.
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
