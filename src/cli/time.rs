//! Times and durations as people read them; dates are in UTC.

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// `2026-03-01 12:30:05 UTC` for milliseconds since the Unix epoch.
pub(super) fn date(time: i64) -> String {
    let (year, month, day) = civil(time.div_euclid(DAY));
    let rest = time.rem_euclid(DAY);
    let (hour, minute, second) = (rest / HOUR, rest % HOUR / MINUTE, rest % MINUTE / SECOND);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// How long `time` is past at `now`; the day itself when that is more than a month.
pub(super) fn ago(time: i64, now: i64) -> String {
    match now - time {
        past if past < MINUTE => "just now".to_owned(),
        past if past < HOUR => format!("{} min ago", past / MINUTE),
        past if past < DAY => format!("{} h ago", past / HOUR),
        past if past < 2 * DAY => "1 day ago".to_owned(),
        past if past < 31 * DAY => format!("{} days ago", past / DAY),
        _ => date(time)[..10].to_owned(),
    }
}

/// A duration in milliseconds, in the two units that matter.
pub(super) fn duration(span: i64) -> String {
    match span.max(0) {
        span if span < SECOND => format!("{span} ms"),
        span if span < MINUTE => format!("{}.{} s", span / SECOND, span % SECOND / 100),
        span if span < HOUR => format!("{} min {} s", span / MINUTE, span % MINUTE / SECOND),
        span if span < DAY => format!("{} h {} min", span / HOUR, span % HOUR / MINUTE),
        span => format!("{} d {} h", span / DAY, span % DAY / HOUR),
    }
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
            (0, "1970-01-01 00:00:00 UTC"),
            (951_825_599_999, "2000-02-29 11:59:59 UTC"),
            (1_709_251_199_000, "2024-02-29 23:59:59 UTC"),
            (1_709_251_200_000, "2024-03-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(date(time), shown);
        }
    }

    #[test]
    fn the_past_is_told_in_one_unit_and_durations_in_two() {
        let now = 1_709_251_200_000;
        for (past, shown) in [
            (-5, "just now"),
            (59 * SECOND, "just now"),
            (61 * SECOND, "1 min ago"),
            (5 * HOUR, "5 h ago"),
            (DAY, "1 day ago"),
            (30 * DAY, "30 days ago"),
            (60 * DAY, "2024-01-01"),
        ] {
            assert_eq!(ago(now - past, now), shown);
        }
        for (span, shown) in [
            (-1, "0 ms"),
            (1500, "1.5 s"),
            (61 * SECOND, "1 min 1 s"),
            (HOUR + MINUTE, "1 h 1 min"),
            (50 * HOUR, "2 d 2 h"),
        ] {
            assert_eq!(duration(span), shown);
        }
    }
}
