//! Where files end up.
