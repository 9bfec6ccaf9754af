//! Who writes a journal, and whether that process still lives.
//!
//! A file lock alone is not enough: a forked child keeps the lock of its parent alive. A process id alone is not
//! enough: ids are reused, and a container sees other ones. So the owner is dead when the lock is free, *or* when that
//! process, told by its id, start time, boot and namespace, is gone.

use std::fs::{File, TryLockError};
use std::io::{BufReader, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// The file's name in a journal's directory.
pub(super) const FILE: &str = "owner.json";
const FORMAT: u32 = 1;

/// The process that writes a journal, and the store it writes for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    format: u32,
    pid: u32,
    /// In clock ticks since boot, which tells a reused id from the old process.
    start_time: Option<u64>,
    boot_id: Option<String>,
    pid_namespace: Option<String>,
    /// The store's address, without secrets.
    pub(crate) store: String,
}

impl Owner {
    /// This process, writing for `store`.
    pub(crate) fn this_process(store: &str) -> Self {
        let pid = std::process::id();
        Self {
            format: FORMAT,
            pid,
            start_time: start_time(pid),
            boot_id: boot_id(),
            pid_namespace: pid_namespace(),
            store: store.to_owned(),
        }
    }

    /// Writes the file into `dir` and locks it; the lock lasts as long as the returned file.
    pub(crate) fn write(&self, dir: &Path) -> Result<File> {
        let path = dir.join(FILE);
        let fail = |cause: std::io::Error| Error::io("mark the journal as ours", &path, cause);
        let file = File::options().read(true).write(true).create_new(true).open(&path).map_err(fail)?;
        let text = serde_json::to_vec(self).map_err(|cause| fail(cause.into()))?;
        (&file).write_all(&text).map_err(fail)?;
        // Not every file system has locks; the process id serves there.
        file.try_lock().ok();
        Ok(file)
    }

    /// Reads the owner of the journal in `dir`.
    pub(super) fn read(dir: &Path) -> Result<(Self, File)> {
        let path = dir.join(FILE);
        let file = File::options().read(true).write(true).open(&path);
        let file = file.map_err(|cause| Error::io("read the journal's owner", &path, cause))?;
        let owner: Self = serde_json::from_reader(BufReader::new(&file)).map_err(|cause| {
            Error::new(ErrorKind::Corrupt, "not a journal's owner file")
                .with("path", path.display())
                .because(cause)
        })?;
        if owner.format != FORMAT {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a journal has a format that this version does not know; deliver it with the version that wrote it",
            )
            .with("format", owner.format)
            .with("path", dir.display()));
        }
        Ok((owner, file))
    }

    /// Whether the process is gone; `file` is its owner file, which is locked if so.
    pub(super) fn is_dead(&self, file: &File) -> bool {
        match file.try_lock() {
            Ok(()) => true,
            // Held by that process, by a child of it, or no file system for locks.
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => self.is_gone(),
        }
    }

    /// Whether this machine shows that the process is gone; elsewhere, nothing can be said.
    fn is_gone(&self) -> bool {
        let here =
            self.boot_id.is_some() && self.boot_id == boot_id() && self.pid_namespace == pid_namespace();
        here && self.start_time.is_some() && start_time(self.pid) != self.start_time
    }

    /// For messages.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }
}

/// When the process started; a zombie counts as gone.
#[cfg(target_os = "linux")]
fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; the fields are counted after it (proc_pid_stat(5)).
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.nth(18)?.parse().ok() }
}

#[cfg(target_os = "linux")]
fn boot_id() -> Option<String> {
    Some(std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

#[cfg(target_os = "linux")]
fn pid_namespace() -> Option<String> {
    Some(std::fs::read_link("/proc/self/ns/pid").ok()?.to_string_lossy().into_owned())
}

#[cfg(not(target_os = "linux"))]
fn start_time(_: u32) -> Option<u64> {
    None
}

#[cfg(not(target_os = "linux"))]
fn boot_id() -> Option<String> {
    None
}

#[cfg(not(target_os = "linux"))]
fn pid_namespace() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_means_alive_and_a_free_one_dead() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Owner::this_process("s").write(dir.path()).unwrap();
        let (owner, file) = Owner::read(dir.path()).unwrap();
        assert!(!owner.is_dead(&file));
        drop(lock);
        // A child that another test spawns at this moment may hold a copy of the lock until it executes its program.
        while !owner.is_dead(&file) {
            std::thread::yield_now();
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_is_gone_is_dead_though_its_lock_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        let owner = Owner { pid: gone.id(), start_time: Some(1), ..Owner::this_process("s") };
        gone.wait().unwrap();
        let _inherited_by_a_child = owner.write(dir.path()).unwrap();
        let (owner, file) = Owner::read(dir.path()).unwrap();
        assert!(owner.is_dead(&file));
        let elsewhere = Owner { boot_id: Some("another boot".to_owned()), ..owner };
        assert!(!elsewhere.is_dead(&file));
    }

    #[test]
    fn an_unknown_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let owner = Owner { format: 2, ..Owner::this_process("s") };
        drop(owner.write(dir.path()).unwrap());
        assert_eq!(Owner::read(dir.path()).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
