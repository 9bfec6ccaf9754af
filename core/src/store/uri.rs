//! From a tracking URI to a store, as MLflow reads tracking URIs.
//!
//! No message here shows more of a URI than its scheme: the rest may hold a password.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str};

use super::{MemoryStore, Store};
use crate::error::{Error, ErrorKind, Result};

/// What a path keeps unescaped in a URI, as Python's `quote` has it.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A kind of store and the URIs that name it.
#[derive(Clone, Copy, Debug)]
pub struct Driver {
    /// What the store is called.
    pub name: &'static str,
    /// The schemes of its URIs, without the colon.
    pub schemes: &'static [&'static str],
    /// Opens the store at a place.
    pub open: fn(&Place<'_>) -> Result<Arc<dyn Store>>,
}

/// What a [`Driver`] is told.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The scheme; empty for a path.
    pub scheme: &'a str,
    /// What follows the scheme and its colon.
    pub rest: &'a str,
    /// Where experiments without a location of their own put their artifacts; `None` means where MLflow would.
    pub artifact_root: Option<&'a Path>,
    /// What relative paths are relative to.
    pub working_dir: &'a Path,
}

/// Every store of this build.
const DRIVERS: &[Driver] = &[
    Driver { name: "sqlite", schemes: &["sqlite", "sqlite+pysqlite"], open: open_sqlite },
    Driver { name: "file", schemes: &["", "file"], open: open_file },
    Driver { name: "memory", schemes: &["memory"], open: open_memory },
];

/// What MLflow has and this build has not, and what to do instead.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (&["http", "https"], "tracking servers are not supported by this build; log to sqlite:///mlflow.db"),
    (
        &["postgresql", "mysql", "mssql"],
        "only MLflow's server writes to such a database; log to sqlite:///mlflow.db, or to a server before it",
    ),
    (
        &["databricks", "databricks-uc", "uc"],
        "Databricks is not supported; log to sqlite:///mlflow.db and move the runs there with MLflow",
    ),
];

/// Opens the store that `uri` names.
///
/// # Errors
/// `InvalidInput` for a URI that is wrong or unknown, `Unsupported` for one that only MLflow itself serves, and whatever
/// the store says.
///
/// ```
/// use runlog_core::store;
/// use std::path::Path;
///
/// let store = store::open("memory:", None, Path::new("."))?;
/// assert_eq!(store.get_experiment("0")?.name, "Default");
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub fn open(uri: &str, artifact_root: Option<&Path>, working_dir: &Path) -> Result<Arc<dyn Store>> {
    let (scheme, rest) = split(uri);
    let place = Place { scheme, rest, artifact_root, working_dir };
    if let Some(driver) = DRIVERS.iter().find(|driver| driver.schemes.contains(&scheme)) {
        return (driver.open)(&place);
    }
    // `postgresql+psycopg2` is a dialect and its driver.
    let dialect = scheme.split('+').next().unwrap_or_default();
    if let Some((_, advice)) = ELSEWHERE.iter().find(|(schemes, _)| schemes.contains(&dialect)) {
        return Err(Error::new(ErrorKind::Unsupported, *advice).with("scheme", format!("{scheme:?}")));
    }
    let known = || DRIVERS.iter().flat_map(|driver| driver.schemes).filter(|scheme| !scheme.is_empty());
    let lower = scheme.to_ascii_lowercase();
    let message = if known().chain(ELSEWHERE.iter().flat_map(|(schemes, _)| *schemes)).any(|it| *it == lower)
    {
        format!("write the tracking URI's scheme in lower case: `{lower}:`")
    } else {
        let known: Vec<String> = known().map(|scheme| format!("`{scheme}:`")).collect();
        format!("the tracking URI's scheme is unknown; use one of {}", known.join(", "))
    };
    Err(Error::invalid(message).with("scheme", scheme))
}

