//! The tests that need the whole package: one binary, because linking is what tests cost.

#[cfg(test)]
mod allocations;
#[cfg(test)]
mod artifacts;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod bounded;
#[cfg(test)]
mod command;
#[cfg(test)]
#[path = "../scenario/counters.rs"]
mod counters;
#[cfg(test)]
mod counting;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod current;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod endings;
#[cfg(test)]
mod experiments;
#[cfg(test)]
mod features;
#[cfg(test)]
mod file_store;
#[cfg(test)]
mod functions;
#[cfg(test)]
mod gpus;
#[cfg(test)]
mod linked;
#[cfg(test)]
mod logging;
#[cfg(test)]
mod many;
#[cfg(test)]
mod mlflow;
#[cfg(test)]
mod models;
#[cfg(test)]
mod monitored;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod provenance;
#[cfg(test)]
mod python;
#[cfg(test)]
mod ranks;
#[cfg(test)]
#[path = "../scenario/records.rs"]
mod records;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod search;
#[cfg(test)]
mod support;
#[cfg(test)]
mod sync;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod system_metrics;
#[cfg(test)]
mod table;
#[cfg(test)]
mod three_ways;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod training;
#[cfg(test)]
mod unseen;
