//! Files of a model on their way to its folder: bytes, or local files that are copied piece by piece.

use std::fs;
use std::path::{Path, PathBuf};

use crate::artifact::Artifacts;
use crate::error::{Error, Result};

/// What a file of a model holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelFile {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What a local file holds.
    Path(PathBuf),
}

impl ModelFile {
    /// Adds this file as `name`, or each one of a directory below it, sorted.
    pub(super) fn expand(&self, name: &str, into: &mut Vec<(String, Self)>) -> Result<()> {
        let dir = match self {
            Self::Path(path) if path.is_dir() => path,
            _ => {
                into.push((name.to_owned(), self.clone()));
                return Ok(());
            }
        };
        let failed = |cause| Error::io("read the directory of the model", dir, cause);
        let mut entries =
            fs::read_dir(dir).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let below = format!("{name}/{}", entry.file_name().to_string_lossy());
            Self::Path(entry.path()).expand(&below, into)?;
        }
        Ok(())
    }

    pub(super) fn size_bytes(&self) -> Result<u64> {
        match self {
            Self::Bytes(content) => Ok(u64::try_from(content.len()).unwrap_or(u64::MAX)),
            Self::Path(path) => Ok(metadata(path)?.len()),
        }
    }

    pub(super) fn write(&self, artifacts: &dyn Artifacts, name: &str) -> Result<()> {
        match self {
            Self::Bytes(content) => artifacts.write(name, &mut &content[..]),
            Self::Path(path) => artifacts.copy(name, path, &|_| ()),
        }
    }
}

fn metadata(path: &Path) -> Result<fs::Metadata> {
    fs::metadata(path).map_err(|cause| Error::io("read the file of the model", path, cause))
}
