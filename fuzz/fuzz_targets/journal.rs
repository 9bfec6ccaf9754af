//! Does damage to a dead process's journal and reads it: no panic, no end of memory, no record that was not logged.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let dir = tempfile::tempdir().expect("there is a directory for temporary files");
    runlog_core::check_damaged_journal(dir.path(), data);
});
