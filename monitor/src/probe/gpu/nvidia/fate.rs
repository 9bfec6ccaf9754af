//! What becomes of a reading whose call failed: never again, later, or not before the device is back.
//!
//! Invariant: a call that a device does not know is made once; one that failed for the moment is made again, ever more
//! seldom, and never given up.

use std::time::Duration;

use nvml_wrapper::error::NvmlError;
use nvml_wrapper_sys::bindings::{
    nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH as VERSION_MISMATCH,
    nvmlReturn_enum_NVML_ERROR_DEPRECATED as DEPRECATED,
};

const WAIT_FIRST: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_mins(5);

/// What an error means for the calls to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// This device or driver does not know the call.
    Never,
    /// The device does not answer any call.
    Gone,
    /// The call may work another time.
    Later,
}

/// The codes' meaning: `nvmlReturn_t` in `nvml.h`. The wrapper knows those from 23 on by number only.
pub(super) fn fate(error: &NvmlError) -> Fate {
    match error {
        NvmlError::NotSupported
        | NvmlError::FunctionNotFound
        | NvmlError::FailedToLoadSymbol(_)
        | NvmlError::NoPermission
        | NvmlError::InvalidArg
        | NvmlError::UnexpectedVariant(VERSION_MISMATCH | DEPRECATED) => Fate::Never,
        NvmlError::GpuLost | NvmlError::ResetRequired | NvmlError::Uninitialized => Fate::Gone,
        _ => Fate::Later,
    }
}

/// Whether one reading of one device is to be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ask {
    #[default]
    Now,
    /// Not before `due`, on the probe's clock.
    Later {
        due: Duration,
        wait: Duration,
    },
    Never,
}

impl Ask {
    pub(super) fn is_due(self, now: Duration) -> bool {
        match self {
            Self::Now => true,
            Self::Later { due, .. } => now >= due,
            Self::Never => false,
        }
    }

    /// Whether there may still be a reading, at whatever time.
    pub(super) fn is_possible(self) -> bool {
        self != Self::Never
    }

    pub(super) fn worked(&mut self) {
        *self = Self::Now;
    }

    pub(super) fn failed(&mut self, fate: Fate, now: Duration) {
        *self = match (fate, *self) {
            (Fate::Never, _) => Self::Never,
            // The device as a whole is waited for; its readings are asked for as soon as it is back.
            (Fate::Gone, before) => before,
            (Fate::Later, Self::Later { wait, .. }) => {
                let wait = (wait * 2).min(WAIT_MAX);
                Self::Later { due: now + wait, wait }
            }
            (Fate::Later, _) => Self::Later { due: now + WAIT_FIRST, wait: WAIT_FIRST },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_the_fate_that_it_calls_for() {
        let raw = |code: u32| NvmlError::from(code);
        for (error, expected) in [
            (NvmlError::NotSupported, Fate::Never),
            (NvmlError::FunctionNotFound, Fate::Never),
            (NvmlError::FailedToLoadSymbol("nvmlX".to_owned()), Fate::Never),
            (NvmlError::NoPermission, Fate::Never),
            (NvmlError::InvalidArg, Fate::Never),
            (raw(25), Fate::Never),
            (raw(26), Fate::Never),
            (NvmlError::GpuLost, Fate::Gone),
            (NvmlError::ResetRequired, Fate::Gone),
            (NvmlError::Uninitialized, Fate::Gone),
            (NvmlError::Unknown, Fate::Later),
            (NvmlError::Timeout, Fate::Later),
            (NvmlError::NoData, Fate::Later),
            (NvmlError::NotFound, Fate::Later),
            (NvmlError::InUse, Fate::Later),
            (NvmlError::IrqIssue, Fate::Later),
            (raw(27), Fate::Later),
            (raw(4711), Fate::Later),
        ] {
            assert_eq!(fate(&error), expected, "{error}");
        }
    }

    #[test]
    fn a_failing_reading_is_asked_for_ever_more_seldom_and_never_given_up() {
        let (mut ask, mut now, mut calls) = (Ask::default(), Duration::ZERO, Vec::new());
        for _ in 0..3600 {
            if ask.is_due(now) {
                calls.push(now.as_secs());
                ask.failed(Fate::Later, now);
            }
            now += Duration::from_secs(1);
        }
        assert_eq!(calls[..6], [0, 1, 3, 7, 15, 31]);
        let waits: Vec<_> = calls.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(waits.iter().max(), Some(&300));
        assert_eq!(waits.last(), Some(&300));
        ask.worked();
        assert!(ask.is_due(now));
    }

    #[test]
    fn an_unknown_call_is_made_once_and_a_lost_device_takes_nothing_from_a_reading() {
        let mut ask = Ask::default();
        ask.failed(Fate::Gone, Duration::ZERO);
        assert!(ask.is_due(Duration::ZERO));
        ask.failed(Fate::Never, Duration::ZERO);
        assert!(!ask.is_due(Duration::MAX) && !ask.is_possible());
    }
}
