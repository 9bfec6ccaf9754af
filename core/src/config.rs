//! The one place that reads the environment.
//!
//! A [`Config`] is read once and passed on; tests make theirs with [`Config::from_vars`]. The environment is never
//! written: a child process would inherit what is meant for this one.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::autolog::Tier;
use crate::error::{Error, Result};
use crate::launch::Launch;

/// What the environment says, as far as runlog listens to it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is a variable of its own")]
pub struct Config {
    /// `MLFLOW_TRACKING_URI`: the store.
    pub tracking_uri: Option<String>,
    /// `MLFLOW_ALLOW_FILE_STORE`: MLflow will read the file store, so that nothing needs to be said of it.
    pub allow_file_store: bool,
    /// `MLFLOW_EXPERIMENT_NAME`: the experiment of new runs, created if absent.
    pub experiment_name: Option<String>,
    /// `MLFLOW_EXPERIMENT_ID`: the experiment of new runs, which must exist.
    pub experiment_id: Option<String>,
    /// `MLFLOW_RUN_ID`: the run that the first `start_run` resumes.
    pub run_id: Option<String>,
    /// `MLFLOW_ACTIVE_MODEL_ID`: the logged model that metrics measure from the start.
    pub active_model_id: Option<String>,
    /// `MLFLOW_RUN_CONTEXT`: a JSON object of more default tags.
    pub run_context: Option<String>,
    /// `MLFLOW_TRACKING_USERNAME`: also the tag `mlflow.user`.
    pub username: Option<String>,
    /// `MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING`: whether runs have system metrics unless they say otherwise.
    pub system_metrics: bool,
    /// `MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL`: seconds between two samples.
    pub sampling_interval: Option<Duration>,
    /// `MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING`: samples in one logged window.
    pub samples_before_logging: Option<u32>,
    /// `MLFLOW_SYSTEM_METRICS_NODE_ID`: put between `system/` and the metric's name.
    pub node_id: Option<String>,
    /// `RUNLOG_SYSTEM_METRICS_TIER`: how much of the machine is read, `compat`, `standard` or `full`.
    pub system_metrics_tier: Option<Tier>,
    /// `CUDA_VISIBLE_DEVICES`: the GPUs that the process may use; empty for none.
    pub cuda_visible_devices: Option<String>,
    /// `CUDA_DEVICE_ORDER`: how CUDA numbers GPUs.
    pub cuda_device_order: Option<String>,
    /// `NVIDIA_VISIBLE_DEVICES`: the GPUs that a container was given.
    pub nvidia_visible_devices: Option<String>,
    /// `ROCR_VISIBLE_DEVICES`: AMD's GPUs that the process may use; empty for none.
    pub rocr_visible_devices: Option<String>,
    /// `HIP_VISIBLE_DEVICES`: those of them that HIP may use.
    pub hip_visible_devices: Option<String>,
    /// The place of this process in a job of many, by its launcher's variables.
    pub launch: Launch,
    /// `MLFLOW_ENABLE_ASYNC_LOGGING` set to false: every log call waits until its record is stored.
    pub synchronous: bool,
    /// `MLFLOW_TRUNCATE_LONG_VALUES`: cut over-long params and tags (the default) instead of refusing them.
    pub truncate_long_values: bool,
    /// `MLFLOW_ARTIFACT_LOCATION_MAX_LENGTH`: the longest artifact location of a new experiment, in characters.
    pub artifact_location_chars_max: Option<u32>,
    /// `MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT`: do not print the line that tells where a run is.
    pub quiet: bool,
    /// `MLFLOW_AUTOLOGGING_TESTING`: errors inside autologging panic instead of warning.
    pub autologging_testing: bool,
    /// `RUNLOG_MODE=disabled`: nothing is written anywhere.
    pub disabled: bool,
    /// `RUNLOG_LOG_ENVIRONMENT`: whether runs get the files that say what built the program; unset, runs that autologging
    /// starts do.
    pub log_environment: Option<bool>,
    /// `RUNLOG_LOG_GIT_DIFF`: whether runs get what is changed in the repository since its last commit.
    pub log_git_diff: bool,
    /// `RUNLOG_HANDLE_SIGNALS=false`: leave SIGINT, SIGTERM and SIGHUP alone.
    pub leave_signals: bool,
    /// `RUNLOG_JOURNAL_DIR`: where journals are kept.
    pub journal_dir: Option<PathBuf>,
    /// `RUNLOG_JOURNAL_MAX_MIB`: how large a journal may get, 1024 MiB if unset.
    pub journal_mib_max: Option<u32>,
    /// `RUNLOG_JOURNAL_MMAP=false`: journals are written to, not mapped into memory.
    pub journal_unmapped: bool,
    /// `RUNLOG_FINISH_TIMEOUT_SECONDS`: how long the end of a run waits for the store, 10 s if unset.
    pub finish_timeout: Option<Duration>,
    /// `RUNLOG_LOG_HEALTH`: whether runs have the metrics `runlog/…`, unless they say otherwise.
    pub log_health: bool,
    /// `XDG_STATE_HOME`, else `$HOME/.local/state`.
    pub state_home: Option<PathBuf>,
    /// The system's directory for temporary files.
    pub temp_dir: PathBuf,
    /// The login name of the user.
    pub login: Option<String>,
    /// The program as it was called.
    pub program: Option<String>,
    /// The working directory.
    pub working_dir: PathBuf,
}

