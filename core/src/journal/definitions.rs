//! What the numbers in records mean: names of metric keys, ids of runs. Also the experiments that runs were made in.
//!
//! One JSON object a line, appended before the number's first use and never recycled. A line that a crash cut short was
//! never used, so readers pass over it.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::sync::{lock, read, write};

/// The file's name in a journal's directory.
pub(super) const FILE: &str = "definitions.jsonl";
/// Metric keys in one journal; a run that makes up keys without end is a mistake that must not eat all memory.
const KEYS_MAX: usize = 65_536;

#[derive(Serialize, Deserialize)]
enum Line {
    Key { id: u32, name: Arc<str> },
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
    file: Mutex<Option<File>>,
    keys: RwLock<Keys>,
    runs: RwLock<Vec<Arc<RunDefinition>>>,
    experiments: RwLock<BTreeSet<String>>,
}

#[derive(Debug, Default)]
struct Keys {
    ids: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
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
                    .map_err(|cause| Error::io("make the journal's definitions", &path, cause))
            })
            .transpose()?;
        Ok(Self { file: Mutex::new(file), ..Self::default() })
    }

    /// The definitions of a dead process.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let bytes = std::fs::read(&path)
            .map_err(|cause| Error::io("read the journal's definitions", &path, cause))?;
        let mut keys = Keys::default();
        let mut runs = Vec::new();
        let mut experiments = BTreeSet::new();
        for line in bytes.split(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Line::Key { id, name }) if id as usize == keys.names.len() => keys.push(name),
                Ok(Line::Run { id, run }) if id as usize == runs.len() => runs.push(Arc::new(run)),
                Ok(Line::CreatesRunIn { experiment_id }) => {
                    experiments.insert(experiment_id);
                }
                _ => {}
            }
        }
        Ok(Self {
            file: Mutex::new(None),
            keys: RwLock::new(keys),
            runs: RwLock::new(runs),
            experiments: RwLock::new(experiments),
        })
    }

    /// The number of a key that was defined.
    pub(crate) fn find_key(&self, name: &str) -> Option<u32> {
        read(&self.keys).ids.get(name).copied()
    }

    /// The number of a key, defined now if it was not.
    ///
    /// # Errors
    /// There are 65,536 keys already, or the definition cannot be written.
    pub(crate) fn key(&self, name: &str) -> Result<u32> {
        if let Some(id) = self.find_key(name) {
            return Ok(id);
        }
        let mut file = lock(&self.file);
        if let Some(id) = self.find_key(name) {
            return Ok(id);
        }
        let id = read(&self.keys).names.len();
        if id >= KEYS_MAX {
            return Err(Error::invalid(format!(
                "this process has logged {KEYS_MAX} different metric keys; use steps instead of ever new keys"
            )));
        }
        let id = u32::try_from(id).unwrap_or(u32::MAX);
        let name: Arc<str> = name.into();
        append(&mut file, &Line::Key { id, name: Arc::clone(&name) })?;
        write(&self.keys).push(name);
        Ok(id)
    }

    /// Defines a run.
    ///
    /// # Errors
    /// The definition cannot be written.
    pub(crate) fn run(&self, run: RunDefinition) -> Result<u32> {
        let mut file = lock(&self.file);
        let mut runs = write(&self.runs);
        if let Some(known) = runs.iter().position(|known| **known == run) {
            return Ok(u32::try_from(known).unwrap_or(u32::MAX));
        }
        let id = u32::try_from(runs.len()).unwrap_or(u32::MAX);
        append(&mut file, &Line::Run { id, run: run.clone() })?;
        runs.push(Arc::new(run));
        Ok(id)
    }

    /// Notes that this process is about to create a run in an experiment, whose id nobody knows yet.
    ///
    /// # Errors
    /// The note cannot be written.
    pub(crate) fn creates_run_in(&self, experiment_id: &str) -> Result<()> {
        let mut file = lock(&self.file);
        if !read(&self.experiments).contains(experiment_id) {
            append(&mut file, &Line::CreatesRunIn { experiment_id: experiment_id.to_owned() })?;
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
        u32::try_from(read(&self.keys).names.len()).unwrap_or(u32::MAX)
    }

    /// How many definitions there are: none goes, and none changes.
    pub(super) fn count(&self) -> usize {
        read(&self.keys).names.len() + read(&self.runs).len() + read(&self.experiments).len()
    }

    /// The name of a key.
    pub(crate) fn key_name(&self, id: u32) -> Option<Arc<str>> {
        read(&self.keys).names.get(id as usize).map(Arc::clone)
    }

    /// The run of a number.
    pub(crate) fn run_of(&self, id: u32) -> Option<Arc<RunDefinition>> {
        read(&self.runs).get(id as usize).map(Arc::clone)
    }

    /// Every run with its number.
    pub(crate) fn runs(&self) -> Vec<(u32, Arc<RunDefinition>)> {
        (0..).zip(read(&self.runs).iter().map(Arc::clone)).collect()
    }

    /// Brings the definitions to the disk.
    pub(super) fn sync(&self) {
        if let Some(file) = &*lock(&self.file) {
            // Costs durability against a power cut only, and the next one tries again.
            file.sync_data().ok();
        }
    }
}

impl Keys {
    fn push(&mut self, name: Arc<str>) {
        self.ids.insert(Arc::clone(&name), u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        self.names.push(name);
    }
}

fn append(file: &mut Option<File>, line: &Line) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    let fail = |cause: std::io::Error| {
        Error::new(ErrorKind::Unavailable, format!("cannot write to the journal: {cause}")).because(cause)
    };
    // A leading line break, so that a line a full disk cut short spoils only itself.
    let mut text = b"\n".to_vec();
    serde_json::to_writer(&mut text, line).map_err(|cause| fail(cause.into()))?;
    file.write_all(&text).map_err(fail)
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
        assert_eq!(read.key_name(1).unwrap().as_ref(), "a \"quoted\"\nkey");
        assert_eq!(read.key_name(2), None);
        assert_eq!(*read.run_of(0).unwrap(), run("r1"));
        assert_eq!(read.experiments(), BTreeSet::from(["7".to_owned()]));
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
