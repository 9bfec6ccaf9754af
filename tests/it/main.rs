//! The tests that need the whole package: one binary, because linking is what tests cost.

#[cfg(test)]
mod command;
#[cfg(test)]
mod tidy;
