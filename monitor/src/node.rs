//! One sampler a node: which of a job's processes reads the machine, and under which node's name.
//!
//! Invariants: of processes that a launcher numbers only local rank 0 samples; of those that log one run from one
//! machine, under one node's name, only one does at a time; where something is not known, the process samples.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process;

use runlog_core::Launch;
use runlog_core::Result;
use runlog_core::autolog::{Monitor, MonitorSink, Watch};

use crate::TARGET;

/// What a process is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// To sample, under this node's name.
    Sample { node_id: Option<String> },
    /// To leave it to another one; the text says why.
    Rest(String),
}

/// What the process is to do for `watch`, by its launcher and the user's word.
pub(crate) fn decide(watch: &Watch) -> Decision {
    let launch = &watch.config.launch;
    match launch.local_rank {
        Some(local_rank) if local_rank > 0 => {
            Decision::Rest(format!("local rank {local_rank} leaves the machine to local rank 0"))
        }
        _ => Decision::Sample { node_id: watch.settings.node_id.clone().or_else(|| node_id(launch)) },
    }
}

/// What MLflow's UI looks for, `node_<number>`, in a job that is on several nodes.
fn node_id(launch: &Launch) -> Option<String> {
    if !launch.spans_nodes() {
        return None;
    }
    let number = launch.node.map(u64::from).or_else(|| {
        // Beyond every number that a node can have, so that no two nodes write the same metrics.
        let rank = launch.rank.filter(|_| launch.local_rank == Some(0))?;
        Some(u64::from(launch.ranks.unwrap_or(0)) + u64::from(rank))
    });
    number.map(|number| format!("node_{number}"))
}

/// Starts a monitor by `start`, or one that does nothing where another process samples this node for the run.
///
/// # Errors
/// What `start` fails with.
pub(crate) fn one_a_node(
    watch: &Watch,
    sink: Box<dyn MonitorSink>,
    start: impl FnOnce(&Watch, Box<dyn MonitorSink>) -> Result<Box<dyn Monitor>>,
) -> Result<Box<dyn Monitor>> {
    let mut watch = watch.clone();
    let why = match decide(&watch) {
        Decision::Rest(why) => why,
        Decision::Sample { node_id } => {
            watch.settings.node_id = node_id;
            match Turn::take(&watch.config.temp_dir, &lock_name(&watch)) {
                Some(turn) => {
                    let monitor = start(&watch, sink)?;
                    return Ok(Box::new(Held { monitor, _turn: turn }));
                }
                None => "another process of this machine samples for the run".to_owned(),
            }
        }
    };
    tracing::debug!(target: TARGET, run = &*watch.run_id, "no system metrics from this process: {why}");
    Ok(Box::new(Resting))
}

/// The monitor of a process that leaves the machine to another one.
#[derive(Debug)]
struct Resting;

impl Monitor for Resting {
    fn stop(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// A monitor with the turn that lets no other process sample beside it.
#[derive(Debug)]
struct Held {
    // Dropped in this order: the machine is free when nothing reads it any more.
    monitor: Box<dyn Monitor>,
    _turn: Turn,
}

impl Monitor for Held {
    fn stop(self: Box<Self>) -> Result<()> {
        let Self { monitor, _turn } = *self;
        monitor.stop()
    }
}

/// For each user, run and node a file of its own. Nothing is written to it: what counts is who has locked it.
fn lock_name(watch: &Watch) -> String {
    let node = watch.settings.node_id.as_deref().unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '.' };
    let run = watch.run_id.chars().chain((!node.is_empty()).then_some('.')).chain(node.chars()).map(plain);
    format!("runlog-{}{}.lock", user(), run.collect::<String>())
}

/// The user's number where users share a directory for temporary files.
#[cfg(target_os = "linux")]
fn user() -> String {
    format!("{}-", rustix::process::getuid().as_raw())
}

#[cfg(not(target_os = "linux"))]
fn user() -> &'static str {
    ""
}

/// The right to sample for a run on this machine, which ends with the process at the latest.
///
/// For launchers that set no variables, and for a run that a second process joins or resumes while the first one has it.
#[derive(Debug)]
struct Turn {
    /// `None` where no file can be locked: then nobody can be kept from sampling, and nobody is.
    lock: Option<(File, PathBuf)>,
    /// A forked child has the same lock, and must not end it.
    owner: u32,
}

impl Turn {
    /// Takes the turn; `None` if another process has it.
    fn take(dir: &Path, name: &str) -> Option<Self> {
        let path = dir.join(name);
        let of = |lock| Some(Self { lock, owner: process::id() });
        // Whoever ends a turn removes the file; who had opened it before that looks again.
        for _ in 0..16 {
            match open(&path).map_or(Locked::Never, |file| lock(file, &path)) {
                Locked::Ours(file) => return of(Some((file, path))),
                Locked::Others => return None,
                Locked::Gone => {}
                Locked::Never => return of(None),
            }
        }
        of(None)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some((file, path)) = &self.lock else { return };
        if self.owner != process::id() {
            return;
        }
        if cfg!(unix) {
            fs::remove_file(path).ok();
        }
        // Closing it would not do: forked workers have it open too.
        file.unlock().ok();
    }
}

/// What came of trying to lock a file.
#[derive(Debug)]
enum Locked {
    Ours(File),
    Others,
    /// The file is no longer the one of this name.
    Gone,
    /// There are no locks here.
    Never,
}

fn lock(file: File, path: &Path) -> Locked {
    match file.try_lock() {
        Ok(()) if is_at(&file, path) => Locked::Ours(file),
        Ok(()) => Locked::Gone,
        Err(TryLockError::WouldBlock) => Locked::Others,
        Err(TryLockError::Error(_)) => Locked::Never,
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true);
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // In a directory that everyone may write, a link may lead anywhere.
        let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
        options.mode(0o600).custom_flags(no_follow);
    }
    options.open(path)
}

/// Whether `path` still names this file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let (here, there) = (file.metadata().map(identity), fs::symlink_metadata(path).map(identity));
    matches!((here, there), (Ok(here), Ok(there)) if here == there)
}

/// Whether `path` still names this file: nobody removes it here.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
