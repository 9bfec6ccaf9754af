//! The fake's time: the real one, or one that a test moves.

use std::time::{Duration, Instant};

/// Milliseconds since the script was read.
pub(crate) type Millis = u64;

/// What NVML would say at millisecond 0: microseconds since 1970.
const EPOCH_MICROS: u64 = 1_700_000_000_000_000;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    Real(Instant),
    Manual(Millis),
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the one place of this library that reads the clock")]
    pub(crate) fn real() -> Self {
        Self::Real(Instant::now())
    }

    pub(crate) fn now(&self) -> Millis {
        match self {
            Self::Real(start) => u64::try_from(start.elapsed().as_millis()).unwrap_or(Millis::MAX),
            Self::Manual(now) => *now,
        }
    }

    /// Moves a manual clock, and leaves a real one to itself.
    pub(crate) fn advance(&mut self, by: Millis) {
        if let Self::Manual(now) = self {
            *now = now.saturating_add(by);
        }
    }

    pub(crate) fn is_manual(&self) -> bool {
        matches!(self, Self::Manual(_))
    }
}

/// The time stamp of a moment, as in samples.
pub(crate) fn timestamp(at: Millis) -> u64 {
    EPOCH_MICROS.saturating_add(at.saturating_mul(1000))
}

/// The moment of a time stamp; before the first one, 0.
pub(crate) fn moment(timestamp: u64) -> Millis {
    timestamp.saturating_sub(EPOCH_MICROS) / 1000
}

/// What a slow driver does to its caller.
#[expect(clippy::disallowed_methods, reason = "a driver that is slow keeps the thread that asks it")]
pub(crate) fn spend(time: Millis) {
    std::thread::sleep(Duration::from_millis(time));
}
