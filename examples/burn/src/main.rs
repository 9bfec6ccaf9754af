//! Training with burn that records itself.

fn main() {}
