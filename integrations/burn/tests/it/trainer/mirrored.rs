//! The builders have every method that burn's have: compared with burn's sources, which Cargo has fetched to build them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of burn-train's sources.
fn burn_train() -> PathBuf {
    // Of this machine's packages only: those of others were not fetched.
    let about = cargo(&["-vV"]);
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let metadata = cargo(&["metadata", "--offline", "--format-version", "1", "--filter-platform", host]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "burn-train").unwrap();
    Path::new(package["manifest_path"].as_str().unwrap()).with_file_name("src")
}

fn cargo(args: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The names of the public functions in a file, up to its tests.
fn functions(file: &Path) -> BTreeSet<String> {
    let source = std::fs::read_to_string(file).unwrap();
    let source = source.split("#[cfg(test)]").next().unwrap();
    let name = |line: &str| {
        let rest = line.trim().strip_prefix("pub fn ")?;
        Some(rest.split(['(', '<']).next()?.to_owned())
    };
    source.lines().filter_map(name).collect()
}

#[test]
fn the_builders_have_every_method_of_burns() {
    let (burns, ours) = (burn_train(), Path::new(env!("CARGO_MANIFEST_DIR")).join("src/learner"));
    for (theirs, ours_at, least) in [
        ("learner/supervised/paradigm.rs", "supervised.rs", 25),
        ("evaluator/builder.rs", "evaluator.rs", 9),
        ("evaluator/base.rs", "evaluator.rs", 2),
        ("learner/rl/paradigm.rs", "rl.rs", 26),
    ] {
        let theirs_has = functions(&burns.join(theirs));
        assert!(theirs_has.len() >= least, "{theirs}: {theirs_has:?}");
        let missing: Vec<_> = theirs_has.difference(&functions(&ours.join(ours_at))).cloned().collect();
        assert_eq!(missing, [""; 0], "{theirs}");
    }
}
