//! The programs without runlog: `plain <program>`.

use std::process::ExitCode;

fn main() -> ExitCode {
    runlog_drop_in::run(plain::PROGRAMS, std::env::args().nth(1).as_deref())
}
