//! The one place that reads the clock, and what its times look like.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
#[inline]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
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
