//! The `runlog` command: a look at what was recorded, without a server and without Python.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
