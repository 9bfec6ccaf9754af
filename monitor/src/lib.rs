//! System metrics for runlog.
