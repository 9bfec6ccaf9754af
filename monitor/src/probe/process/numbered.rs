//! Directories of `/proc` whose entries are numbers: processes, threads, file descriptors; and the files below them.
//!
//! Invariant: nothing here allocates once its buffer has the size that it needs; what ended while it was looked at is
//! no fault.

use std::fmt;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use runlog_core::{Error, ErrorKind};
use rustix::fs::{CWD, Mode, OFlags, RawDir, SeekFrom};
use rustix::io::Errno;

use crate::probe::pseudo::number;
use crate::probe::{ProbeError, absent};

/// A path below such a directory is a few numbers and short words.
const PATH_BYTES_MAX: usize = 64;
/// As much of a directory as one call takes.
const LISTING_BYTES: usize = 8192;
/// The files of one process are small; one that never ends must not fill the memory.
const BYTES_MAX: usize = 1 << 20;

/// A directory that stays open.
#[derive(Debug)]
pub(super) struct Numbered {
    path: PathBuf,
    directory: OwnedFd,
}

impl Numbered {
    /// Opens `path`. That it does not exist is no fault.
    pub(super) fn open(path: PathBuf) -> Result<Self, ProbeError> {
        match rustix::fs::openat(CWD, &path, DIRECTORY, Mode::empty()) {
            Ok(directory) => Ok(Self { path, directory }),
            Err(errno) if unseen(errno) => Err(absent("the system lists no such thing")),
            Err(errno) => Err(failed(&path, errno)),
        }
    }

    /// The directory itself, for what else there is to ask of it.
    pub(super) fn descriptor(&self) -> &OwnedFd {
        &self.directory
    }

    /// Calls `each` with every entry that is a number.
    pub(super) fn list(&self, mut each: impl FnMut(u32)) -> Result<(), ProbeError> {
        rustix::fs::seek(&self.directory, SeekFrom::Start(0)).map_err(|errno| failed(&self.path, errno))?;
        list(&self.directory, &mut each).map_err(|errno| failed(&self.path, errno))
    }

    /// The same of a directory below; `false` if there is none.
    pub(super) fn list_below(
        &self,
        path: fmt::Arguments<'_>,
        mut each: impl FnMut(u32),
    ) -> Result<bool, ProbeError> {
        let listed = below(path).and_then(|(path, length)| {
            let path = path.get(..length).unwrap_or_default();
            let directory = rustix::fs::openat(&self.directory, path, DIRECTORY, Mode::empty())?;
            list(&directory, &mut each)
        });
        match listed {
            Ok(()) => Ok(true),
            Err(errno) if unseen(errno) => Ok(false),
            Err(errno) => Err(failed(&self.path, errno)),
        }
    }

