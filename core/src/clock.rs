//! The one place that reads the clock, and what its times look like.

use std::cell::Cell;
#[cfg(target_arch = "x86_64")]
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
///
/// Reading the clock costs more than all else in a log call, so each thread keeps the last reading while the processor's
/// counter says that the millisecond has not passed.
#[inline]
pub fn now_ms() -> i64 {
    let last = LAST.get();
    if ticks().wrapping_sub(last.tick) < last.span { last.ms } else { read() }
}

/// A reading of the clock, and for how long it holds.
#[derive(Clone, Copy)]
struct Reading {
    tick: u64,
    /// The ticks after `tick` that certainly belong to the same millisecond.
    span: u64,
    ms: i64,
}

thread_local! {
    // Without a destructor, so that it is there while the process exits.
    static LAST: Cell<Reading> = const { Cell::new(Reading { tick: 0, span: 0, ms: 0 }) };
}

#[cold]
#[inline(never)]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
fn read() -> i64 {
    // The tick first: what passes between the two then shortens the span.
    let tick = ticks();
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ms = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    let nanos_left = 1_000_000 - u64::from(since_epoch.subsec_nanos() % 1_000_000);
    let span = nanos_left * ticks_per_us_at_least() / 1000;
    LAST.set(Reading { tick, span, ms });
    ms
}

/// The processor's counter, which costs a few nanoseconds and runs at one speed on all cores; constant where there is
/// none.
#[cfg(target_arch = "x86_64")]
#[inline]
fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has the instruction; a system that forbids it to a process forbids it to the
    // clock's own reading too.
    #[expect(unsafe_code, reason = "an instruction")]
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
}

#[cfg(target_arch = "aarch64")]
#[inline]
fn ticks() -> u64 {
    let ticks;
    // SAFETY: the register can be read by every program, and reading it changes nothing.
    #[expect(unsafe_code, reason = "a register")]
    unsafe {
        core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags));
    }
    ticks
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline]
fn ticks() -> u64 {
    0
}

/// What the counter certainly reaches in a microsecond, half of what it does or less; 0 where it is not to be relied on.
///
/// Too low costs some more readings towards the end of each millisecond, and spares measuring the counter's speed.
#[cfg(target_arch = "x86_64")]
fn ticks_per_us_at_least() -> u64 {
    /// The slowest of these processors count 800 million ticks a second.
    const AT_LEAST: u64 = 400;
    static KNOWN: OnceLock<u64> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        use core::arch::x86_64::__cpuid;
        // The counter neither changes its speed nor stops.
        let is_invariant = __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & 1 << 8 != 0;
        if is_invariant { AT_LEAST } else { 0 }
    })
}

#[cfg(target_arch = "aarch64")]
fn ticks_per_us_at_least() -> u64 {
    let ticks_per_s: u64;
    // SAFETY: as in `ticks`.
    #[expect(unsafe_code, reason = "a register")]
    unsafe {
        core::arch::asm!("mrs {}, cntfrq_el0", out(reg) ticks_per_s, options(nomem, nostack, preserves_flags));
    }
    ticks_per_s / 2_000_000
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn ticks_per_us_at_least() -> u64 {
    0
}

/// Waits until the next millisecond begins, so that what is logged from here on is later than what was logged before.
pub(crate) fn tick() {
    let (start, patience) = (now_ms(), instant() + Duration::from_millis(2));
    while now_ms() == start && instant() < patience {
        std::hint::spin_loop();
    }
}

/// A point in monotonic time, for durations and deadlines.
#[inline]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn instant() -> Instant {
    Instant::now()
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// `2026-03-01 12:30:05.250`, in UTC, for milliseconds since the Unix epoch.
///
/// ```
/// assert_eq!(runlog_core::clock::utc_text(951_825_599_999), "2000-02-29 11:59:59.999");
/// ```
pub fn utc_text(ms: i64) -> String {
    let (year, month, day) = civil(ms.div_euclid(DAY_MS));
    let ms = ms.rem_euclid(DAY_MS);
    let (hour, minute, second, millis) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{millis:03}")
}

/// Year, month and day of a day since the Unix epoch, in the Gregorian calendar.
///
/// The days are counted from 1 March of the year 0, so that a leap day is the last of its year (Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
fn civil(days_since_epoch: i64) -> (i64, i64, i64) {
    let days = days_since_epoch + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "what the clock is compared with")]
    fn system_ms() -> i64 {
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
    }

    #[test]
    fn the_time_is_the_systems_to_the_millisecond_on_every_thread() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut begin = system_ms();
                    let end = begin + 200;
                    while begin < end {
                        let now = now_ms();
                        let after = system_ms();
                        assert!((begin..=after).contains(&now), "{begin} {now} {after}");
                        begin = after;
                    }
                });
            }
        });
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_reading_holds_for_less_than_the_rest_of_its_millisecond() {
        if ticks_per_us_at_least() == 0 {
            return;
        }
        // How far the counter comes while the clock moves on: what is taken for certain is at most half of it.
        let (begin, tick) = (instant(), ticks());
        while begin.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        let (ticked, us) = (ticks().wrapping_sub(tick), begin.elapsed().as_micros());
        assert!(u128::from(ticked) >= 2 * u128::from(ticks_per_us_at_least()) * us * 99 / 100);
    }

    #[test]
    fn dates_are_the_calendars() {
        for (time, shown) in [
            (0, "1970-01-01 00:00:00.000"),
            (951_825_599_999, "2000-02-29 11:59:59.999"),
            (1_709_251_199_000, "2024-02-29 23:59:59.000"),
            (1_709_251_200_000, "2024-03-01 00:00:00.000"),
            (-1, "1969-12-31 23:59:59.999"),
        ] {
            assert_eq!(utc_text(time), shown);
        }
    }
}
