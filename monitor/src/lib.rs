//! System metrics for runlog: CPU, memory, disk and network readings as metrics of a run, under MLflow's keys.

#![forbid(unsafe_code)]

mod plan;
mod probe;
mod schedule;
mod window;