    /// All of a file below; `None` if it is not there, no more, or not for us.
    pub(super) fn read<'b>(
        &self,
        path: fmt::Arguments<'_>,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Option<&'b [u8]>, ProbeError> {
        let read = below(path).and_then(|(path, length)| {
            let path = path.get(..length).unwrap_or_default();
            let file =
                rustix::fs::openat(&self.directory, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            read_to_end(&file, buffer)
        });
        match read {
            Ok(length) => Ok(buffer.get(..length)),
            Err(errno) if unseen(errno) => Ok(None),
            Err(Errno::FBIG) => {
                let error = Error::new(ErrorKind::Corrupt, "a file of a process does not end");
                Err(error.with("path", self.path.display()).into())
            }
            Err(errno) => Err(failed(&self.path, errno)),
        }
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Whether this is what the system says of a process or a thread that has ended, or that is kept from us.
fn unseen(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::SRCH | Errno::ACCESS | Errno::PERM)
}

fn failed(path: &Path, errno: Errno) -> ProbeError {
    Error::io("read what the system tells of processes", path, errno.into()).into()
}

/// The bytes of a path, and how many they are.
fn below(path: fmt::Arguments<'_>) -> Result<([u8; PATH_BYTES_MAX], usize), Errno> {
    let mut bytes = [0; PATH_BYTES_MAX];
    let mut rest = bytes.as_mut_slice();
    rest.write_fmt(path).map_err(|_full| Errno::NAMETOOLONG)?;
    let length = PATH_BYTES_MAX - rest.len();
    Ok((bytes, length))
}

fn list(directory: &OwnedFd, each: &mut impl FnMut(u32)) -> Result<(), Errno> {
    let mut listing = [MaybeUninit::uninit(); LISTING_BYTES];
    let mut entries = RawDir::new(directory, &mut listing);
    while let Some(entry) = entries.next() {
        let id = number(entry?.file_name().to_bytes()).and_then(|number| u32::try_from(number).ok());
        if let Some(id) = id {
            each(id);
        }
    }
    Ok(())
}

fn read_to_end(file: &OwnedFd, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
    let mut length = 0;
    loop {
        if length == buffer.len() {
            if length >= BYTES_MAX {
                return Err(Errno::FBIG);
            }
            buffer.resize((length * 2).max(4096), 0);
        }
        match rustix::io::read(file, buffer.get_mut(length..).unwrap_or_default()) {
            Ok(0) => return Ok(length),
            Ok(more) => length += more,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::testing::write;

    #[test]
    fn entries_that_are_numbers_are_listed_each_time_anew() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["12", "7", "self", "-3", "99999999999"] {
            write(&dir.path().join(name).join("stat"), "");
        }
        let directory = Numbered::open(dir.path().to_owned()).unwrap();
        let listed = || {
            let mut ids = Vec::new();
            directory.list(|id| ids.push(id)).unwrap();
            ids.sort_unstable();
            ids
        };
        assert_eq!(listed(), [7, 12]);
        write(&dir.path().join("8/stat"), "");
        assert_eq!(listed(), [7, 8, 12]);
    }

    #[test]
    fn more_entries_than_fit_in_one_call_are_all_listed() {
        let dir = tempfile::tempdir().unwrap();
        for name in 0..1000 {
            write(&dir.path().join("5/task").join(name.to_string()), "");
        }
        let directory = Numbered::open(dir.path().to_owned()).unwrap();
        let mut ids = Vec::new();
        assert!(directory.list_below(format_args!("{}/task", 5), |id| ids.push(id)).unwrap());
        ids.sort_unstable();
        assert!(ids.into_iter().eq(0..1000));
        assert!(!directory.list_below(format_args!("6/task"), |_| panic!("nothing is there")).unwrap());
    }

    #[test]
    fn a_file_is_read_whole_and_a_missing_one_is_no_fault() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Numbered::open(dir.path().to_owned()).unwrap();
        let mut buffer = Vec::new();
        for length in [0, 3, 4096, 10_000, 5] {
            write(&dir.path().join("7/children"), &"x".repeat(length));
            let read = directory.read(format_args!("7/children"), &mut buffer).unwrap();
            assert_eq!(read.map(<[u8]>::len), Some(length));
        }
        assert!(directory.read(format_args!("8/children"), &mut buffer).unwrap().is_none());
        assert!(matches!(Numbered::open(dir.path().join("8")), Err(ProbeError::Absent(_))));
    }

    #[test]
    fn what_cannot_be_read_has_failed() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("7/children"), &"x".repeat(BYTES_MAX));
        let directory = Numbered::open(dir.path().to_owned()).unwrap();
        let mut buffer = Vec::new();
        let mut read = |path| matches!(directory.read(path, &mut buffer), Err(ProbeError::Failed(_)));
        assert!(read(format_args!("7/children")), "a file without end");
        assert!(read(format_args!("7")), "a directory");
        assert!(read(format_args!("{}", "7".repeat(PATH_BYTES_MAX + 1))), "no path of ours");
        assert!(matches!(Numbered::open(dir.path().join("7/children")), Err(ProbeError::Failed(_))));
    }
}
