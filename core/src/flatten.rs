//! (to come)
use serde::Serialize;
/** x */
pub fn flatten<T: Serialize>(_t: &T) {}
