//! The last line between a fault of ours and the user's training.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use runlog_core::Config;

use crate::INTEGRATION;

/// Does our part of a call of the user's. A panic in it becomes a warning and `None`; for those who test adapters
/// (`MLFLOW_AUTOLOGGING_TESTING`) it stays one.
pub(crate) fn guarded<T>(act: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(act)).map_err(report).ok()
}

#[cold]
fn report(panic: Box<dyn std::any::Any + Send>) {
    let testing = Config::from_env().is_ok_and(|config| config.autologging_testing);
    if testing && !std::thread::panicking() {
        resume_unwind(panic);
    }
    INTEGRATION.warn(
        "candle autologging panicked",
        format_args!("candle autologging panicked, and its record has a gap; the training is not affected"),
    );
}
