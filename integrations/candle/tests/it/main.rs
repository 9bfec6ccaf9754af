//! What training with candle leaves behind.
