//! What a process that was killed left in its journal, brought to the store by another one.
//!
//! Invariant: a journal is never in memory as a whole; it is read, delivered and acknowledged piece by piece.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::clock;
use crate::deliver::{GaveUp, Ledger, Spare, TAKE_MAX, deliver};
use crate::entity::{LifecycleStage, Run, RunChange, RunStatus, Tag};
use crate::error::{Error, ErrorKind, Result};
use crate::journal::record::{Record, Text};
use crate::journal::{
    Claim, Definitions, Entry, Place, Slot, Taken, Window, dead_journals, partly_unreadable,
};
use crate::notice;
use crate::run::ENDED_BY;
use crate::shipper::{keep_rejected, retry_pause, run_of};
use crate::store::{Batch, PageRequest, RunQuery, Store};

/// The tag that names the process which has to end a run.
pub(crate) const OWNER: &str = "runlog.owner";
/// How long a busy store is tried for; the journal stays for the next time.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// How many runs a process may have been creating at the moment it died: one a thread.
const UNNAMED_MAX: usize = 1000;
/// A panic or signal explains a death only if nothing was logged much later.
const LAST_WORDS_MS: i64 = 1000;
/// Records taken at once beside a training, whose own are not to wait long.
const TAKE_GENTLY: usize = 2048;
/// Bytes of texts taken at once.
const TEXT_BYTES_MAX: usize = 8 << 20;

/// What a recovery brought to the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Journals of dead processes that were delivered and removed.
    pub journals: u64,
    /// Records that were delivered.
    pub records: u64,
    /// Records that the store refused; they are kept in `rejected.jsonl` beside the journals.
    pub refused: u64,
    /// Records of which only the beginning was on the full disk of their process; nothing can be kept of them.
    pub cut: u64,
    /// Tags and ends of runs that another process has resumed since; they hold no more and were dropped.
    pub outdated: u64,
    /// The runs that were ended, as their process had wanted or because it had died.
    pub ended_runs: Vec<EndedRun>,
    /// The journals that stay because not all of them can be read or removed, and why.
    pub kept: Vec<(PathBuf, String)>,
}

/// A run that was ended for a process that had died.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndedRun {
    /// Its id.
    pub run_id: String,
    /// Its name.
    pub run_name: String,
    /// What it ended as.
    pub status: RunStatus,
    /// Why; `None` if its process had ended it, and only the store had not heard of it.
    pub reason: Option<String>,
}

/// How fast journals are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As fast as the store takes them.
    Full,
    /// In small pieces, with a rest after each: a training begins beside it.
    Gentle,
}

/// Why a journal stays.
#[derive(Debug)]
pub(crate) enum Stays {
    /// The store does not take it.
    Store(Error),
    /// The journal cannot be read, marked or removed.
    Journal(Error),
}

/// Delivers the journals of dead processes for the store at `address`, and ends their runs. A busy store is tried for
/// `patience`.
///
/// A journal that cannot be delivered does not keep the others back.
///
/// # Errors
/// The first trouble of the store.
pub(crate) fn recover(
    store: &dyn Store,
    journals: &Place,
    address: &str,
    pace: Pace,
    patience: Duration,
) -> Result<Recovery> {
    let mut recovery = Recovery::default();
    let mut outcome = Ok(());
    let settled = &mut |_| {};
    let mut delivery = Delivery { store, place: journals, pace, patience, settled };
    for dir in dead_journals(journals) {
        let stays = match Claim::take(&dir) {
            Ok(Taken::Claim(claim)) if claim.store() == address => {
                delivery.deliver(*claim, &mut recovery).err()
            }
            Ok(_) => None,
            Err(error) => Some(Stays::Journal(error)),
        };
        match stays {
            None => {}
            Some(Stays::Journal(error)) => recovery.kept.push((dir, error.to_string())),
            Some(Stays::Store(error)) => {
                let is_busy = error.is_temporary();
                outcome = outcome.and(Err(error));
                if is_busy {
                    break;
                }
            }
        }
    }
    outcome.map(|()| recovery)
}

