//! What every driver finds on this machine: opened and read twice, for a report of what a run would have.
//!
//! Invariant: a driver that hangs costs its own line and [`PATIENCE`], nothing more; a survey logs nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use runlog_core::autolog::{Tier, Watch};
use runlog_core::{Result, clock};

use crate::metrics::describe;
use crate::node::{Decision, decide};
use crate::plan::Plan;
use crate::probe::{Driver, Machine, Probe, ProbeError, drivers};
use crate::readings::Readings;
use crate::registry::{Kind, Registry};
use crate::window;

/// The time between the two readings: drivers of GPUs have nothing new sooner.
const PAUSE: Duration = Duration::from_millis(250);
/// How long drivers may take, all at once: NVIDIA's loads for seconds where nothing else keeps it loaded.
const PATIENCE: Duration = Duration::from_secs(10);

/// How this machine would be sampled, and what there is to read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Survey {
    /// The time between two samples.
    pub interval: Duration,
    /// Samples that make one logged point.
    pub samples_before_logging: u32,
    /// How much is read.
    pub tier: Tier,
    /// What stands between `system/` and a metric's name.
    pub node_id: Option<String>,
    /// Why this process would leave the machine to another one, if it would.
    pub left_to_another: Option<String>,
    /// One for each driver, in the order in which they are read.
    pub probes: Vec<Surveyed>,
}

/// What one driver found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Surveyed {
    /// The driver's name.
    pub name: String,
    /// Whether it can read.
    pub state: ProbeState,
    /// What it registered.
    pub metrics: Vec<Measured>,
    /// What it says of the hardware; the tags of a run have `runlog.` before the name.
    pub facts: Vec<(String, String)>,
}

/// Whether a driver can read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProbeState {
    /// It can.
    Works,
    /// What it reads is not there; the text says what is missing.
    Absent(String),
    /// It is there and cannot be read; the text says why.
    Failed(String),
    /// It did not answer in time. In a run it has a thread of its own, where it delays nothing else.
    Hangs,
}

/// A metric with its latest reading.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Measured {
    /// The name without `system/` and node.
    pub name: String,
    /// What its readings are.
    pub kind: Kind,
    /// The reading, `None` if there was none yet; a total is counted since the survey began.
    pub value: Option<f64>,
    /// The unit that the name ends with, as a symbol.
    pub unit: Option<&'static str>,
    /// What it is; `None` for the program's own.
    pub what: Option<&'static str>,
}

/// Opens every driver and reads it twice, a quarter of a second apart. Takes ten seconds at most, if a driver hangs.
///
/// ```
/// use runlog_core::Config;
/// use runlog_core::autolog::{SystemMetrics, Watch};
///
/// let watch = Watch::new("no run", SystemMetrics::new(), Config::from_env()?);
/// for probe in runlog_monitor::survey(&watch)?.probes {
///     println!("{}: {:?}", probe.name, probe.state);
/// }
/// # Ok::<(), runlog_core::Error>(())
/// ```
///
/// # Errors
/// Settings with which no run is sampled.
pub fn survey(watch: &Watch) -> Result<Survey> {
    survey_of(&drivers(), &Machine::of(watch), watch, PATIENCE)
}

fn survey_of(drivers: &[Driver], machine: &Machine, watch: &Watch, patience: Duration) -> Result<Survey> {
    let plan = Plan::new(watch)?;
    let (node_id, left_to_another) = match decide(watch) {
        Decision::Sample { node_id } => (node_id.filter(|node_id| !node_id.is_empty()), None),
        Decision::Rest(why) => (None, Some(why)),
    };
    window::prefix(node_id.as_deref())?;
    let tier = watch.settings.tier.unwrap_or_default();
    let deadline = clock::instant() + patience;
    let looking: Vec<_> = drivers.iter().map(|driver| look(driver.clone(), machine.clone(), tier)).collect();
    let answer = |(driver, answer): (&Driver, Receiver<Surveyed>)| {
        let left = deadline.saturating_duration_since(clock::instant());
        answer.recv_timeout(left).unwrap_or_else(|_| Surveyed::without(driver, ProbeState::Hangs))
    };
    let probes = drivers.iter().zip(looking).map(answer).collect();
    Ok(Survey {
        interval: plan.interval,
        samples_before_logging: plan.samples,
        tier,
        node_id,
        left_to_another,
        probes,
    })
}

