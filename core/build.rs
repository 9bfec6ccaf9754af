//! Tells the crate what it is built with: compiler, target, profile, and the `Cargo.lock` of the whole build.
//!
//! Invariants: what cannot be found out is left empty, what is written names no directory of the machine, and it runs
//! again only when the lock or what Cargo itself watches has changed.

#![expect(clippy::disallowed_methods, reason = "Cargo talks to build scripts through the environment")]

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use crate::userinfo::without_userinfo;

#[path = "src/userinfo.rs"]
mod userinfo;

fn main() {
    for file in ["build.rs", "src/userinfo.rs"] {
        println!("cargo::rerun-if-changed={file}");
    }
    for (name, value) in [
        ("RUSTC", rustc().unwrap_or_default()),
        ("TARGET", var("TARGET")),
        ("PROFILE", profile()),
        ("OPT_LEVEL", var("OPT_LEVEL")),
        ("FEATURES", listed(&var("CARGO_CFG_FEATURE"), &["default", "testing"])),
        ("TARGET_FEATURES", listed(&var("CARGO_CFG_TARGET_FEATURE"), &[])),
    ] {
        println!("cargo::rustc-env=RUNLOG_BUILD_{name}={value}");
    }
    let found = beside_the_output().or_else(around_cargo);
    let (text, from) = match &found {
        Some((lock, text, from)) => {
            println!("cargo::rerun-if-changed={}", lock.display());
            // It is for anybody who has the program or its runs.
            (text.split_inclusive('\n').map(without_userinfo).collect(), *from)
        }
        None => (String::new(), ""),
    };
    println!("cargo::rustc-env=RUNLOG_BUILD_LOCK_FROM={from}");
    println!("cargo::rustc-env=RUNLOG_BUILD_LOCK_SHA256={}", sha256(&text));
    let out = PathBuf::from(var("OUT_DIR")).join("Cargo.lock");
    if let Err(error) = fs::write(&out, text) {
        println!("cargo::error=cannot write {}: {error}", out.display());
    }
}

fn var(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// What `rustc --version` says after its own name.
fn rustc() -> Option<String> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?;
    Some(line.trim().trim_start_matches("rustc ").to_owned())
}

/// The directory of the profile, as in `target/release/build/…`: `PROFILE` knows no profiles of the user's own.
fn profile() -> String {
    let out = PathBuf::from(var("OUT_DIR"));
    let of_builds = out.ancestors().find(|dir| dir.file_name().is_some_and(|name| name == "build"));
    let profile = of_builds.and_then(|dir| dir.parent()?.file_name()?.to_str());
    profile.map_or_else(|| var("PROFILE"), str::to_owned)
}

/// `list` sorted, without `dropped`.
fn listed(list: &str, dropped: &[&str]) -> String {
    let mut items: Vec<_> = list.split(',').filter(|item| !dropped.contains(item)).collect();
    items.sort_unstable();
    items.join(",")
}

type Found = (PathBuf, String, &'static str);

/// The lock of the workspace whose own directory holds what is built, as it does unless it is told otherwise.
fn beside_the_output() -> Option<Found> {
    upwards(Path::new(&var("OUT_DIR")), "workspace")
}

/// The lock where Cargo was started. Another program may find this build in a shared target directory and not run this
/// again, and `cargo install` builds what has nothing to do with where it is called: the crate looks at it once more.
fn around_cargo() -> Option<Found> {
    let dir = working_dir_of_cargo().or_else(|| env::var_os("PWD").map(PathBuf::from))?;
    upwards(&dir, "directory")
}

/// Cargo starts this script in the package's directory, and `PWD` is what its own caller had.
#[cfg(target_os = "linux")]
fn working_dir_of_cargo() -> Option<PathBuf> {
    fs::read_link(format!("/proc/{}/cwd", std::os::unix::process::parent_id())).ok()
}

#[cfg(not(target_os = "linux"))]
fn working_dir_of_cargo() -> Option<PathBuf> {
    None
}

/// The nearest lock of a workspace at `dir` or above it, if this package is in it.
fn upwards(dir: &Path, from: &'static str) -> Option<Found> {
    let is_workspace = |dir: &&Path| dir.join("Cargo.lock").is_file() && dir.join("Cargo.toml").is_file();
    let lock = dir.ancestors().find(is_workspace)?.join("Cargo.lock");
    let text = fs::read_to_string(&lock).ok()?.replace("\r\n", "\n");
    let this = format!("name = \"{}\"\nversion = \"{}\"\n", var("CARGO_PKG_NAME"), var("CARGO_PKG_VERSION"));
    text.contains(&this).then_some((lock, text, from))
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").ok();
        hex
    })
}
