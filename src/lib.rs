//! runlog
