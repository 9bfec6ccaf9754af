//! Artifacts on their way to a local directory.

use std::fs;
use std::path::{Path, PathBuf};

use super::upload::below;
use super::{Artifacts, FileInfo, LocalArtifacts, clean_dir};
use crate::error::{Error, ErrorKind, Result};

/// What lies at `path`, a file or a directory; `None` if there is nothing.
///
/// # Errors
/// A path that leaves the root, or artifacts that cannot be listed.
pub fn find(artifacts: &dyn Artifacts, path: &str) -> Result<Option<FileInfo>> {
    let path = clean_dir(path)?;
    if path.is_empty() {
        return Ok(Some(FileInfo::directory("")));
    }
    let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
    Ok(artifacts.list(dir)?.into_iter().find(|info| info.path == path))
}

/// Copies the file or directory at `path` into the local directory `dst`, which is made if need be, under its own name;
/// the root (`""`) goes into it without one. Returns where it is then.
///
/// # Errors
/// There is nothing at `path`, it cannot be read, or `dst` cannot be written; what was copied before stays.
pub fn download(artifacts: &dyn Artifacts, path: &str, dst: &Path) -> Result<PathBuf> {
    let path = clean_dir(path)?;
    let found = find(artifacts, &path)?
        .ok_or_else(|| Error::not_found("there is no such artifact").with("path", &path))?;
    let name = path.rsplit_once('/').map_or(&*path, |(_, name)| name);
    // All is found before any is written: `dst` may lie among the artifacts, and would be listed as it grows.
    let mut wanted = Vec::new();
    let is_dir = found.is_dir;
    if !name.is_empty() {
        wanted.push((found, name.to_owned()));
    }
    if is_dir {
        find_below(artifacts, &path, name, &mut wanted)?;
    }
    let make = |dir: &Path| {
        fs::create_dir_all(dir).map_err(|cause| Error::io("make the directory to download to", dir, cause))
    };
    make(dst)?;
    let local = LocalArtifacts::new(dst);
    for (from, to) in wanted {
        if from.is_dir {
            make(&local.place(&to)?)?;
        } else {
            local.write(&to, &mut artifacts.open(&from.path)?)?;
        }
    }
    Ok(if name.is_empty() { dst.to_owned() } else { dst.join(name) })
}

/// Adds what lies below the directory `dir`, each with where it goes below `to`.
fn find_below(
    artifacts: &dyn Artifacts,
    dir: &str,
    to: &str,
    into: &mut Vec<(FileInfo, String)>,
) -> Result<()> {
    for mut info in artifacts.list(dir)? {
        // Whoever answers a listing must not choose where on this machine something is written.
        let name = info.path.rsplit('/').next().unwrap_or_default();
        if matches!(name, "" | "." | "..") {
            return Err(Error::new(ErrorKind::Corrupt, "the artifacts list a file without a name")
                .with("path", format!("{:?}", info.path)));
        }
        let (from, to) = (below(dir, name), below(to, name));
        info.path.clone_from(&from);
        let is_dir = info.is_dir;
        into.push((info, to.clone()));
        if is_dir {
            find_below(artifacts, &from, &to, into)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::MemoryArtifacts;
    use super::*;

    #[test]
    fn files_and_directories_arrive_under_their_own_names() {
        let artifacts = MemoryArtifacts::at("memory:/download");
        for path in ["top.txt", "a/b/c.txt", "a/d.txt"] {
            artifacts.write(path, &mut path.as_bytes()).unwrap();
        }
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("not/yet");
        assert_eq!(download(&artifacts, "a/b/c.txt", &to).unwrap(), to.join("c.txt"));
        assert_eq!(fs::read(to.join("c.txt")).unwrap(), b"a/b/c.txt");
        assert_eq!(download(&artifacts, "a", &to).unwrap(), to.join("a"));
        assert_eq!(fs::read(to.join("a/b/c.txt")).unwrap(), b"a/b/c.txt");
        assert_eq!(download(&artifacts, "a/b/", &to).unwrap(), to.join("b"));
        let all = dir.path().join("all");
        assert_eq!(download(&artifacts, "", &all).unwrap(), all);
        assert_eq!(fs::read(all.join("top.txt")).unwrap(), b"top.txt");
        assert_eq!(fs::read(all.join("a/d.txt")).unwrap(), b"a/d.txt");

        assert_eq!(download(&artifacts, "none", &to).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(download(&artifacts, "../x", &to).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn an_empty_directory_arrives_too() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("from/empty")).unwrap();
        let artifacts = LocalArtifacts::new(dir.path().join("from"));
        assert!(download(&artifacts, "empty", &dir.path().join("to")).unwrap().is_dir());
    }

    #[test]
    fn a_download_into_the_artifacts_themselves_ends() {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = LocalArtifacts::new(dir.path());
        artifacts.write("a/b.txt", &mut "b".as_bytes()).unwrap();
        let to = dir.path().join("a/copy");
        for _ in 0..2 {
            download(&artifacts, "", &to).unwrap();
        }
        assert_eq!(fs::read(to.join("a/copy/a/b.txt")).unwrap(), b"b", "the second has the first in it");
        assert!(!to.join("a/copy/a/copy").exists());
    }

    #[test]
    fn what_lies_at_a_path_is_found() {
        let artifacts = MemoryArtifacts::at("memory:/find");
        artifacts.write("a/b.txt", &mut "b".as_bytes()).unwrap();
        assert_eq!(find(&artifacts, "a/b.txt").unwrap(), Some(FileInfo::file("a/b.txt", 1)));
        assert_eq!(find(&artifacts, "a").unwrap(), Some(FileInfo::directory("a")));
        assert!(find(&artifacts, "").unwrap().unwrap().is_dir);
        assert_eq!(find(&artifacts, "a/c.txt").unwrap(), None);
    }
}
