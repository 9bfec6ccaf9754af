//! Loading what autologging saved.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use runlog_core::{Error, Result, model};

use crate::MODEL_FILE;

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

/// Reads a model that autologging saved: `path` is the file, or the folder of the logged model, or its URI:
/// `models:/m-<id>`, or `runs:/<run id>/model`.
///
/// # Errors
/// A file that is not there, and one that holds another type of model.
///
/// ```no_run
/// use linfa_trees::DecisionTree;
///
/// let model: DecisionTree<f64, usize> = runlog_linfa::load_model("mlruns/0/models/m-…/artifacts")?;
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub fn load_model<M: LoadModel>(path: impl AsRef<Path>) -> Result<M> {
    let path = path.as_ref();
    let uri = path.to_str().filter(|text| text.starts_with("models:") || text.starts_with("runs:"));
    let bytes = match uri {
        Some(uri) => model::load(uri)?.read(MODEL_FILE)?,
        None => read(&if path.is_dir() { path.join(MODEL_FILE) } else { path.to_owned() })?,
    };
    M::from_msgpack(&bytes).map_err(|error| error.with("path", path.display()))
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|mut open| open.read_to_end(&mut bytes))
        .map_err(|cause| Error::io("read the model", file, cause))?;
    Ok(bytes)
}
