//! A probe that may block, on a thread of its own: the sampling thread asks, and takes the answer when it is there.
//!
//! Invariants: the probe is asked only while it is idle, so that its answers never pile up; the lock between the two
//! threads is held for no longer than it takes to exchange two buffers; the thread touches no run, so one that comes
//! back late changes nothing in a run that has ended.

use std::borrow::Cow;
use std::mem;
use std::slice;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use runlog_core::autolog::Tier;

use crate::group::{Found, Group, warn};
use crate::inbox::Inbox;
use crate::pace;
use crate::probe::{Driver, Machine};
use crate::readings::Readings;
use crate::registry::Registry;

/// Between a question and the beginning of the answer so much time passes only if the process was stopped.
const STOPPED: Duration = Duration::from_millis(500);

/// A driver that has been silent for this long hangs; a shorter silence may be its way.
pub(crate) const HANGS: Duration = Duration::from_secs(1);

/// What the sampling thread knows of one such probe.
#[derive(Debug)]
pub(crate) struct Slow {
    pub(crate) name: Cow<'static, str>,
    desk: Arc<Desk>,
    /// Whether it let a window close without its answer; it is not waited for until it answers again.
    late: bool,
}

/// Where the two threads meet.
#[derive(Debug, Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// A gap was seen since the last sample began.
    gap: bool,
    /// Nobody asks any more.
    left: bool,
    /// When it was last asked; at first, when opening began.
    asked: Duration,
    /// What opening has found, until it is taken.
    found: Option<Found>,
    /// The readings of the last answer.
    readings: Readings,
    /// When they were taken.
    at: Duration,
    /// They are the first part of an answer that is still under way.
    part: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// In a call of the driver's, beginning with the one that opens it.
    #[default]
    Busy,
    Idle,
    Asked,
    Answered,
    /// There is no probe, or no more.
    Over,
}

impl Slow {
    /// The two ends: the asking one, and the one that its thread is to work at.
    pub(crate) fn new(driver: Driver, now: Duration, inbox: Arc<Inbox>) -> (Self, Worker) {
        let desk = Arc::new(Desk::default());
        desk.lock().asked = now;
        let slow = Self { name: driver.name.clone(), desk: Arc::clone(&desk), late: false };
        (slow, Worker { driver, desk, inbox, group: None })
    }

    /// Has the driver opened and read by a thread of its own.
    pub(crate) fn start(
        driver: Driver,
        machine: Machine,
        tier: Tier,
        start: Instant,
        inbox: Arc<Inbox>,
    ) -> Self {
        let (slow, mut worker) = Self::new(driver, pace::since(start), inbox);
        let thread = thread::Builder::new().name(format!("runlog-{}", slow.name));
        if let Err(error) = thread.spawn(move || worker.run(&machine, tier, start)) {
            warn(&slow.name, format_args!("has no thread, so there are no metrics of it: {error}"));
            slow.desk.found(Found::none(slow.name.clone(), error.to_string()));
            slow.desk.lock().phase = Phase::Over;
        }
        slow
    }

    /// Asks for a sample, unless the last one is still under way. After a `gap` nothing is averaged over it.
    pub(crate) fn ask(&self, now: Duration, gap: bool) {
        let mut state = self.desk.lock();
        state.gap |= gap;
        if state.phase == Phase::Idle {
            state.phase = Phase::Asked;
            state.asked = now;
            drop(state);
            self.desk.changed.notify_all();
        }
    }

