//! Params and tags: one file each, named after its key, whose whole content is the value.
//!
//! A key is a path, and its slashes make directories. So a key and another one below it exclude each other, which
//! nothing in MLflow's layout can help; who comes second is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::layout;
use crate::error::{Error, Result};

/// Longest name of a file that common file systems take, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Every key below `folder` with its file, sorted by key.
pub(super) fn keys(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    collect(folder, "", &mut found)?;
    Ok(found)
}

fn collect(folder: &Path, prefix: &str, found: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    let failed = |cause| Error::io("list the directory", folder, cause);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(failed(cause)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let key = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), &key, found)?;
        } else {
            found.insert(key, entry.path());
        }
    }
    Ok(())
}

/// Every key below `folder` with its value, sorted by key.
pub(super) fn read_all(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for (key, path) in keys(folder)? {
        // One that is gone by now was deleted meanwhile.
        if let Some(value) = read(&path)? {
            found.insert(key, value);
        }
    }
    Ok(found)
}

/// The value in this file; `None` if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<String>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(other) => String::from_utf8_lossy(other.as_bytes()).into_owned(),
        })),
        Err(cause)
            if matches!(
                cause.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
            ) =>
        {
            Ok(None)
        }
        Err(cause) => Err(Error::io("read the file", path, cause)),
    }
}

/// Removes the file of `key`, with the directories that it leaves empty, and says whether there was one.
pub(super) fn remove(disk: &Disk, folder: &Path, key: &str) -> Result<bool> {
    let Some(path) = path(folder, key).filter(|path| path.is_file()) else { return Ok(false) };
    fs::remove_file(&path).map_err(|cause| Error::io("remove the file", &path, cause))?;
    for above in path.ancestors().skip(1).take_while(|above| *above != folder) {
        if fs::remove_dir(above).is_err() {
            break;
        }
    }
    disk.wrote(&path);
    Ok(true)
}

/// The file of `key` in `folder`; `None` for what can be no key, and so has none.
pub(super) fn path(folder: &Path, key: &str) -> Option<PathBuf> {
    let clean = key.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']));
    clean.then(|| folder.join(key))
}

/// The files that `keys` have or will have in `folder`, once it is sure that none stands in another's way.
pub(super) fn places<'a>(
    folder: &Path,
    keys: impl IntoIterator<Item = &'a str>,
) -> Result<BTreeMap<&'a str, PathBuf>> {
    let keys: BTreeSet<&str> = keys.into_iter().collect();
    let mut places = BTreeMap::new();
    for key in &keys {
        let Some(path) = path(folder, key) else {
            return Err(
                Error::invalid("a key must be a clean relative path, such as `valid/loss`").with("key", key)
            );
        };
        if key.split('/').any(|part| part.len() > NAME_BYTES_MAX) {
            return Err(Error::invalid(format!(
                "the file store keeps a key as the name of a file, which has at most {NAME_BYTES_MAX} bytes; shorten it"
            ))
            .with("key", key));
        }
        for above in ancestors(key) {
            if keys.contains(above) || folder.join(above).is_file() {
                return Err(in_the_way(key, above));
            }
        }
        if path.is_dir() {
            if let Some(below) = self::keys(&path)?.into_keys().next() {
                return Err(in_the_way(key, &format!("{key}/{below}")));
            }
            // Left by tags that were deleted.
            remove_empty(&path)?;
        }
        places.insert(*key, path);
    }
    Ok(places)
}

/// The keys that `key` would lie below: `a` and `a/b` for `a/b/c`.
fn ancestors(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('/').map(|(end, _)| &key[..end])
}

fn in_the_way(key: &str, other: &str) -> Error {
    Error::invalid(format!(
        "the file store keeps a key as a path, so `{key}` cannot be beside `{other}`; rename one of them"
    ))
}

fn remove_empty(folder: &Path) -> Result<()> {
    for (_, below) in layout::subdirectories(folder)? {
        remove_empty(&below)?;
    }
    fs::remove_dir(folder).map_err(|cause| Error::io("remove the empty directory", folder, cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_one_below_it_exclude_each_other() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/c"), "v").unwrap();
        fs::write(dir.path().join("x"), "v").unwrap();
        fs::create_dir_all(dir.path().join("empty/empty")).unwrap();
        for (keys, named) in [
            (&["a"][..], "`a/b/c`"),
            (&["a/b"], "`a/b/c`"),
            (&["a/b/c/d"], "`a/b/c`"),
            (&["x/y/z"], "`x`"),
            (&["new/b", "new"], "`new`"),
        ] {
            let message = places(dir.path(), keys.iter().copied()).unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
        assert_eq!(places(dir.path(), ["a/b/c", "a/b/d", "x", "empty", "a/bc"]).unwrap().len(), 5);
        assert!(!dir.path().join("empty").exists());
    }

    #[test]
    fn a_key_that_no_file_system_takes_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(places(dir.path(), ["é".repeat(128).as_str()]).is_err());
        assert!(places(dir.path(), ["../x"]).is_err() && path(dir.path(), "a/../../x").is_none());
    }
}
