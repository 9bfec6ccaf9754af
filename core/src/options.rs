//! What `start_run` and `create_experiment` are told.

use crate::autolog::LogSystemMetrics;
use crate::current::Origin;
use crate::entity::Tag;

/// How to start a run. A plain name will do where nothing else is wanted.
///
/// ```
/// use runlog_core::RunOptions;
///
/// let options = RunOptions::new()
///     .name("wider-net")
///     .tag("team", "vision")
///     .description("twice the hidden units")
///     .log_system_metrics(true);
/// let by_name: RunOptions = "baseline".into();
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "options start nothing; give them to `start_run`"]
pub struct RunOptions {
    pub(crate) name: Option<String>,
    pub(crate) run_id: Option<String>,
    pub(crate) experiment_id: Option<String>,
    pub(crate) nested: bool,
    pub(crate) parent_run_id: Option<String>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) description: Option<String>,
    pub(crate) log_system_metrics: LogSystemMetrics,
    pub(crate) log_environment: Option<bool>,
    pub(crate) log_git_diff: Option<bool>,
    pub(crate) log_health: Option<bool>,
    pub(crate) silent: bool,
    pub(crate) origin: Origin,
}

impl RunOptions {
    /// A new run with a random name, in the active experiment.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name people read. Names need not be unique.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Resumes this run instead of starting a new one: it is `RUNNING` again, and takes the name, tags and description
    /// given here. It stays in its experiment and keeps its parent.
    pub fn run_id(mut self, run_id: impl Into<String>) -> Self {
        self.run_id = Some(run_id.into());
        self
    }

    /// The experiment of a new run; wins over `set_experiment` and the environment.
    pub fn experiment_id(mut self, experiment_id: impl Into<String>) -> Self {
        self.experiment_id = Some(experiment_id.into());
        self
    }

    /// Allows the run to start while another is active on this thread (or in this task's scope), as its child.
    pub fn nested(mut self, nested: bool) -> Self {
        self.nested = nested;
        self
    }

    /// Makes the new run a child of this one, which must exist and not be deleted.
    ///
    /// It is how a thread starts a child of a run that another thread, or another process, started. Where a run is active
    /// on this thread already it must be that one, and [`nested`](Self::nested) is needed as well.
    pub fn parent_run_id(mut self, parent_run_id: impl Into<String>) -> Self {
        self.parent_run_id = Some(parent_run_id.into());
        self
    }

    /// A tag the run starts with.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push(Tag::new(key, value));
        self
    }

    /// What the run is about, in Markdown; MLflow's UI shows it (the tag `mlflow.note.content`).
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Whether CPU, memory, disk, network and GPUs are sampled into `system/` metrics while the run lasts: `true`,
    /// `false`, or [`SystemMetrics`](crate::autolog::SystemMetrics) to say how.
    ///
    /// Unset or `None`, [`enable_system_metrics_logging`](crate::fluent::enable_system_metrics_logging) and then the
    /// environment variable `MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING` decide.
    pub fn log_system_metrics(mut self, log: impl Into<LogSystemMetrics>) -> Self {
        self.log_system_metrics = log.into();
        self
    }

    /// Whether the run tells what built the program in files: `environment/rust_env.yaml` and `environment/Cargo.lock`.
    /// They are written in the background, once for all runs of the process in an experiment; the tag
    /// `runlog.environment` of the others says where they are.
    ///
    /// Unset or `None`, the environment variable `RUNLOG_LOG_ENVIRONMENT` decides, and without it runs that autologging
    /// starts have them.
    pub fn log_environment(mut self, log: impl Into<Option<bool>>) -> Self {
        self.log_environment = log.into();
        self
    }

    /// Whether the run tells what is changed in the repository of the working directory since its last commit, in the
    /// file `environment/git.diff`, which `git apply` takes; untracked files are not in it. As
    /// [`log_environment`](Self::log_environment) it is written once, and told by the tag `runlog.git_diff`.
    ///
    /// Unset or `None`, the environment variable `RUNLOG_LOG_GIT_DIFF` decides, and without it runs have none.
    pub fn log_git_diff(mut self, log: impl Into<Option<bool>>) -> Self {
        self.log_git_diff = log.into();
        self
    }

    /// Whether the run has metrics that tell how logging itself does, as [`Health`](crate::Health) does by the
    /// program: every ten seconds and at its end, of all that the tracker logs.
    ///
    /// | metric | what it is |
    /// |---|---|
    /// | `runlog/waiting_records` | records that are logged and not stored yet |
    /// | `runlog/waiting_bytes` | the bytes of the journal that they take |
    /// | `runlog/dropped_records` | records that were not taken since the tracker was opened: the journal was full |
    /// | `runlog/refused_records` | records that were refused since then |
    /// | `runlog/lag_seconds` | how long ago the oldest record was logged that waits |
    ///
    /// They wait in the journal as other metrics do while the store takes nothing. Unset or `None`, the environment
    /// variable `RUNLOG_LOG_HEALTH` decides, and without it runs have none.
    pub fn log_health(mut self, log: impl Into<Option<bool>>) -> Self {
        self.log_health = log.into();
        self
    }

    /// Starts the run without the line that says where it is.
    pub fn silent(mut self, silent: bool) -> Self {
        self.silent = silent;
        self
    }
}

impl From<&str> for RunOptions {
    fn from(name: &str) -> Self {
        Self::new().name(name)
    }
}

impl From<String> for RunOptions {
    fn from(name: String) -> Self {
        Self::new().name(name)
    }
}

impl From<()> for RunOptions {
    fn from((): ()) -> Self {
        Self::new()
    }
}

/// How to create an experiment. A plain name will do where nothing else is wanted.
///
/// ```
/// use runlog_core::ExperimentOptions;
///
/// let options = ExperimentOptions::new("vision").artifact_location("s3://bucket/vision").tag("team", "eyes");
/// let by_name: ExperimentOptions = "baseline".into();
/// ```
#[derive(Clone, Debug)]
#[must_use = "options create nothing; give them to `create_experiment`"]
pub struct ExperimentOptions {
    pub(crate) name: String,
    pub(crate) artifact_location: Option<String>,
    pub(crate) tags: Vec<Tag>,
}

impl ExperimentOptions {
    /// An experiment of this name: not empty, at most 500 characters, and no other has it.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), artifact_location: None, tags: Vec::new() }
    }

    /// Where the artifacts of its runs and models go: a directory (a relative one is taken from the working directory)
    /// or a URI. Unset, it is a directory of the store's own.
    pub fn artifact_location(mut self, location: impl Into<String>) -> Self {
        self.artifact_location = Some(location.into());
        self
    }

    /// A tag it starts with, of at most 20,000 characters.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push(Tag::new(key, value));
        self
    }
}

impl From<&str> for ExperimentOptions {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for ExperimentOptions {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}