/// Looks at a driver on a thread of its own, which is left behind if it hangs.
fn look(driver: Driver, machine: Machine, tier: Tier) -> Receiver<Surveyed> {
    let (tell, answer) = sync_channel(1);
    let unstarted = tell.clone();
    let name = driver.clone();
    let work = move || {
        let looked = catch_unwind(AssertUnwindSafe(|| Surveyed::of(&driver, &machine, tier)));
        let panicked = |_| Surveyed::without(&driver, ProbeState::Failed("it panicked".to_owned()));
        tell_once(&tell, looked.unwrap_or_else(panicked));
    };
    if let Err(cause) = thread::Builder::new().name("runlog-survey".to_owned()).spawn(work) {
        let state = ProbeState::Failed(format!("there is no thread for it: {cause}"));
        tell_once(&unstarted, Surveyed::without(&name, state));
    }
    answer
}

/// Whoever asked may have given up.
fn tell_once(tell: &SyncSender<Surveyed>, looked: Surveyed) {
    tell.try_send(looked).ok();
}

impl Surveyed {
    fn without(driver: &Driver, state: ProbeState) -> Self {
        Self { name: driver.name.clone().into_owned(), state, metrics: Vec::new(), facts: Vec::new() }
    }

    fn of(driver: &Driver, machine: &Machine, tier: Tier) -> Self {
        let mut registry = Registry::new(tier);
        let mut probe = match driver.open(machine, &mut registry) {
            Ok(probe) => probe,
            Err(why) => return Self::without(driver, ProbeState::from(why)),
        };
        let mut readings = Readings::new(&registry);
        let first = read(&mut *probe, &mut readings, None);
        let earlier = readings.values().to_vec();
        let begin = clock::instant();
        pause();
        let second = read(&mut *probe, &mut readings, Some(begin.elapsed()));
        let latest = readings.values().iter().zip(earlier).map(|(latest, earlier)| latest.or(earlier));
        let metrics = registry.entries().iter().zip(latest);
        Self {
            state: second.or(first).map_or(ProbeState::Works, ProbeState::from),
            metrics: metrics.map(|(entry, value)| Measured::new(&entry.name, entry.kind, value)).collect(),
            facts: registry.facts().to_vec(),
            ..Self::without(driver, ProbeState::Works)
        }
    }
}

/// Reads once; what it says if it cannot.
fn read(probe: &mut dyn Probe, readings: &mut Readings, since_last: Option<Duration>) -> Option<ProbeError> {
    readings.begin(since_last);
    match probe.sample(&mut readings.sink()) {
        Ok(()) | Err(ProbeError::Absent(_)) => None,
        Err(failed) => Some(failed),
    }
}

/// Lets [`PAUSE`] pass: nobody says anything on this channel.
fn pause() {
    let (_silent, never) = sync_channel::<()>(0);
    never.recv_timeout(PAUSE).ok();
}

impl From<ProbeError> for ProbeState {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::Absent(reason) => Self::Absent(reason.into_owned()),
            ProbeError::Failed(error) => Self::Failed(error.to_string()),
        }
    }
}

impl Measured {
    fn new(name: &str, kind: Kind, value: Option<f64>) -> Self {
        Self { name: name.to_owned(), kind, value, unit: unit(name), what: describe(name) }
    }
}

/// The unit that stands last in a metric's name.
fn unit(name: &str) -> Option<&'static str> {
    const UNITS: &[(&str, &str)] = &[
        ("_megabytes_per_second", "MB/s"),
        ("_per_second", "1/s"),
        ("_megabytes", "MB"),
        ("_percentage", "%"),
        ("_watts", "W"),
        ("_joules", "J"),
        ("_celsius", "°C"),
        ("_megahertz", "MHz"),
        ("_seconds", "s"),
    ];
    UNITS.iter().find(|(end, _)| name.ends_with(end)).map(|(_, unit)| *unit)
}

#[cfg(test)]
mod tests;
