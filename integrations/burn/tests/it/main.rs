//! What training with burn leaves behind.
