//! Loading what autologging saved.
//!
//! A model folder says which type reads it, so that no type is taken for a like one: a file of `f64` would be read as
//! `f32`, and lose half of its digits.

use std::fs;
use std::path::Path;

use runlog_core::model::{self, MLMODEL_FILE, MlModel};
use runlog_core::{Error, ErrorKind, Result};
use serde_json::Value;

use crate::forms::class_of;
use crate::{FLAVOR, INTEGRATION, MODEL_FILE};

/// A type of model that [`load_model`] can read: those of linfa that autologging saves.
///
/// The implementations below are all there are; it is not for implementing. A model over borrowed labels, such as
/// `DecisionTree<f64, &str>`, is read as one over `String`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be loaded",
    label = "not a type of model that runlog saves",
    note = "models over `&str` are read as models over `String`; the documentation of the crate has the table of types"
)]
pub trait LoadModel: Sized {
    #[doc(hidden)]
    fn from_msgpack(bytes: &[u8]) -> Result<Self>;
}

/// Reads a model that autologging saved: `path` is the folder of the logged model or its URI, `models:/m-<id>` or
/// `runs:/<run id>/model`, or the file `model.msgpack` alone.
///
/// It predicts, bit for bit, what the saved one did.
///
/// # Errors
/// There is no such model; another type of model, another framework or another minor version of linfa made it. Of a
/// file alone only its content can tell.
///
/// ```no_run
/// use linfa_trees::DecisionTree;
///
/// let model: DecisionTree<f64, usize> = runlog_linfa::load_model("mlruns/0/models/m-…/artifacts")?;
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub fn load_model<M: LoadModel>(path: impl AsRef<Path>) -> Result<M> {
    let path = path.as_ref();
    let uri = |text: &&str| text.starts_with("models:") || text.starts_with("runs:") || text.contains("://");
    let bytes = if let Some(uri) = path.to_str().filter(uri) {
        let files = model::load(uri)?;
        check::<M>(files.mlmodel())?;
        files.read(MODEL_FILE)?
    } else if path.is_dir() {
        check::<M>(&MlModel::parse(&read(&path.join(MLMODEL_FILE))?)?)?;
        read(&path.join(MODEL_FILE))?
    } else {
        read(path)?
    };
    M::from_msgpack(&bytes).map_err(|error| error.with("path", path.display()))
}

/// Whether the described model is one of linfa's that is read as `M`.
fn check<M>(described: &MlModel) -> Result<()> {
    let flavor = described.flavor_for(FLAVOR, INTEGRATION.framework_version())?;
    let (asked, saved) = (class_of::<M>(), flavor.get("loads_as").and_then(Value::as_str));
    match saved {
        Some(saved) if saved != asked => Err(Error::new(
            ErrorKind::InvalidInput,
            format!("the model loads as `{saved}`, not as `{asked}`"),
        )),
        _ => Ok(()),
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(|cause| Error::io("read the model", file, cause))
}
