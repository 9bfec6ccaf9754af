//! What this program was built with, as far as a dependency of it can know.
//!
//! Invariant: what is not certain is not told.

mod id;
mod lock;

use std::fmt::Write as _;
use std::sync::OnceLock;

use crate::config;

pub use lock::Lock;

/// The compiler, such as `1.95.0 (59807616e 2026-04-14)`.
pub const RUSTC: &str = env!("RUNLOG_BUILD_RUSTC");

/// The target's triple, such as `x86_64-unknown-linux-gnu`.
pub const TARGET: &str = env!("RUNLOG_BUILD_TARGET");

/// What the processor may be asked to do, such as `fxsr,sse,sse2`: floating-point results depend on it.
pub const TARGET_FEATURES: &str = env!("RUNLOG_BUILD_TARGET_FEATURES");

/// The profile's directory below `target`: `debug`, `release`, or the name of a profile of the user's own.
pub const PROFILE: &str = env!("RUNLOG_BUILD_PROFILE");

/// How far this crate was optimized: `0` to `3`, `s` or `z`. A profile can say otherwise for other packages.
pub const OPT_LEVEL: &str = env!("RUNLOG_BUILD_OPT_LEVEL");

/// The features of runlog's core that are on, such as `file,sqlite`. A dependency does not see those of the program.
pub const FEATURES: &str = env!("RUNLOG_BUILD_FEATURES");

/// This release of runlog.
pub const RUNLOG: &str = env!("CARGO_PKG_VERSION");

/// The `Cargo.lock` that the program was built with; `None` where that is not certain.
///
/// It is part of the program, so that it is there wherever the program runs. It is certain if the target directory lies
/// in the workspace, which is Cargo's default. A target directory elsewhere may be shared by workspaces, which then
/// share the compiled runlog as well: the lock found where Cargo was started is told only by a program that is named
/// like one of that workspace's packages, or that Cargo runs for one of them.
pub fn lock() -> Option<&'static Lock> {
    static LOCK: OnceLock<Option<Lock>> = OnceLock::new();
    LOCK.get_or_init(|| {
        let text = include_str!(concat!(env!("OUT_DIR"), "/Cargo.lock"));
        let lock = Lock::new(text, env!("RUNLOG_BUILD_LOCK_SHA256"));
        match env!("RUNLOG_BUILD_LOCK_FROM") {
            "workspace" => Some(lock),
            "directory" => lock.is_of(&config::running_program()).then_some(lock),
            _ => None,
        }
    })
    .as_ref()
}

/// The exact version of a crate in this program, such as `0.8.1`; `None` if the lock has it in several versions, or is
/// not known.
///
/// ```
/// if let Some(version) = runlog_core::build::version_of("serde") {
///     println!("built with serde {version}");
/// }
/// assert_eq!(runlog_core::build::version_of("no-such-crate"), None);
/// ```
pub fn version_of(crate_name: &str) -> Option<&'static str> {
    lock()?.version_of(crate_name)
}

/// The identity that the linker gave this program, as hex digits: another build of other code has another one.
///
/// `None` where it is not told in the way of Linux (ELF's build id, on 64 bits), such as on macOS and Windows.
pub fn id() -> Option<&'static str> {
    static ID: OnceLock<Option<String>> = OnceLock::new();
    ID.get_or_init(|| id::of(config::running_program().file.as_deref()?)).as_deref()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        write!(hex, "{byte:02x}").ok();
        hex
    })
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_facts_are_those_of_this_build() {
        assert!(RUSTC.starts_with("1."), "{RUSTC}");
        assert!(TARGET.contains(std::env::consts::ARCH), "{TARGET}");
        assert!(["0", "1", "2", "3", "s", "z"].contains(&OPT_LEVEL));
        assert!(!PROFILE.is_empty() && !PROFILE.contains('/'));
        assert_eq!(FEATURES.split(',').any(|feature| feature == "sqlite"), cfg!(feature = "sqlite"));
    }

    #[test]
    fn under_cargo_the_lock_is_known_and_tells_what_is_linked() {
        let lock = lock().expect("tests are run by Cargo");
        assert_eq!(lock.version_of("runlog-core"), Some(RUNLOG));
        assert_eq!(version_of("serde").map(|version| version.starts_with("1.")), Some(true));
        assert_eq!(version_of("no-such-crate"), None);
        assert_eq!(lock.sha256(), hex(&Sha256::digest(lock.text())));
    }
}
