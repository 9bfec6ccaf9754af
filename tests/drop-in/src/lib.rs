//! Runs one of the frameworks' programs by its name.

#![expect(clippy::print_stdout, reason = "a test asks what there is")]

use std::process::ExitCode;

/// A program: its name, and its `main`.
pub type Program = (&'static str, fn() -> ExitCode);

/// Runs the program that `name` names; without a name, lists them.
pub fn run(programs: &[Program], name: Option<&str>) -> ExitCode {
    let Some(name) = name else {
        for (name, _) in programs {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    match programs.iter().find(|(known, _)| *known == name) {
        Some((_, main)) => main(),
        None => ExitCode::from(2),
    }
}