    /// Whether an answer is to come.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.desk.lock().phase, Phase::Busy | Phase::Asked)
    }

    /// Whether it will answer when asked, as far as is known.
    pub(crate) fn may_answer(&self) -> bool {
        !self.late && self.desk.lock().phase != Phase::Over
    }

    /// Whether an answer is to come that is worth waiting for.
    pub(crate) fn is_awaited(&self, now: Duration) -> bool {
        !self.late && self.silent_for(now).is_some_and(|silent| silent < HANGS)
    }

    /// How long the driver has not answered; `None` if it owes nothing.
    pub(crate) fn silent_for(&self, now: Duration) -> Option<Duration> {
        self.is_pending().then(|| now.saturating_sub(self.desk.lock().asked))
    }

    /// Takes note that the wait for the driver is over without an answer.
    pub(crate) fn give_up(&mut self) {
        self.late |= self.is_pending();
    }

    /// Whether it let a window close without its answer.
    pub(crate) fn is_late(&self) -> bool {
        self.late
    }

    /// What opening has found, once.
    pub(crate) fn found(&self) -> Option<Found> {
        self.desk.lock().found.take()
    }

    /// Has it average nothing over the time before, whenever it samples next.
    pub(crate) fn note_gap(&self) {
        self.desk.lock().gap = true;
    }

    /// Hands over an answer with the time at which it was taken, and says whether there was one.
    pub(crate) fn collect(&mut self, take: impl FnOnce(&Readings, Duration)) -> bool {
        let mut state = self.desk.lock();
        let answered = state.phase == Phase::Answered;
        if answered {
            state.phase = Phase::Idle;
            take(&state.readings, state.at);
            self.late = false;
        }
        answered
    }

    /// Shows what there is of an answer, which stays to be collected; of one that is late only the whole.
    pub(crate) fn show(&self, take: impl FnOnce(&Readings, Duration)) {
        let state = self.desk.lock();
        if state.phase == Phase::Answered || state.part && !self.late {
            take(&state.readings, state.at);
        }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.desk.lock().left = true;
        self.desk.changed.notify_all();
    }
}

impl Found {
    /// One driver without a probe.
    fn none(name: Cow<'static, str>, reason: String) -> Self {
        Self { registry: Registry::new(Tier::Compat), tried: vec![(name, Some(reason))] }
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self, found: Found) {
        let mut state = self.lock();
        state.readings = Readings::new(&found.registry);
        state.found = Some(found);
    }
}

/// The driver's end.
pub(crate) struct Worker {
    driver: Driver,
    desk: Arc<Desk>,
    inbox: Arc<Inbox>,
    group: Option<Group>,
}

impl Worker {
    fn run(&mut self, machine: &Machine, tier: Tier, start: Instant) {
        self.open(machine, tier);
        while self.is_asked() {
            self.sample(|| pace::since(start));
        }
    }

    /// Opens the probe. What it has found and its first sample are an answer that nobody asked for.
    pub(crate) fn open(&mut self, machine: &Machine, tier: Tier) {
        let (group, found) = Group::open(slice::from_ref(&self.driver), machine, tier);
        self.desk.found(found);
        let mut state = self.desk.lock();
        state.phase = if group.is_over() { Phase::Over } else { Phase::Asked };
        drop(state);
        self.group = Some(group);
        self.inbox.ring();
    }

    /// Waits for the next question; there is none once nobody asks any more.
    fn is_asked(&self) -> bool {
        let nothing = |state: &mut State| !state.left && matches!(state.phase, Phase::Idle | Phase::Answered);
        let waited = self.desk.changed.wait_while(self.desk.lock(), nothing);
        let state = waited.unwrap_or_else(PoisonError::into_inner);
        !state.left && state.phase == Phase::Asked
    }

    #[cfg(test)]
    pub(crate) fn has_question(&self) -> bool {
        self.desk.lock().phase == Phase::Asked
    }

    /// Answers one question.
    pub(crate) fn sample(&mut self, now: impl FnOnce() -> Duration) {
        let (at, gap) = self.begin(now);
        self.answer(at, gap);
    }

    /// When the call of the driver's begins, and whether it comes after a gap.
    pub(crate) fn begin(&self, now: impl FnOnce() -> Duration) -> (Duration, bool) {
        let mut state = self.desk.lock();
        state.phase = Phase::Busy;
        let (gap, asked) = (mem::take(&mut state.gap), state.asked);
        drop(state);
        let at = now();
        (at, gap || at.saturating_sub(asked) >= STOPPED)
    }

    /// Makes the call, and hands over what the probe has before the end of it.
    pub(crate) fn read(&mut self, at: Duration, gap: bool) {
        let Some(group) = &mut self.group else { return };
        group.sample(at, gap, &|readings| {
            let mut state = self.desk.lock();
            state.readings.copy_from(readings);
            (state.at, state.part) = (at, true);
        });
    }

    pub(crate) fn answer(&mut self, at: Duration, gap: bool) {
        self.read(at, gap);
        self.come_back(at);
    }

    /// Hands over the whole of the answer that began `at` this time.
    pub(crate) fn come_back(&mut self, at: Duration) {
        let Some(group) = &mut self.group else { return };
        let mut state = self.desk.lock();
        mem::swap(&mut state.readings, &mut group.readings);
        (state.at, state.part) = (at, false);
        state.phase = if group.is_over() { Phase::Over } else { Phase::Answered };
        drop(state);
        self.inbox.ring();
    }
}
