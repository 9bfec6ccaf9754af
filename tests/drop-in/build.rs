//! Finds the example programs that linfa's crates ship, and writes a module for each that includes its source as it is.
//! For burn and candle, which ship none that needs no network, there is one each in `programs`, and linfa's of the docs.

#![expect(clippy::unwrap_used, reason = "a build script fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "Cargo tells a build script what it wants by the environment")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

#[path = "left_out.rs"]
mod left_out;

fn main() {
    for input in
        ["../../Cargo.lock", "../../../Cargo.lock", "build.rs", "../build.rs", "programs", "../programs"]
    {
        if Path::new(input).exists() {
            println!("cargo::rerun-if-changed={input}");
        }
    }
    let mut names = Vec::new();
    let mut code = String::new();
    for package in packages() {
        let crate_name = package["name"].as_str().unwrap();
        let examples = Path::new(package["manifest_path"].as_str().unwrap()).with_file_name("examples");
        if !crate_name.starts_with("linfa") || !examples.exists() {
            continue;
        }
        for entry in fs::read_dir(examples).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{crate_name}/{}", path.file_stem().unwrap().to_str().unwrap());
            let source = path.extension().is_some_and(|end| end == "rs");
            if source && !left_out::LEFT_OUT.iter().any(|(left_out, _)| *left_out == name) {
                names.push((name, path));
            }
        }
    }
    let here = Path::new(&env::var_os("CARGO_MANIFEST_DIR").unwrap()).to_owned();
    let root = here.ancestors().find(|dir| dir.join("programs").exists()).unwrap();
    for name in ["burn/digits", "candle/digits", "linfa/diabetes"] {
        names.push((name.to_owned(), root.join(format!("programs/{}.rs", name.replace('/', "_")))));
    }
    names.retain(|(name, _)| {
        env::var_os("CARGO_FEATURE_EVERY").is_some() || left_out::FEW.contains(&name.as_str())
    });
    names.sort();
    for (name, path) in &names {
        let module = name.replace(['-', '/'], "_");
        writeln!(code, "#[allow(warnings, clippy::all, clippy::pedantic, clippy::restriction)]\nmod {module} {{\n    include!({:?});", path.to_str().unwrap()).unwrap();
        writeln!(code, "    pub fn run() -> impl std::process::Termination {{ main() }}\n}}").unwrap();
    }
    writeln!(code, "/// The programs by name.\n#[allow(unreachable_pub, clippy::type_complexity, clippy::allow_attributes, clippy::allow_attributes_without_reason)]").unwrap();
    writeln!(code, "pub const PROGRAMS: &[(&str, fn() -> std::process::ExitCode)] = &[").unwrap();
    for (name, _) in &names {
        let module = name.replace(['-', '/'], "_");
        writeln!(code, "    ({name:?}, || std::process::Termination::report({module}::run())),").unwrap();
    }
    writeln!(code, "];").unwrap();
    fs::write(Path::new(&env::var_os("OUT_DIR").unwrap()).join("programs.rs"), code).unwrap();
}

/// What Cargo knows of every package of this build: where its sources are, above all.
fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap());
    cargo.args(["metadata", "--locked", "--offline", "--format-version", "1"]);
    let output = cargo.args(["--filter-platform", &env::var("TARGET").unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    serde_json::from_value(metadata["packages"].take()).unwrap()
}
