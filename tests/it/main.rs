//! The tests that need the whole package: one binary, because linking is what tests cost.

#[cfg(test)]
mod allocations;
#[cfg(test)]
mod artifacts;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod command;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod endings;
#[cfg(test)]
mod mlflow;
#[cfg(test)]
mod python;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tidy;
