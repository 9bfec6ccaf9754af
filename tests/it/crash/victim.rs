//! A program that logs until it is killed, and what must be in the store then.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use runlog::{Run, RunStatus};

use crate::counters::Counters;
use crate::records::{Kind, Mix, THREADS};
use crate::support::Place;

/// A program that logs from four threads.
pub(super) struct Victim {
    child: Child,
    counters: Counters,
    logged: Logged,
}

/// What calls took before the kill.
#[derive(Debug)]
pub(super) struct Logged {
    pub(super) run_id: String,
    mix: Mix,
    /// Records of each thread.
    pub(super) counts: Vec<u64>,
}

impl Victim {
    /// Starts a program, which has a run, and logs when it is told to.
    pub(super) fn start(place: &Place, mix: &str, pause_us: u32, vars: &[(&str, &str)]) -> Self {
        let path = place.path().join(format!("counters-{:016x}", fastrand::u64(..)));
        let counters = Counters::open(&path);
        let pause_us = pause_us.to_string();
        let mut command = place.scenario(&["log-and-count", path.to_str().unwrap(), mix, &pause_us]);
        let mut child = with_pipes(command.envs(vars.iter().copied())).spawn().unwrap();
        let run_id = line(&mut child);
        Self { child, counters, logged: Logged { run_id, mix: Mix::named(mix), counts: Vec::new() } }
    }

    pub(super) fn go(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"g").unwrap();
    }

    /// Waits until it has logged so many records.
    pub(super) fn wait_for(&mut self, records: u64) {
        while (0..THREADS).map(|thread| self.counters.at(thread).load(Ordering::Acquire)).sum::<u64>()
            < records
        {
            assert_eq!(self.child.try_wait().unwrap(), None, "it logs until it is killed");
            std::thread::park_timeout(Duration::from_micros(100));
        }
    }

    pub(super) fn kill(mut self) -> Logged {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let counts = (0..THREADS).map(|thread| self.counters.at(thread).load(Ordering::Acquire)).collect();
        Logged { counts, ..self.logged }
    }
}

/// A program that talks through pipes.
pub(super) fn with_pipes(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null())
}

/// The first line that a program says.
pub(super) fn line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// What a thread logged, as the store has it.
#[derive(Default, PartialEq)]
struct Stored {
    /// The steps by metric, in the store's order; each value is its step.
    points: BTreeMap<String, Vec<u64>>,
    params: BTreeMap<String, String>,
    tag: Option<String>,
}

impl Logged {
    /// Checks that every record is there, each once, and at most one more of each thread: the one in flight.
    pub(super) fn check_records(&self, place: &Place, run: &Run) {
        for (thread, count) in (0..).zip(&self.counts) {
            let stored = self.stored(place, run, thread);
            let sound = [*count, count + 1].iter().any(|count| stored == self.expected(thread, *count));
            assert!(
                sound,
                "thread {thread} logged {count} records: {}",
                self.expected(thread, *count).differs(&stored)
            );
        }
    }

    /// Checks that the run was ended for its dead process, when it was last heard of.
    pub(super) fn check_end(run: &Run) {
        assert_eq!(run.info.status, RunStatus::Failed);
        let why = run.tag("runlog.ended_by").unwrap();
        assert!(why.contains("died without ending it"), "{why}");
        let last = run.data.metrics.iter().map(|metric| metric.timestamp).max().unwrap_or_default();
        assert_eq!(
            run.info.end_time,
            Some(last.max(run.info.start_time)),
            "it ended when it was last heard of"
        );
    }

    fn expected(&self, thread: u64, count: u64) -> Stored {
        let mut expected = Stored::default();
        for number in 0..count {
            let metric = match self.mix.kind(number) {
                Kind::Handle => format!("handle.{thread}"),
                Kind::Key => format!("key.{thread}"),
                Kind::Param => {
                    expected.params.insert(format!("param.{thread}.{number}"), self.mix.text(number));
                    continue;
                }
                Kind::Tag => {
                    expected.tag = Some(self.mix.text(number));
                    continue;
                }
            };
            expected.points.entry(metric).or_default().push(number);
        }
        expected
    }

    fn stored(&self, place: &Place, run: &Run, thread: u64) -> Stored {
        let metrics = ["handle", "key"].map(|name| format!("{name}.{thread}"));
        let points = metrics.into_iter().filter_map(|metric| {
            let steps = steps(place, &self.run_id, &metric);
            assert_eq!(
                run.metric(&metric),
                steps.last().map(|step| as_value(*step)),
                "{metric}: the latest point"
            );
            (!steps.is_empty()).then_some((metric, steps))
        });
        let prefix = format!("param.{thread}.");
        let params = run.data.params.iter().filter(|param| param.key.starts_with(&prefix));
        Stored {
            points: points.collect(),
            params: params.map(|param| (param.key.clone(), param.value.clone())).collect(),
            tag: run.tag(&format!("tag.{thread}")).map(str::to_owned),
        }
    }
}

/// The steps of a metric, whose values are the same numbers.
fn steps(place: &Place, run_id: &str, metric: &str) -> Vec<u64> {
    if place.store.starts_with("sqlite:") {
        let database = rusqlite::Connection::open(place.database()).unwrap();
        let mut rows = database
            .prepare("SELECT step, value FROM metrics WHERE run_uuid = ?1 AND key = ?2 ORDER BY step")
            .unwrap();
        let rows = rows.query_map([run_id, metric], |row| Ok(checked(row.get(0)?, row.get(1)?))).unwrap();
        return rows.map(Result::unwrap).collect();
    }
    // A line is a point, for MLflow too.
    let file = place.path().join(format!("mlruns/0/{run_id}/metrics/{metric}"));
    let lines = if Path::exists(&file) { std::fs::read_to_string(file).unwrap() } else { String::new() };
    let step = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
        [_time, value, step] => checked(step.parse().unwrap(), value.parse().unwrap()),
        _ => panic!("{line:?} is no point"),
    };
    lines.lines().map(step).collect()
}

fn checked(step: i64, value: f64) -> u64 {
    let step = u64::try_from(step).unwrap();
    assert_eq!(
        value.to_bits(),
        as_value(step).to_bits(),
        "a point has the value that was logged with its step"
    );
    step
}

fn as_value(step: u64) -> f64 {
    u32::try_from(step).unwrap().into()
}

impl Stored {
    /// In what the store differs from this.
    fn differs(&self, stored: &Self) -> String {
        let mut told = Vec::new();
        for (metric, expected) in &self.points {
            let stored = stored.points.get(metric).cloned().unwrap_or_default();
            if let Some(place) =
                (0..expected.len().max(stored.len())).find(|n| expected.get(*n) != stored.get(*n))
            {
                told.push(format!(
                    "{metric} has {} points of {}, and {:?} where {:?} should be",
                    stored.len(),
                    expected.len(),
                    stored.get(place),
                    expected.get(place)
                ));
            }
        }
        let missing: Vec<_> =
            self.params.iter().filter(|(key, value)| stored.params.get(*key) != Some(value)).collect();
        if let Some(missing) = missing.first() {
            told.push(format!("params like {missing:?}"));
        }
        if self.tag != stored.tag {
            told.push(format!("the tag is {:?} instead of {:?}", stored.tag, self.tag));
        }
        told.join("; ")
    }
}
