//! Artifacts in memory, for tests and for runs that are to leave nothing behind.
//!
//! An address names the same files for as long as the process lives, as a directory would.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Artifacts, FileInfo, clean_dir, clean_path};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::lock;

/// Files by their clean path.
type Files = BTreeMap<String, Vec<u8>>;

/// Every place of this process, by its address.
static ROOTS: Mutex<BTreeMap<String, Arc<Mutex<Files>>>> = Mutex::new(BTreeMap::new());

/// Artifacts that end with the process.
#[derive(Clone, Debug)]
pub struct MemoryArtifacts {
    /// `None` discards what is written.
    files: Option<Arc<Mutex<Files>>>,
}

impl MemoryArtifacts {
    /// The artifacts of this process at a `memory:` address.
    pub fn at(uri: &str) -> Self {
        let mut roots = lock(&ROOTS);
        let files = roots.entry(uri.trim_end_matches('/').to_owned()).or_default();
        Self { files: Some(Arc::clone(files)) }
    }

    /// The artifacts that the address of one file or directory lies in, and its path there; `None` if nothing of this
    /// process is kept around it.
    pub(crate) fn around(uri: &str) -> Option<(Self, &str)> {
        let uri = uri.trim_end_matches('/');
        let roots = lock(&ROOTS);
        let ends = uri.match_indices('/').map(|(end, _)| end).chain([uri.len()]);
        let (end, files) = ends.rev().find_map(|end| Some((end, roots.get(&uri[..end])?)))?;
        Some((Self { files: Some(Arc::clone(files)) }, uri[end..].trim_start_matches('/')))
    }

    /// A place that checks what is written as every other does, and keeps nothing.
    pub fn discarding() -> Self {
        Self { files: None }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Files>> {
        self.files.as_ref().map(|files| lock(files))
    }
}

/// The files below a directory, by their path inside it.
fn inside<'a>(files: &'a Files, dir: &'a str) -> impl Iterator<Item = (&'a str, &'a Vec<u8>)> {
    let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
    let from = files.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded));
    from.map_while(move |(path, content)| Some((path.strip_prefix(&prefix)?, content)))
}

/// Whether `path` is a file where a directory is needed, or a directory where a file is.
fn blocked(files: &Files, path: &str) -> bool {
    let parents = path.match_indices('/').map(|(end, _)| &path[..end]);
    inside(files, path).next().is_some() || parents.into_iter().any(|parent| files.contains_key(parent))
}

impl Artifacts for MemoryArtifacts {
    fn write(&self, path: &str, from: &mut dyn Read) -> Result<()> {
        let path = clean_path(path)?;
        let mut content = Vec::new();
        from.read_to_end(&mut content)
            .map_err(|cause| Error::io("write the artifact", Path::new(&path), cause))?;
        let Some(mut files) = self.lock() else { return Ok(()) };
        if blocked(&files, &path) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "a directory and a file cannot have the same path",
            )
            .with("path", path));
        }
        files.insert(path, content);
        Ok(())
    }

    fn copy(&self, path: &str, file: &Path, copied: &dyn Fn(u64)) -> Result<()> {
        let content = fs::read(file).map_err(|cause| Error::io("read the file to log", file, cause))?;
        self.write(path, &mut &content[..])?;
        copied(u64::try_from(content.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    fn list(&self, dir: &str) -> Result<Vec<FileInfo>> {
        let dir = clean_dir(dir)?;
        let Some(files) = self.lock() else { return Ok(Vec::new()) };
        let mut infos: Vec<_> = inside(&files, &dir)
            .map(|(path, content)| {
                let (name, deeper) = path.split_once('/').map_or((path, false), |(name, _)| (name, true));
                let path = if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
                let bytes = u64::try_from(content.len()).unwrap_or(u64::MAX);
                if deeper { FileInfo::directory(path) } else { FileInfo::file(path, bytes) }
            })
            .collect();
        infos.sort();
        infos.dedup();
        Ok(infos)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let path = clean_path(path)?;
        let found = self.lock().and_then(|files| files.get(&path).cloned());
        found.ok_or_else(|| Error::not_found("there is no such artifact").with("path", path))
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(Cursor::new(self.read(path)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_the_same_files_wherever_it_is_opened() {
        MemoryArtifacts::at("memory:/same/").write("a", &mut "x".as_bytes()).unwrap();
        assert_eq!(MemoryArtifacts::at("memory:/same").read("a").unwrap(), b"x");
        assert!(MemoryArtifacts::at("memory:/other").list("").unwrap().is_empty());
        for (uri, expect) in [("memory:/same/a", "a"), ("memory:/same", ""), ("memory:/same/x/y/", "x/y")] {
            assert_eq!(MemoryArtifacts::around(uri).unwrap().1, expect, "{uri}");
        }
        assert!(MemoryArtifacts::around("memory:/nowhere/a").is_none());
    }

    #[test]
    fn a_discarding_place_checks_paths_and_keeps_nothing() {
        let artifacts = MemoryArtifacts::discarding();
        artifacts.write("a", &mut "x".as_bytes()).unwrap();
        assert!(artifacts.write("../a", &mut "x".as_bytes()).is_err());
        assert!(artifacts.list("").unwrap().is_empty());
        assert_eq!(artifacts.read("a").unwrap_err().kind(), ErrorKind::NotFound);
    }
}
