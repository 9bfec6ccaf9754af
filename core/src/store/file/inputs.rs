//! What runs read, used and made: links in the directory of the run, datasets in that of the experiment.
//!
//! The ids of links are MLflow's, so that a link has one place whoever makes it. Like MLflow, a link names its source
//! as its destination too, and readers look only at the source of an input and the destination of an output.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use md5::{Digest as _, Md5};
use serde::Deserialize;
use serde_json::{Value, json};

use super::layout::{self, META};
use super::meta::{self, DatasetMeta};
use super::{Tree, runs};
use crate::entity::{DatasetInput, ModelOutput, Run};
use crate::error::{Error, Result};
use crate::notice;

#[derive(Debug, Deserialize)]
struct Link {
    source_type: Option<String>,
    source_id: Option<String>,
    destination_type: Option<String>,
    destination_id: Option<String>,
    #[serde(default)]
    tags: Option<BTreeMap<String, Option<String>>>,
    step: Option<i64>,
}

pub(super) fn log(tree: &Tree, run_id: &str, datasets: &[DatasetInput], models: &[String]) -> Result<()> {
    let _writing = tree.writing();
    let run = runs::open(tree, run_id)?;
    let experiment = run.dir.parent().unwrap_or(&run.dir);
    let put_new = |dir: &Path, content: &Value| {
        if dir.join(META).exists() { Ok(()) } else { meta::write(&tree.disk, &run.dir, dir, content) }
    };
    for DatasetInput { dataset, tags } in datasets {
        let id = md5_of(&dataset.name, &dataset.digest);
        put_new(&experiment.join("datasets").join(&id), &DatasetMeta::value(dataset))?;
        let tags: BTreeMap<&str, &str> =
            tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        put_new(&run.dir.join("inputs").join(md5_of(&id, run_id)), &input("DATASET", &id, &json!(tags)))?;
    }
    for id in models {
        put_new(&run.dir.join("inputs").join(md5_of(id, run_id)), &input("MODEL", id, &json!({})))?;
    }
    Ok(())
}

fn input(kind: &str, id: &str, tags: &Value) -> Value {
    json!({
        "destination_id": id,
        "destination_type": "RUN",
        "source_id": id,
        "source_type": kind,
        "tags": tags,
    })
}

pub(super) fn log_outputs(tree: &Tree, run_id: &str, outputs: &[ModelOutput]) -> Result<()> {
    let _writing = tree.writing();
    let run = runs::open(tree, run_id)?;
    if let Some(bad) = outputs.iter().find(|output| !layout::is_id(&output.model_id)) {
        return Err(Error::invalid("this is no id of a model; it looks like `m-` and 32 hex digits")
            .with("model", &bad.model_id));
    }
    for ModelOutput { model_id, step } in outputs {
        let dir = run.dir.join("outputs").join(model_id);
        if !dir.join(META).exists() {
            let output = json!({
                "destination_id": model_id,
                "destination_type": "MODEL_OUTPUT",
                "source_id": model_id,
                "source_type": "RUN_OUTPUT",
                "step": step,
                "tags": {},
            });
            meta::write(&tree.disk, &run.dir, &dir, &output)?;
        }
    }
    Ok(())
}

/// Adds to `run`, which lies in `dir`, what it is linked to.
pub(super) fn read(dir: &Path, run: &mut Run) -> Result<()> {
    let mut models = BTreeSet::new();
    for link in links(&dir.join("inputs"))? {
        let Some(id) = link.source_id else { continue };
        match link.source_type.as_deref() {
            Some("DATASET") if layout::is_id(&id) => {
                let datasets = dir.parent().unwrap_or(dir).join("datasets");
                let Some(dataset) = meta::read::<DatasetMeta>(&datasets.join(&id))? else {
                    notice::warn(
                        &format!("dataset {id}"),
                        format_args!(
                            "the dataset {id} that a run read is not in {} any more",
                            datasets.display()
                        ),
                    );
                    continue;
                };
                let tags = link.tags.unwrap_or_default();
                let tags = tags.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect();
                run.inputs.datasets.push(DatasetInput { dataset: dataset.dataset(), tags });
            }
            Some("MODEL") => {
                models.insert(id);
            }
            _ => {}
        }
    }
    run.inputs.datasets.sort();
    run.inputs.models = models.into_iter().collect();
    for link in links(&dir.join("outputs"))? {
        if link.destination_type.as_deref() == Some("MODEL_OUTPUT")
            && let Some(model_id) = link.destination_id
        {
            run.outputs.push(ModelOutput::new(model_id, link.step.unwrap_or_default()));
        }
    }
    run.outputs.sort();
    Ok(())
}

fn links(folder: &Path) -> Result<Vec<Link>> {
    let mut links = Vec::new();
    for (_, dir) in layout::subdirectories(folder)? {
        links.extend(meta::read::<Link>(&dir)?);
    }
    Ok(links)
}

/// MLflow's id of something that two texts identify.
fn md5_of(first: &str, second: &str) -> String {
    let mut md5 = Md5::new();
    md5.update(first);
    md5.update(second);
    format!("{:032x}", u128::from_be_bytes(md5.finalize().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_mlflows() {
        let dataset = md5_of("six é", "3efaaf32");
        assert_eq!(dataset, "dd862c1d31736fc0ae543d286f625765");
        assert_eq!(md5_of(&dataset, "311a1c3f754f428d9601648ef9f69069"), "59c7b1955902a1ffea751c0b22bd8c32");
    }
}
