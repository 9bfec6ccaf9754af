//! What waits in journals for its store, of every store: listed, and delivered.
//!
//! A [`Tracker`](crate::Tracker) delivers what dead processes left for *its* store when it is opened. This is for all
//! stores at once, for one that no program opens any more, and for who wants to see what waits.
//!
//! Invariant: no store is created here, and listing changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::entity::RunStatus;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Claim, Place, Taken, survey};
use crate::notice;
use crate::recover::{Delivery, PATIENCE, Pace, Recovery, Stays};
use crate::shipper::REJECTED;
use crate::store::{self, Store};

/// A journal, and what lies in it that its store does not have.
#[derive(Debug)]
#[non_exhaustive]
pub struct Journal {
    /// Its directory.
    pub dir: PathBuf,
    /// Whether its process lives.
    pub state: State,
    /// The address of its store, without secrets; `None` if the journal cannot be read.
    pub store: Option<String>,
    /// The id of the process that writes or wrote it.
    pub pid: Option<u32>,
    /// The machine of that process, if that is another one.
    pub host: Option<String>,
    /// What waits.
    pub records: Records,
    /// What that takes in the journal, in bytes.
    pub bytes: u64,
    /// When the oldest point was logged that waits, or else when the process began, in milliseconds since the Unix epoch.
    pub since: Option<i64>,
    /// The runs with records that wait, or that are still to be ended.
    pub runs: Vec<WaitingRun>,
    /// What keeps it from being delivered as a whole.
    pub trouble: Option<Error>,
}

/// What becomes of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its process lives, and delivers it.
    Lives,
    /// Its process has died; it waits for somebody to deliver it.
    Waits,
    /// Its process has died, and another one is delivering it right now.
    IsDelivered,
}

/// A run in a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitingRun {
    /// Its id.
    pub run_id: String,
    /// Its name; `None` if the store does not say.
    pub run_name: Option<String>,
    /// Its status in the store, if that says.
    pub status: Option<RunStatus>,
    /// How many of its records wait.
    pub records: u64,
}

/// How many records there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Records {
    /// Points of metrics.
    pub metrics: u64,
    /// Params.
    pub params: u64,
    /// Tags, and removals of tags.
    pub tags: u64,
    /// Datasets and models that runs used or made.
    pub inputs: u64,
    /// Ends of runs.
    pub ends: u64,
    /// What happened to the process.
    pub others: u64,
}

impl Records {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.metrics + self.params + self.tags + self.inputs + self.ends + self.others
    }
}

impl WaitingRun {
    pub(crate) fn new(run_id: &str, records: u64) -> Self {
        Self { run_id: run_id.to_owned(), run_name: None, status: None, records }
    }
}

impl Journal {
    pub(crate) fn new(dir: PathBuf, state: State) -> Self {
        Self {
            dir,
            state,
            store: None,
            pid: None,
            host: None,
            records: Records::default(),
            bytes: 0,
            since: None,
            runs: Vec::new(),
            trouble: None,
        }
    }
}

/// What became of a journal.
#[derive(Debug)]
#[non_exhaustive]
pub struct Delivered {
    /// The journal as it was found.
    pub journal: Journal,
    /// What was brought to the store.
    pub recovery: Recovery,
    /// Where the records are kept that the store refused, if it refused some.
    pub rejected: Option<PathBuf>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How the delivery of a journal ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Everything is in the store, or was refused and is kept; the journal is gone.
    Done,
    /// Another process was faster.
    DoneByAnother,
    /// Its process lives and delivers it.
    Lives,
    /// It is still there, for this reason.
    Stays(Error),
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Records that are stored or refused.
    pub done: u64,
    /// Records that there were to deliver.
    pub all: u64,
}

/// Lists the journals of every store, or only of the one that `uri` names, of living processes too.
///
/// # Errors
/// A URI that is wrong, or a directory of journals that cannot be read.
///
/// ```
/// use runlog_core::{Config, waiting};
///
/// # let mut config = Config::default();
/// # config.journal_dir = Some("/does/not/exist".into());
/// for journal in waiting::list(None, &config)? {
///     println!("{} record(s) in {}", journal.records.total(), journal.dir.display());
/// }
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub fn list(uri: Option<&str>, config: &Config) -> Result<Vec<Journal>> {
    let mut journals = found(uri, config)?;
    let mut stores = Stores::new(uri, config);
    for journal in &mut journals {
        match journal.store.as_deref().map(|address| stores.open(address)) {
            Some(Ok(store)) => name_runs(&*store, journal),
            Some(Err(error)) if journal.state != State::Lives => {
                journal.trouble.get_or_insert(error);
            }
            _ => {}
        }
    }
    Ok(journals)
}

