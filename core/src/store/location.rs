//! Paths below an artifact location.

/// `location` with `path` appended, whether it is a directory or a URI with a query.
pub(crate) fn below(location: &str, path: &str) -> String {
    let (place, query) = match location.split_once('?') {
        Some((place, query)) if place.contains("://") => (place, Some(query)),
        _ => (location, None),
    };
    let place = place.trim_end_matches('/');
    match query {
        Some(query) => format!("{place}/{path}?{query}"),
        None => format!("{place}/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn one_slash_joins_and_a_query_stays_last() {
        for (location, expect) in [
            ("/root", "/root/0"),
            ("/root/", "/root/0"),
            ("/", "/0"),
            ("memory:", "memory:/0"),
            ("/odd?name", "/odd?name/0"),
            ("s3://bucket/at?region=eu", "s3://bucket/at/0?region=eu"),
        ] {
            assert_eq!(below(location, "0"), expect);
        }
    }
}
