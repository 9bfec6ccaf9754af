//! Trained modules as logged models: what is written of them, and how they are read again.
//!
//! Invariant: a module is looked at only when it is logged, after its training. Looking at parameters that burn has not
//! made yet makes them, in another order than training would, and the results are others.

mod architecture;
mod describe;
mod load;
mod save;

pub use describe::{example_of, signature_of};
pub use load::load_model;
pub(crate) use save::log_with;

/// The name under which `MLmodel` says how a model is loaded.
const FLAVOR: &str = "runlog.burn";

/// burn's own format: every value as it was, and the ids by which optimizers know parameters.
const BURNPACK_FILE: &str = "model.bpk";

/// The same values for other programs. There is none where it has no type for them, as for quantized ones.
const SAFETENSORS_FILE: &str = "model.safetensors";

const ARCHITECTURE_FILE: &str = "architecture.json";
const SUMMARY_FILE: &str = "model_summary.txt";

/// The release of burn that this program is built with, such as `0.22.1`.
fn burn_version() -> String {
    let minor = || crate::integration().framework_version().to_owned();
    burn::store::BurnpackStore::default_metadata().remove("version").unwrap_or_else(minor)
}

/// `key` of the first training of a run, `key-2` of the second one that shares it.
pub(crate) fn numbered(key: &str, part: usize) -> String {
    if part == 1 { key.to_owned() } else { format!("{key}-{part}") }
}
