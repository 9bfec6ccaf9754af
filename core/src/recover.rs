//! What a process that was killed left in its journal, brought to the store by another one.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock;
use crate::deliver::{GaveUp, Ledger, TAKE_MAX, deliver};
use crate::entity::{LifecycleStage, Run, RunChange, RunStatus, Tag};
use crate::error::{Error, ErrorKind, Result};
use crate::journal::record::{Record, Text};
use crate::journal::{Claim, Entry, Place, dead_journals};
use crate::notice;
use crate::run::ENDED_BY;
use crate::shipper::{keep_rejected, retry_pause, run_of};
use crate::store::{Batch, PageRequest, RunQuery, Store};

/// The tag that names the process which has to end a run.
pub(crate) const OWNER: &str = "runlog.owner";
/// How long a busy store is tried for; the journal stays for the next time.
const PATIENCE: Duration = Duration::from_mins(1);
/// How many runs a process may have been creating at the moment it died: one a thread.
const UNNAMED_MAX: usize = 1000;
/// A panic or signal explains a death only if nothing was logged much later.
const LAST_WORDS_MS: i64 = 1000;

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
    /// The ids of the runs that were ended because their process had died.
    pub ended_runs: Vec<String>,
}

/// Delivers the journals of dead processes for the store at `address`, and ends their runs.
///
/// A journal that cannot be delivered does not keep the others back; the first such error is returned at the end.
pub(crate) fn recover(store: &dyn Store, place: &Place, address: &str) -> Result<Recovery> {
    let mut recovery = Recovery::default();
    let mut outcome = Ok(());
    for dir in dead_journals(place) {
        let delivered = match Claim::take(&dir) {
            Ok(Some(claim)) if claim.store() == address => deliver_claim(store, place, claim, &mut recovery),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        outcome = outcome.and(delivered);
    }
    outcome.map(|()| recovery)
}

fn deliver_claim(store: &dyn Store, place: &Place, claim: Claim, recovery: &mut Recovery) -> Result<()> {
    let taken_over = taken_over(store, &claim)?;
    let is_outdated = |entry: &Entry| {
        let text = matches!(
            &entry.record,
            Record::Text(Text::End { .. } | Text::Tag { .. } | Text::DeleteTag { .. })
        );
        text && taken_over.contains(&run_of(entry))
    };
    let mut entries = claim.unacknowledged().peekable();
    while entries.peek().is_some() {
        let taken: Vec<Entry> = entries.by_ref().take(TAKE_MAX).collect();
        let (outdated, current): (Vec<Entry>, Vec<Entry>) = taken.into_iter().partition(is_outdated);
        let mut ledger = Dead { claim: &claim, place, recovery, deadline: clock::instant() + PATIENCE };
        deliver(store, claim.definitions(), &current, &mut ledger).map_err(|GaveUp| {
            Error::new(
                ErrorKind::Unavailable,
                "the store is busy; a dead process's records stay in its journal",
            )
        })?;
        for entry in current.iter().chain(&outdated) {
            claim.acknowledge(entry);
        }
    }
    drop(entries);
    end_runs(store, &claim, recovery)?;
    store.sync()?;
    claim.remove()?;
    recovery.journals += 1;
    Ok(())
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

struct Dead<'a> {
    claim: &'a Claim,
    place: &'a Place,
    recovery: &'a mut Recovery,
    deadline: std::time::Instant,
}

impl Ledger for Dead<'_> {
    fn stored(&mut self, _: &Entry) {
        self.recovery.records += 1;
    }

    fn refused(&mut self, entry: &Entry, error: &Error) {
        self.recovery.refused += 1;
        notice::error(
            &format!("refused: {error}"),
            format_args!("a record of a dead process is lost, the store refused it: {error}"),
        );
        keep_rejected(self.place, self.claim.definitions(), entry, error);
    }

    fn wait_to_retry(&mut self, _: &Error, attempt: u32) -> bool {
        std::thread::park_timeout(retry_pause(attempt));
        clock::instant() < self.deadline
    }
}

