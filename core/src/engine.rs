//! A tracker's moving parts in one process: its store, its journal, and how far the shipper is.
//!
//! Invariant: an engine belongs to the process that made it. After a fork the child makes its own (see
//! [`is_ours`](Engine::is_ours)): locks, threads and the mapping are the parent's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use crate::clock;
use crate::error::{Error, ErrorKind, Losses, Result};
use crate::exit;
use crate::journal::record::{Point, Record, Text};
use crate::journal::{Entry, Journal, Place};
use crate::logged::{Logged, Outcome};
use crate::notice;
use crate::store::Store;
use crate::sync::{lock, wait};

/// How long a synchronous log call waits for a store that does not answer.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// How long the end of a run or of a tracker waits for the store; what is left then is safe in the journal.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How many refusals keep their full text.
const REFUSALS_KEPT: usize = 1024;
/// A refusal that had no record, such as a bad key, is found by ticket; tickets are counted here.
#[derive(Debug, Default)]
struct Tickets {
    next: u64,
    kept: VecDeque<(u64, String, ErrorKind)>,
}

/// Store, journal and progress of a tracker in this process.
#[derive(Debug)]
pub(crate) struct Engine {
    id: u32,
    process: u32,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) journal: Journal,
    pub(crate) place: Place,
    synchronous: bool,
    /// How long ends wait for the store.
    pub(crate) patience: Duration,
    progress: Mutex<Progress>,
    /// Told when the shipper should look.
    wake: Condvar,
    /// Told when the shipper got further.
    further: Condvar,
    losses: Mutex<BTreeMap<u32, Losses>>,
    /// The params on their way that autologging logged: run, key, value.
    observed: Mutex<BTreeSet<(u32, String, String)>>,
    tickets: Mutex<Tickets>,
}

/// How far the shipper is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Every record below is stored or refused.
    pub(crate) done_below: u64,
    /// Somebody waits: do not sleep.
    pub(crate) wanted: bool,
    /// Deliver what is there and end; give up at this time.
    pub(crate) close_by: Option<Instant>,
    /// The shipper has ended.
    pub(crate) closed: bool,
    /// What the store says while it cannot be reached.
    pub(crate) trouble: Option<String>,
    refusals: VecDeque<Refusal>,
    /// Of refusals at or below this sequence not all are kept.
    forgotten_to: Option<u64>,
}

#[derive(Debug)]
struct Refusal {
    sequence: u64,
    run: u32,
    kind: ErrorKind,
    text: String,
}

static ENGINES: Mutex<Vec<Weak<Engine>>> = Mutex::new(Vec::new());

/// The engine with this number, if its tracker is open.
pub(crate) fn find(id: u32) -> Option<Arc<Engine>> {
    lock(&ENGINES).get(id as usize).and_then(Weak::upgrade)
}

/// Every engine of this process.
pub(crate) fn all() -> Vec<Arc<Engine>> {
    lock(&ENGINES).iter().filter_map(Weak::upgrade).filter(|engine| engine.is_ours()).collect()
}