impl Config {
    /// Reads this process's environment.
    ///
    /// # Errors
    /// A variable that is set to something it cannot mean.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub fn from_env() -> Result<Self> {
        let mut config = Self::from_vars(|name| std::env::var_os(name))?;
        config.temp_dir = std::env::temp_dir();
        config.working_dir = std::env::current_dir().unwrap_or_default();
        config.program = std::env::args_os().next().map(|program| program.to_string_lossy().into_owned());
        Ok(config)
    }

    /// Reads the variables of a map, for tests.
    ///
    /// # Errors
    /// A variable that is set to something it cannot mean.
    pub fn from_map(vars: &HashMap<String, String>) -> Result<Self> {
        Self::from_vars(|name| vars.get(name).map(OsString::from))
    }

    /// Reads the variables that `get` knows.
    ///
    /// # Errors
    /// A variable that is set to something it cannot mean.
    pub fn from_vars(get: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let text = |name: &str| {
            get(name).map(|value| value.to_string_lossy().into_owned()).filter(|v| !v.is_empty())
        };
        let path = |name: &str| get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let flag = |name: &'static str| text(name).map(|value| parse_bool(name, &value)).transpose();
        let home = path("HOME").or_else(|| path("USERPROFILE"));
        Ok(Self {
            tracking_uri: text("MLFLOW_TRACKING_URI"),
            allow_file_store: flag("MLFLOW_ALLOW_FILE_STORE")?.unwrap_or(false),
            experiment_name: text("MLFLOW_EXPERIMENT_NAME"),
            experiment_id: text("MLFLOW_EXPERIMENT_ID"),
            run_id: text("MLFLOW_RUN_ID"),
            active_model_id: text("MLFLOW_ACTIVE_MODEL_ID"),
            run_context: text("MLFLOW_RUN_CONTEXT"),
            username: text("MLFLOW_TRACKING_USERNAME"),
            system_metrics: flag("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING")?.unwrap_or(false),
            sampling_interval: text("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL")
                .map(|value| parse_interval("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", &value))
                .transpose()?,
            samples_before_logging: text("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING")
                .map(|value| parse_count("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", &value))
                .transpose()?,
            node_id: text("MLFLOW_SYSTEM_METRICS_NODE_ID"),
            system_metrics_tier: text("RUNLOG_SYSTEM_METRICS_TIER")
                .map(|value| parse_tier("RUNLOG_SYSTEM_METRICS_TIER", &value))
                .transpose()?,
            cuda_visible_devices: get("CUDA_VISIBLE_DEVICES").map(|list| list.to_string_lossy().into_owned()),
            cuda_device_order: text("CUDA_DEVICE_ORDER"),
            nvidia_visible_devices: text("NVIDIA_VISIBLE_DEVICES"),
            rocr_visible_devices: get("ROCR_VISIBLE_DEVICES").map(|list| list.to_string_lossy().into_owned()),
            hip_visible_devices: get("HIP_VISIBLE_DEVICES").map(|list| list.to_string_lossy().into_owned()),
            launch: Launch::from_vars(&get),
            synchronous: flag("MLFLOW_ENABLE_ASYNC_LOGGING")? == Some(false),
            truncate_long_values: flag("MLFLOW_TRUNCATE_LONG_VALUES")?.unwrap_or(true),
            artifact_location_chars_max: text("MLFLOW_ARTIFACT_LOCATION_MAX_LENGTH")
                .map(|value| parse_count("MLFLOW_ARTIFACT_LOCATION_MAX_LENGTH", &value))
                .transpose()?,
            quiet: flag("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT")?.unwrap_or(false),
            autologging_testing: flag("MLFLOW_AUTOLOGGING_TESTING")?.unwrap_or(false),
            disabled: match text("RUNLOG_MODE").as_deref() {
                None | Some("enabled") => false,
                Some("disabled") => true,
                Some(other) => return Err(bad_value("RUNLOG_MODE", other, "`enabled` or `disabled`")),
            },
            log_environment: flag("RUNLOG_LOG_ENVIRONMENT")?,
            log_git_diff: flag("RUNLOG_LOG_GIT_DIFF")?.unwrap_or(false),
            leave_signals: flag("RUNLOG_HANDLE_SIGNALS")? == Some(false),
            journal_dir: path("RUNLOG_JOURNAL_DIR"),
            journal_mib_max: text("RUNLOG_JOURNAL_MAX_MIB")
                .map(|value| parse_count("RUNLOG_JOURNAL_MAX_MIB", &value))
                .transpose()?,
            journal_unmapped: flag("RUNLOG_JOURNAL_MMAP")? == Some(false),
            finish_timeout: text("RUNLOG_FINISH_TIMEOUT_SECONDS")
                .map(|value| parse_interval("RUNLOG_FINISH_TIMEOUT_SECONDS", &value))
                .transpose()?,
            log_health: flag("RUNLOG_LOG_HEALTH")?.unwrap_or(false),
            state_home: path("XDG_STATE_HOME").or_else(|| home.map(|home| home.join(".local/state"))),
            temp_dir: path("TMPDIR").unwrap_or_else(|| PathBuf::from("/tmp")),
            login: text("LOGNAME").or_else(|| text("USER")).or_else(|| text("USERNAME")),
            program: None,
            working_dir: PathBuf::new(),
        })
    }
}

