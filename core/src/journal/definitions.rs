//! What the numbers in records mean: names of metric keys, ids of runs. Also the experiments that runs were made in.
//!
//! One JSON object a line, appended before the number's first use and never recycled. A line that a crash cut short was
//! never used, so readers pass over it. A whole line that is none of these is of another version: its journal is refused.
//! What a full disk does not take is kept in memory, and written when it can be.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use serde::{Deserialize, Serialize};

use super::keys::{KEYS_MAX, Keys};
use super::maker::warn_of_kills;
use super::owner::unknown_format;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{lock, read, write};

/// The file's name in a journal's directory.
pub(super) const FILE: &str = "definitions.jsonl";

/// What stands for a run whose line is missing: no id of a run is empty.
const UNNAMED: &str = "";

#[derive(Serialize, Deserialize)]
enum Line {
    Key { id: u32, name: Box<str> },
    Run { id: u32, run: RunDefinition },
    CreatesRunIn { experiment_id: String },
}

/// A run, as records refer to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunDefinition {
    pub(crate) run_id: String,
    /// Whether this process started (or resumed) it and so has to end it.
    pub(crate) owned: bool,
}

/// The definitions of one journal.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    file: Mutex<Lines>,
    keys: Keys,
    runs: RwLock<Vec<Arc<RunDefinition>>>,
    experiments: RwLock<BTreeSet<String>>,
}

/// The file, if there is one, and what it did not take yet.
#[derive(Debug, Default)]
struct Lines {
    file: Option<Arc<File>>,
    unwritten: Vec<u8>,
}

impl Definitions {
    /// Definitions that are written to `dir`, or kept in memory only.
    pub(super) fn create(dir: Option<&Path>) -> Result<Self> {
        let file = dir
            .map(|dir| {
                let path = dir.join(FILE);
                File::options()
                    .append(true)
                    .create_new(true)
                    .open(&path)
                    .map(Arc::new)
                    .map_err(|cause| Error::io("make the journal's definitions", &path, cause))
            })
            .transpose()?;
        Ok(Self { file: Mutex::new(Lines { file, unwritten: Vec::new() }), ..Self::default() })
    }

