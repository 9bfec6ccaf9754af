//! GPUs, a file or folder each vendor. Their numbers are NVML's first, since MLflow's UI compares GPUs by them.

#[cfg(target_os = "linux")]
pub(super) mod amd;
#[cfg(all(feature = "apple", target_os = "macos", target_arch = "aarch64"))]
pub(super) mod apple;
#[cfg(target_os = "linux")]
mod card;
#[cfg(target_os = "linux")]
mod card_file;
#[cfg(target_os = "linux")]
pub(super) mod drm;
#[cfg(target_os = "linux")]
mod fdinfo;
#[cfg(target_os = "linux")]
pub(super) mod intel;
pub(super) mod numbers;
#[cfg(all(feature = "nvidia", any(target_os = "linux", windows)))]
pub(super) mod nvidia;