/// Ends the runs that the dead process had to end, and only those: one may have been resumed elsewhere since.
fn end_runs(store: &dyn Store, claim: &Claim, recovery: &mut Recovery) -> Result<()> {
    for (number, definition) in claim.definitions().runs() {
        if !definition.owned {
            continue;
        }
        let run = match store.get_run(&definition.run_id) {
            Ok(run) => run,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if is_left_by(claim, &run) {
            end_run(store, claim, Some(number), &run)?;
            recovery.ended_runs.push(run.info.run_id);
        }
    }
    for run in unnamed(store, claim)? {
        end_run(store, claim, None, &run)?;
        recovery.ended_runs.push(run.info.run_id);
    }
    Ok(())
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

fn end_run(store: &dyn Store, claim: &Claim, number: Option<u32>, run: &Run) -> Result<()> {
    // Timestamps are the user's to give; a run does not end before it starts.
    let stored = run.data.metrics.iter().map(|metric| metric.timestamp);
    let mut end_time = stored.max().unwrap_or_default().max(run.info.start_time);
    let mut last_words = None;
    for entry in claim.all() {
        match entry.record {
            Record::Metric(point) if Some(point.run) == number => end_time = end_time.max(point.timestamp),
            Record::Text(Text::Measure { run, point }) if Some(run) == number => {
                end_time = end_time.max(point.timestamp);
            }
            Record::Text(Text::Note { time, status, text }) => last_words = Some((time, status, text)),
            _ => {}
        }
    }
    let (status, why) = match last_words {
        Some((time, status, text)) if time + LAST_WORDS_MS >= end_time => {
            end_time = end_time.max(time);
            (status, text)
        }
        _ => (RunStatus::Failed, format!("its process ({}) died without ending it", claim.pid())),
    };
    let batch = Batch { tags: vec![Tag::new(ENDED_BY, why)], ..Batch::default() };
    store.log_batch(&run.info.run_id, &batch)?;
    let change = RunChange { status: Some(status), end_time: Some(end_time), run_name: None };
    store.update_run(&run.info.run_id, &change)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::entity::{Metric, ModelOutput, NewLoggedModel, NewRun};
    use crate::journal::record::Point;
    use crate::journal::{Journal, RunDefinition, Shape};
    use crate::store::MemoryStore;
    use crate::store::faulty::{Fault, Faulty};

    /// A process that logged a metric and a tag to a run whose owner is `owner`; the run's number and id.
    fn process(store: &MemoryStore, place: &Place, owner: Option<&str>) -> (Journal, u32, String) {
        let journal = Journal::open(place, "s", Shape::default());
        let owner = owner.or(journal.owner_name()).unwrap_or_default();
        let run = store.create_run(&NewRun {
            experiment_id: "0".to_owned(),
            run_name: "r".to_owned(),
            tags: vec![Tag::new(OWNER, owner)],
            ..NewRun::default()
        });
        let run_id = run.unwrap().info.run_id;
        let definitions = journal.definitions();
        let key = definitions.key("loss").unwrap();
        let run = definitions.run(RunDefinition { run_id: run_id.clone(), owned: true }).unwrap();
        journal.metric(Point { run, key, value: 0.5, timestamp: 7, step: 1 }).unwrap();
        journal.text(&Text::Tag { run, key: "stage".to_owned(), value: "old".to_owned() }).unwrap();
        (journal, run, run_id)
    }

    /// A process that died after its run's end, and that run's id.
    fn dead_process(store: &MemoryStore, place: &Place, owner: Option<&str>) -> String {
        let (journal, run, run_id) = process(store, place, owner);
        journal.text(&Text::End { run, status: RunStatus::Finished, time: 9 }).unwrap();
        run_id
    }

    /// Recovers until the dead process's lock is free: a child that another test spawns may hold a copy for a moment.
    fn recover_all(store: &dyn Store, place: &Place, journals: usize) -> Result<Recovery> {
        while dead_journals(place).len() < journals {
            std::thread::yield_now();
        }
        recover(store, place, "s")
    }

    /// Recovers until nothing is left, for the same reason: it may hold a copy of the lock of the recovery before, too.
    fn recover_rest(store: &dyn Store, place: &Place) {
        let Place::Directory(dir) = place else { return };
        while dir.read_dir().unwrap().next().is_some() {
            recover(store, place, "s").unwrap();
        }
    }

    #[test]
    fn whatever_call_of_a_recovery_fails_the_next_one_completes_it() {
        type Break = fn(ErrorKind) -> Fault;
        let breaks: [Break; 2] = [Fault::Fails, Fault::Torn];
        for broken in 0.. {
            let mut made = 0;
            for fault in breaks {
                let dir = tempfile::tempdir().unwrap();
                let (store, place) = (Arc::new(MemoryStore::new()), Place::Directory(dir.path().to_owned()));
                let ended = dead_process(&store, &place, None);
                let (journal, _, killed) = process(&store, &place, None);
                drop(journal);
                let faulty = Faulty::scripted(Arc::clone(&store) as _, move |call| {
                    if call.total == broken { fault(ErrorKind::Unavailable) } else { Fault::None }
                });
                // What fails is done by the next one.
                recover_all(&faulty, &place, 2).ok();
                made = faulty.total_calls();
                recover_rest(&*store, &place);
                for (run_id, status) in [(ended, RunStatus::Finished), (killed, RunStatus::Failed)] {
                    let run = store.get_run(&run_id).unwrap();
                    assert_eq!((run.info.status, run.tag("stage")), (status, Some("old")), "call {broken}");
                    assert_eq!(store.metric_history(&run_id, "loss").unwrap().len(), 1);
                    assert_eq!(run.tag(ENDED_BY).is_some(), status == RunStatus::Failed);
                }
            }
            if broken >= made {
                return;
            }
        }
    }

    #[test]
    fn the_end_and_tags_of_a_dead_process_do_not_go_over_who_resumed_its_run() {
        let dir = tempfile::tempdir().unwrap();
        let (store, place) = (MemoryStore::new(), Place::Directory(dir.path().to_owned()));
        let run_id = dead_process(&store, &place, Some("somebody else"));
        assert_eq!(recover_all(&store, &place, 1).unwrap().journals, 1);
        let run = store.get_run(&run_id).unwrap();
        assert_eq!(
            (run.info.status, run.tag("stage"), run.metric("loss")),
            (RunStatus::Running, None, Some(0.5))
        );
    }

    #[test]
    fn what_was_logged_of_models_is_delivered_and_ends_the_run_no_earlier() {
        let dir = tempfile::tempdir().unwrap();
        let (store, place) = (MemoryStore::new(), Place::Directory(dir.path().to_owned()));
        let model = NewLoggedModel { experiment_id: "0".to_owned(), ..NewLoggedModel::default() };
        let model_id = store.create_logged_model(&model).unwrap().model_id;
        let journal = Journal::open(&place, "s", Shape::default());
        let tag = Tag::new(OWNER, journal.owner_name().unwrap());
        let new = NewRun { experiment_id: "0".to_owned(), tags: vec![tag], ..NewRun::default() };
        let run_id = store.create_run(&new).unwrap().info.run_id;
        let run = journal.definitions().run(RunDefinition { run_id: run_id.clone(), owned: true }).unwrap();
        let point = Metric::new("accuracy", 0.5, 70_000, 1).for_model(&model_id);
        for text in [
            Text::ModelInput { run, model_id: model_id.clone() },
            Text::ModelOutput { run, model_id: model_id.clone(), step: 2 },
            Text::Measure { run, point: Box::new(point.into()) },
        ] {
            journal.text(&text).unwrap();
        }
        drop(journal);
        recover_all(&store, &place, 1).unwrap();
        let run = store.get_run(&run_id).unwrap();
        assert_eq!((run.info.status, run.info.end_time), (RunStatus::Failed, Some(70_000)));
        assert_eq!(
            (run.inputs.models, run.outputs),
            (vec![model_id.clone()], vec![ModelOutput::new(&*model_id, 2)])
        );
        assert_eq!(store.get_logged_model(&model_id).unwrap().metrics.len(), 1);
    }

    #[test]
    fn a_run_whose_process_died_before_it_knew_the_id_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let (store, place) = (MemoryStore::new(), Place::Directory(dir.path().to_owned()));
        let journal = Journal::open(&place, "s", Shape::default());
        journal.definitions().creates_run_in("0").unwrap();
        let create = |owner: &str| {
            let tags = vec![Tag::new(OWNER, owner)];
            let new = NewRun { experiment_id: "0".to_owned(), tags, start_time: 5, ..NewRun::default() };
            store.create_run(&new).unwrap().info.run_id
        };
        let (left, others) = ([create(journal.owner_name().unwrap())], create("somebody else"));
        drop(journal);
        assert_eq!(recover_all(&store, &place, 1).unwrap().ended_runs, left);
        let left = store.get_run(&left[0]).unwrap();
        assert_eq!((left.info.status, left.info.end_time), (RunStatus::Failed, Some(5)));
        assert_eq!(store.get_run(&others).unwrap().info.status, RunStatus::Running);
    }

    #[test]
    fn a_journal_that_cannot_be_delivered_keeps_no_other_back() {
        let dir = tempfile::tempdir().unwrap();
        let (store, place) = (MemoryStore::new(), Place::Directory(dir.path().to_owned()));
        dead_process(&store, &place, None);
        let found = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        // The first in order, and unreadable even to root.
        let unreadable = dir.path().join("0");
        std::fs::rename(found, &unreadable).unwrap();
        std::fs::remove_file(unreadable.join("definitions.jsonl")).unwrap();
        std::fs::create_dir(unreadable.join("definitions.jsonl")).unwrap();
        let runs: Vec<String> = (0..3).map(|_| dead_process(&store, &place, None)).collect();
        recover_all(&store, &place, 4).unwrap_err();
        for run_id in runs {
            let run = store.get_run(&run_id).unwrap();
            assert_eq!((run.info.status, run.tag("stage")), (RunStatus::Finished, Some("old")));
        }
    }
}
