//! Times and durations as people read them; dates are in UTC.

use runlog_core::clock::utc_text;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// `2026-03-01 12:30:05 UTC` for milliseconds since the Unix epoch.
pub(super) fn date(time: i64) -> String {
    let text = utc_text(time);
    format!("{} UTC", text.split('.').next().unwrap_or_default())
}

/// How long `time` is past at `now`; the day itself when that is more than a month.
pub(super) fn ago(time: i64, now: i64) -> String {
    match now - time {
        past if past < MINUTE => "just now".to_owned(),
        past if past < HOUR => format!("{} min ago", past / MINUTE),
        past if past < DAY => format!("{} h ago", past / HOUR),
        past if past < 2 * DAY => "1 day ago".to_owned(),
        past if past < 31 * DAY => format!("{} days ago", past / DAY),
        _ => utc_text(time)[..10].to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

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
