//! Paths of files below an artifact root: their normal form, and which ones MLflow takes.

use crate::error::{Error, Result};

/// The normal form of a file's path below an artifact root: `a/./b//c.txt` is `a/b/c.txt`.
///
/// # Errors
/// A path that is empty, absolute, or leads out of the root.
///
/// ```
/// use runlog_core::artifact::clean_path;
///
/// assert_eq!(clean_path("plots/./loss.png")?, "plots/loss.png");
/// assert!(clean_path("../secrets").is_err());
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub fn clean_path(path: &str) -> Result<String> {
    let refuse = |why: &str| Err(Error::invalid(why).with("path", format!("{path:?}")));
    if path.starts_with('/') {
        return refuse("an artifact's path must be relative, such as `plots/loss.png`");
    }
    // On Windows these would name another directory or drive.
    if path.contains('\0') || (cfg!(windows) && path.contains(['\\', ':'])) {
        return refuse("an artifact's path must be plain names with `/` between them");
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return refuse("an artifact's path must not lead out of its run");
                }
            }
            name => parts.push(name),
        }
    }
    if parts.is_empty() {
        return refuse("an artifact's path must name a file, such as `plots/loss.png`");
    }
    Ok(parts.join("/"))
}

/// As [`clean_path`], where the root itself is meant by any path that says so.
pub(crate) fn clean_dir(dir: &str) -> Result<String> {
    if dir.split('/').all(|part| matches!(part, "" | ".")) && !dir.starts_with('/') {
        return Ok(String::new());
    }
    clean_path(dir)
}

/// The path that a file logged as `artifact_file` gets: its normal form, in a directory that MLflow takes.
///
/// # Errors
/// As [`clean_path`]; also a directory that begins with `..`, as MLflow refuses it.
pub(crate) fn file_to_write(artifact_file: &str) -> Result<String> {
    let path = clean_path(artifact_file)?;
    if path.starts_with("..") && path.contains('/') {
        return Err(Error::invalid("an artifact's directory must not begin with `..`")
            .with("path", format!("{artifact_file:?}")));
    }
    Ok(path)
}

/// The directory to log to, which must be in its normal form already, as MLflow has it; `""` is the root.
///
/// # Errors
/// A directory that is written in another way than its normal form, or begins with `..` or `/`.
pub(crate) fn dir_to_write(artifact_path: &str) -> Result<&str> {
    if artifact_path.is_empty() {
        return Ok("");
    }
    let clean = clean_path(artifact_path)?;
    if clean != artifact_path || clean.starts_with("..") {
        return Err(Error::invalid(
            "an artifact's directory must be plain names with `/` between them, such as `plots/train`",
        )
        .with("path", format!("{artifact_path:?}")));
    }
    Ok(artifact_path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn paths_are_normalised_as_mlflow_does() {
        for (path, clean) in
            [("a/./b//c.txt", "a/b/c.txt"), ("a/../b", "b"), ("a/", "a"), ("./a", "a"), ("..a", "..a")]
        {
            assert_eq!(clean_path(path).unwrap(), clean);
        }
        for bad in ["", ".", "./", "..", "../a", "a/../../b", "/a", "//a", "a/..", "a\0b"] {
            assert!(clean_path(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_written_goes_where_mlflow_would_write_it() {
        for (file, clean) in
            [("a/./b//c.txt", "a/b/c.txt"), ("..a", "..a"), ("x/..a", "x/..a"), ("./q", "q"), ("...", "...")]
        {
            assert_eq!(file_to_write(file).unwrap(), clean);
        }
        for bad in ["", "..a/b", "/abs", "//z", "a/../../b", "../b"] {
            assert_eq!(file_to_write(bad).unwrap_err().kind(), ErrorKind::InvalidInput, "{bad:?}");
        }
        for good in ["", "a", "a/b", "x/..y"] {
            assert_eq!(dir_to_write(good).unwrap(), good);
        }
        for bad in ["a/./b", "a/", ".", "..", "..x", "/x", "x//y", "x/../y"] {
            assert_eq!(dir_to_write(bad).unwrap_err().kind(), ErrorKind::InvalidInput, "{bad:?}");
        }
    }
}
