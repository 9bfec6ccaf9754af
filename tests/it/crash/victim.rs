//! A program that logs until it is killed, and what must be in the store then.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use runlog::{Run, RunStatus};

use super::program::Program;
use crate::counters::Counters;
use crate::records::{Kind, Mix, SAFE, STOP, THREADS};
use crate::support::Place;

/// A program that logs from four threads.
pub(super) struct Victim {
    program: Program,
    counters: Counters,
    told: PathBuf,
    logged: Logged,
}

/// What calls took before the kill.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    pub(super) run_id: String,
    mix: Mix,
    /// Records of each thread that must be in the store.
    safe: Vec<u64>,
    /// Records of each thread whose calls returned.
    counts: Vec<u64>,
}

impl Victim {
    /// Starts a program, which has a run, and logs when it is told to; `disk` are the first arguments, where its journal
    /// has a disk of its own.
    pub(super) fn start(
        place: &Place,
        mix: &str,
        pause_us: u32,
        vars: &[(&str, &str)],
        disk: &[&str],
    ) -> Self {
        let name = format!("{:016x}", fastrand::u64(..));
        let [counters, told] = ["counters", "told"].map(|what| place.path().join(format!("{what}-{name}")));
        let mut arguments = disk.to_vec();
        let pause_us = pause_us.to_string();
        arguments.extend([
            "log-and-count",
            counters.to_str().unwrap(),
            mix,
            &pause_us,
            told.to_str().unwrap(),
        ]);
        let counters = Counters::open(&counters);
        let mut command = place.scenario(&arguments);
        command.envs(vars.iter().copied()).stderr(File::create(&told).unwrap());
        let mut program = Program::start(&mut command, !disk.is_empty());
        let logged =
            Logged { run_id: program.line(), mix: Mix::named(mix), safe: Vec::new(), counts: Vec::new() };
        Self { program, counters, told, logged }
    }

    pub(super) fn go(&mut self) {
        self.program.go();
    }

    /// Waits until it has logged so many records.
    pub(super) fn wait_for(&mut self, records: u64) {
        self.wait_until(|counts, _| counts.iter().sum::<u64>() >= records);
    }

    /// Waits until what each thread logged, and how much of it is surely safe, is as wanted.
    pub(super) fn wait_until(&mut self, is_enough: impl Fn(&[u64], &[u64]) -> bool) {
        while !is_enough(&self.counts(0), &self.counts(SAFE)) {
            assert!(self.program.lives(), "it logs until it is killed: {}", self.told());
            std::thread::park_timeout(Duration::from_micros(100));
        }
    }

    pub(super) fn kill(&mut self) -> Logged {
        self.program.kill();
        let counts = self.counts(0);
        Logged { safe: counts.clone(), counts, ..self.logged.clone() }
    }

    /// Kills it where it was said that a kill will lose records: what was logged before is safe.
    pub(super) fn kill_after_warning(&mut self) -> Logged {
        Logged { safe: self.counts(SAFE), ..self.kill() }
    }

    /// Lets it come to its end.
    pub(super) fn stop(&mut self) -> Logged {
        self.counters.at(STOP).store(1, Ordering::Release);
        self.program.end();
        let counts = self.counts(0);
        Logged { safe: counts.clone(), counts, ..self.logged.clone() }
    }

    /// What it said on its standard error.
    pub(super) fn told(&self) -> String {
        std::fs::read_to_string(&self.told).unwrap()
    }

    pub(super) fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    fn counts(&self, from: u64) -> Vec<u64> {
        (0..THREADS).map(|thread| self.counters.at(from + thread).load(Ordering::Acquire)).collect()
    }
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
    /// What the first threads of a program logged; all of it must be in the store.
    pub(super) fn of_points(run_id: &str, counts: Vec<u64>) -> Self {
        Self { run_id: run_id.to_owned(), mix: Mix::Points, safe: counts.clone(), counts }
    }

    /// Checks that every record is there that must be, each once, and no others than those that were logged: one more of
    /// each thread may be, which was in flight.
    pub(super) fn check_records(&self, place: &Place, run: &Run) {
        for (thread, (safe, count)) in (0..).zip(self.safe.iter().zip(&self.counts)) {
            let stored = self.stored(place, run, thread);
            let found = stored.numbers().max().map_or(0, |last| last + 1);
            assert!(
                (*safe..=count + 1).contains(&found),
                "{found} records are stored of {count}, of which {safe} were safe"
            );
            let expected = self.expected(thread, found);
            assert!(stored == expected, "thread {thread}: {}", expected.differs(&stored));
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

/// A text of the mix: its number, and how long it is.
fn shown(text: &str) -> String {
    format!("{} ({} characters)", text.trim_start_matches('-'), text.chars().count())
}

impl Stored {
    /// The numbers of the records that are there, but for replaced tags.
    fn numbers(&self) -> impl Iterator<Item = u64> {
        let texts =
            self.params.values().chain(&self.tag).map(|text| text.trim_start_matches('-').parse().unwrap());
        self.points.values().flatten().copied().chain(texts)
    }

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
        if let Some((key, value)) = missing.first() {
            let found = stored.params.get(*key).map_or("nothing".to_owned(), |value| shown(value));
            told.push(format!(
                "{} params, such as {key}: {found} instead of {}",
                missing.len(),
                shown(value)
            ));
        }
        if self.tag != stored.tag {
            let [found, expected] = [&stored.tag, &self.tag].map(|tag| tag.as_deref().map(shown));
            told.push(format!("the tag is {found:?} instead of {expected:?}"));
        }
        told.join("; ")
    }
}
