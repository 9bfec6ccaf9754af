//! A connection to one store: starts and finds runs.

mod artifacts;
mod experiments;
mod models;
mod runs;
mod search;

use std::fmt;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use crate::artifact::Uploads;
use crate::config::Config;
use crate::context;
use crate::engine::{Engine, PATIENCE};
use crate::error::{Error, Result};
use crate::exit;
use crate::health::Health;
use crate::journal::{Journal, Place, Shape, dead_journals};
use crate::notice;
use crate::options::RunOptions;
use crate::provenance::FilesOfRuns;
use crate::recover::{self, Pace, Recovery, recover};
use crate::run::{ActiveRun, RunHandle};
use crate::store::{self, MemoryStore, Store};
use crate::sync::lock;
use crate::{start, validate};

/// How long a read waits for what this process logged and the store has not taken yet.
const READ_WAIT: Duration = Duration::from_secs(5);

/// A connection: one store, one artifact root, one journal. Cheap to clone.
///
/// Most programs need none: the free functions (`runlog::start_run`, …) use one for the process. Make your own to log to
/// several stores, or in tests.
///
/// ```
/// use runlog_core::Tracker;
///
/// let tracker = Tracker::open("memory:")?;
/// let run = tracker.start_run("baseline")?;
/// run.log_param("learning_rate", 0.1);
/// run.log_metric("loss", 0.25, 1);
/// run.finish()?;
///
/// let runs = tracker.search_runs("metrics.loss < 0.5")?;
/// assert_eq!(runs[0].metric("loss"), Some(0.25));
/// # Ok::<(), runlog_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Tracker(Arc<Inner>);

/// A tracker that may be closed already.
#[derive(Clone, Debug)]
pub(crate) struct WeakTracker(Weak<Inner>);

impl WeakTracker {
    pub(crate) fn upgrade(&self) -> Option<Tracker> {
        self.0.upgrade().map(Tracker)
    }
}

struct Inner {
    uri: String,
    /// The store's address: canonical, without secrets.
    address: String,
    config: Config,
    /// Whether what is logged is journalled on disk.
    journals: bool,
    home: Arc<Engine>,
    /// The engine of a forked child, which must not touch its parent's.
    forked: Mutex<Option<Arc<Engine>>>,
    experiment: Mutex<Option<String>>,
    resume: Mutex<Option<String>>,
    models: models::Models,
    uploads: Uploads,
    files_of_runs: Arc<FilesOfRuns>,
}

impl Tracker {
    /// Connects to the store at `uri`, such as `sqlite:///mlflow.db`, with this process's environment.
    ///
    /// A store that does not exist is created. What dead processes left for this store is delivered in the background.
    ///
    /// # Errors
    /// A URI or a variable that is wrong, or a store that cannot be opened or created.
    pub fn open(uri: impl AsRef<str>) -> Result<Self> {
        Self::with_config(Some(uri.as_ref()), Config::from_env()?)
    }