impl Engine {
    /// Starts the shipper. `place` is where the journals of the store are, of other processes too.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        journal: Journal,
        place: Place,
        synchronous: bool,
        patience: Duration,
    ) -> Result<Arc<Self>> {
        exit::watch_exit();
        let mut engines = lock(&ENGINES);
        let engine = Arc::new(Self {
            id: u32::try_from(engines.len()).unwrap_or(u32::MAX),
            process: exit::process(),
            store,
            journal,
            place,
            synchronous,
            patience,
            progress: Mutex::default(),
            wake: Condvar::new(),
            further: Condvar::new(),
            losses: Mutex::default(),
            observed: Mutex::default(),
            tickets: Mutex::default(),
        });
        engines.push(Arc::downgrade(&engine));
        drop(engines);
        crate::shipper::start(Arc::clone(&engine))?;
        Ok(engine)
    }

    /// Whether this process made the engine; a forked child must not use its parent's.
    #[inline]
    pub(crate) fn is_ours(&self) -> bool {
        self.process == exit::process()
    }

    pub(crate) fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.progress)
    }

    /// Logs a metric point.
    #[inline]
    pub(crate) fn log_metric(&self, point: Point) -> Logged {
        match self.journal.metric(point) {
            Ok(sequence) => self.receipt(point.run, sequence, sequence + 1),
            Err(_full) => self.dropped(point.run),
        }
    }

    /// Logs anything else.
    pub(crate) fn log(&self, run: u32, text: &Text) -> Logged {
        match self.journal.text(text) {
            Ok(slots) => self.receipt(run, slots.start, slots.end),
            Err(_full) => self.dropped(run),
        }
    }

    #[inline]
    fn receipt(&self, run: u32, first: u64, end: u64) -> Logged {
        let logged = Logged { engine: self.id, run, outcome: Outcome::Journalled { first, end } };
        if self.synchronous {
            // What went wrong is counted for the run's end, and warned of where it happened.
            self.outcome(logged).ok();
        }
        logged
    }

    #[cold]
    fn dropped(&self, run: u32) -> Logged {
        if self.journal.is_sealed() {
            // Said by the receipt alone: no user waits for a word about the last moment of a process.
            return self
                .refuse(run, &Error::invalid("the process was ending; the record was not taken any more"));
        }
        let error = Error::new(
            ErrorKind::Unavailable,
            "the journal is full because the store takes nothing; the record was dropped",
        );
        notice::error("journal-full", format_args!("{error}"));
        self.refuse(run, &error)
    }

    /// Refuses a record before it is one, for `error`.
    #[cold]
    pub(crate) fn refuse(&self, run: u32, error: &Error) -> Logged {
        self.lose(run, &error.to_string(), 1);
        let mut tickets = lock(&self.tickets);
        let ticket = tickets.next;
        tickets.next += 1;
        keep(&mut tickets.kept, (ticket, error.to_string(), error.kind()));
        Logged { engine: self.id, run, outcome: Outcome::Refused { ticket } }
    }

    /// Logs a param that nobody wrote into a program: where the run has another value already, that is no loss.
    pub(crate) fn log_observed(&self, run: u32, key: &str, value: String) -> Logged {
        lock(&self.observed).insert((run, key.to_owned(), value.clone()));
        self.log(run, &Text::Param { run, key: key.to_owned(), value })
    }

    /// Whether the record is such a param; it is on its way no longer.
    pub(crate) fn take_observed(&self, entry: &Entry) -> bool {
        let Record::Text(Text::Param { run, key, value }) = &entry.record else { return false };
        let mut observed = lock(&self.observed);
        !observed.is_empty() && observed.remove(&(*run, key.clone(), value.clone()))
    }

    /// Notes that the store refused a record for good.
    pub(crate) fn refused(&self, run: u32, entry: &Entry, error: &Error) {
        self.lose(run, &error.to_string(), 1);
        let refusal = Refusal { sequence: entry.first, run, kind: error.kind(), text: error.to_string() };
        let mut progress = self.progress();
        if let Some(forgotten) = keep(&mut progress.refusals, refusal) {
            progress.forgotten_to = progress.forgotten_to.max(Some(forgotten.sequence));
        }
    }

    /// Counts what a run lost, for its end.
    pub(crate) fn lose(&self, run: u32, reason: &str, count: u64) {
        lock(&self.losses).entry(run).or_default().add(reason, count);
    }

    /// What a run lost so far.
    pub(crate) fn losses(&self, run: u32) -> Losses {
        lock(&self.losses).get(&run).cloned().unwrap_or_default()
    }

    /// Waits for a record and says what became of it.
    pub(crate) fn outcome(&self, logged: Logged) -> Result<()> {
        match logged.outcome {
            Outcome::Nothing | Outcome::Nowhere => Ok(()),
            Outcome::Refused { ticket } => {
                let tickets = lock(&self.tickets);
                match tickets.kept.iter().find(|(kept, ..)| *kept == ticket) {
                    Some((_, text, kind)) => Err(Error::new(*kind, text.clone())),
                    None => Err(Error::invalid("the record was refused; too many were to keep the reason")),
                }
            }
            Outcome::Journalled { first, end } => {
                self.wait_below(end, WAIT_MAX)?;
                let progress = self.progress();
                let refusal = progress
                    .refusals
                    .iter()
                    .find(|r| r.run == logged.run && (first..end).contains(&r.sequence));
                match refusal {
                    Some(refusal) => Err(Error::new(refusal.kind, refusal.text.clone())),
                    None if progress.forgotten_to >= Some(first) => Err(Error::new(
                        ErrorKind::Unexpected,
                        "too many records were refused to know of this one; `losses()` has the counts",
                    )),
                    None => Ok(()),
                }
            }
        }
    }

    /// Waits until everything logged so far is stored or refused.
    pub(crate) fn flush(&self, patience: Duration) -> Result<()> {
        self.wait_below(self.journal.tail(), patience)
    }

    /// Waits until every record below `sequence` is stored or refused.
    ///
    /// # Errors
    /// The store did not take them in time; they are still in the journal.
    pub(crate) fn wait_below(&self, sequence: u64, patience: Duration) -> Result<()> {
        let deadline = clock::instant() + patience;
        let mut progress = self.progress();
        loop {
            if progress.done_below >= sequence {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(clock::instant());
            if left.is_zero() || progress.closed {
                let waiting = sequence - progress.done_below;
                let why = progress.trouble.as_deref().unwrap_or("the store has not taken them yet");
                let mut error =
                    Error::new(ErrorKind::Unavailable, format!("records wait in the journal: {why}"));
                error = error.with("slots", waiting);
                return Err(error);
            }
            progress.wanted = true;
            self.wake.notify_one();
            progress = wait(&self.further, progress, left);
        }
    }

    /// Sleeps until somebody wants the shipper, for at most `patience`.
    pub(crate) fn wait_until_wanted(&self, patience: Duration) {
        let mut progress = self.progress();
        if !progress.wanted && progress.close_by.is_none() {
            progress = wait(&self.wake, progress, patience);
        }
        progress.wanted = false;
    }

    /// Waits out a store's trouble, at least for `least` and until somebody wants the shipper or it is to close; false
    /// if the time to close has come.
    pub(crate) fn wait_in_trouble(&self, least: Duration, patience: Duration) -> bool {
        let begin = clock::instant();
        let mut progress = self.progress();
        loop {
            let waited = begin.elapsed();
            if progress.close_by.is_some_and(|close_by| clock::instant() >= close_by) {
                return false;
            }
            let hurry = progress.wanted || progress.close_by.is_some();
            let enough = if hurry { least } else { patience };
            let left = enough.saturating_sub(waited);
            if left.is_zero() {
                progress.wanted = false;
                return true;
            }
            progress = wait(&self.wake, progress, left);
        }
    }

    /// Tells everybody who waits that the shipper got further.
    pub(crate) fn announce(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress());
        self.further.notify_all();
    }

    /// Takes nothing more, asks the shipper to deliver what is there and to end, waits for that, and says whether it has.
    ///
    /// Touches no thread-local, so that it can be called while the process exits.
    pub(crate) fn close(&self, patience: Duration) -> bool {
        if !self.is_ours() {
            return false;
        }
        // Without it, threads that go on to log would keep the shipper from ever being done.
        self.journal.seal();
        let deadline = clock::instant() + patience;
        let mut progress = self.progress();
        progress.close_by.get_or_insert(deadline);
        self.wake.notify_one();
        while !progress.closed {
            let left = deadline.saturating_duration_since(clock::instant());
            if left.is_zero() {
                return false;
            }
            progress = wait(&self.further, progress, left);
        }
        true
    }
}

/// Keeps the newest, and returns what had to go for it.
fn keep<T>(kept: &mut VecDeque<T>, new: T) -> Option<T> {
    let forgotten = if kept.len() == REFUSALS_KEPT { kept.pop_front() } else { None };
    kept.push_back(new);
    forgotten
}

#[cfg(test)]
mod tests;
