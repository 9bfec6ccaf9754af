//! The library's state, and the one way into it that every call takes.
//!
//! Invariant: every call is counted, then held or delayed as the rules say, then refused if it must be, in this order;
//! nothing is locked while a call hangs or dawdles.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{self, Clock, Millis};
use crate::codes::{Answer, Code, DRIVER_NOT_LOADED, INVALID_ARGUMENT, SUCCESS, UNINITIALIZED};
use crate::device::{self, Device, Target};
use crate::key::Key;
use crate::rules::{self, Stage, Verdict};
use crate::script::{Script, whole};

pub(crate) struct State {
    /// `None`: no driver.
    pub(crate) script: Option<Script>,
    pub(crate) clock: Clock,
    /// Initializations without their shutdown.
    pub(crate) users: u64,
    /// By `symbol` and by `symbol@device`.
    calls: BTreeMap<String, u64>,
    pub(crate) samples: BTreeMap<usize, Option<GpmSample>>,
    pub(crate) event_sets: BTreeMap<usize, EventSet>,
    next_handle: usize,
    /// Calls that hang at the moment.
    hung: u32,
    /// How often what hung was released.
    releases: u64,
    /// Whether calls still hang.
    holds: bool,
    /// Why the last script was refused.
    pub(crate) error: Option<CString>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct GpmSample {
    pub(crate) target: Target,
    pub(crate) at: Millis,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct EventSet {
    /// With the moment of their registration.
    pub(crate) devices: Vec<(Target, Millis)>,
    /// Which of the script's events were told.
    pub(crate) told: Vec<usize>,
}

static STATE: Mutex<State> = Mutex::new(State::new());
static CHANGED: Condvar = Condvar::new();

impl State {
    const fn new() -> Self {
        Self {
            script: None,
            clock: Clock::Manual(0),
            users: 0,
            calls: BTreeMap::new(),
            samples: BTreeMap::new(),
            event_sets: BTreeMap::new(),
            next_handle: 0,
            hung: 0,
            releases: 0,
            holds: true,
            error: None,
        }
    }

    /// Begins anew with a script; who has initialized the library keeps it.
    pub(crate) fn load(&mut self, script: Script) {
        self.clock = if script.manual_clock { Clock::Manual(0) } else { Clock::real() };
        self.script = Some(script);
        self.calls.clear();
        self.holds = true;
    }

    pub(crate) fn script(&self) -> Answer<&Script> {
        self.script.as_ref().ok_or(DRIVER_NOT_LOADED)
    }

    pub(crate) fn calls(&self, name: &str) -> u64 {
        self.calls.get(name).copied().unwrap_or(0)
    }

    pub(crate) fn all_calls(&self) -> u64 {
        self.calls.iter().filter(|(name, _)| !name.contains(['@', '/'])).map(|(_, count)| count).sum()
    }

    /// A handle for something that callers free, never the same twice.
    pub(crate) fn new_handle(&mut self) -> usize {
        self.next_handle += 16;
        0x5000_0000 + self.next_handle
    }

    /// Counts a call or a part of one, and asks the rules.
    pub(crate) fn judge(&mut self, stage: Stage, symbol: &str, device: Option<Target>) -> Verdict {
        if stage == Stage::Entry {
            *self.calls.entry(symbol.to_owned()).or_default() += 1;
        }
        if let Some(device) = device {
            *self.calls.entry(format!("{symbol}@{device}")).or_default() += 1;
        }
        let now = self.clock.now();
        match &mut self.script {
            Some(script) => rules::judge(&mut script.rules, stage, symbol, device, now),
            None => Verdict::default(),
        }
    }
}

pub(crate) fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets go what hangs, and lets nothing hang any more until the next script.
pub(crate) fn release() {
    let mut state = lock();
    state.releases += 1;
    state.holds = false;
    CHANGED.notify_all();
}

/// Whether `count` calls hang, waited for at most so long.
pub(crate) fn await_hung(count: u32, at_most: Duration) -> bool {
    let waiting = CHANGED.wait_timeout_while(lock(), at_most, |state| state.hung < count);
    waiting.unwrap_or_else(PoisonError::into_inner).0.hung >= count
}

/// Waits until something changes, but not much longer than `at_most`.
pub(crate) fn wait(state: MutexGuard<'static, State>, at_most: Duration) -> MutexGuard<'static, State> {
    CHANGED.wait_timeout(state, at_most).unwrap_or_else(PoisonError::into_inner).0
}

/// A call that is let in, with the state locked.
pub(crate) struct Call {
    pub(crate) state: MutexGuard<'static, State>,
    pub(crate) symbol: &'static str,
    /// Of a call on a handle.
    target: Option<Target>,
    pub(crate) now: Millis,
}

impl Call {
    /// A call on a handle.
    pub(crate) fn on_handle(symbol: &'static str, handle: usize) -> Answer<Self> {
        let target = Target::of_handle(handle);
        let call = Self::enter(symbol, target)?;
        device::find(&call.state.script()?.gpus, target.ok_or(INVALID_ARGUMENT)?)?;
        Ok(call)
    }

    /// A call on the library, which must be initialized.
    pub(crate) fn enter(symbol: &'static str, target: Option<Target>) -> Answer<Self> {
        let call = Self::always(symbol, target)?;
        if call.state.users == 0 { Err(UNINITIALIZED) } else { Ok(call) }
    }

    pub(crate) fn always(symbol: &'static str, target: Option<Target>) -> Answer<Self> {
        let state = meet(lock(), Stage::Entry, symbol, target)?;
        let now = state.clock.now();
        Ok(Self { state, symbol, target, now })
    }

    /// Has a call that was no call on a handle meet the rules of the device that it turned out to be about.
    pub(crate) fn about(mut self, stage: Stage, target: Target) -> Answer<Self> {
        self.state = meet(self.state, stage, self.symbol, Some(target))?;
        self.now = self.state.clock.now();
        self.target = Some(target);
        Ok(self)
    }

    /// The fault of one part of a call, such as a field.
    pub(crate) fn part(&mut self, part: u32) -> Answer<()> {
        let verdict = self.state.judge(Stage::Entry, &format!("{}/{part}", self.symbol), self.target);
        verdict.fault.map_or(Ok(()), Err)
    }

    pub(crate) fn script(&self) -> Answer<&Script> {
        self.state.script()
    }

    pub(crate) fn target(&self) -> Answer<Target> {
        self.target.ok_or(INVALID_ARGUMENT)
    }

    pub(crate) fn device(&self) -> Answer<&Device> {
        device::find(&self.script()?.gpus, self.target()?)
    }

    /// A value of the device now.
    pub(crate) fn value(&self, key: Key) -> Answer<f64> {
        self.device()?.value(key, self.now)
    }

    /// The same as a count.
    pub(crate) fn count(&self, key: Key) -> Answer<u64> {
        self.value(key).map(whole)
    }

    /// The same as a smaller count.
    pub(crate) fn number(&self, key: Key) -> Answer<u32> {
        self.count(key).map(small)
    }
}

/// A count for a field of 32 bits.
pub(crate) fn small(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn meet(
    mut state: MutexGuard<'static, State>,
    when: Stage,
    symbol: &'static str,
    target: Option<Target>,
) -> Answer<MutexGuard<'static, State>> {
    let verdict = state.judge(when, symbol, target);
    if verdict.hang && state.holds {
        let releases = state.releases;
        state.hung += 1;
        CHANGED.notify_all();
        while state.releases == releases {
            state = CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.hung -= 1;
        CHANGED.notify_all();
    }
    if verdict.slow > 0 && state.clock.is_manual() {
        state.clock.advance(verdict.slow);
    } else if verdict.slow > 0 {
        drop(state);
        clock::spend(verdict.slow);
        state = lock();
    }
    match verdict.fault {
        Some(code) => Err(code),
        None => Ok(state),
    }
}

/// What a call returns.
pub(crate) fn code(answer: Answer<()>) -> Code {
    answer.err().unwrap_or(SUCCESS)
}
