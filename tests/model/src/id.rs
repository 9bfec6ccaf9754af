//! The salt of a segment's generation.

/// Always the same, so that within a process a slot's sequence alone has to tell old from new.
pub(crate) fn random_u64() -> u64 {
    7
}