/// The tracking URI that MLflow uses when none is set: the file store in `mlruns` if there is one in the working
/// directory, and otherwise the database `mlflow.db` there.
pub fn default_uri(working_dir: &Path) -> String {
    let mlruns = working_dir.join("mlruns");
    if has_experiments(&mlruns) { file_uri(&mlruns) } else { sqlite_uri(&working_dir.join("mlflow.db")) }
}

/// The one name of the store that `uri` names, whichever way it was written: paths are absolute and without symbolic
/// links, user and password are gone.
///
/// It says which journals belong to the store, so it must not change when the store is created.
pub fn canonical(uri: &str, working_dir: &Path) -> String {
    let (scheme, rest) = split(uri);
    match scheme {
        "sqlite" | "sqlite+pysqlite" => match sqlite_path(rest) {
            Ok(Some(path)) => sqlite_uri(&real(&working_dir.join(path))),
            Ok(None) => "sqlite://".to_owned(),
            Err(_) => without_secrets(scheme, rest),
        },
        "memory" => "memory:".to_owned(),
        "" | "file" => match file_path(scheme, rest) {
            Ok(path) => file_uri(&real(&working_dir.join(path))),
            Err(_) => without_secrets(scheme, rest),
        },
        _ => without_secrets(scheme, rest),
    }
}

/// The URI of the same store for a process in any working directory; what it holds of secrets is still in it.
pub(crate) fn from_anywhere(uri: &str, working_dir: &Path) -> String {
    match split(uri).0 {
        "sqlite" | "sqlite+pysqlite" | "" | "file" => canonical(uri, working_dir),
        _ => uri.to_owned(),
    }
}

/// Whether the store that `uri` names ends with the process.
pub fn is_in_memory(uri: &str) -> bool {
    let (scheme, rest) = split(uri);
    match scheme {
        "sqlite" | "sqlite+pysqlite" => matches!(sqlite_path(rest), Ok(None)),
        scheme => scheme == "memory",
    }
}

/// Whether `uri` names a file store, which MLflow 3.13 and newer open only if they are told to.
pub fn is_files(uri: &str) -> bool {
    matches!(split(uri).0, "" | "file")
}

/// Whether the store that `uri` names is there, so that opening it creates nothing.
///
/// # Errors
/// A URI that is wrong.
pub fn exists(uri: &str, working_dir: &Path) -> Result<bool> {
    let (scheme, rest) = split(uri);
    Ok(match scheme {
        "sqlite" | "sqlite+pysqlite" => sqlite_path(rest)?.is_none_or(|path| working_dir.join(path).exists()),
        "" | "file" => {
            // An empty directory would become a store.
            let is_visible =
                |entry: std::fs::DirEntry| !entry.file_name().as_encoded_bytes().starts_with(b".");
            let root = working_dir.join(file_path(scheme, rest)?);
            check_is_no_database(scheme, &root)?;
            root.read_dir().is_ok_and(|entries| entries.flatten().any(is_visible))
        }
        _ => true,
    })
}

/// Where on this machine the store that `uri` names is or would be; `None` for one that is in no file of it.
///
/// # Errors
/// A URI that is wrong, or of a store that this build has not.
pub(crate) fn local_path(uri: &str, working_dir: &Path) -> Result<Option<PathBuf>> {
    let (scheme, rest) = split(uri);
    let path = match scheme {
        "sqlite" | "sqlite+pysqlite" if cfg!(feature = "sqlite") => sqlite_path(rest)?,
        "sqlite" | "sqlite+pysqlite" => return Err(no_sqlite()),
        "" | "file" => {
            let path = file_path(scheme, rest)?;
            check_is_no_database(scheme, &working_dir.join(&path))?;
            if !cfg!(feature = "file") {
                return Err(no_files());
            }
            Some(path)
        }
        _ => None,
    };
    Ok(path.map(|path| working_dir.join(path)))
}

