//! Who writes a journal.
//!
//! Whether that process still lives is for an [`Observer`](super::observer::Observer) to say.

use std::fs::File;
use std::io::{Read, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// The file's name in a journal's directory.
pub(super) const FILE: &str = "owner.json";
const FORMAT: u32 = 1;
/// More than any owner says: what is longer is none.
const BYTES_MAX: u64 = 64 * 1024;

/// The process that writes a journal, and the store it writes for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub(super) format: u32,
    pub(super) pid: u32,
    /// In clock ticks since boot, which tells a reused id from the old process.
    pub(super) start_time: Option<u64>,
    #[serde(flatten)]
    pub(super) machine: Machine,
    /// The store's address, without secrets.
    pub(crate) store: String,
}

/// What tells one machine, one boot of it and one of its containers from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Machine {
    /// New with every boot.
    pub(super) boot_id: Option<String>,
    /// Where process ids mean the same.
    pub(super) pid_namespace: Option<String>,
    /// The same in every boot.
    #[serde(rename = "machine_id")]
    pub(super) installation: Option<String>,
    pub(super) host_name: Option<String>,
}

impl Owner {
    /// This process, writing for `store`.
    pub(crate) fn this_process(store: &str) -> Self {
        let pid = std::process::id();
        Self {
            format: FORMAT,
            pid,
            start_time: start_time(pid),
            machine: Machine::here(),
            store: store.to_owned(),
        }
    }

    /// Writes the file into `dir` and locks it; the lock lasts as long as the returned file.
    pub(crate) fn write(&self, dir: &Path) -> Result<File> {
        let path = dir.join(FILE);
        let fail = |cause: std::io::Error| Error::io("mark the journal as ours", &path, cause);
        let file = File::options().read(true).write(true).create_new(true).open(&path).map_err(fail)?;
        // Before there is an owner to read: whoever finds one that is not locked takes it for dead. Not every file system
        // has locks; the process id serves there.
        file.try_lock().ok();
        let text = serde_json::to_vec(self).map_err(|cause| fail(cause.into()))?;
        (&file).write_all(&text).map_err(fail)?;
        Ok(file)
    }

    /// Opens the owner file of the journal in `dir`; it may lie where nothing can be written.
    pub(super) fn open(dir: &Path) -> Result<File> {
        let path = dir.join(FILE);
        let fail = |cause| Error::io("read the journal's owner", &path, cause);
        let file = File::open(&path).map_err(fail)?;
        if !file.metadata().map_err(fail)?.is_file() {
            return Err(
                Error::new(ErrorKind::Corrupt, "not a journal's owner file").with("path", path.display())
            );
        }
        Ok(file)
    }

    /// Reads the owner of the journal in `dir` from its file.
    pub(super) fn read(file: &File, dir: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let no_owner = |cause: serde_json::Error| {
            let message =
                "the journal does not say whose it is; look at it, and remove it if it is of no use";
            Error::new(ErrorKind::Corrupt, message).with("journal", dir.display()).because(cause)
        };
        let bytes = std::io::read_to_string(Read::take(file, BYTES_MAX))
            .map_err(|cause| Error::io("read the journal's owner", &dir.join(FILE), cause))?;
        // By itself: another format may have other fields.
        let head: Head = serde_json::from_str(&bytes).map_err(no_owner)?;
        if head.format != FORMAT {
            return Err(unknown_format(dir).with("format", head.format));
        }
        serde_json::from_str(&bytes).map_err(no_owner)
    }

    /// For messages.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The machine that the process ran on, for messages; `None` if that is this one.
    pub(super) fn elsewhere(&self) -> Option<&str> {
        let here = Machine::here();
        let is_here = self.machine.boot_id == here.boot_id || self.machine.host_name == here.host_name;
        self.machine.host_name.as_deref().filter(|_| !is_here)
    }

    /// Whether the ids of processes here are those of the owner's time and place, and it has none of them any more.
    pub(super) fn is_gone(&self, here: &Machine) -> bool {
        self.is_visible_from(here) && start_time(self.pid) != self.start_time
    }

    /// Whether the process, if it lives, is among those that are seen here.
    pub(super) fn is_visible_from(&self, here: &Machine) -> bool {
        self.start_time.is_some()
            && self.machine.is_same_boot(here)
            && self.machine.pid_namespace == here.pid_namespace
    }
}

impl Machine {
    /// Where this process runs.
    pub(super) fn here() -> Self {
        Self {
            boot_id: boot_id(),
            pid_namespace: pid_namespace(),
            installation: machine_id(),
            host_name: host_name(),
        }
    }

    pub(super) fn is_same_boot(&self, other: &Self) -> bool {
        self.boot_id.is_some() && self.boot_id == other.boot_id
    }

    /// Whether both are certainly one machine, whatever the boot. Images of machines are copied, with the one or the
    /// other of these, so both must agree.
    pub(super) fn is_same_machine(&self, other: &Self) -> bool {
        let agree = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        agree(&self.installation, &other.installation) && agree(&self.host_name, &other.host_name)
    }
}

/// A journal that another version wrote.
pub(super) fn unknown_format(dir: &Path) -> Error {
    let message =
        "a journal has a format that this version does not know; deliver it with the version that wrote it";
    Error::new(ErrorKind::Unsupported, message).with("journal", dir.display())
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
    line_of("/proc/sys/kernel/random/boot_id")
}

#[cfg(target_os = "linux")]
fn machine_id() -> Option<String> {
    line_of("/etc/machine-id")
}

#[cfg(target_os = "linux")]
fn pid_namespace() -> Option<String> {
    Some(std::fs::read_link("/proc/self/ns/pid").ok()?.to_string_lossy().into_owned())
}

#[cfg(target_os = "linux")]
fn line_of(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|line| !line.is_empty())
}

#[cfg(unix)]
fn host_name() -> Option<String> {
    Some(rustix::system::uname().nodename().to_string_lossy().into_owned()).filter(|name| !name.is_empty())
}

#[cfg(not(unix))]
fn host_name() -> Option<String> {
    None
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
fn machine_id() -> Option<String> {
    None
}

#[cfg(not(target_os = "linux"))]
fn pid_namespace() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dir: &Path) -> Result<Owner> {
        Owner::read(&Owner::open(dir).unwrap(), dir)
    }

    #[test]
    fn an_owner_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let owner = Owner::this_process("s");
        let _lock = owner.write(dir.path()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), owner);
        assert_eq!(owner.elsewhere(), None);
        let machine = Machine {
            boot_id: Some("other".to_owned()),
            host_name: Some("gpu-3".to_owned()),
            ..owner.machine.clone()
        };
        assert_eq!(Owner { machine, ..owner }.elsewhere(), Some("gpu-3"));
    }

    #[test]
    fn an_unknown_format_is_refused_whatever_else_it_has() {
        let dir = tempfile::tempdir().unwrap();
        for (text, kind) in [
            (r#"{"format": 2, "process": {"id": 7}}"#, ErrorKind::Unsupported),
            (r#"{"format": 1}"#, ErrorKind::Corrupt),
            ("", ErrorKind::Corrupt),
        ] {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            assert_eq!(read(dir.path()).unwrap_err().kind(), kind, "{text}");
        }
    }
}