    /// The definitions of a dead process.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let fail = |cause| Error::io("read the journal's definitions", &path, cause);
        let file = File::open(&path).map_err(fail)?;
        if !file.metadata().map_err(fail)?.is_file() {
            return Err(Error::new(ErrorKind::Corrupt, "a journal's definitions are not a file")
                .with("path", path.display()));
        }
        let keys = Keys::default();
        let mut runs: Vec<Arc<RunDefinition>> = Vec::new();
        let mut experiments = BTreeSet::new();
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(fail)?;
            match serde_json::from_slice(&line) {
                Ok(Line::Key { id, name }) if (keys.count()..KEYS_MAX).contains(&(id as usize)) => {
                    // Lines may be missing where a disk lost them; what has no name has no meaning.
                    keys.skip_to(id as usize);
                    keys.push(name);
                }
                Ok(Line::Run { id, run }) if (runs.len()..KEYS_MAX).contains(&(id as usize)) => {
                    let unnamed = RunDefinition { run_id: UNNAMED.to_owned(), owned: false };
                    runs.resize(id as usize, Arc::new(unnamed));
                    runs.push(Arc::new(run));
                }
                Ok(Line::CreatesRunIn { experiment_id }) => {
                    experiments.insert(experiment_id);
                }
                Err(_) if serde_json::from_slice::<serde_json::Map<_, _>>(&line).is_ok() => {
                    return Err(unknown_format(dir).with("definition", String::from_utf8_lossy(&line)));
                }
                _ => {}
            }
        }
        Ok(Self {
            file: Mutex::default(),
            keys,
            runs: RwLock::new(runs),
            experiments: RwLock::new(experiments),
        })
    }

    /// The number of a key that was defined.
    #[inline]
    pub(crate) fn find_key(&self, name: &str) -> Option<u32> {
        self.keys.find(name)
    }

    /// The number of a key, defined now if it was not.
    ///
    /// # Errors
    /// There are 65,536 keys already.
    pub(crate) fn key(&self, name: &str) -> Result<u32> {
        if let Some(id) = self.find_key(name) {
            return Ok(id);
        }
        let mut file = lock(&self.file);
        if let Some(id) = self.find_key(name) {
            return Ok(id);
        }
        let id = self.keys.count();
        if id >= KEYS_MAX {
            return Err(Error::invalid(format!(
                "this process has logged {KEYS_MAX} different metric keys; use steps instead of ever new keys"
            )));
        }
        let id = u32::try_from(id).unwrap_or(u32::MAX);
        file.append(&Line::Key { id, name: name.into() })?;
        self.keys.push(name.into());
        Ok(id)
    }

    /// Defines a run.
    ///
    /// # Errors
    /// None: what cannot be written is kept in memory.
    pub(crate) fn run(&self, run: RunDefinition) -> Result<u32> {
        let mut file = lock(&self.file);
        let mut runs = write(&self.runs);
        if let Some(known) = runs.iter().position(|known| **known == run) {
            return Ok(u32::try_from(known).unwrap_or(u32::MAX));
        }
        let id = u32::try_from(runs.len()).unwrap_or(u32::MAX);
        file.append(&Line::Run { id, run: run.clone() })?;
        runs.push(Arc::new(run));
        Ok(id)
    }

    /// Notes that this process is about to create a run in an experiment, whose id nobody knows yet.
    ///
    /// # Errors
    /// None: what cannot be written is kept in memory.
    pub(crate) fn creates_run_in(&self, experiment_id: &str) -> Result<()> {
        let mut file = lock(&self.file);
        if !read(&self.experiments).contains(experiment_id) {
            file.append(&Line::CreatesRunIn { experiment_id: experiment_id.to_owned() })?;
            write(&self.experiments).insert(experiment_id.to_owned());
        }
        Ok(())
    }

    /// The experiments that this process created runs in, or was about to.
    pub(crate) fn experiments(&self) -> BTreeSet<String> {
        read(&self.experiments).clone()
    }

    /// How many keys there are; their numbers are below.
    pub(crate) fn keys(&self) -> u32 {
        u32::try_from(self.keys.count()).unwrap_or(u32::MAX)
    }

    /// How many definitions there are: none goes, and none changes.
    pub(super) fn count(&self) -> usize {
        self.keys.count() + read(&self.runs).len() + read(&self.experiments).len()
    }

    /// The name of a key.
    #[inline]
    pub(crate) fn key_name(&self, id: u32) -> Option<&str> {
        self.keys.name(id)
    }

    /// The run of a number.
    pub(crate) fn run_of(&self, id: u32) -> Option<Arc<RunDefinition>> {
        read(&self.runs).get(id as usize).filter(|run| run.run_id != UNNAMED).map(Arc::clone)
    }

    /// Every run with its number.
    pub(crate) fn runs(&self) -> Vec<(u32, Arc<RunDefinition>)> {
        let runs = read(&self.runs);
        (0..).zip(runs.iter().map(Arc::clone)).filter(|(_, run)| run.run_id != UNNAMED).collect()
    }

    /// Brings the definitions to the disk, and says whether all are there.
    pub(super) fn sync(&self) -> bool {
        let mut lines = lock(&self.file);
        let is_written = lines.write().is_ok();
        let file = lines.file.clone();
        // A log call that defines a key must not wait for the disk.
        drop(lines);
        is_written && file.is_none_or(|file| file.sync_data().is_ok())
    }

    /// Whether the file, if there is one, has all of them.
    pub(super) fn are_written(&self) -> bool {
        lock(&self.file).unwritten.is_empty()
    }
}

