//! What burn leaves in its folder: checkpoints and the log of the training.
//!
//! Only what this training wrote is stored, though the folder may hold the files of others; at most two checkpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use runlog_core::{Error, Result, RunHandle};

use super::watch::Ended;

/// The log that burn writes.
const LOG: &str = "experiment.log";
/// The most of that log that is stored; a training of a million iterations writes some 100 MB.
const LOG_BYTES_MAX: u64 = 16 << 20;

/// The folder as it was before the training.
#[derive(Debug)]
pub(super) struct Folder {
    directory: PathBuf,
    log_bytes: u64,
    files: BTreeMap<PathBuf, Option<SystemTime>>,
}

impl Folder {
    pub(super) fn before(directory: &Path) -> Self {
        let files = checkpoint_files(directory).into_iter().map(|file| (file.path, file.modified)).collect();
        Self { directory: directory.to_owned(), log_bytes: bytes(&directory.join(LOG)), files }
    }

    /// Stores what this training added to the log.
    pub(super) fn log_log(&self, run: &RunHandle) -> Result<()> {
        let path = self.directory.join(LOG);
        let all = bytes(&path);
        // A file that is shorter than before is another one.
        let from = if all < self.log_bytes { 0 } else { self.log_bytes };
        if all == from {
            return Ok(());
        }
        let failed = |cause| Error::io("read burn's log", &path, cause);
        let mut file = File::open(&path).map_err(failed)?;
        file.seek(SeekFrom::Start(from)).map_err(failed)?;
        run.log_stream(file.take(LOG_BYTES_MAX), LOG)
    }

    /// Stores the last checkpoint and the best one of those that burn has kept.
    pub(super) fn log_checkpoints(&self, run: &RunHandle, ended: &Ended, unit: &str) -> Result<()> {
        let mut checkpoints: BTreeMap<usize, Vec<Checkpoint>> = BTreeMap::new();
        for file in checkpoint_files(&self.directory) {
            if self.files.get(&file.path) != Some(&file.modified) {
                checkpoints.entry(file.of).or_default().push(file);
            }
        }
        let Some(last) = checkpoints.keys().next_back().copied() else { return Ok(()) };
        let best = ended.best_of(checkpoints.keys().copied());
        for of in BTreeSet::from([last, best.unwrap_or(last)]) {
            let folder = format!("checkpoints/{unit}_{of}");
            for file in checkpoints.get(&of).into_iter().flatten() {
                let stored = format!("{folder}/{}.bpk", file.name);
                let file = File::open(&file.path)
                    .map_err(|cause| Error::io("read the checkpoint", &file.path, cause))?;
                run.log_stream(file, &stored)?;
            }
            let metrics = ended.epochs.get(&of).cloned().unwrap_or_default();
            run.log_dict(&metrics, &format!("{folder}/checkpoint_metrics.json"))?;
        }
        run.set_tag("mlflow.latest_checkpoint_artifact", format_args!("checkpoints/{unit}_{last}"));
        if let Some(best) = best {
            run.set_tag("runlog.best_checkpoint_artifact", format_args!("checkpoints/{unit}_{best}"));
        }
        Ok(())
    }
}

impl Ended {
    /// Of these epochs the one that validation found best.
    fn best_of(&self, epochs: impl Iterator<Item = usize>) -> Option<usize> {
        let (judge, higher_is_better) = self.judge.as_ref()?;
        let value = |epoch: usize| Some((*self.epochs.get(&epoch)?.get(judge)?, epoch));
        let better = |a: f64, b: f64| if *higher_is_better { a > b } else { a < b };
        let (_, best) =
            epochs.filter_map(value).reduce(|best, next| if better(next.0, best.0) { next } else { best })?;
        Some(best)
    }
}

/// A file of a checkpoint: `model-3.bpk`.
struct Checkpoint {
    path: PathBuf,
    name: String,
    of: usize,
    modified: Option<SystemTime>,
}

fn checkpoint_files(directory: &Path) -> Vec<Checkpoint> {
    let Ok(entries) = fs::read_dir(directory.join("checkpoint")) else { return Vec::new() };
    let checkpoint = |entry: fs::DirEntry| {
        let path = entry.path();
        let (name, of) = path.file_name()?.to_str()?.strip_suffix(".bpk")?.rsplit_once('-')?;
        let modified = entry.metadata().ok().and_then(|of| of.modified().ok());
        Some(Checkpoint { name: name.to_owned(), of: of.parse().ok()?, modified, path })
    };
    let mut files: Vec<Checkpoint> = entries.flatten().filter_map(checkpoint).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn bytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}
