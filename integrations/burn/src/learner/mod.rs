//! burn's own trainer: what `launch` trains is recorded as it goes.

mod supervised;

pub use supervised::SupervisedTraining;
