//! Autologging of burn, trained for real: what each way of training leaves behind, and that nothing else changes.
//!
//! Autologging is on for the whole process; each test has a tracker of its own. What is about autologging being off
//! runs in a process of its own.

#![expect(clippy::print_stdout, reason = "a child process answers its parent")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod loops;
mod trainer;
