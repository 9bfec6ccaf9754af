//! A tracker's moving parts in one process: its store, its journal, and how far the shipper is.
//!
//! Invariant: an engine belongs to the process that made it. After a fork the child makes its own (see
//! [`is_ours`](Engine::is_ours)): locks, threads and the mapping are the parent's.

mod drops;
mod health;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use crate::clock;
use crate::error::{Error, ErrorKind, Losses, Result};
use crate::exit;
use crate::health::{LastError, Looks};
use crate::journal::record::{Point, Record, Text};
use crate::journal::{Entry, Full, Journal, NotTaken, Place, Reader};
use crate::logged::{Logged, Outcome};
use crate::notice;
use crate::store::Store;
use crate::sync::{lock, wait};

pub(crate) use drops::Dropped;
use drops::Drops;
pub(crate) use health::PREFIX as HEALTH_PREFIX;

/// How long a synchronous log call waits for a store that does not answer.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// How long the end of a run or of a tracker waits for the store; what is left then is safe in the journal.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// The same where the store has taken nothing since an end gave up on it: many runs may end then.
const PATIENCE_AGAIN: Duration = Duration::from_millis(500);
/// More than anybody waits; clocks overflow beyond.
const PATIENCE_MAX: Duration = Duration::from_hours(24 * 365);
/// How long a store that fails is left alone before somebody who waits for it makes it be asked again.
const RETRY_HURRIED: Duration = Duration::from_secs(1);
/// How many refusals are kept.
const REFUSALS_KEPT: usize = 1024;
/// How much of each: reasons name keys and values.
const REFUSAL_CHARS_MAX: usize = 1000;
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
    /// How long ends wait for the store, in milliseconds.
    patience_ms: AtomicU64,
    progress: Mutex<Progress>,
    /// Told when the shipper should look.
    wake: Condvar,
    /// Told when the shipper got further.
    further: Condvar,
    /// What each run lost, beside what was dropped.
    losses: Mutex<BTreeMap<u32, Losses>>,
    /// How many records those are.
    refused: AtomicU64,
    drops: Drops,
    /// The params on their way that autologging logged: run, key, value.
    observed: Mutex<BTreeSet<(u32, String, String)>>,
    tickets: Mutex<Tickets>,
    health_logs: health::Logs,
    /// Kills the shipper, as a bug of ours would.
    #[cfg(test)]
    has_a_bug: std::sync::atomic::AtomicBool,
}

