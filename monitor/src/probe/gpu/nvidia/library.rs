//! Finds and loads NVIDIA's management library (NVML), which comes with the driver.
//!
//! Invariants: a library is initialised once in a process and never unloaded, since a driver's threads may still be in
//! it; whatever is wrong with it is an [`ProbeError::Absent`] that says what, and no panic.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use crate::probe::ProbeError;

/// What is loaded, by where it was asked for.
static LOADED: Mutex<Vec<(Option<PathBuf>, &'static Nvml)>> = Mutex::new(Vec::new());

/// The library at `path`, or where the system keeps it (`libnvidia-ml.so.1`, `nvml.dll`).
///
/// # Errors
/// Absent, with what is missing: library, driver, permission, or one version for both.
pub(super) fn load(path: Option<&Path>) -> Result<&'static Nvml, ProbeError> {
    let known = |loaded: &[(Option<PathBuf>, &'static Nvml)]| {
        loaded.iter().find(|(place, _)| place.as_deref() == path).map(|(_, nvml)| *nvml)
    };
    if let Some(nvml) = known(&LOADED.lock().unwrap_or_else(PoisonError::into_inner)) {
        return Ok(nvml);
    }
    // Not under the lock: a driver that hangs here must not hold up another run's attempt.
    let nvml = initialise(path).map_err(|error| ProbeError::Absent(why(&error)))?;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(known(&loaded).unwrap_or_else(|| {
        loaded.push((path.map(Path::to_owned), nvml));
        nvml
    }))
}

fn initialise(path: Option<&Path>) -> Result<&'static Nvml, NvmlError> {
    let mut builder = Nvml::builder();
    if let Some(path) = path {
        builder.lib_path(path.as_os_str());
    }
    // Leaked, so that it is never dropped: that would unload the driver's library, and panic where it is incomplete.
    Ok(Box::leak(Box::new(builder.init()?)))
}

fn why(error: &NvmlError) -> Cow<'static, str> {
    Cow::Borrowed(match error {
        NvmlError::LibloadingError(_) => "NVIDIA's driver library (NVML) is not installed",
        NvmlError::FailedToLoadSymbol(_) => "the library in the place of NVIDIA's (NVML) is another one",
        NvmlError::DriverNotLoaded => "NVIDIA's library is installed, but its driver is not loaded",
        NvmlError::LibRmVersionMismatch => {
            "NVIDIA's library and driver are of different versions; restart the machine after an update"
        }
        NvmlError::NoPermission => "NVIDIA's driver does not let this user read it",
        other => return Cow::Owned(format!("NVIDIA's library cannot be initialised: {other}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_there_or_not_nvidias_is_absent() {
        let dir = tempfile::tempdir().unwrap();
        let reason = |path: &Path| load(Some(path)).unwrap_err().to_string();
        assert_eq!(reason(&dir.path().join("none.so")), why(&no_library()));
        let text = dir.path().join("text.so");
        std::fs::write(&text, "no library").unwrap();
        assert_eq!(reason(&text), why(&no_library()));
    }

    #[test]
    fn what_keeps_the_library_from_working_is_told_apart() {
        let reasons = [
            no_library(),
            NvmlError::FailedToLoadSymbol(String::new()),
            NvmlError::DriverNotLoaded,
            NvmlError::LibRmVersionMismatch,
            NvmlError::NoPermission,
            NvmlError::Unknown,
        ]
        .map(|error| why(&error));
        let distinct: std::collections::BTreeSet<_> = reasons.iter().collect();
        assert_eq!(distinct.len(), reasons.len());
    }

    fn no_library() -> NvmlError {
        Nvml::builder().lib_path("/nowhere/nvml.so".as_ref()).init().unwrap_err()
    }
}