/// Whether the store that `uri` names holds something, so that opening it founds nothing.
///
/// # Errors
/// A URI that is wrong, or a directory in use that is no store.
pub(crate) fn is_founded(uri: &str, working_dir: &Path) -> Result<bool> {
    let Some(path) = local_path(uri, working_dir)? else { return Ok(true) };
    if !exists(uri, working_dir)? {
        return Ok(false);
    }
    if is_files(uri) {
        return if has_experiments(&path) {
            Ok(true)
        } else {
            Err(Error::new(ErrorKind::Conflict, "a directory in use that is no file store; name another one")
                .with("path", path.display()))
        };
    }
    let length = path.metadata().map_err(|cause| Error::io("look at the database", &path, cause))?.len();
    Ok(length > 0)
}

fn has_experiments(mlruns: &Path) -> bool {
    let is_experiment = |name: &std::ffi::OsStr| {
        name.as_encoded_bytes().iter().all(u8::is_ascii_digit) && mlruns.join(name).join("meta.yaml").exists()
    };
    mlruns.read_dir().is_ok_and(|entries| entries.flatten().any(|entry| is_experiment(&entry.file_name())))
}

/// The scheme and what follows its colon. Without a scheme, or with one letter as Windows names drives, it is a path.
pub(super) fn split(uri: &str) -> (&str, &str) {
    match uri.split_once(':') {
        Some((scheme, rest))
            if scheme.len() > 1
                && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) =>
        {
            (scheme, rest)
        }
        None if matches!(uri, "databricks" | "databricks-uc") => (uri, ""),
        _ => ("", uri),
    }
}

/// The path in a SQLite URI, still relative if it is; `None` for a database in memory.
fn sqlite_path(rest: &str) -> Result<Option<PathBuf>> {
    let refuse = |message: &str| Err(Error::invalid(message));
    if rest == "//" {
        return Ok(None);
    }
    let Some(path) = rest.strip_prefix("///") else {
        return refuse(
            "a SQLite URI has three slashes before a relative path and four before an absolute one; write \
             sqlite:///mlflow.db or sqlite:////data/mlflow.db",
        );
    };
    if path.contains(['?', '#']) {
        return refuse(
            "a SQLite URI takes no options; remove them, or write %3F for ? and %23 for # in a path",
        );
    }
    Ok(if matches!(path, "" | ":memory:") { None } else { Some(decoded(path)) })
}

/// The path of a file store, still relative if it is.
fn file_path(scheme: &str, rest: &str) -> Result<PathBuf> {
    if scheme.is_empty() {
        return Ok(PathBuf::from(if rest.is_empty() { "mlruns" } else { rest }));
    }
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(rest) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if !matches!(host, "" | "." | "localhost" | "127.0.0.1") {
                return Err(Error::invalid(
                    "a file URI has three slashes before an absolute path, or none before a relative one; write \
                     file:///data/mlruns or file:mlruns",
                ));
            }
            path
        }
    };
    if path.contains(['?', '#']) {
        return Err(Error::invalid("a file URI takes no options; write %3F for ? and %23 for # in a path"));
    }
    Ok(if path.is_empty() { PathBuf::from("mlruns") } else { decoded(path) })
}

/// That a path without a scheme does not mean a database.
fn check_is_no_database(scheme: &str, path: &Path) -> Result<()> {
    let looks_like_one =
        path.extension().is_some_and(|end| ["db", "sqlite", "sqlite3"].iter().any(|it| end == *it));
    if scheme.is_empty() && (path.is_file() || looks_like_one && !path.is_dir()) {
        let uri = sqlite_uri(path);
        return Err(Error::invalid(format!("a database is named by a URI, not by its path; write {uri}")));
    }
    Ok(())
}

#[cfg(feature = "file")]
fn open_file(place: &Place<'_>) -> Result<Arc<dyn Store>> {
    let root = place.working_dir.join(file_path(place.scheme, place.rest)?);
    check_is_no_database(place.scheme, &root)?;
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|cause| Error::io("find the artifact root", path, cause))
    };
    let as_text = |path: PathBuf| {
        path.into_os_string().into_string().map_err(|path| {
            Error::invalid(
                "the artifact root must be UTF-8; name it with a `file:` URI, or use another directory",
            )
            .with("path", path.display())
        })
    };
    // Artifact locations have the form that the store's own has.
    let artifact_root = match place.artifact_root {
        Some(artifact_root) => as_text(absolute(&place.working_dir.join(artifact_root))?)?,
        None if place.scheme.is_empty() && !place.rest.is_empty() => as_text(absolute(&root)?)?,
        None => file_uri(&absolute(&root)?),
    };
    Ok(Arc::new(super::FileStore::open(&root, artifact_root)?))
}

