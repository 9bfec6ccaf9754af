//! Autologging for candle.
