//! Training with linfa that records itself.

fn main() {}
