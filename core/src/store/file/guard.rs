//! Who may write in a directory: one at a time, of all threads and processes of runlog.
//!
//! A directory (the root, a run, a model) has a file `.runlog.lock`, which MLflow does not look at. While points are
//! appended, it names the files that they go to: if the writer is killed then, a last line without its line break is
//! torn, and the next who takes the lock cuts it off. A last line that some other program left without a line break
//! is whole. MLflow itself takes no locks.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::disk;
use crate::clock;
use crate::error::{Error, ErrorKind, Result};

const FILE: &str = ".runlog.lock";
/// How long others may hold a lock; they need it for milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE_MIN: Duration = Duration::from_micros(100);
const PAUSE_MAX: Duration = Duration::from_millis(10);

/// The right to write in a directory, until it is dropped.
#[derive(Debug)]
pub(super) struct Guard {
    dir: PathBuf,
    file: File,
}

impl Guard {
    /// Waits for the right to write in `dir`, which exists, and repairs what a killed writer left there.
    pub(super) fn take(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|cause| disk::failed("open the lock", &path, cause))?;
        lock_within(&file, PATIENCE).map_err(|error| error.with("path", path.display()))?;
        let guard = Self { dir: dir.to_owned(), file };
        guard.repair().map_err(|cause| Error::io("repair what a killed process left", &path, cause))?;
        Ok(guard)
    }

    /// Says that points are about to be appended to these files, named from the directory.
    pub(super) fn appending(&self, files: &str) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        self.note(files).map_err(|cause| Error::io("write the lock", &self.dir.join(FILE), cause))
    }

    /// Says that they are whole.
    pub(super) fn appended(&self) {
        // What stays noted costs the next writer a look at the files, which are whole.
        self.file.set_len(0).ok();
    }

    fn note(&self, files: &str) -> io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(files.as_bytes())
    }

    fn repair(&self) -> io::Result<()> {
        let mut noted = String::new();
        (&self.file).read_to_string(&mut noted)?;
        if noted.is_empty() {
            return Ok(());
        }
        for name in noted.lines() {
            cut_torn_line(&self.dir.join(name))?;
        }
        self.file.set_len(0)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Explicitly: a forked child holds a copy of the file, with which the lock would live on.
        self.file.unlock().ok();
    }
}

/// Whether a writer, alive or killed, is appending to the file `name` of `dir`.
pub(super) fn is_appending(dir: &Path, name: &str) -> bool {
    fs::read_to_string(dir.join(FILE)).is_ok_and(|noted| noted.lines().any(|line| line == name))
}

fn lock_within(file: &File, patience: Duration) -> Result<()> {
    let deadline = clock::instant() + patience;
    let mut pause = PAUSE_MIN;
    loop {
        match file.try_lock() {
            // Not every file system has locks. There, one process at a time is up to the user.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(()),
            Err(TryLockError::WouldBlock) if clock::instant() >= deadline => {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    "another process keeps the file store locked; if it hangs, end it",
                ));
            }
            Err(TryLockError::WouldBlock) => {
                std::thread::park_timeout(pause);
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// Cuts a file after its last line break.
fn cut_torn_line(path: &Path) -> io::Result<()> {
    const CHUNK: u64 = 4096;
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(cause),
    };
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        let mut chunk = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        (&file).take(end - start).read_to_end(&mut chunk)?;
        if let Some(place) = chunk.iter().rposition(|byte| *byte == b'\n') {
            end = start + place as u64 + 1;
            break;
        }
        end = start;
    }
    file.set_len(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_writer_left_torn_is_cut_and_what_others_left_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let long = "x".repeat(10_000);
        let texts = [
            ("torn", format!("1 0.5 1\n2 0.{long}")),
            ("whole", "1 0.5 1\n".into()),
            ("first", "1 0".into()),
        ];
        for (name, text) in &texts {
            fs::write(dir.path().join(name), text).unwrap();
        }
        fs::write(dir.path().join("others"), "1 0.5 1\n2 0.5 2").unwrap();
        let killed = Guard::take(dir.path()).unwrap();
        killed.appending("torn\nwhole\nfirst\nabsent").unwrap();
        assert!(is_appending(dir.path(), "torn") && !is_appending(dir.path(), "others"));
        drop(killed);

        drop(Guard::take(dir.path()).unwrap());
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(
            (read("torn").as_str(), read("whole").as_str(), read("first").as_str()),
            ("1 0.5 1\n", "1 0.5 1\n", "")
        );
        assert_eq!(read("others"), "1 0.5 1\n2 0.5 2");
        assert!(!is_appending(dir.path(), "torn"));
    }

    #[test]
    fn one_writes_and_the_others_wait() {
        let dir = tempfile::tempdir().unwrap();
        let held = Guard::take(dir.path()).unwrap();
        let other = OpenOptions::new().write(true).open(dir.path().join(FILE)).unwrap();
        let refused = lock_within(&other, Duration::from_millis(1)).unwrap_err();
        assert!(refused.is_temporary(), "{refused}");
        drop(held);
        lock_within(&other, Duration::ZERO).unwrap();
    }
}
