//! Where files end up. One trait, one module per kind of place, found by the scheme of a run's artifact address.
//!
//! No file of one run can be written outside its root: every path passes [`clean_path`].

mod background;
mod dict;
mod download;
mod figure;
#[cfg(feature = "image")]
mod images;
mod local;
mod memory;
mod path;
mod table;
mod upload;
mod uri;
mod yaml;

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};

pub(crate) use background::{Lane, Uploads, wait_for_uploads};
pub use background::{Progress, Upload};
pub use dict::{dict_text, parse_dict};
pub use download::{download, find};
pub(crate) use figure::content as figure_content;
pub use figure::{Figure, Html, Png, Svg};
#[cfg(feature = "image")]
pub use images::{ImageArray, Pixel, ToImage};
#[cfg(feature = "image")]
pub(crate) use images::{check_key, decoded, encoded, series_files, thumbnail};
pub use local::LocalArtifacts;
pub use memory::MemoryArtifacts;
pub use path::clean_path;
pub(crate) use path::{clean_dir, dir_to_write, file_to_write};
pub(crate) use table::log_table;
pub use table::{LoadTable, Table};
pub(crate) use upload::{LocalFile, files_to_upload};
pub use upload::{upload, upload_contents};
pub(crate) use uri::{ArtifactUri, split_address};

/// The files of one run or model, below one root.
///
/// # Contract
///
/// - **Paths** are relative to the root, with `/` between their parts, and pass [`clean_path`] first; `""` is the
///   root itself, which only [`list`](Self::list) takes.
/// - **Blocking.** Every method blocks until its effect is visible to others, and may be called from any thread.
/// - **Whole or not at all.** A reader never sees half a file, also when the writer dies; what was there before is
///   replaced at once.
/// - **Directories** come into being with the first file in them.
/// - **Errors.** What does not exist is `NotFound`; a path that leaves the root is `InvalidInput`;
///   [`Error::is_temporary`] is true when the same call may work later.
///
/// There are no default methods on purpose: a wrapper that forgets one does not compile.
pub trait Artifacts: fmt::Debug + Send + Sync {
    /// Stores everything that `from` yields as the file `path`.
    fn write(&self, path: &str, from: &mut dyn Read) -> Result<()>;

    /// Stores a copy of the local `file` as the file `path`, with its time and permissions where the place has them.
    /// Tells `copied` of each part that is on its way, in bytes.
    fn copy(&self, path: &str, file: &Path, copied: &dyn Fn(u64)) -> Result<()>;

    /// What lies directly in the directory `dir`, sorted by path; empty if there is no such directory.
    fn list(&self, dir: &str) -> Result<Vec<FileInfo>>;

    /// The content of the file `path`.
    fn read(&self, path: &str) -> Result<Vec<u8>>;

    /// The content of the file `path`, piece by piece: it may be larger than the memory.
    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>>;
}

/// A file or directory among the artifacts, as MLflow describes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct FileInfo {
    /// Relative to the root.
    pub path: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// In bytes; `None` for a directory.
    pub file_size: Option<u64>,
}

impl FileInfo {
    /// A file of `bytes` bytes.
    pub fn file(path: impl Into<String>, bytes: u64) -> Self {
        Self { path: path.into(), is_dir: false, file_size: Some(bytes) }
    }

    /// A directory.
    pub fn directory(path: impl Into<String>) -> Self {
        Self { path: path.into(), is_dir: true, file_size: None }
    }
}

/// The artifacts at an address that a run, a model or an experiment has.
///
/// # Errors
/// `Unsupported` for an address that is neither an absolute path nor begins with `file:` or `memory:`.
///
/// ```
/// use runlog_core::artifact;
///
/// let artifacts = artifact::open("memory:/doc/artifacts")?;
/// artifacts.write("notes/today.txt", &mut "fine".as_bytes())?;
/// assert_eq!(artifacts.list("")?[0].path, "notes");
/// assert_eq!(artifacts.read("notes/today.txt")?, b"fine");
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub fn open(artifact_uri: &str) -> Result<Box<dyn Artifacts>> {
    let refuse = |kind, why: &str| Err(Error::new(kind, why).with("artifact_uri", artifact_uri));
    match scheme(artifact_uri) {
        None if Path::new(artifact_uri).is_absolute() => Ok(Box::new(LocalArtifacts::new(artifact_uri))),
        None => refuse(ErrorKind::InvalidInput, "a local artifact address must be an absolute path"),
        Some("file") => match file_path(artifact_uri) {
            Some(path) => Ok(Box::new(LocalArtifacts::new(path))),
            None => refuse(ErrorKind::InvalidInput, "a file address must look like `file:///absolute/path`"),
        },
        Some("memory") => Ok(Box::new(MemoryArtifacts::at(artifact_uri))),
        Some(_) => refuse(
            ErrorKind::Unsupported,
            "no artifacts can be kept there; use an absolute path, `file:///absolute/path` or `memory:`",
        ),
    }
}

/// The path that an address names on this machine, absolute or relative; `None` if it names another place.
pub(crate) fn local_path(address: &str) -> Option<PathBuf> {
    match scheme(address) {
        None => Some(PathBuf::from(address)),
        Some("file") => file_path(address).map(PathBuf::from),
        Some(_) => None,
    }
}

/// The part before the colon; a single letter is a drive of Windows, not a scheme.
fn scheme(uri: &str) -> Option<&str> {
    let (scheme, _) = uri.split_once(':')?;
    let clean = scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    (clean && scheme.len() > 1).then_some(scheme)
}

