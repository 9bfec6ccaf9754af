//! A package that stands in a framework's place has the framework's features: the blocks between markers in
//! `integrations/*/Cargo.toml` are written from the manifest of the framework in the version of `Cargo.lock`.
//!
//! `UPDATE_FEATURES=1 cargo test --test it features` writes them anew. Where Cargo refuses a feature that the framework
//! no longer has, delete its line first.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const BEGIN: &str =
    "# Features of the framework, written by `UPDATE_FEATURES=1 cargo test --test it features`:\n";
const END: &str = "# End of the features of the framework.\n";

/// A package of ours, the framework whose place it takes, and what a feature switches on here besides.
const PACKAGES: [(&str, &str, Additions); 3] = [
    ("linfa", "linfa", &[("default", "all")]),
    ("candle", "candle-nn", &[]),
    ("burn", "burn", &[("default", "train"), ("rl", "train")]),
];

/// A feature of the framework, and one of ours that it switches on.
type Additions = &'static [(&'static str, &'static str)];

/// A feature that is not forwarded. One lock file holds one crate that links the system's BLAS, and linfa's features bring
/// another version of it than this one of burn's deprecated backend.
const LEFT_OUT: &[(&str, &str)] = &[("burn", "blas-netlib")];

/// What Cargo knows of every package that this machine builds by default.
fn packages() -> Vec<Value> {
    let stdout = |command: &mut Command| {
        let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let cargo = || Command::new(env!("CARGO"));
    let about = stdout(cargo().arg("-vV"));
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let wanted = ["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", host];
    let mut metadata: Value = serde_json::from_str(&stdout(cargo().args(wanted))).unwrap();
    serde_json::from_value(metadata["packages"].take()).unwrap()
}

/// The lines for `framework`: each of its features switches on the same there, and here those that it implies, so that
/// our own code sees in its features what the framework's code sees in its.
fn forwarded(packages: &[Value], framework: &str, ours: &[(&str, &str)]) -> String {
    let found: Vec<_> = packages.iter().filter(|package| package["name"] == framework).collect();
    assert_eq!(found.len(), 1, "one version of {framework}");
    let features = found[0]["features"].as_object().unwrap();
    let mut lines = String::new();
    let here = |name: &str| features.contains_key(name) && !LEFT_OUT.contains(&(framework, name));
    for (name, implied) in features.iter().filter(|(name, _)| here(name)) {
        let mut list = vec![format!("{framework}/{name}")];
        let implied = implied.as_array().unwrap().iter().map(|value| value.as_str().unwrap());
        list.extend(implied.filter(|name| here(name)).map(str::to_owned));
        list.extend(ours.iter().filter(|(feature, _)| feature == name).map(|(_, also)| (*also).to_owned()));
        writeln!(lines, "{name} = {list:?}").unwrap();
    }
    lines
}

#[test]
fn every_feature_of_a_framework_is_forwarded() {
    let packages = packages();
    for (folder, framework, ours) in PACKAGES {
        let path = format!("integrations/{folder}/Cargo.toml");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(&path);
        let manifest = fs::read_to_string(&file).unwrap();
        let (before, rest) = manifest.split_once(BEGIN).unwrap_or_else(|| panic!("{path}: no first marker"));
        let (block, after) = rest.split_once(END).unwrap_or_else(|| panic!("{path}: no last marker"));
        let wanted = forwarded(&packages, framework, ours);
        let names = |lines: &str| -> BTreeSet<String> {
            lines.lines().filter_map(|line| Some(line.split_once(" = ")?.0.to_owned())).collect()
        };
        let own = after.split("\n[").next().unwrap();
        let both: Vec<_> = names(own).intersection(&names(&wanted)).cloned().collect();
        assert_eq!(both, [""; 0], "{path}: names of {framework} that are features of ours");
        if update() {
            fs::write(&file, [before, BEGIN, &wanted, END, after].concat()).unwrap();
        } else {
            assert_eq!(block, wanted, "{path}: run `UPDATE_FEATURES=1 cargo test --test it features`");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "who runs the test says so by the environment")]
fn update() -> bool {
    std::env::var_os("UPDATE_FEATURES").is_some()
}
