//! Artifacts in a directory.
//!
//! A file is written beside its place under a name that listings hide, then renamed, so that nobody ever reads half
//! of it. The hidden names are MLflow's own, which its listings hide too.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Artifacts, FileInfo, clean_dir, clean_path};
use crate::error::{Error, Result};

/// After how much of a copy its progress is told.
const PART_BYTES: u64 = 8 << 20;

/// How the name of an unfinished file begins.
const UNFINISHED: &str = ".artifact.uploading.";

/// Artifacts in a local directory, which need not exist yet.
#[derive(Clone, Debug)]
pub struct LocalArtifacts {
    root: PathBuf,
}

impl LocalArtifacts {
    /// The artifacts below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where the file `path` lies, or would lie.
    ///
    /// # Errors
    /// A path that leaves the root, or has the name of an unfinished file.
    pub fn place(&self, path: &str) -> Result<PathBuf> {
        let path = clean_path(path)?;
        if path.split('/').any(|part| part.starts_with(UNFINISHED)) {
            return Err(Error::invalid(format!("an artifact's name must not begin with `{UNFINISHED}`"))
                .with("path", path));
        }
        Ok(self.root.join(path))
    }

    /// Lets `fill` make a file, and puts it in its place when it is whole.
    fn put(&self, path: &str, fill: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
        let place = self.place(path)?;
        let parent = place.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent)
            .map_err(|cause| Error::io("make the artifact directory", parent, cause))?;
        let unfinished = parent.join(format!("{UNFINISHED}{:016x}", crate::id::random_u64()));
        fill(&unfinished).and_then(|()| fs::rename(&unfinished, &place)).map_err(|cause| {
            // What can be done is done; the name is hidden if it stays.
            fs::remove_file(&unfinished).ok();
            Error::io("write the artifact", &place, cause)
        })
    }
}

impl Artifacts for LocalArtifacts {
    fn write(&self, path: &str, from: &mut dyn Read) -> Result<()> {
        self.put(path, |unfinished| {
            let mut file = OpenOptions::new().write(true).create_new(true).open(unfinished)?;
            io::copy(from, &mut file).map(|_| ())
        })
    }

    fn copy(&self, path: &str, file: &Path, copied: &dyn Fn(u64)) -> Result<()> {
        let source = File::open(file).map_err(|cause| Error::io("read the file to log", file, cause))?;
        let metadata = source.metadata().map_err(|cause| Error::io("read the file to log", file, cause))?;
        self.put(path, |unfinished| {
            let mut copy = OpenOptions::new().write(true).create_new(true).open(unfinished)?;
            // Between files the system copies by itself, and shares the blocks where it can.
            loop {
                let bytes = io::copy(&mut (&source).take(PART_BYTES), &mut copy)?;
                if bytes == 0 {
                    break;
                }
                copied(bytes);
            }
            // A place without times or permissions keeps its own.
            if let Ok(modified) = metadata.modified() {
                copy.set_modified(modified).ok();
            }
            copy.set_permissions(metadata.permissions()).ok();
            Ok(())
        })
    }

    fn list(&self, dir: &str) -> Result<Vec<FileInfo>> {
        let dir = clean_dir(dir)?;
        let place = self.root.join(&dir);
        let failed = |cause| Error::io("list the artifacts", &place, cause);
        let entries = match fs::read_dir(&place) {
            Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            entries => entries.map_err(failed)?,
        };
        let mut infos = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // A file that is gone by now, or a link to nowhere, is not listed.
            let Ok(metadata) = fs::metadata(entry.path()) else { continue };
            if name.starts_with(UNFINISHED) {
                continue;
            }
            let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
            infos.push(if metadata.is_dir() {
                FileInfo::directory(path)
            } else {
                FileInfo::file(path, metadata.len())
            });
        }
        infos.sort();
        Ok(infos)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let place = self.place(path)?;
        fs::read(&place).map_err(|cause| Error::io("read the artifact", &place, cause))
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>> {
        let place = self.place(path)?;
        let failed = |cause| Error::io("read the artifact", &place, cause);
        let file = File::open(&place).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        Ok(Box::new(file))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn unfinished_files_are_hidden_and_their_names_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(format!("{UNFINISHED}x")), "half").unwrap();
        let artifacts = LocalArtifacts::new(dir.path());
        assert_eq!(artifacts.list("").unwrap(), []);
        let refused = artifacts.write(&format!("a/{UNFINISHED}y"), &mut io::empty()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    }

    #[cfg(unix)]
    #[test]
    fn a_directory_that_cannot_be_read_is_not_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("itself", dir.path().join("itself")).unwrap();
        let artifacts = LocalArtifacts::new(dir.path());
        assert!(artifacts.list("itself").unwrap_err().to_string().contains("cannot list the artifacts"));
        assert_eq!(artifacts.list("").unwrap(), [], "a link to nowhere is not listed");
    }

    #[test]
    fn a_copy_keeps_time_and_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("run.sh");
        fs::write(&source, "true").unwrap();
        let then = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        OpenOptions::new().write(true).open(&source).unwrap().set_modified(then).unwrap();
        let artifacts = LocalArtifacts::new(dir.path().join("artifacts"));
        #[cfg(unix)]
        fs::set_permissions(&source, std::os::unix::fs::PermissionsExt::from_mode(0o750)).unwrap();

        artifacts.copy("run.sh", &source, &|_| ()).unwrap();
        let copy = fs::metadata(artifacts.place("run.sh").unwrap()).unwrap();
        assert_eq!(copy.modified().unwrap(), then);
        assert_eq!(copy.permissions(), fs::metadata(&source).unwrap().permissions());
    }
}