/// The local path that a `file:` address names; `None` if it names a relative path or another host.
fn file_path(uri: &str) -> Option<String> {
    let rest = uri.strip_prefix("file:")?;
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(rest) => {
            let start = rest.find('/')?;
            let (host, path) = rest.split_at(start);
            matches!(host, "" | "." | "localhost" | "127.0.0.1").then_some(path)?
        }
    };
    let path = percent_decode_str(path).decode_utf8().ok()?;
    // `file:///C:/runs` names `C:/runs`.
    let path = if cfg!(windows) { path.trim_start_matches('/') } else { &path };
    Path::new(path).is_absolute().then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// What every implementation of [`Artifacts`] does.
    fn keeps_the_contract(artifacts: &dyn Artifacts) {
        let write = |path: &str, text: &str| artifacts.write(path, &mut text.as_bytes());
        assert_eq!(artifacts.list("").unwrap(), []);
        write("b.txt", "bee").unwrap();
        write("deep/./er//a.txt", "ay").unwrap();
        write("deep/z.txt", "").unwrap();

        let (deeper, root) = (FileInfo::directory("deep/er"), FileInfo::directory("deep"));
        assert_eq!(artifacts.list("").unwrap(), [FileInfo::file("b.txt", 3), root]);
        assert_eq!(artifacts.list("deep/").unwrap(), [deeper, FileInfo::file("deep/z.txt", 0)]);
        assert_eq!(artifacts.list("deep/er").unwrap(), [FileInfo::file("deep/er/a.txt", 2)]);
        assert_eq!(artifacts.list("none").unwrap(), []);
        assert_eq!(artifacts.list("b.txt").unwrap(), [], "a file is not a directory");

        assert_eq!(artifacts.read("deep/er/a.txt").unwrap(), b"ay");
        let mut pieces = String::new();
        artifacts.open("deep/er/a.txt").unwrap().read_to_string(&mut pieces).unwrap();
        assert_eq!(pieces, "ay");
        assert_eq!(artifacts.open("none").err().unwrap().kind(), ErrorKind::NotFound);
        assert!(artifacts.open("deep").is_err(), "a directory is not a file");
        write("b.txt", "replaced").unwrap();
        assert_eq!(artifacts.read("b.txt").unwrap(), b"replaced");
        assert_eq!(artifacts.read("none").unwrap_err().kind(), ErrorKind::NotFound);
        assert!(artifacts.read("deep").is_err(), "a directory is not a file");
        assert!(write("deep", "x").is_err(), "a directory is not replaced by a file");
        assert!(write("b.txt/x", "x").is_err(), "and no file by a directory");

        for outside in ["../x", "/x", "a/../../x", ".", ""] {
            assert_eq!(write(outside, "x").unwrap_err().kind(), ErrorKind::InvalidInput, "{outside:?}");
            assert_eq!(artifacts.read(outside).unwrap_err().kind(), ErrorKind::InvalidInput, "{outside:?}");
        }
        assert_eq!(artifacts.list("..").unwrap_err().kind(), ErrorKind::InvalidInput);

        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("local.bin");
        std::fs::write(&file, [0, 255]).unwrap();
        let copied = Cell::new(0);
        artifacts.copy("copied/it.bin", &file, &|bytes| copied.set(copied.get() + bytes)).unwrap();
        assert_eq!(copied.get(), 2, "every byte is told of once");
        assert_eq!(artifacts.read("copied/it.bin").unwrap(), [0, 255]);
        assert_eq!(
            artifacts.copy("x", &dir.path().join("none"), &|_| ()).unwrap_err().kind(),
            ErrorKind::NotFound
        );

        assert!(artifacts.write("broken.txt", &mut Broken(3)).is_err());
        assert_eq!(artifacts.read("broken.txt").unwrap_err().kind(), ErrorKind::NotFound);
        let names: Vec<_> = artifacts.list("").unwrap().into_iter().map(|info| info.path).collect();
        assert_eq!(names, ["b.txt", "copied", "deep"], "nothing half-written is left");
    }

    /// A source that fails after some bytes.
    #[derive(Debug)]
    struct Broken(usize);

    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.0.min(buffer.len());
            self.0 -= count;
            if count == 0 { Err(std::io::Error::other("the source broke")) } else { Ok(count) }
        }
    }

    #[test]
    fn a_directory_keeps_the_contract() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("not yet/artifacts");
        keeps_the_contract(&*open(root.to_str().unwrap()).unwrap());
        let names: Vec<_> =
            std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 3, "no temporary file is left: {names:?}");
    }

    #[test]
    fn memory_keeps_the_contract() {
        keeps_the_contract(&*open("memory:/contract/artifacts").unwrap());
    }

    #[test]
    fn addresses_name_places() {
        let dir = tempfile::tempdir().unwrap();
        let spaced = dir.path().join("sp ace");
        let uri = format!("file://{}", spaced.display()).replace(' ', "%20");
        open(&uri).unwrap().write("a", &mut "x".as_bytes()).unwrap();
        assert!(spaced.join("a").exists());

        for (uri, kind) in [
            ("relative/path", ErrorKind::InvalidInput),
            ("file:relative", ErrorKind::InvalidInput),
            ("file://elsewhere/path", ErrorKind::InvalidInput),
            ("s3://bucket/path", ErrorKind::Unsupported),
            ("mlflow-artifacts:/0/x", ErrorKind::Unsupported),
        ] {
            assert_eq!(open(uri).unwrap_err().kind(), kind, "{uri}");
        }
    }
}
