//! Local files and whole directories on their way to a run's artifacts.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::Artifacts;
use crate::error::{Error, Result};

/// Stores a local file or directory under its own name, below `dir` (`""` is the root): MLflow's `log_artifact`.
///
/// # Errors
/// A file that cannot be read or stored, after which what was stored before it stays; before anything is stored: a name
/// that is not UTF-8, and in a directory a link that leads back to a directory around it, or a pipe, socket or device.
pub fn upload(artifacts: &dyn Artifacts, local: &Path, dir: &str) -> Result<()> {
    store(artifacts, &files_to_upload(local, dir)?)
}

/// The files that [`upload`] stores.
pub(crate) fn files_to_upload(local: &Path, dir: &str) -> Result<Vec<LocalFile>> {
    // A path such as `runs/..` has no name of its own; its canonical form has.
    let whole = fs::canonicalize(local).map_err(|cause| Error::io("read the file to log", local, cause))?;
    let name = local.file_name().or_else(|| whole.file_name());
    let name = name.ok_or_else(|| Error::invalid("the root of a file system has no name to log it under"))?;
    LocalFile::all_at(local, below(dir, text_of(name, local)?))
}

/// Stores everything in a local directory, with its folders, below `dir` (`""` is the root): MLflow's
/// `log_artifacts`. Links are followed; empty folders leave nothing.
///
/// # Errors
/// As [`upload`]; also something that is no directory.
pub fn upload_contents(artifacts: &dyn Artifacts, local_dir: &Path, dir: &str) -> Result<()> {
    fs::read_dir(local_dir).map_err(|cause| Error::io("read the directory to log", local_dir, cause))?;
    store(artifacts, &LocalFile::all_at(local_dir, dir.to_owned())?)
}

fn store(artifacts: &dyn Artifacts, files: &[LocalFile]) -> Result<()> {
    files.iter().try_for_each(|file| artifacts.copy(&file.to, &file.from, &|_| ()))
}

/// A local file on its way to the artifacts.
#[derive(Clone, Debug)]
pub(crate) struct LocalFile {
    pub(crate) from: PathBuf,
    /// Among the artifacts.
    pub(crate) to: String,
    pub(crate) bytes: u64,
}

impl LocalFile {
    /// The file `from`, which goes to `to`, or every file below that directory, sorted.
    ///
    /// All are found before any is copied: the artifacts may lie in the directory, and would grow for as long as they
    /// are walked.
    pub(crate) fn all_at(from: &Path, to: String) -> Result<Vec<Self>> {
        let mut files = Vec::new();
        Self::find(from, to, &mut Vec::new(), &mut files)?;
        Ok(files)
    }

    /// `around` are the directories that `from` was found in.
    fn find(from: &Path, to: String, around: &mut Vec<PathBuf>, files: &mut Vec<Self>) -> Result<()> {
        let failed = |cause| Error::io("read the file to log", from, cause);
        let refuse = |why: &str| Err(Error::invalid(why).with("path", from.display()));
        let metadata = fs::metadata(from).map_err(failed)?;
        if !metadata.is_dir() {
            // A pipe that is named is meant to be read; one that lies about would be waited for without end.
            if !metadata.is_file() && !around.is_empty() {
                return refuse("the directory holds something that is neither a file nor a directory");
            }
            files.push(Self { from: from.to_owned(), to, bytes: metadata.len() });
            return Ok(());
        }
        let whole = fs::canonicalize(from).map_err(failed)?;
        if around.contains(&whole) {
            return refuse("a link in the directory leads back to a directory around it");
        }
        around.push(whole);
        let mut entries =
            fs::read_dir(from).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let to = below(&to, text_of(&entry.file_name(), &path)?);
            Self::find(&path, to, around, files)?;
        }
        around.pop();
        Ok(())
    }
}

/// A file's name as text: another one would have to be changed, and might then be that of another file.
fn text_of<'n>(name: &'n OsStr, path: &Path) -> Result<&'n str> {
    name.to_str()
        .ok_or_else(|| Error::invalid("the name of a file to log must be UTF-8").with("path", path.display()))
}

pub(super) fn below(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::super::{LocalArtifacts, MemoryArtifacts};
    use super::*;
    use crate::error::ErrorKind;

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
        assert!(upload_contents(&artifacts, &data.join("b.txt"), "").is_err(), "a file is no directory");
    }
    #[test]
    fn a_directory_that_the_artifacts_lie_in_is_logged_as_it_was() {
        let local = tempfile::tempdir().unwrap();
        // What sorts before the root is copied, and so found there if somebody looks again.
        fs::create_dir_all(local.path().join("runs/0")).unwrap();
        fs::write(local.path().join("runs/0/a.txt"), "a").unwrap();
        let artifacts = LocalArtifacts::new(local.path().join("runs/1"));
        artifacts.write("b.txt", &mut "b".as_bytes()).unwrap();
        upload_contents(&artifacts, local.path(), "all").unwrap();
        let stored: Vec<_> = LocalFile::all_at(&local.path().join("runs/1"), String::new()).unwrap();
        let stored: Vec<_> = stored.iter().map(|file| (&*file.to, file.bytes)).collect();
        assert_eq!(stored, [("all/runs/0/a.txt", 1), ("all/runs/1/b.txt", 1), ("b.txt", 1)]);
    }

    #[cfg(unix)]
    #[test]
    fn what_cannot_be_copied_as_it_is_is_refused_before_anything_is_stored() {
        use std::os::unix::ffi::OsStrExt as _;
        use std::os::unix::fs::symlink;

        let local = tempfile::tempdir().unwrap();
        let data = local.path().join("data");
        fs::create_dir_all(data.join("sub")).unwrap();
        fs::write(data.join("a.txt"), "a").unwrap();
        symlink("a.txt", data.join("b.txt")).unwrap();
        symlink("sub", data.join("twice")).unwrap();
        upload(&MemoryArtifacts::at("memory:/links"), &data, "").unwrap();

        let artifacts = MemoryArtifacts::at("memory:/refused");
        let refused = |odd: &Path, why: &str| {
            let error = upload_contents(&artifacts, &data, "").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            assert!(error.to_string().contains(why), "{error}");
            fs::remove_file(odd).unwrap();
        };
        let odd = data.join("sub/up");
        symlink("..", &odd).unwrap();
        refused(&odd, "leads back");
        let odd = data.join(OsStr::from_bytes(b"z\xff"));
        fs::write(&odd, "").unwrap();
        refused(&odd, "UTF-8");
        let odd = data.join("socket");
        drop(std::os::unix::net::UnixListener::bind(&odd).unwrap());
        refused(&odd, "neither a file nor a directory");
        assert_eq!(artifacts.list("").unwrap(), []);
        upload_contents(&artifacts, &data, "").unwrap();
    }
}
