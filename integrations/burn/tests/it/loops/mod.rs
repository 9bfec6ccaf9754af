//! Hand-written training loops, and the models that they leave.

mod faults;
mod model;
mod off;
mod recorded;
pub(crate) mod setup;
mod several;
