//! Whole processes: one with a finished run beside one that does nothing, and one whose run is open and idle.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use std::{env, fs, io};

use runlog::Tracker;
use runlog_core::clock;

use crate::Size;
use crate::place::{Place, SQLITE};
use crate::table::{Row, Table, ms, pairs};
use crate::{mlflow, paced, usage};

/// The argument that makes this program one of its own children.
pub(crate) const CHILD: &str = "child";

/// What the children do.
pub(crate) fn child(arguments: &[String]) {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["nothing"] => {}
        ["run"] => {
            let run = Tracker::open(SQLITE).unwrap().start_run("figures").unwrap();
            run.log_metric("loss", 0.25, 0);
            run.finish().unwrap();
            println!("{}", usage::peak_kib());
        }
        ["idle"] => {
            let run = Tracker::open(SQLITE).unwrap().start_run("figures").unwrap();
            println!("ready");
            io::stdin().read_to_end(&mut Vec::new()).unwrap();
            run.finish().unwrap();
        }
        ["busy", dir] => paced::busy(dir),
        _ => panic!("no child does {arguments:?}"),
    }
}

pub(crate) fn measure(table: &mut Table, size: Size) {
    let place = Place::new();
    let idle = Child::start_in(place.dir(), &["idle"]);
    assert_eq!(idle.line(), "ready");
    // What was started has also come to rest.
    sleep(Duration::from_secs(2));
    let (begun, before) = (clock::instant(), idle.processor_secs());
    whole(table, size);
    sleep(Duration::from_secs(size.pick(60, 2)).saturating_sub(begun.elapsed()));
    match (before, idle.processor_secs()) {
        (Some(before), Some(after)) => {
            let hourly = (after - before) / begun.elapsed().as_secs_f64() * 3600.0;
            table.add(Row {
                what: format!("a run that is open and idle, over {:.0} s", begun.elapsed().as_secs_f64()),
                ours: format!("{hourly:.2} CPU s an hour"),
                wanted: "≤ 0.5".into(),
                held: Some(hourly <= 0.5),
                ..Row::default()
            });
        }
        _ => table.missing("a run that is open and idle", "the system does not tell as Linux does"),
    }
    idle.end();
}

fn whole(table: &mut Table, size: Size) {
    let place = Place::new();
    drop(place.tracker(SQLITE).store().unwrap());
    let (mut peak, mut processor) = (0, [0.0; 2]);
    let count = size.pick(50, 3);
    let mut time = |what: &str| {
        let (begun, before) = (clock::instant(), usage::processor_secs_of_children());
        let said = command(place.dir(), &[what]).output().unwrap();
        let took = begun.elapsed().as_secs_f64();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        peak = peak.max(String::from_utf8_lossy(&said.stdout).trim().parse().unwrap_or(0));
        processor[usize::from(what == "run")] +=
            (usage::processor_secs_of_children() - before) / f64::from(count);
        took
    };
    // Whoever is first reads the program from the disk.
    let _warm = (time("nothing"), time("run"));
    let beside = {
        let time = std::cell::RefCell::new(&mut time);
        pairs(count as usize, || time.borrow_mut()("run"), || time.borrow_mut()("nothing"))
    };
    let more = beside.ours.median - beside.other.median;
    table.add(Row {
        what: format!("a process with one finished run, existing database, {count} pairs"),
        ours: beside.ours.show(ms),
        beside: format!("the same program, doing nothing {}", beside.other.show(ms)),
        ratio: format!("{} more", ms(more)),
        wanted: "≤ 15 ms more".into(),
        held: Some(more <= 0.015),
    });
    table.add(Row {
        what: "its processor time".into(),
        ours: ms(processor[1]),
        beside: ms(processor[0]),
        ratio: format!("{} more", ms(processor[1] - processor[0])),
        ..Row::default()
    });
    let peak = f64::from(peak) / 1024.0;
    table.add(Row {
        what: "its peak memory".into(),
        ours: format!("{peak:.1} MiB"),
        wanted: "≤ 20 MB".into(),
        held: Some(peak * 1.048_576 <= 20.0),
        ..Row::default()
    });
    mlflow::whole_process(table, size, beside.ours.median);
}

/// This program, as a child that works in `dir`.
fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.arg(CHILD).args(arguments).current_dir(dir).env("RUNLOG_JOURNAL_DIR", dir.join("journal"));
    command.env("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true");
    command
}

/// A child that runs until its input is closed.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    stdin: ChildStdin,
    stdout: std::cell::RefCell<BufReader<ChildStdout>>,
}

impl Child {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(Path::new("."), arguments)
    }

    fn start_in(dir: &Path, arguments: &[&str]) -> Self {
        Self::of(command(dir, arguments))
    }

    pub(crate) fn of(mut command: Command) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, stdin, stdout: BufReader::new(stdout).into() }
    }

    /// The next line it says; empty if it has ended.
    pub(crate) fn line(&self) -> String {
        let mut line = String::new();
        self.stdout.borrow_mut().read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn tell(&mut self, line: &str) {
        io::Write::write_all(&mut self.stdin, format!("{line}\n").as_bytes()).unwrap();
    }

    /// The time that its threads have been on a processor, as the scheduler counts it.
    fn processor_secs(&self) -> Option<f64> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.process.id())).ok()?;
        let nanos = |thread: io::Result<fs::DirEntry>| -> Option<f64> {
            let counts = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            counts.split_whitespace().next()?.parse().ok()
        };
        Some(threads.filter_map(nanos).sum::<f64>() / 1e9)
    }

    pub(crate) fn end(self) {
        let Self { mut process, stdin, .. } = self;
        drop(stdin);
        process.wait().unwrap();
    }
}