/// Brings journals of dead processes to one store.
pub(crate) struct Delivery<'a> {
    pub(crate) store: &'a dyn Store,
    /// Where the journals are.
    pub(crate) place: &'a Place,
    pub(crate) pace: Pace,
    /// How long a busy store is tried for.
    pub(crate) patience: Duration,
    /// Told how many records wait no more.
    pub(crate) settled: &'a mut dyn FnMut(u64),
}

impl Delivery<'_> {
    /// Delivers a journal, ends its runs and removes it. What was done is in `recovery` whatever the outcome.
    pub(crate) fn deliver(&mut self, claim: Claim, recovery: &mut Recovery) -> Result<(), Stays> {
        let taken_over = taken_over(self.store, &claim).map_err(Stays::Store)?;
        let mut history = History::default();
        let (mut unreadable, mut cut) = (0, 0);
        let mut unkept = None;
        let mut ends = Vec::new();
        let damaged = claim.walk(|window| {
            let mut batch = Vec::new();
            let mut text_bytes = 0;
            for slot in window.slots() {
                let entry = match slot {
                    Slot::Acknowledged(entry) => {
                        history.note(&entry.record);
                        continue;
                    }
                    Slot::Waiting(entry) => entry,
                    Slot::Unreadable => {
                        unreadable += 1;
                        continue;
                    }
                    Slot::Cut => {
                        cut += 1;
                        continue;
                    }
                };
                history.note(&entry.record);
                if is_outdated(&entry, &taken_over) {
                    window.acknowledge(&entry);
                    recovery.outdated += 1;
                    (self.settled)(1);
                    continue;
                }
                text_bytes += text_bytes_of(&entry.record);
                batch.push(entry);
                if batch.len() >= self.take_max() || text_bytes >= TEXT_BYTES_MAX {
                    self.send(&claim, window, &batch, recovery, &mut unkept, &mut ends)?;
                    batch.clear();
                    text_bytes = 0;
                }
            }
            self.send(&claim, window, &batch, recovery, &mut unkept, &mut ends)
        })?;
        self.end_runs(&claim, &history, &ends, recovery).map_err(Stays::Store)?;
        self.store.sync().map_err(Stays::Store)?;
        if let Some(error) = unkept.or_else(|| partly_unreadable(claim.dir(), &damaged, unreadable)) {
            return Err(Stays::Journal(error));
        }
        claim.remove().map_err(Stays::Journal)?;
        recovery.journals += 1;
        if cut > 0 {
            recovery.cut += cut;
            notice::error(
                "cut",
                format_args!("{cut} record(s) of a dead process are lost, their end was in its memory"),
            );
        }
        Ok(())
    }

    fn take_max(&self) -> usize {
        match self.pace {
            Pace::Full => TAKE_MAX,
            Pace::Gentle => TAKE_GENTLY,
        }
    }

    fn send(
        &mut self,
        claim: &Claim,
        window: &Window<'_>,
        batch: &[Entry],
        recovery: &mut Recovery,
        unkept: &mut Option<Error>,
        ends: &mut Vec<(u32, RunStatus)>,
    ) -> Result<(), Stays> {
        let start = clock::instant();
        let (place, settled) = (self.place, &mut *self.settled);
        let deadline = start + self.patience;
        let trouble = None;
        let mut ledger = Dead { claim, window, place, recovery, unkept, ends, settled, deadline, trouble };
        if let Err(GaveUp) = deliver(self.store, claim.definitions(), batch, &mut Spare::new(), &mut ledger) {
            let why = ledger.trouble.map(|trouble| format!(": {trouble}")).unwrap_or_default();
            let message = format!("the store is busy, and a dead process's records stay in its journal{why}");
            return Err(Stays::Store(Error::new(ErrorKind::Unavailable, message)));
        }
        if self.pace == Pace::Gentle {
            // Half of the time is for who logs now.
            std::thread::park_timeout(start.elapsed());
        }
        Ok(())
    }

    /// Ends the runs that the dead process had to end, and only those: one may have been resumed elsewhere since.
    fn end_runs(
        &self,
        claim: &Claim,
        history: &History,
        ends: &[(u32, RunStatus)],
        recovery: &mut Recovery,
    ) -> Result<()> {
        let ended_by_itself: BTreeMap<u32, RunStatus> = ends.iter().copied().collect();
        for (number, definition) in claim.definitions().runs() {
            let ended = ended_by_itself.get(&number);
            if !definition.owned && ended.is_none() {
                continue;
            }
            let run = match self.store.get_run(&definition.run_id) {
                Ok(run) => run,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if definition.owned && is_left_by(claim, &run) {
                recovery.ended_runs.push(self.end_run(claim, history, Some(number), run)?);
            } else if let Some(status) = ended {
                let (run_id, run_name) = (run.info.run_id, run.info.run_name);
                recovery.ended_runs.push(EndedRun { run_id, run_name, status: *status, reason: None });
            }
        }
        for run in unnamed(self.store, claim)? {
            recovery.ended_runs.push(self.end_run(claim, history, None, run)?);
        }
        Ok(())
    }

    fn end_run(&self, claim: &Claim, history: &History, number: Option<u32>, run: Run) -> Result<EndedRun> {
        // Timestamps are the user's to give; a run does not end before it starts.
        let stored = run.data.metrics.iter().map(|metric| metric.timestamp);
        let logged = number.and_then(|number| history.last_points.get(&number).copied());
        let mut end_time = stored.chain(logged).max().unwrap_or_default().max(run.info.start_time);
        let (status, why) = match &history.last_words {
            Some((time, status, text)) if time + LAST_WORDS_MS >= end_time => {
                end_time = end_time.max(*time);
                (*status, text.clone())
            }
            _ => (RunStatus::Failed, format!("its process ({}) died without ending it", claim.pid())),
        };
        let (run_id, run_name) = (run.info.run_id, run.info.run_name);
        let batch = Batch { tags: vec![Tag::new(ENDED_BY, why.clone())], ..Batch::default() };
        self.store.log_batch(&run_id, &batch)?;
        let change = RunChange { status: Some(status), end_time: Some(end_time), run_name: None };
        self.store.update_run(&run_id, &change)?;
        Ok(EndedRun { run_id, run_name, status, reason: Some(why) })
    }
}

