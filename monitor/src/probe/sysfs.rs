//! Files of `/sys`: attributes that are opened once and hold one number, and what is looked at once to find them.
//!
//! Invariant: a reading does not allocate; what is no number is an error, and what does not answer has no value.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use runlog_core::{Error, ErrorKind};

use super::ProbeError;
use super::pseudo::{open, read_at};

/// More than any number takes.
const BYTES_MAX: usize = 64;

/// No machine has more; a mad range must not fill the memory.
const PROCESSORS_MAX: u32 = 1 << 16;

/// An attribute of a device with one number in it.
#[derive(Debug)]
pub(super) struct Attribute {
    path: PathBuf,
    file: File,
}

impl Attribute {
    /// Opens `path`. That it does not exist or is not for us is no fault.
    pub(super) fn open(path: PathBuf) -> Result<Self, ProbeError> {
        let file = open(&path)?;
        Ok(Self { path, file })
    }

    /// The number; `None` if the device does not answer, as one that is switched off or was taken away.
    ///
    /// # Errors
    /// The file holds something else.
    pub(super) fn read<T: FromStr>(&self) -> Result<Option<T>, ProbeError> {
        let mut room = [0; BYTES_MAX];
        let Ok(length) = read_at(&self.file, &mut room, 0) else { return Ok(None) };
        let text = room.get(..length).filter(|text| text.len() < BYTES_MAX).unwrap_or_default();
        let number = str::from_utf8(text).ok().and_then(|text| text.trim_ascii().parse().ok());
        number.map(Some).ok_or_else(|| {
            let error = Error::new(ErrorKind::Corrupt, "a file of the system holds no number");
            error.with("path", self.path.display()).into()
        })
    }
}

/// What a small file holds, without the space around it; `None` if it is empty or cannot be read.
pub(super) fn text(path: impl AsRef<Path>) -> Option<String> {
    let text = String::from_utf8(fs::read(path).ok()?).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The names in a directory, sorted; none where there is none.
pub(super) fn names(dir: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// The processors in a list such as `0-3,8` (the format: `cpuset(7)`); `None` if it is none.
pub(super) fn processors(list: &str) -> Option<Vec<u32>> {
    let mut all = Vec::new();
    for range in list.trim().split(',') {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        let (from, to): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
        if from > to || to >= PROCESSORS_MAX {
            return None;
        }
        all.extend(from..=to);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::probe::testing::write;

    #[test]
    fn a_number_is_read_anew_each_time_and_garbage_fails() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device/energy");
        assert!(matches!(Attribute::open(path.clone()), Err(ProbeError::Absent(_))));
        write(&path, "17\n");
        let attribute = Attribute::open(path.clone()).unwrap();
        assert_eq!(attribute.read::<u64>().unwrap(), Some(17));
        let cut_off = format!("5{}6", " ".repeat(BYTES_MAX));
        for bad in ["", "\n", "N/A (no PMA)\n", "-1", "18446744073709551616", &cut_off] {
            write(&path, bad);
            assert!(matches!(attribute.read::<u64>(), Err(ProbeError::Failed(_))), "{bad:?}");
        }
        write(&path, "-1500\n");
        assert_eq!(attribute.read::<i64>().unwrap(), Some(-1500));
        let directory = Attribute::open(dir.path().to_owned()).unwrap();
        assert_eq!(directory.read::<u64>().unwrap(), None, "it does not answer");
    }

    #[test]
    fn lists_of_processors_are_as_the_kernel_writes_them() {
        assert_eq!(processors("0-3,8\n"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(processors("5"), Some(vec![5]));
        for bad in ["", "\n", "3-1", "0-", "a", "0,,1", "0-4294967295"] {
            assert_eq!(processors(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_list_or_is_not(list: String) {
            let _processors = processors(&list);
        }
    }
}