#[cfg(not(feature = "file"))]
fn open_file(place: &Place<'_>) -> Result<Arc<dyn Store>> {
    check_is_no_database(place.scheme, &place.working_dir.join(file_path(place.scheme, place.rest)?))?;
    Err(no_files())
}

#[cfg(feature = "sqlite")]
fn open_sqlite(place: &Place<'_>) -> Result<Arc<dyn Store>> {
    let default_root = place.working_dir.join("mlruns");
    let artifact_root =
        place.artifact_root.map_or(default_root, |artifact_root| place.working_dir.join(artifact_root));
    Ok(match sqlite_path(place.rest)? {
        Some(path) => Arc::new(super::SqliteStore::open(&place.working_dir.join(path), &artifact_root)?),
        None => Arc::new(super::SqliteStore::in_memory(&artifact_root)?),
    })
}

#[cfg(not(feature = "sqlite"))]
fn open_sqlite(_place: &Place<'_>) -> Result<Arc<dyn Store>> {
    Err(no_sqlite())
}

fn no_files() -> Error {
    Error::new(ErrorKind::Unsupported, "this build has no file store; add the feature `file` of runlog")
}

fn no_sqlite() -> Error {
    Error::new(ErrorKind::Unsupported, "this build has no SQLite; add the feature `sqlite` of runlog")
}

fn open_memory(place: &Place<'_>) -> Result<Arc<dyn Store>> {
    if !matches!(place.rest, "" | "//") {
        return Err(Error::invalid("a store in memory has no path; write `memory:`"));
    }
    Ok(Arc::new(MemoryStore::new()))
}

fn sqlite_uri(path: &Path) -> String {
    format!("sqlite:///{}", encoded(path))
}

fn file_uri(path: &Path) -> String {
    format!("file://{}", encoded(path))
}

#[cfg(unix)]
pub(super) fn encoded(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    percent_encoding::percent_encode(path.as_os_str().as_bytes(), ESCAPED).to_string()
}

#[cfg(not(unix))]
pub(super) fn encoded(path: &Path) -> String {
    percent_encoding::utf8_percent_encode(&path.to_string_lossy().replace('\\', "/"), ESCAPED).to_string()
}

#[cfg(unix)]
pub(super) fn decoded(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(percent_decode_str(text).collect()).into()
}

#[cfg(not(unix))]
pub(super) fn decoded(text: &str) -> PathBuf {
    percent_decode_str(text).decode_utf8_lossy().into_owned().into()
}

/// `path` absolute, with the symbolic links of what exists of it resolved.
fn real(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // From the longest ancestor that exists; what is below it can hold no link yet.
    for ancestor in absolute.ancestors() {
        let Ok(resolved) = ancestor.canonicalize() else { continue };
        let Ok(below) = absolute.strip_prefix(ancestor) else { continue };
        return below.components().fold(resolved, |mut path, component| {
            match component {
                Component::ParentDir => {
                    path.pop();
                }
                other => path.push(other),
            }
            path
        });
    }
    absolute
}

/// A URI with a host, without `user:password@` and without its query, where passwords are found as well.
fn without_secrets(scheme: &str, rest: &str) -> String {
    let scheme = scheme.to_ascii_lowercase();
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let Some(rest) = rest.strip_prefix("//") else { return format!("{scheme}:{rest}") };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    let path = path.trim_end_matches('/');
    let slash = if path.is_empty() { "" } else { "/" };
    format!("{scheme}://{host}{slash}{path}")
}

#[cfg(test)]
mod tests;
