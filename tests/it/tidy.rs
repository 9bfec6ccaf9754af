//! Holds the lines marked `Invariant:` in ARCHITECTURE.md, by reading the manifests and the sources.
//!
//! A line there ends with the name of its test here; adding one without the other fails.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// The only files that may say `unsafe`.
const UNSAFE_FILES: &[&str] = &[
    "core/src/clock.rs",
    "core/src/exit/mod.rs",
    "core/src/exit/signal.rs",
    "core/src/journal/memory.rs",
    "integrations/linfa/src/cast.rs",
    "monitor/src/probe/gpu/nvidia/raw.rs",
];

/// A source file of the workspace.
#[derive(Debug)]
struct Source {
    /// From the root of the repository, with `/`.
    path: String,
    /// Without comments, and without the tests at its end.
    code: String,
    whole: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Rust file below these directories, sorted.
fn sources(dirs: &[&str]) -> Vec<Source> {
    let mut files = Vec::new();
    for dir in dirs {
        collect(&root().join(dir), &mut files);
    }
    files.sort();
    let source = |file: PathBuf| {
        let path = file.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
        let whole = fs::read_to_string(&file).unwrap();
        let tested = whole.split_once("\nmod tests {").map_or(whole.as_str(), |(code, _)| code);
        let line =
            |line: &str| line.trim_start().starts_with("//").then(String::new).unwrap_or(line.to_owned());
        let code = tested.lines().map(line).collect::<Vec<_>>().join("\n");
        Source { path, code, whole }
    };
    files.into_iter().map(source).collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

/// The code of the libraries and the command, without the files that hold only tests or benches.
fn product() -> Vec<Source> {
    let mut sources = sources(&["src", "core/src", "monitor/src", "integrations"]);
    sources.retain(|source| !source.path.ends_with("/tests.rs"));
    sources.retain(|source| !["/tests/", "/benches/"].iter().any(|place| source.path.contains(place)));
    assert!(sources.len() > 20, "the sources are not where this test looks");
    sources
}

/// The lines of code outside `allowed` (files or directories) that contain one of `words`.
fn strays(words: &[&str], allowed: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in product() {
        if allowed.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for (number, line) in source.code.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    found
}

/// The packages of the workspace, as Cargo reads their manifests.
fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(root());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// What a package needs to be built by a user, by name.
fn needs(package: &Value) -> BTreeSet<&str> {
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    dependencies.filter(|d| d["kind"] != "dev").map(|d| d["name"].as_str().unwrap()).collect()
}

#[test]
fn dependencies_point_one_way() {
    let packages = packages();
    for package in &packages {
        let (name, needs) = (package["name"].as_str().unwrap(), needs(package));
        let ours: BTreeSet<_> = needs.iter().copied().filter(|need| need.starts_with("runlog")).collect();
        match name {
            "runlog" => {}
            _ if package["publish"] == json!([]) => {} // examples and tests stand where users do
            "runlog-core" => assert_eq!(ours, BTreeSet::new(), "the core needs nothing of ours"),
            _ => assert_eq!(ours, BTreeSet::from(["runlog-core"]), "{name} may need only the core"),
        }
    }
    let core = packages.iter().find(|package| package["name"] == "runlog-core").unwrap();
    let foreign = ["sysinfo", "nvml", "burn", "candle", "linfa", "ndarray", "clap"];
    let stray = |need: &&str| foreign.iter().any(|name| need.starts_with(name));
    assert_eq!(needs(core).into_iter().filter(stray).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn sql_stays_in_the_sqlite_store() {
    let sql = ["rusqlite", "SELECT ", "INSERT INTO ", "CREATE TABLE ", "PRAGMA "];
    // The driver's feature is named after its dependency in no other place.
    assert_eq!(strays(&sql, &["core/src/store/sqlite/"]), [""; 0]);
}

#[test]
fn yaml_is_written_in_two_places() {
    let places = ["core/src/artifact/dict.rs", "core/src/yaml.rs"];
    assert_eq!(strays(&["serde_saphyr"], &places), [""; 0]);
}

#[test]
fn the_environment_is_read_in_one_place() {
    let reads = ["std::env::", "env::var", "env::args", "env::current_dir", "env::temp_dir", "env::set_var"];
    assert_eq!(strays(&reads, &["core/src/config.rs"]), [""; 0]);
}

#[test]
fn the_clock_is_read_in_one_place() {
    let reads = ["SystemTime::now", "Instant::now", "clock_gettime"];
    assert_eq!(strays(&reads, &["core/src/clock.rs"]), [""; 0]);
}

#[test]
fn unsafe_code_stays_in_named_files() {
    let blocks = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe(no_mangle)"];
    assert_eq!(strays(&blocks, UNSAFE_FILES), [""; 0]);
    for file in UNSAFE_FILES {
        assert!(read(file).contains("unsafe"), "{file} is named without need");
    }
}

#[test]
fn the_facade_has_no_logic() {
    let facade = sources(&["src"]).into_iter().find(|source| source.path == "src/lib.rs").unwrap();
    for word in ["fn ", "impl ", "struct ", "enum ", "trait ", "static ", "const ", "macro_rules"] {
        let stray =
            facade.code.lines().find(|line| line.trim_start().trim_start_matches("pub ").starts_with(word));
        assert_eq!(stray, None, "src/lib.rs holds docs and `pub use` only");
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let all = sources(&["src", "core", "monitor", "integrations", "examples", "tests", "benches"]);
    // Programs that others include can have no such line.
    let included = |source: &&Source| source.path.starts_with("tests/drop-in/programs/");
    let silent = all.iter().filter(|source| !included(source) && !source.whole.starts_with("//! "));
    assert_eq!(silent.map(|source| source.path.as_str()).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn every_variable_and_feature_is_in_the_readme() {
    let (readme, config, launch) =
        (read("README.md"), read("core/src/config.rs"), read("core/src/launch.rs"));
    let ours = |text: &&str| ["MLFLOW_", "RUNLOG_", "XDG_"].iter().any(|start| text.starts_with(start));
    let upper = |text: &&str| text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let launchers = |text: &&str| *text == "RANK" || text.contains('_') && upper(text);
    let mut variables: BTreeSet<_> = config.split('"').filter(ours).collect();
    variables.extend(launch.split('"').filter(launchers));
    assert!(variables.len() > 40);
    for variable in variables {
        assert!(readme.contains(&format!("`{variable}`")), "README.md does not tell about {variable}");
    }
    let packages = packages();
    let facade = packages.iter().find(|package| package["name"] == "runlog").unwrap();
    for feature in facade["features"].as_object().unwrap().keys().filter(|feature| *feature != "default") {
        assert!(readme.contains(&format!("| `{feature}` |")), "README.md does not tell about {feature}");
    }
}

#[test]
fn every_invariant_has_its_test() {
    let tests = include_str!("tidy.rs");
    let architecture = read("ARCHITECTURE.md");
    let invariants: Vec<_> = architecture.lines().filter(|line| line.starts_with("Invariant: ")).collect();
    assert!(invariants.len() > 5);
    for line in invariants {
        let name = line.rsplit('`').nth(1).unwrap_or("");
        assert!(tests.contains(&format!("#[test]\nfn {name}() {{")), "no test holds: {line}");
    }
}
