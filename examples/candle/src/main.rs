//! Training with candle that records itself.

fn main() {}
