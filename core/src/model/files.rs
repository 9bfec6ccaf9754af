//! Files of a model on their way to its folder: bytes, or local files that are copied piece by piece.

use std::path::PathBuf;

use crate::artifact::{Artifacts, LocalFile};
use crate::error::Result;

/// What a file of a model holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelFile {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What a local file holds.
    Path(PathBuf),
}

impl ModelFile {
    /// Adds this file as `name`, or each one of a directory below it, sorted; how many bytes that are.
    pub(super) fn expand(self, name: String, into: &mut Vec<(String, Self)>) -> Result<u64> {
        match self {
            Self::Bytes(content) => {
                let bytes = u64::try_from(content.len()).unwrap_or(u64::MAX);
                into.push((name, Self::Bytes(content)));
                Ok(bytes)
            }
            Self::Path(path) => {
                let files = LocalFile::all_at(&path, name)?;
                let bytes = files.iter().map(|file| file.bytes).sum();
                into.extend(files.into_iter().map(|file| (file.to, Self::Path(file.from))));
                Ok(bytes)
            }
        }
    }

    pub(super) fn write(&self, artifacts: &dyn Artifacts, name: &str) -> Result<()> {
        match self {
            Self::Bytes(content) => artifacts.write(name, &mut &content[..]),
            Self::Path(path) => artifacts.copy(name, path, &|_| ()),
        }
    }
}