/// A variable of MLflow's or runlog's that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value, with `***` in place of what is secret.
    pub value: String,
    /// Whether runlog listens to it.
    pub is_read: bool,
}

impl Variable {
    /// Every variable of this process whose name begins with `MLFLOW_` or `RUNLOG_`, sorted by name.
    pub fn all() -> Vec<Self> {
        Self::of(std::env::vars_os())
    }

    fn of(vars: impl Iterator<Item = (OsString, OsString)>) -> Vec<Self> {
        let asked = RefCell::new(BTreeSet::new());
        // What an empty environment says is no news; what was asked for is.
        let _empty = Config::from_vars(|name| {
            asked.borrow_mut().insert(name.to_owned());
            None
        });
        let asked = asked.into_inner();
        let texts = vars.map(|(name, value)| [name, value].map(|text| text.to_string_lossy().into_owned()));
        let mut ours: Vec<_> = texts
            .filter(|[name, _]| matches!(name.split_once('_'), Some(("MLFLOW" | "RUNLOG", _))))
            .map(|[name, value]| Self {
                value: without_secrets(&name, value),
                is_read: asked.contains(&name),
                name,
            })
            .collect();
        ours.sort_by(|a, b| a.name.cmp(&b.name));
        ours
    }
}

/// The value of a variable, without what its name says is secret, and without a URI's user, password and query.
fn without_secrets(name: &str, value: String) -> String {
    const SECRET: [&str; 6] = ["PASSWORD", "TOKEN", "SECRET", "CREDENTIAL", "KEY", "AUTH"];
    const HIDDEN: &str = "***";
    if SECRET.iter().any(|word| name.contains(word)) {
        return HIDDEN.to_owned();
    }
    let Some((scheme, rest)) = value.split_once("://") else { return value };
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?***"));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host =
        authority.rsplit_once('@').map_or(authority.to_owned(), |(_, host)| format!("{HIDDEN}@{host}"));
    format!("{scheme}://{host}{path}{query}")
}

