//! Autologging for burn.
