//! Addresses of single files and directories: of a run, of a model, or anywhere that artifacts can be.

use crate::error::{Error, ErrorKind, Result};

/// What an artifact URI names, before anybody has looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ArtifactUri<'a> {
    /// `runs:/<run id>/<path>`, or a run's id alone.
    Run { run_id: &'a str, path: &'a str },
    /// `models:/m-<id>/<path>`.
    Model { model_id: &'a str, path: &'a str },
    /// A place by itself: a local path or an address with another scheme.
    Address(&'a str),
}

impl<'a> ArtifactUri<'a> {
    /// What `uri` names.
    ///
    /// # Errors
    /// `InvalidInput` for a `runs:` or `models:` URI without an id; `Unsupported` for a registered model.
    pub(crate) fn parse(uri: &'a str) -> Result<Self> {
        if let Some(rest) = uri.strip_prefix("runs:") {
            let (run_id, path) = id_and_path(rest)
                .ok_or_else(|| wrong(uri, "a run's files are at `runs:/<run id>/<path>`"))?;
            return Ok(Self::Run { run_id, path });
        }
        if let Some(rest) = uri.strip_prefix("models:") {
            let (model_id, path) = id_and_path(rest)
                .ok_or_else(|| wrong(uri, "a model's files are at `models:/<model id>/<path>`"))?;
            if !model_id.starts_with("m-") {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "there is no registry of models here; name a logged model by its id: `models:/m-…`",
                )
                .with("uri", uri));
            }
            return Ok(Self::Model { model_id, path });
        }
        if uri.len() == 32 && uri.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Self::Run { run_id: uri, path: "" });
        }
        if uri.starts_with("m-") && !uri.contains('/') {
            return Err(wrong(uri, "a model's files are at `models:/<model id>`"));
        }
        Ok(Self::Address(uri))
    }
}

fn wrong(uri: &str, why: &str) -> Error {
    Error::invalid(why).with("uri", uri)
}

/// What stands before and after the second slash of `/<id>/<path>`.
fn id_and_path(rest: &str) -> Option<(&str, &str)> {
    let rest = rest.strip_prefix('/').filter(|rest| !rest.starts_with('/'))?;
    let (id, path) = rest.split_once('/').unwrap_or((rest, ""));
    (!id.is_empty()).then_some((id, path.trim_end_matches('/')))
}

/// The directory of an address, and the name in it.
pub(crate) fn split_address(address: &str) -> (&str, &str) {
    let address = address.trim_end_matches('/');
    match address.rsplit_once('/') {
        // `/name` lies in the root of the file system, and `memory:/name` in that of the memory.
        Some((dir, name)) if dir.is_empty() || dir.ends_with(':') || dir.ends_with('/') => {
            (&address[..=dir.len()], name)
        }
        Some(split) => split,
        None => (address, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_name_runs_models_and_places() {
        let hex = "0123456789abcdef0123456789abcdef";
        let run = |path| ArtifactUri::Run { run_id: hex, path };
        assert_eq!(ArtifactUri::parse(hex).unwrap(), run(""));
        for (path, expect) in [("", ""), ("/", ""), ("/a", "a"), ("/a/b.txt", "a/b.txt"), ("/a/", "a")] {
            assert_eq!(ArtifactUri::parse(&format!("runs:/{hex}{path}")).unwrap(), run(expect));
        }
        let model = ArtifactUri::Model { model_id: "m-1", path: "data/x" };
        assert_eq!(ArtifactUri::parse("models:/m-1/data/x").unwrap(), model);
        assert_eq!(ArtifactUri::parse("s3://b/x").unwrap(), ArtifactUri::Address("s3://b/x"));
        for (uri, kind) in [
            ("runs:", ErrorKind::InvalidInput),
            ("runs:/", ErrorKind::InvalidInput),
            ("runs://host/x", ErrorKind::InvalidInput),
            ("models:/", ErrorKind::InvalidInput),
            ("m-1", ErrorKind::InvalidInput),
            ("models:/name/3", ErrorKind::Unsupported),
            ("models:/name@champion", ErrorKind::Unsupported),
        ] {
            assert_eq!(ArtifactUri::parse(uri).unwrap_err().kind(), kind, "{uri}");
        }
    }

    #[test]
    fn an_address_is_a_directory_and_a_name() {
        for (address, dir, name) in [
            ("/a/b/c.txt", "/a/b", "c.txt"),
            ("/a", "/", "a"),
            ("/a/b/", "/a", "b"),
            ("file:///a/b", "file:///a", "b"),
            ("file:///a", "file:///", "a"),
            ("memory:/0/x", "memory:/0", "x"),
            ("memory:/0", "memory:/", "0"),
        ] {
            assert_eq!(split_address(address), (dir, name), "{address}");
        }
    }
}
