//! Files of `/proc` and `/sys` that are opened once and read at every sample.
//!
//! Invariant: after the first reading a reading does not allocate, unless the file has grown.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use runlog_core::{Error, ErrorKind};

use super::{ProbeError, absent};

/// Enough for the files of a small machine, so that most never grow.
const BYTES_AT_FIRST: usize = 4096;
/// Enough for a file of one number.
const BYTES_OF_NUMBER: usize = 64;
/// No account that we read is larger; a file that never ends must not fill the memory.
const BYTES_MAX: usize = 1 << 20;

/// A file that the kernel writes anew whenever it is read from its beginning.
#[derive(Debug)]
pub(super) struct Pseudo {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
}

impl Pseudo {
    /// Opens `path`. That it does not exist or is not for us is no fault.
    pub(super) fn open(path: PathBuf) -> Result<Self, ProbeError> {
        Self::with_room(path, BYTES_AT_FIRST)
    }

    /// Opens a file that holds one number.
    pub(super) fn of_number(path: PathBuf) -> Result<Self, ProbeError> {
        Self::with_room(path, BYTES_OF_NUMBER)
    }

    fn with_room(path: PathBuf, bytes: usize) -> Result<Self, ProbeError> {
        let file = open(&path)?;
        Ok(Self { path, file, buffer: vec![0; bytes] })
    }

    /// The beginning, at least its first line, with one call to the system.
    pub(super) fn head(&mut self) -> Result<&[u8], ProbeError> {
        let length = self.read_at(0)?;
        Ok(self.buffer.get(..length).unwrap_or_default())
    }

    /// All of it.
    pub(super) fn whole(&mut self) -> Result<&[u8], ProbeError> {
        let mut length = 0;
        loop {
            if length == self.buffer.len() {
                if length >= BYTES_MAX {
                    let error = Error::new(ErrorKind::Corrupt, "a file of the system does not end");
                    return Err(error.with("path", self.path.display()).into());
                }
                self.buffer.resize(length * 2, 0);
            }
            match self.read_at(length)? {
                0 => return Ok(self.buffer.get(..length).unwrap_or_default()),
                more => length += more,
            }
        }
    }

    fn read_at(&mut self, offset: usize) -> Result<usize, ProbeError> {
        let room = self.buffer.get_mut(offset..).unwrap_or_default();
        read_at(&self.file, room, offset as u64)
            .map_err(|cause| Error::io("read a file of the system", &self.path, cause).into())
    }
}

/// Opens a file of the system.
pub(super) fn open(path: &Path) -> Result<File, ProbeError> {
    File::open(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => absent("the system keeps no such account"),
        io::ErrorKind::PermissionDenied => absent("the system does not let this user read it"),
        _ => Error::io("open a file of the system", path, cause).into(),
    })
}

/// Reads what fits.
pub(super) fn read_at(file: &File, room: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(room, offset) {
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// The number that `text` is, if it is one that fits.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    str::from_utf8(text).ok()?.parse().ok()
}

/// The words of a line.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// The lines of a file, without their ends.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

/// The amount on the line that begins with `name`.
pub(super) fn value(file: &[u8], name: &[u8]) -> Option<u64> {
    lines(file).find_map(|line| {
        let mut words = words(line);
        (words.next() == Some(name)).then(|| words.next().and_then(number))?
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_read_anew_each_time_and_whole_whatever_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "one").unwrap();
        let mut file = Pseudo::open(path.clone()).unwrap();
        assert_eq!(file.whole().unwrap(), b"one");
        for length in [0, 4095, 4096, 4097, 100_000] {
            fs::write(&path, vec![b'x'; length]).unwrap();
            assert_eq!(file.whole().unwrap().len(), length);
        }
        assert!(file.head().unwrap().starts_with(b"xxx"));
        fs::write(&path, vec![b'x'; BYTES_MAX]).unwrap();
        assert!(matches!(file.whole(), Err(ProbeError::Failed(_))), "a file without end");
    }

    #[test]
    fn a_missing_file_is_absent_and_an_unreadable_one_has_failed() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Pseudo::open(dir.path().join("none")), Err(ProbeError::Absent(_))));
        let mut directory = Pseudo::open(dir.path().to_owned()).unwrap();
        assert!(matches!(directory.whole(), Err(ProbeError::Failed(_))));
    }
}
