//! burn's own trainer: what `launch` trains and `eval` evaluates is recorded as it goes.
//!
//! burn reports to a renderer, and ours stands before the user's: it passes everything on and tells the recorder. All of
//! burn's strategies report through it, on a thread of burn's; nothing is read from a device, and nothing of the model
//! before `launch` has returned.

mod checkpoints;
mod config;
mod evaluator;
mod keys;
mod launch;
mod observer;
mod probe;
#[cfg(feature = "rl")]
mod rl;
mod supervised;
mod tracked;
mod watch;

pub use config::Config;
pub use evaluator::{Evaluator, EvaluatorBuilder};
#[cfg(feature = "rl")]
pub use rl::RLTraining;
pub use supervised::SupervisedTraining;