    /// Connects to the store at `uri`, or else the one that `config` says, or else MLflow's default: in the working
    /// directory, `sqlite:///mlflow.db`, or a file store `mlruns` that is there.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn with_config(uri: Option<&str>, config: Config) -> Result<Self> {
        let uri = Self::uri_of(uri, &config);
        if store::is_files(&uri) && !config.allow_file_store && !config.disabled {
            notice::warn(
                "file-store",
                format_args!(
                    "the runs go to a file store, which MLflow 3.13 and newer read only with \
                     MLFLOW_ALLOW_FILE_STORE=true; set it here too to end this warning, or log to sqlite:///mlflow.db"
                ),
            );
        }
        // `git` answers while the store opens.
        context::prefetch(&config);
        let tracker = Self::new(uri, config, true)?;
        tracker.recover_in_background();
        Ok(tracker)
    }

    fn new(uri: String, config: Config, journals: bool) -> Result<Self> {
        let home = Self::connect(&uri, &config, journals)?;
        Ok(Self::with_engine(home, uri, config, journals))
    }

    /// A tracker in memory, for tests of what becomes of a training when the store, or the journal, has trouble.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn over(
        store: Arc<dyn Store>,
        journal: Journal,
        config: Config,
        patience: Duration,
    ) -> Result<Self> {
        exit::watch_forks();
        let engine = Engine::start(store, journal, Place::Memory, config.synchronous, patience)?;
        Ok(Self::with_engine(engine, "memory:".to_owned(), config, false))
    }

    fn with_engine(home: Arc<Engine>, uri: String, config: Config, journals: bool) -> Self {
        Self(Arc::new(Inner {
            home,
            address: store::canonical(&uri, &config.working_dir),
            uri,
            journals,
            forked: Mutex::new(None),
            experiment: Mutex::new(None),
            resume: Mutex::new(config.run_id.clone()),
            models: models::Models::new(config.active_model_id.clone()),
            uploads: Uploads::new(),
            files_of_runs: Arc::default(),
            config,
        }))
    }

    /// Connects to a store that exists, to read: nothing is created, and nothing recovered unless
    /// [`recover`](Self::recover) is called. What is logged through it is not safe from a kill.
    ///
    /// # Errors
    /// As [`open`](Self::open); `NotFound` if there is no such store.
    pub fn open_existing(uri: Option<&str>, config: Config) -> Result<Self> {
        let uri = Self::uri_of(uri, &config);
        if !store::exists(&uri, &config.working_dir)? {
            return Err(Error::not_found(
                "there is no such store; start a run to make one, or name another with --tracking-uri or \
                 MLFLOW_TRACKING_URI",
            )
            .with("uri", uri));
        }
        Self::new(uri, config, false)
    }

    /// The store that `uri` names, or else the one that a program with this configuration uses.
    pub(crate) fn uri_of(uri: Option<&str>, config: &Config) -> String {
        match uri.or(config.tracking_uri.as_deref()) {
            Some(uri) => uri.to_owned(),
            None if config.disabled => "memory:".to_owned(),
            None => store::default_uri(&config.working_dir),
        }
    }

    /// The store that a program with this configuration uses if it names none.
    pub(crate) fn default_uri(config: &Config) -> String {
        Self::uri_of(None, config)
    }

    fn connect(uri: &str, config: &Config, journals: bool) -> Result<Arc<Engine>> {
        exit::watch_forks();
        let address = store::canonical(uri, &config.working_dir);
        let (store, place): (Arc<dyn Store>, _) = if config.disabled {
            (Arc::new(MemoryStore::forgetful()), Place::Memory)
        } else {
            let store = store::open(uri, None, &config.working_dir)?;
            (store, if store::is_in_memory(uri) { Place::Memory } else { Place::of(&address, config) })
        };
        let shape = Shape::of(config);
        let journal = Journal::open(if journals { &place } else { &Place::Memory }, &address, shape);
        let patience = config.finish_timeout.unwrap_or(PATIENCE);
        Engine::start(store, journal, place, config.synchronous, patience)
    }

    /// The URI that this tracker was opened with.
    pub fn tracking_uri(&self) -> &str {
        &self.0.uri
    }

    /// What this tracker was told by the environment.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The store, for what the tracker has no method for. Writes through it bypass the journal.
    ///
    /// # Errors
    /// In a forked child: the store cannot be opened anew.
    pub fn store(&self) -> Result<Arc<dyn Store>> {
        Ok(Arc::clone(&self.engine()?.store))
    }

    pub(crate) fn files_of_runs(&self) -> Arc<FilesOfRuns> {
        Arc::clone(&self.0.files_of_runs)
    }

    pub(crate) fn downgrade(&self) -> WeakTracker {
        WeakTracker(Arc::downgrade(&self.0))
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The engine of this process.
    pub(crate) fn engine(&self) -> Result<Arc<Engine>> {
        if self.0.home.is_ours() {
            return Ok(Arc::clone(&self.0.home));
        }
        let mut forked = lock(&self.0.forked);
        if let Some(engine) = forked.as_ref().filter(|engine| engine.is_ours()) {
            return Ok(Arc::clone(engine));
        }
        let engine = Self::connect(&self.0.uri, &self.0.config, self.0.journals)?;
        engine.set_patience(self.0.home.patience());
        *forked = Some(Arc::clone(&engine));
        Ok(engine)
    }

    /// How logging to this tracker does in this process: what waits, what was lost, whether the store takes it.
    ///
    /// It costs a short lock and no I/O. In a forked child it tells of what the child logged.
    pub fn health(&self) -> Health {
        if self.0.home.is_ours() {
            return self.0.home.health();
        }
        let forked = lock(&self.0.forked).clone().filter(|engine| engine.is_ours());
        forked.map(|engine| engine.health()).unwrap_or_default()
    }

    /// Sets how long the end of a run, or of this tracker, waits for the store; until then it is what
    /// `RUNLOG_FINISH_TIMEOUT_SECONDS` says, else 10 s. What the store has not taken by then stays in the journal.
    ///
    /// A process that exits, or dies of a signal, waits for 5 s at most.
    pub fn set_finish_timeout(&self, timeout: Duration) {
        self.0.home.set_patience(timeout);
        if let Some(engine) = &*lock(&self.0.forked) {
            engine.set_patience(timeout);
        }
    }

    /// Starts a run.
    ///
    /// `options` is a name, `()` for a random one, or [`RunOptions`].
    ///
    /// # Errors
    /// This thread has an active run and `nested` is not set; the experiment is deleted or does not exist; a tag is
    /// wrong; the store cannot be written.
    #[track_caller]
    pub fn start_run(&self, options: impl Into<RunOptions>) -> Result<ActiveRun> {
        start::start_run(self, &options.into(), Location::caller())
    }

    /// A handle to a run that this process did not start: it logs to it and never ends it.
    ///
    /// # Errors
    /// There is no such run.
    pub fn run_handle(&self, run_id: &str) -> Result<RunHandle> {
        validate::run_id(run_id)?;
        let engine = self.engine()?;
        let run = engine.store.get_run(run_id)?;
        let handle = RunHandle::new(self, engine, run.info, None, false)?;
        handle.remember_models(&run.inputs, &run.outputs);
        Ok(handle)
    }

    /// The run that the environment says to resume; the first run that starts is that one.
    pub(crate) fn run_to_resume(&self) -> Option<String> {
        lock(&self.0.resume).clone()
    }

    /// Takes it for a run that starts now, so that no other one resumes it.
    pub(crate) fn take_run_to_resume(&self) -> Option<String> {
        lock(&self.0.resume).take()
    }

    /// Gives it back: the run did not start.
    pub(crate) fn resume_next(&self, run_id: Option<String>) {
        *lock(&self.0.resume) = run_id;
    }

    /// Waits until everything that this process logged so far is stored.
    ///
    /// # Errors
    /// The store did not take it within a minute; it is still in the journal.
    pub fn flush(&self) -> Result<()> {
        self.engine()?.flush(Duration::from_mins(1))
    }

    /// The engine, when what this process logged is stored.
    pub(crate) fn caught_up(&self) -> Result<Arc<Engine>> {
        let engine = self.engine()?;
        if let Err(waiting) = engine.flush(READ_WAIT) {
            notice::warn(
                "stale-read",
                format_args!("what is read now may miss what was logged last: {waiting}"),
            );
        }
        Ok(engine)
    }

    /// Delivers now what dead processes left in their journals for this store, and ends their runs.
    ///
    /// Opening a tracker does the same in the background; this is for who wants to wait for it, and to know. A busy store
    /// is tried for a minute, or as long as `RUNLOG_FINISH_TIMEOUT_SECONDS` says.
    ///
    /// # Errors
    /// The store cannot be written; the journals stay.
    pub fn recover(&self) -> Result<Recovery> {
        let engine = self.engine()?;
        let patience = self.config().finish_timeout.unwrap_or(recover::PATIENCE);
        recover(&*engine.store, &engine.place, &self.0.address, Pace::Full, patience)
    }

    fn recover_in_background(&self) {
        let engine = &self.0.home;
        if dead_journals(&engine.place).is_empty() {
            return;
        }
        let (store, place, address) =
            (Arc::clone(&engine.store), engine.place.clone(), self.0.address.clone());
        let recovery = move || match recover(&*store, &place, &address, Pace::Gentle, recover::PATIENCE) {
            Ok(recovery) => tell_of(&recovery),
            Err(error) => notice::warn(
                "recovery",
                format_args!(
                    "what a dead process left in its journal is not delivered yet; `runlog sync` delivers it: {error}"
                ),
            ),
        };
        let thread = std::thread::Builder::new().name("runlog-recovery".to_owned());
        if let Err(cause) = thread.spawn(recovery) {
            notice::warn(
                "recovery",
                format_args!("cannot start the thread that recovers dead journals: {cause}"),
            );
        }
    }

    /// Where the journals for this tracker's store are kept, if they are.
    pub fn journal_dir(&self) -> Option<PathBuf> {
        match &self.0.home.place {
            Place::Directory(dir) => Some(dir.clone()),
            Place::Memory => None,
        }
    }
}

/// Says what a recovery in the background did.
fn tell_of(recovery: &Recovery) {
    let Recovery { journals, records, refused, ended_runs, kept, .. } = recovery;
    if *journals > 0 || *records > 0 {
        let refused = if *refused == 0 { String::new() } else { format!(", {refused} refused") };
        notice::tell(format_args!(
            "delivered {records} record(s) of {journals} process(es) that had died{refused}, and ended {} run(s)",
            ended_runs.len()
        ));
    }
    for (_, why) in kept {
        notice::warn(why, format_args!("a dead process's journal stays, see `runlog sync`: {why}"));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.uploads.wait_for(None, None);
        self.home.close_and_tell();
        if let Some(engine) = lock(&self.forked).take() {
            engine.close_and_tell();
        }
    }
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tracker").field(&self.0.address).finish()
    }
}
