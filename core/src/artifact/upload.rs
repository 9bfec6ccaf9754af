//! Local files and whole directories on their way to a run's artifacts.

use std::fs;
use std::path::Path;

use super::Artifacts;
use crate::error::{Error, Result};

/// Stores a local file or directory under its own name, below `dir` (`""` is the root): MLflow's `log_artifact`.
///
/// # Errors
/// A file that cannot be read or stored; what was stored before it stays.
pub fn upload(artifacts: &dyn Artifacts, local: &Path, dir: &str) -> Result<()> {
    upload_telling(artifacts, local, dir, &|_| ())
}

/// As [`upload`]; tells `copied` of each part that is on its way, in bytes.
pub(crate) fn upload_telling(
    artifacts: &dyn Artifacts,
    local: &Path,
    dir: &str,
    copied: &dyn Fn(u64),
) -> Result<()> {
    // A path such as `runs/..` has no name of its own; its canonical form has.
    let whole = fs::canonicalize(local).map_err(|cause| Error::io("read the file to log", local, cause))?;
    let name = local.file_name().or_else(|| whole.file_name());
    let name = name.ok_or_else(|| Error::invalid("the root of a file system has no name to log it under"))?;
    let path = below(dir, &name.to_string_lossy());
    if whole.is_dir() {
        contents(artifacts, local, &path, copied)
    } else {
        artifacts.copy(&path, local, copied)
    }
}

/// Stores everything in a local directory, with its folders, below `dir` (`""` is the root): MLflow's
/// `log_artifacts`. Links are followed; empty folders leave nothing.
///
/// # Errors
/// A file that cannot be read or stored; what was stored before it stays.
pub fn upload_contents(artifacts: &dyn Artifacts, local_dir: &Path, dir: &str) -> Result<()> {
    contents(artifacts, local_dir, dir, &|_| ())
}

fn contents(artifacts: &dyn Artifacts, local_dir: &Path, dir: &str, copied: &dyn Fn(u64)) -> Result<()> {
    let failed = |cause| Error::io("read the directory to log", local_dir, cause);
    let mut entries =
        fs::read_dir(local_dir).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = below(dir, &entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            contents(artifacts, &entry.path(), &path, copied)?;
        } else {
            artifacts.copy(&path, &entry.path(), copied)?;
        }
    }
    Ok(())
}

/// How many bytes the files at `local` have, of a directory everything in it.
pub(crate) fn bytes_at(local: &Path) -> u64 {
    let Ok(metadata) = fs::metadata(local) else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    fs::read_dir(local).into_iter().flatten().flatten().map(|entry| bytes_at(&entry.path())).sum()
}

pub(super) fn below(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryArtifacts;
    use super::*;

    #[test]
    fn a_directory_goes_by_its_name_and_its_contents_go_without() {
        let local = tempfile::tempdir().unwrap();
        let data = local.path().join("data");
        fs::create_dir_all(data.join("sub")).unwrap();
        fs::write(data.join("sub/a.txt"), "a").unwrap();
        fs::write(data.join("b.txt"), "b").unwrap();

        let artifacts = MemoryArtifacts::at("memory:/upload");
        upload(&artifacts, &data.join("b.txt"), "one").unwrap();
        upload(&artifacts, &data.join("sub/.."), "two").unwrap();
        upload_contents(&artifacts, &data, "").unwrap();
        for path in ["one/b.txt", "two/data/b.txt", "two/data/sub/a.txt", "b.txt", "sub/a.txt"] {
            assert!(artifacts.read(path).is_ok(), "{path}");
        }
        assert!(upload(&artifacts, &data.join("none"), "").is_err());
    }
}
