//! Logging a table: its images, its rows below those that are there, and the tag that tells of it.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

#[cfg(feature = "image")]
use super::{Cells, Column};
use super::{Table, json, names};
use crate::artifact::{self, Artifacts};
use crate::error::{Error, ErrorKind, Result};
use crate::json::python_style;
use crate::run::RunHandle;
use crate::sync::lock;
use crate::validate;

/// The tag that lists the tables of a run.
const LOGGED_ARTIFACTS: &str = "mlflow.loggedArtifacts";

/// An entry of the tag. The order of its fields is what MLflow's search for tables expects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LoggedArtifact {
    path: String,
    r#type: String,
}

impl LoggedArtifact {
    fn table(path: &str) -> Self {
        Self { path: path.to_owned(), r#type: "table".to_owned() }
    }
}

/// Tables are read, changed and written: two threads that did so at once would lose rows.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Writes `table` as an artifact of the run, below the rows that the file has already.
pub(crate) fn log_table(
    run: &RunHandle,
    artifacts: &dyn Artifacts,
    table: &Table,
    artifact_file: &str,
) -> Result<()> {
    let path = names::table_file(artifact_file)?;
    let table = table.checked()?.clone();
    #[cfg(feature = "image")]
    let table = with_images_stored(artifacts, table, &path)?;

    let _only = lock(&ONE_AT_A_TIME);
    let mut whole = match artifact::find(artifacts, &path)? {
        Some(_) => read(artifacts, &path)?,
        None => Table::new(),
    };
    whole.append(table);
    artifacts.write(&path, &mut json::text(&whole).as_bytes())?;
    if !run.tracker().config().disabled {
        note(run, &path)?;
    }
    Ok(())
}

/// The table in a file.
pub(super) fn read(artifacts: &dyn Artifacts, path: &str) -> Result<Table> {
    let content = artifacts.read(path)?;
    let text = String::from_utf8(content).map_err(|cause| {
        Error::new(ErrorKind::Corrupt, "the table is not text").with("path", path).because(cause)
    })?;
    json::parse(&text).map_err(|error| error.with("path", path))
}

/// Whether a run's tag tells of a table in this file.
pub(super) fn is_noted(tag: &str, path: &str) -> bool {
    let listed: Vec<LoggedArtifact> = serde_json::from_str(tag).unwrap_or_default();
    listed.contains(&LoggedArtifact::table(path))
}

/// The filter of MLflow's search grammar for runs whose tag may tell of a table in this file.
pub(super) fn filter(path: &str) -> String {
    format!(r#"tags.{LOGGED_ARTIFACTS} LIKE '%"path"%:%"{path}",%"type"%:%"table"%'"#)
}

pub(super) fn tag_of(run: &crate::entity::Run) -> &str {
    run.tag(LOGGED_ARTIFACTS).unwrap_or_default()
}

/// Adds the file to the tag, unless it is there.
fn note(run: &RunHandle, path: &str) -> Result<()> {
    let stored = run.tracker().get_run(run.run_id())?;
    let tag = tag_of(&stored);
    let mut listed: Vec<LoggedArtifact> = if tag.is_empty() {
        Vec::new()
    } else {
        serde_json::from_str(tag).map_err(|cause| {
            Error::new(
                ErrorKind::Corrupt,
                "the table is stored, but the run's tag `mlflow.loggedArtifacts` cannot be read; delete the tag and log \
                 the table again",
            )
            .because(cause)
        })?
    };
    let entry = LoggedArtifact::table(path);
    if listed.contains(&entry) {
        return Ok(());
    }
    listed.push(entry);
    let tag = python_style(&listed)?;
    if tag.chars().count() > validate::TAG_CHARS_MAX {
        return Err(Error::invalid(
            "the table is stored, but the run has so many tables that `load_table` will not find this one",
        )
        .with("path", path));
    }
    run.set_tag(LOGGED_ARTIFACTS, tag);
    Ok(())
}

/// The table with each image in a file, and in its place what tells where.
#[cfg(feature = "image")]
fn with_images_stored(artifacts: &dyn Artifacts, table: Table, path: &str) -> Result<Table> {
    use serde_json::json;

    let folder = path.rsplit_once('.').map_or(path, |(name, _)| name);
    let store = |image: &image::DynamicImage| {
        let place = format!("table_images/{folder}/{}", crate::id::uuid());
        let (full, small) = (format!("{place}.png"), format!("{place}.webp"));
        artifact::images::store_both(artifacts, image, &full, &small)?;
        Ok(json!({"type": "image", "filepath": full, "compressed_filepath": small}))
    };
    let column = |Column { name, cells }| {
        let cells = match cells {
            Cells::Images(images) => Cells::Values(images.iter().map(store).collect::<Result<_>>()?),
            values @ Cells::Values(_) => values,
        };
        Ok(Column { name, cells })
    };
    let columns = table.columns.into_iter().map(column).collect::<Result<_>>()?;
    Ok(Table { columns, ..table })
}