impl Lines {
    /// Writes a line, or keeps it until that can be, which is warned of.
    fn append(&mut self, line: &Line) -> Result<()> {
        // A leading line break, so that a line a full disk cut short spoils only itself.
        self.unwritten.push(b'\n');
        serde_json::to_writer(&mut self.unwritten, line)
            .map_err(|cause| Error::new(ErrorKind::Unexpected, "a name is no text").because(cause))?;
        if let Err(cause) = self.write() {
            warn_of_kills(&cause);
        }
        Ok(())
    }

    /// Writes what is not written yet. Lines that come twice, as a part of them was written, are passed over by readers.
    fn write(&mut self) -> std::io::Result<()> {
        if let Some(mut file) = self.file.as_deref().filter(|_| !self.unwritten.is_empty()) {
            file.write_all(&self.unwritten)?;
        }
        self.unwritten.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(run_id: &str) -> RunDefinition {
        RunDefinition { run_id: run_id.to_owned(), owned: true }
    }

    #[test]
    fn definitions_are_read_back_and_a_cut_line_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let definitions = Definitions::create(Some(dir.path())).unwrap();
        assert_eq!(definitions.key("loss").unwrap(), 0);
        assert_eq!(definitions.key("a \"quoted\"\nkey").unwrap(), 1);
        assert_eq!(definitions.key("loss").unwrap(), 0);
        assert_eq!(definitions.run(run("r1")).unwrap(), 0);
        definitions.creates_run_in("7").unwrap();
        let path = dir.path().join(FILE);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend(b"\n{\"Key\":{\"id\":2,\"na");
        std::fs::write(&path, bytes).unwrap();
        let read = Definitions::read(dir.path()).unwrap();
        assert_eq!(read.key_name(1).unwrap(), "a \"quoted\"\nkey");
        assert_eq!(read.key_name(2), None);
        assert_eq!(*read.run_of(0).unwrap(), run("r1"));
        assert_eq!(read.experiments(), BTreeSet::from(["7".to_owned()]));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_full_disk_does_not_take_is_written_when_it_can_be() {
        let dir = tempfile::tempdir().unwrap();
        let definitions = Definitions::create(Some(dir.path())).unwrap();
        definitions.key("before").unwrap();
        let full = File::options().append(true).open("/dev/full").unwrap();
        let free = lock(&definitions.file).file.replace(Arc::new(full));
        assert_eq!((definitions.key("loss").unwrap(), definitions.run(run("r1")).unwrap()), (1, 0));
        assert!(!definitions.sync() && !definitions.are_written());
        assert_eq!(definitions.key_name(1), Some("loss"), "it can be used all the same");
        lock(&definitions.file).file = free;
        assert!(definitions.sync() && definitions.are_written());
        let read = Definitions::read(dir.path()).unwrap();
        assert_eq!((read.key_name(1).unwrap(), &*read.run_of(0).unwrap()), ("loss", &run("r1")));
    }

    #[test]
    fn a_line_that_is_missing_takes_no_other_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let line = |id: u32| serde_json::json!({ "Key": { "id": id, "name": format!("k{id}") } });
        let damaged = format!("{}\n{{\"Key\":{{\"id\":1,\"\0\0\0\n{}\n", line(0), line(2));
        std::fs::write(&path, damaged).unwrap();
        let read = Definitions::read(dir.path()).unwrap();
        assert_eq!([0, 1, 2].map(|id| read.key_name(id)), [Some("k0"), None, Some("k2")]);
    }

    #[test]
    fn definitions_of_another_version_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "\n{\"Unit\":{\"id\":0,\"name\":\"ms\"}}").unwrap();
        assert_eq!(Definitions::read(dir.path()).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn keys_without_end_are_refused() {
        let definitions = Definitions::create(None).unwrap();
        for n in 0..KEYS_MAX {
            definitions.key(&n.to_string()).unwrap();
        }
        assert_eq!(definitions.key("one more").unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(definitions.key("7").unwrap(), 7);
    }
}