/// The program that this process runs, as far as the system tells.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunningProgram {
    /// Its file.
    pub(crate) file: Option<PathBuf>,
    /// The package that Cargo runs it for: `cargo run` and `cargo test` say so.
    pub(crate) cargo_manifest_dir: Option<PathBuf>,
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub(crate) fn running_program() -> RunningProgram {
    RunningProgram {
        file: std::env::current_exe().ok(),
        cargo_manifest_dir: std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from),
    }
}

fn bad_value(name: &'static str, value: &str, meant: &str) -> Error {
    Error::invalid(format!("the environment variable {name} must be {meant}")).with("value", value)
}

/// MLflow's booleans: `true`, `false`, `1`, `0` in any case.
fn parse_bool(name: &'static str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(bad_value(name, value, "true, false, 1 or 0")),
    }
}

fn parse_interval(name: &'static str, value: &str) -> Result<Duration> {
    value
        .parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|interval| !interval.is_zero())
        .ok_or_else(|| bad_value(name, value, "a number of seconds above 0"))
}

fn parse_tier(name: &'static str, value: &str) -> Result<Tier> {
    Tier::from_name(value).ok_or_else(|| bad_value(name, value, "`compat`, `standard` or `full`"))
}

fn parse_count(name: &'static str, value: &str) -> Result<u32> {
    value
        .parse()
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| bad_value(name, value, "a whole number above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str, value: &str) -> Result<Config> {
        Config::from_map(&HashMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn booleans_are_mlflows() {
        for (text, meant) in [("true", true), ("1", true), ("TRUE", true), ("False", false), ("0", false)] {
            assert_eq!(config("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", text).unwrap().system_metrics, meant);
        }
    }

    #[test]
    fn a_wrong_value_names_its_variable_and_what_to_write() {
        for (name, value) in [
            ("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "yes"),
            ("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0"),
            ("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "fast"),
            ("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", "-1"),
            ("RUNLOG_MODE", "off"),
        ] {
            let message = config(name, value).unwrap_err().to_string();
            assert!(message.contains(name) && message.contains(value), "{message}");
        }
    }

    #[test]
    fn variables_are_shown_without_secrets_and_with_whether_they_are_read() {
        let set = [
            ("RUNLOG_MODE", "disabled"),
            // In two parts: what stands here whole is what README.md has to tell about.
            ("MLFLOW_TRACKING_URI", "postgresql://ada:hunter2@db:5432/ml?password=hunter3"),
            (concat!("MLFLOW", "_TRACKING_TOKEN"), "hunter4"),
            ("MLFLOW_RUN_ID", "0123"),
            ("PATH", "/bin"),
        ];
        let set = set.into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let shown: Vec<_> = Variable::of(set).into_iter().map(|v| (v.name, v.value, v.is_read)).collect();
        let expected = [
            ("MLFLOW_RUN_ID", "0123", true),
            (concat!("MLFLOW", "_TRACKING_TOKEN"), "***", false),
            ("MLFLOW_TRACKING_URI", "postgresql://***@db:5432/ml?***", true),
            ("RUNLOG_MODE", "disabled", true),
        ];
        assert_eq!(shown, expected.map(|(name, value, read)| (name.to_owned(), value.to_owned(), read)));
        assert_eq!(without_secrets("X", "sqlite:////data/a@b.db".to_owned()), "sqlite:////data/a@b.db");
    }

    #[test]
    fn unset_means_asynchronous_and_false_means_waiting() {
        assert!(!config("X", "").unwrap().synchronous);
        assert!(config("MLFLOW_ENABLE_ASYNC_LOGGING", "false").unwrap().synchronous);
        assert!(!config("MLFLOW_ENABLE_ASYNC_LOGGING", "true").unwrap().synchronous);
    }
}