/// What a journal tells of the time at which its runs ended.
#[derive(Default)]
struct History {
    /// The time of the last point of each run.
    last_points: BTreeMap<u32, i64>,
    last_words: Option<(i64, RunStatus, String)>,
}

impl History {
    fn note(&mut self, record: &Record) {
        let (run, time) = match record {
            Record::Metric(point) => (point.run, point.timestamp),
            Record::Text(Text::Measure { run, point }) => (*run, point.timestamp),
            Record::Text(Text::Note { time, status, text }) => {
                self.last_words = Some((*time, *status, text.clone()));
                return;
            }
            Record::Text(_) => return,
        };
        let last = self.last_points.entry(run).or_insert(time);
        *last = time.max(*last);
    }
}

/// Whether it is the end or a tag of a run that another process has resumed since.
fn is_outdated(entry: &Entry, taken_over: &BTreeSet<u32>) -> bool {
    let text =
        matches!(&entry.record, Record::Text(Text::End { .. } | Text::Tag { .. } | Text::DeleteTag { .. }));
    text && taken_over.contains(&run_of(entry))
}

fn text_bytes_of(record: &Record) -> usize {
    match record {
        Record::Text(Text::Param { value, .. } | Text::Tag { value, .. }) => value.len(),
        Record::Text(Text::Input { input, .. }) => {
            input.dataset.schema.as_ref().map_or(0, String::len)
                + input.dataset.profile.as_ref().map_or(0, String::len)
                + input.dataset.source.len()
        }
        _ => 0,
    }
}

