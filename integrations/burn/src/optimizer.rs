//! Hand-written training loops.
