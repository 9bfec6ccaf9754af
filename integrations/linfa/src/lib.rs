//! Autologging for linfa.