/// How far the shipper is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Every record below is stored or refused.
    pub(crate) done_below: u64,
    /// Every record below was stored or refused, or its log call had not returned when the shipper looked last.
    pub(crate) read_below: u64,
    /// How many looks at the journal were begun, and how many of them were delivered.
    pub(crate) looks_begun: u64,
    pub(crate) looks_done: u64,
    /// Since when the shipper delivers what it saw.
    pub(crate) delivering_since: Option<Instant>,
    /// Somebody waits: do not sleep.
    pub(crate) wanted: bool,
    /// Deliver what is there and end; give up at this time.
    pub(crate) close_by: Option<Instant>,
    /// The shipper has ended.
    pub(crate) closed: bool,
    /// What the store says while it cannot be reached.
    pub(crate) trouble: Option<String>,
    /// What it said last when it did not take something.
    pub(crate) last_error: Option<LastError>,
    /// How far the shipper was when an end gave up on the store.
    given_up_at: Option<u64>,
    looks: Looks,
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
        let mut progress = Progress::default();
        progress.looks.note(0, clock::instant(), 0);
        let mut engines = lock(&ENGINES);
        let engine = Arc::new(Self {
            id: u32::try_from(engines.len()).unwrap_or(u32::MAX),
            process: exit::process(),
            store,
            journal,
            place,
            synchronous,
            patience_ms: AtomicU64::new(in_ms(patience)),
            progress: Mutex::new(progress),
            wake: Condvar::new(),
            further: Condvar::new(),
            losses: Mutex::default(),
            refused: AtomicU64::new(0),
            drops: Drops::default(),
            observed: Mutex::default(),
            tickets: Mutex::default(),
            health_logs: health::Logs::default(),
            #[cfg(test)]
            has_a_bug: false.into(),
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
            Err(Full) => self.dropped(point.run, self.why_full()),
        }
    }

    /// Logs anything else.
    pub(crate) fn log(&self, run: u32, text: &Text) -> Logged {
        match self.journal.text(text) {
            Ok(slots) => self.receipt(run, slots.start, slots.end),
            Err(NotTaken::Full) => self.dropped(run, self.why_full()),
            Err(NotTaken::Large) => self.dropped(run, Dropped::Large),
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
    fn dropped(&self, run: u32, why: Dropped) -> Logged {
        let count = self.drops.count(run, why);
        // Said by the receipt alone where the process ends: no user waits for a word about its last moment. Now and then
        // again, as somebody may be silent.
        if why == Dropped::Full && count.is_power_of_two() {
            notice::error("journal-full", format_args!("{}", why.error()));
        }
        Logged { engine: self.id, run, outcome: Outcome::Dropped(why) }
    }

    /// Why the journal has no room.
    fn why_full(&self) -> Dropped {
        if self.journal.is_sealed() { Dropped::Ending } else { Dropped::Full }
    }

    /// Refuses a record before it is one, for `error`.
    #[cold]
    pub(crate) fn refuse(&self, run: u32, error: &Error) -> Logged {
        self.lose(run, &error.to_string(), 1);
        let mut tickets = lock(&self.tickets);
        let ticket = tickets.next;
        tickets.next += 1;
        keep(&mut tickets.kept, (ticket, refusal_text(error), error.kind()));
        Logged { engine: self.id, run, outcome: Outcome::Refused { ticket } }
    }

    /// Logs a param that nobody wrote into a program: where the run has another value already, that is no loss.
    pub(crate) fn log_observed(&self, run: u32, key: &str, value: String) -> Logged {
        let param = (run, key.to_owned(), value.clone());
        lock(&self.observed).insert(param.clone());
        let logged = self.log(run, &Text::Param { run, key: key.to_owned(), value });
        if logged.is_refused() {
            lock(&self.observed).remove(&param);
        }
        logged
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
        let text = refusal_text(error);
        let mut progress = self.progress();
        progress.note_error(&text);
        let refusal = Refusal { sequence: entry.first, run, kind: error.kind(), text };
        if let Some(forgotten) = keep(&mut progress.refusals, refusal) {
            progress.forgotten_to = progress.forgotten_to.max(Some(forgotten.sequence));
        }
    }

    /// Counts what a run lost, for its end.
    pub(crate) fn lose(&self, run: u32, reason: &str, count: u64) {
        self.refused.fetch_add(count, Ordering::Relaxed);
        lock(&self.losses).entry(run).or_default().add(reason, count);
    }

    /// What a run lost so far.
    pub(crate) fn losses(&self, run: u32) -> Losses {
        let mut losses = lock(&self.losses).get(&run).cloned().unwrap_or_default();
        self.drops.add_to(&mut losses, run);
        losses
    }

    /// Waits for a record and says what became of it.
    pub(crate) fn outcome(&self, logged: Logged) -> Result<()> {
        match logged.outcome {
            Outcome::Nothing | Outcome::Nowhere => Ok(()),
            Outcome::Dropped(why) => Err(why.error()),
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

    fn waiting_error(&self, progress: &Progress) -> Error {
        let waiting = self.waiting(progress);
        let why = progress.trouble.as_deref().unwrap_or("the store has not taken them yet");
        Error::new(ErrorKind::Unavailable, format!("{waiting} record(s) wait in the journal: {why}"))
    }

    /// Closes at the end of a tracker, and says what waits then, or is lost if the journal is in memory. Says nothing while
    /// the process exits.
    pub(crate) fn close_and_tell(&self) {
        if !self.is_ours() {
            return;
        }
        self.close(exit::at_most(self.patience_now()));
        let progress = self.progress();
        if exit::is_exiting() || self.waiting(&progress) == 0 {
            return;
        }
        let waiting = self.waiting_error(&progress);
        drop(progress);
        if self.journal.is_durable() {
            self.tell_what_waits(&waiting, "");
        } else {
            notice::error(&format!("closed-without: {}", self.id), format_args!("{waiting}; they are lost"));
        }
    }

    /// How long ends wait for the store.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_millis(self.patience_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn set_patience(&self, patience: Duration) {
        self.patience_ms.store(in_ms(patience), Ordering::Relaxed);
    }

    /// How long an end that comes now waits: hardly, if the store has taken nothing since another one gave up on it.
    pub(crate) fn patience_now(&self) -> Duration {
        let progress = self.progress();
        let again = progress.given_up_at == Some(progress.read_below) && self.journal.is_durable();
        let patience = self.patience();
        if again { patience.min(PATIENCE_AGAIN) } else { patience }
    }

    /// Waits at the end of a run until everything logged so far is stored or refused.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub(crate) fn flush_at_end(&self) -> Result<()> {
        self.flush(self.patience_now()).inspect_err(|_waiting| {
            let mut progress = self.progress();
            progress.given_up_at = Some(progress.read_below);
        })
    }

    /// Says, once, that an end left records in the journal, and who delivers them, beside `others`.
    pub(crate) fn tell_what_waits(&self, waiting: &Error, others: &str) {
        if !self.journal.is_durable() {
            return;
        }
        let dir = self.journal.dir().unwrap_or(Path::new("")).display();
        notice::warn(
            &format!("end-waits: {dir}"),
            format_args!(
                "{waiting}; they are safe in {dir} and are delivered {others}by the next program that uses this store, \
                 or by `runlog sync`"
            ),
        );
    }

    /// Waits until every record below `sequence` is stored or refused, except for those whose log call has not returned.
    ///
    /// # Errors
    /// The store did not take them in time; they are still in the journal.
    pub(crate) fn wait_below(&self, sequence: u64, patience: Duration) -> Result<()> {
        let deadline = clock::instant() + patience.min(PATIENCE_MAX);
        let mut progress = self.progress();
        // What a look passes over that begins from now on, no caller has been told to be logged.
        let begun = progress.looks_begun;
        loop {
            let is_seen = progress.looks_done > begun && progress.read_below >= sequence;
            if progress.done_below >= sequence || is_seen {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(clock::instant());
            if left.is_zero() || progress.closed {
                return Err(self.waiting_error(&progress));
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

    /// Waits out a store's trouble that was met at `begin`: for `pause`, or less if somebody wants the shipper or it is to
    /// close. At most for `turn`, after which the journal wants to be looked after.
    pub(crate) fn wait_in_trouble(&self, begin: Instant, pause: Duration, turn: Duration) -> Turn {
        let until = clock::instant() + turn;
        let mut progress = self.progress();
        loop {
            let now = clock::instant();
            if progress.close_by.is_some_and(|close_by| now >= close_by) {
                return Turn::GiveUp;
            }
            let hurry = progress.wanted || progress.close_by.is_some();
            let enough = if hurry { pause.min(RETRY_HURRIED) } else { pause };
            let left = enough.saturating_sub(now.duration_since(begin));
            if left.is_zero() {
                progress.wanted = false;
                return Turn::Retry;
            }
            let turn_left = until.saturating_duration_since(now);
            if turn_left.is_zero() {
                return Turn::Tend;
            }
            let left = progress.close_by.map_or(left, |close_by| left.min(close_by.duration_since(now)));
            progress = wait(&self.wake, progress, left.min(turn_left));
        }
    }

    /// The shipper is about to look at the journal; says by when it is to close.
    pub(crate) fn begin_look(&self) -> Option<Instant> {
        #[cfg(test)]
        assert!(!self.has_a_bug.load(Ordering::Relaxed), "a bug of ours");
        let now = clock::instant();
        let mut progress = self.progress();
        let (tail, oldest) = (self.journal.tail(), progress.read_below);
        progress.looks.note(tail, now, oldest);
        progress.looks_begun += 1;
        progress.delivering_since = Some(now);
        progress.close_by
    }

    /// The shipper has delivered what it saw.
    pub(crate) fn end_look(&self, reader: &Reader) {
        self.announce(|progress| {
            progress.done_below = reader.done_below();
            progress.read_below = reader.read_below();
            progress.looks_done = progress.looks_begun;
            progress.delivering_since = None;
            progress.trouble = None;
        });
    }

    /// Tells everybody who waits that the shipper got further.
    pub(crate) fn announce(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress());
        self.further.notify_all();
    }

    /// Takes nothing more and asks the shipper to deliver what is there and to end; says when it will give up.
    ///
    /// Touches no thread-local, so that it can be called while the process exits.
    pub(crate) fn begin_close(&self, patience: Duration) -> Instant {
        // Without it, threads that go on to log would keep the shipper from ever being done.
        self.journal.seal();
        let deadline = clock::instant() + patience.min(PATIENCE_MAX);
        self.progress().close_by.get_or_insert(deadline);
        self.wake.notify_one();
        deadline
    }

    /// Takes nothing more, asks the shipper to deliver what is there and to end, waits for that, and says whether it has.
    ///
    /// Touches no thread-local, so that it can be called while the process exits.
    pub(crate) fn close(&self, patience: Duration) -> bool {
        if !self.is_ours() {
            return false;
        }
        let deadline = self.begin_close(patience);
        let mut progress = self.progress();
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

impl Progress {
    /// Notes what the store said when it did not take something.
    pub(crate) fn note_error(&mut self, message: &str) {
        self.last_error = Some(LastError { message: message.into(), time_ms: clock::now_ms() });
    }
}

/// What a shipper does next whose store is in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Make the call again.
    Retry,
    /// Look after the journal, and wait on.
    Tend,
    /// End: what is left stays in the journal.
    GiveUp,
}

fn in_ms(patience: Duration) -> u64 {
    u64::try_from(patience.min(PATIENCE_MAX).as_millis()).unwrap_or(u64::MAX)
}

fn refusal_text(error: &Error) -> String {
    error.to_string().chars().take(REFUSAL_CHARS_MAX).collect()
}

/// Keeps the newest, and returns what had to go for it.
fn keep<T>(kept: &mut VecDeque<T>, new: T) -> Option<T> {
    let forgotten = if kept.len() == REFUSALS_KEPT { kept.pop_front() } else { None };
    kept.push_back(new);
    forgotten
}

#[cfg(test)]
mod tests;