/// The runs of the dead process that another one has resumed since: their end and their tags are its to set.
fn taken_over(store: &dyn Store, claim: &Claim) -> Result<BTreeSet<u32>> {
    let mut taken_over = BTreeSet::new();
    for (number, definition) in claim.definitions().runs() {
        match store.get_run(&definition.run_id) {
            Ok(run) if definition.owned && run.tag(OWNER) != Some(claim.owner_name()) => {
                taken_over.insert(number);
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(taken_over)
}

/// The ledger of a dead process.
struct Dead<'a> {
    claim: &'a Claim,
    window: &'a Window<'a>,
    place: &'a Place,
    recovery: &'a mut Recovery,
    /// Why a refused record could not be kept; it stays in the journal.
    unkept: &'a mut Option<Error>,
    /// The runs that the process had ended.
    ends: &'a mut Vec<(u32, RunStatus)>,
    settled: &'a mut dyn FnMut(u64),
    deadline: Instant,
    /// What the store said last.
    trouble: Option<String>,
}

impl Ledger for Dead<'_> {
    fn stored(&mut self, entry: &Entry) {
        self.window.acknowledge(entry);
        self.recovery.records += 1;
        if let Record::Text(Text::End { run, status, .. }) = &entry.record {
            self.ends.push((*run, *status));
        }
        (self.settled)(1);
    }

    fn refused(&mut self, entry: &Entry, error: &Error) {
        (self.settled)(1);
        let definitions = self.claim.definitions();
        if let Err(cause) = keep_rejected(self.place, definitions, entry, error)
            && is_defined(definitions, entry)
        {
            self.unkept.get_or_insert(cause);
            return;
        }
        self.window.acknowledge(entry);
        self.recovery.refused += 1;
        notice::error(
            &format!("refused: {error}"),
            format_args!("a record of a dead process is lost, the store refused it: {error}"),
        );
    }

    fn wait_to_retry(&mut self, error: &Error, attempt: u32) -> bool {
        self.trouble = Some(error.to_string());
        let left = self.deadline.saturating_duration_since(clock::instant());
        std::thread::park_timeout(retry_pause(attempt).min(left));
        clock::instant() < self.deadline
    }
}

/// Whether the journal says which run and which metric a record is of. If not, it is of no use to anybody.
fn is_defined(definitions: &Definitions, entry: &Entry) -> bool {
    match &entry.record {
        Record::Text(Text::Note { .. } | Text::Aside { .. }) => true,
        Record::Metric(point) if definitions.key_name(point.key).is_none() => false,
        _ => definitions.run_of(run_of(entry)).is_some(),
    }
}

fn is_left_by(claim: &Claim, run: &Run) -> bool {
    run.info.lifecycle_stage == LifecycleStage::Active
        && run.info.status == RunStatus::Running
        && run.tag(OWNER) == Some(claim.owner_name())
}

/// The runs of a process that died after it had created them and before it could write their ids down.
fn unnamed(store: &dyn Store, claim: &Claim) -> Result<Vec<Run>> {
    let mut query = RunQuery::new()
        .filter(format!("attributes.status = 'RUNNING' AND tags.`{OWNER}` = '{}'", claim.owner_name()));
    query.experiment_ids = claim.definitions().experiments().into_iter().collect();
    if query.experiment_ids.is_empty() {
        return Ok(Vec::new());
    }
    match store.search_runs(&query, &PageRequest::first(UNNAMED_MAX)) {
        Ok(mut page) => {
            page.items.retain(|run| is_left_by(claim, run));
            Ok(page.items)
        }
        Err(error) if error.is_temporary() => Err(error),
        Err(error) => {
            // What was logged must not wait for ever for a store that cannot search.
            notice::warn(
                "recovery-search",
                format_args!("runs that a dead process had just created may still be RUNNING: {error}"),
            );
            Ok(Vec::new())
        }
    }
}

#[cfg(test)]
mod tests;
