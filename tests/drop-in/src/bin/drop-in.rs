//! The programs over runlog's packages: `drop-in <program> [autolog]`.

use std::process::ExitCode;

mod programs {
    //! The same sources as in `plain`, where `linfa` is another crate.
    include!(concat!(env!("OUT_DIR"), "/programs.rs"));
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let program = args.next();
    if args.next().as_deref() == Some("autolog") {
        runlog::autolog();
    }
    runlog_drop_in::run(programs::PROGRAMS, program.as_deref())
}