/// Delivers the journals of dead processes for every store, or only for the one that `uri` names, and ends their runs.
///
/// `progress` is told how far it is, often. A journal that cannot be delivered keeps no other back: why it stays is in
/// its [`Outcome`]. Called again, it delivers what is left, and nothing twice.
///
/// # Errors
/// As [`list`].
///
/// ```
/// use runlog_core::waiting::Outcome;
/// use runlog_core::{Config, waiting};
///
/// # let mut config = Config::default();
/// # config.journal_dir = Some("/does/not/exist".into());
/// for delivered in waiting::deliver(None, &config, &mut |progress| {
///     println!("{} of {}", progress.done, progress.all);
/// })? {
///     if let Outcome::Stays(why) = delivered.outcome {
///         println!("{} stays: {why}", delivered.journal.dir.display());
///     }
/// }
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub fn deliver(
    uri: Option<&str>,
    config: &Config,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Delivered>> {
    let mut journals = found(uri, config)?;
    let mut stores = Stores::new(uri, config);
    let mut state = Progress::default();
    for journal in journals.iter_mut().filter(|journal| journal.state != State::Lives) {
        if let Some(Ok(store)) = journal.store.as_deref().map(|address| stores.open(address)) {
            name_runs(&*store, journal);
            state.all += journal.records.total();
        }
    }
    progress(state);
    let mut delivered = Vec::new();
    for journal in journals {
        let mut recovery = Recovery::default();
        let settled = &mut |records| {
            state.done += records;
            // What the journal could not tell before it was claimed.
            state.all = state.all.max(state.done);
            progress(state);
        };
        let outcome = match journal.state {
            State::Lives => Outcome::Lives,
            State::Waits | State::IsDelivered => {
                stores.bring(&journal, config, settled, &mut recovery).unwrap_or_else(Outcome::Stays)
            }
        };
        let rejected = journal.dir.parent().filter(|_| recovery.refused > 0).map(|dir| dir.join(REJECTED));
        delivered.push(Delivered { journal, recovery, rejected, outcome });
    }
    Ok(delivered)
}

/// The journals, by store.
fn found(uri: Option<&str>, config: &Config) -> Result<Vec<Journal>> {
    let address = uri.map(|uri| store::canonical(uri, &config.working_dir));
    let places = match &address {
        Some(address) => vec![Place::of(address, config)],
        None => Place::all(config)?,
    };
    let mut journals = Vec::new();
    for place in &places {
        journals.extend(survey(place)?);
    }
    journals.retain(|journal| address.is_none() || journal.store.is_none() || journal.store == address);
    journals.sort_by(|a, b| (&a.store, &a.dir).cmp(&(&b.store, &b.dir)));
    Ok(journals)
}

/// Names the runs as the store does, and leaves out those that nothing waits for.
fn name_runs(store: &dyn Store, journal: &mut Journal) {
    for waiting in &mut journal.runs {
        if let Ok(run) = store.get_run(&waiting.run_id) {
            waiting.run_name = Some(run.info.run_name);
            waiting.status = Some(run.info.status);
        }
    }
    journal.runs.retain(|run| run.records > 0 || run.status == Some(RunStatus::Running));
}

/// The stores that journals are for, each opened once, and never created.
struct Stores<'a> {
    working_dir: &'a Path,
    /// The one that the user named, which may take a password that its address does not have.
    named: Option<(String, &'a str)>,
    open: BTreeMap<String, Arc<dyn Store>>,
    /// Stores that do not answer, and what they said.
    busy: BTreeMap<String, String>,
}

impl<'a> Stores<'a> {
    fn new(uri: Option<&'a str>, config: &'a Config) -> Self {
        let working_dir = &config.working_dir;
        let named = uri.map(|uri| (store::canonical(uri, working_dir), uri));
        Self { working_dir, named, open: BTreeMap::new(), busy: BTreeMap::new() }
    }

    fn open(&mut self, address: &str) -> Result<Arc<dyn Store>> {
        if let Some(store) = self.open.get(address) {
            return Ok(Arc::clone(store));
        }
        let uri = match &self.named {
            Some((of, uri)) if of == address => uri,
            _ => address,
        };
        if !store::is_founded(uri, self.working_dir)? {
            let message = "the store is not there any more; put it back, or remove the journal";
            return Err(Error::not_found(message));
        }
        let store = store::open(uri, None, self.working_dir)?;
        self.open.insert(address.to_owned(), Arc::clone(&store));
        Ok(store)
    }

    /// Brings what is in a journal to its store.
    fn bring(
        &mut self,
        journal: &Journal,
        config: &Config,
        settled: &mut dyn FnMut(u64),
        recovery: &mut Recovery,
    ) -> Result<Outcome> {
        // Once more, for a reason to give; and what can be read of it is delivered.
        let Some(address) = &journal.store else {
            return Claim::take(&journal.dir).map(|taken| match taken {
                Taken::Gone => Outcome::DoneByAnother,
                Taken::Lives => Outcome::Lives,
                Taken::Busy | Taken::Claim(_) => Outcome::Stays(is_being_delivered()),
            });
        };
        let store = self.open(address)?;
        if let Some(said) = self.busy.get(address) {
            return Err(Error::new(ErrorKind::Unavailable, said.clone()));
        }
        let place = Place::Directory(journal.dir.parent().unwrap_or(&journal.dir).to_owned());
        let claim = match Claim::take(&journal.dir)? {
            Taken::Claim(claim) => claim,
            Taken::Lives => return Ok(Outcome::Lives),
            Taken::Busy => return Err(is_being_delivered()),
            Taken::Gone => return Ok(Outcome::DoneByAnother),
        };
        let patience = config.finish_timeout.unwrap_or(PATIENCE);
        let mut delivery = Delivery { store: &*store, place: &place, pace: Pace::Full, patience, settled };
        // What it would say on the way is in what it returns.
        match notice::silenced(true, || delivery.deliver(*claim, recovery)) {
            Ok(()) => Ok(Outcome::Done),
            Err(Stays::Store(error)) => {
                if error.is_temporary() {
                    self.busy.insert(address.clone(), error.to_string());
                }
                Err(error)
            }
            Err(Stays::Journal(error)) => Err(error),
        }
    }
}

fn is_being_delivered() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "another process is delivering it right now; look again when it is done",
    )
}

/// The journals of dead processes for the store at `uri`, for a report.
pub(crate) fn of_dead_processes(uri: &str, config: &Config) -> Result<Vec<Journal>> {
    let mut journals = found(Some(uri), config)?;
    journals.retain(|journal| journal.state != State::Lives);
    Ok(journals)
}

#[cfg(test)]
#[cfg(all(feature = "sqlite", feature = "file"))]
mod tests;
