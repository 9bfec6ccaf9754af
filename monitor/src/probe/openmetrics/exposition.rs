//! The texts in which programs expose metrics: Prometheus's format 0.0.4 and `OpenMetrics` 1.0.
//!
//! Invariant: a text is read whole or not at all: a line that is none of the format's, or a text without its end,
//! is an error with the number of the line, never a wrong number.
//!
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/> and
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>. Read are names in the classic alphabet, which is what a
//! program sends to those who do not ask for more. Timestamps and exemplars are checked for their place and left out.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// The format of a text, by its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `text/plain`
    Prometheus,
    /// `application/openmetrics-text`
    OpenMetrics,
}

/// What a family of metrics is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Counter,
    Gauge,
    /// Histograms, summaries and histograms of gauges, by the names of their sum and count.
    Distribution {
        sum: &'static str,
        count: &'static str,
        grows: bool,
    },
    /// Texts in labels.
    Info,
    Unknown,
}

/// How a series of numbers behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// It goes up and down.
    Gauge,
    /// It only grows, and begins at 0 again when its program does.
    Counter,
}

/// One number of a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    /// By name, so that their order in the text does not matter.
    pub(super) labels: BTreeMap<&'a str, Cow<'a, str>>,
    pub(super) value: f64,
    pub(super) shape: Shape,
}

/// A line that is none of the format's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Garbage {
    /// From 1.
    pub(super) line: usize,
    pub(super) what: &'static str,
}

/// Gives every number of `text` that is a metric of its own to `take`: no buckets and quantiles, times of creation and
/// infos.
pub(super) fn read<'a>(
    text: &'a str,
    format: Format,
    mut take: impl FnMut(Sample<'a>),
) -> Result<(), Garbage> {
    let mut family: Option<(&str, Type)> = None;
    let mut ended = false;
    for (number, line) in text.lines().enumerate() {
        let garbage = |what| Garbage { line: number + 1, what };
        if ended {
            return Err(garbage("something after the end"));
        }
        if let Some(comment) = line.strip_prefix('#') {
            ended = format == Format::OpenMetrics && comment == " EOF";
            family = type_line(comment).map_err(garbage)?.or(family);
        } else if !line.trim().is_empty() {
            let (mut sample, rest) = sample(line).map_err(garbage)?;
            check_rest(rest, format).map_err(garbage)?;
            if let Some(shape) = shape(&sample, family, format) {
                sample.shape = shape;
                take(sample);
            }
        }
    }
    let whole = match format {
        Format::OpenMetrics => ended,
        Format::Prometheus => text.is_empty() || text.ends_with('\n'),
    };
    let cut_off = || Garbage { line: text.lines().count(), what: "no end, so a text that was cut off," };
    whole.then_some(()).ok_or_else(cut_off)
}

/// The family that a comment begins, if it is such a one.
fn type_line(comment: &str) -> Result<Option<(&str, Type)>, &'static str> {
    let mut words = comment.split_ascii_whitespace();
    if words.next() != Some("TYPE") {
        return Ok(None);
    }
    let (Some(name), Some(kind), None) = (words.next(), words.next(), words.next()) else {
        return Err("a TYPE without a name and a type");
    };
    let distribution = |sum, count, grows| Type::Distribution { sum, count, grows };
    let kind = match kind {
        "counter" => Type::Counter,
        "gauge" | "stateset" => Type::Gauge,
        "histogram" | "summary" => distribution("_sum", "_count", true),
        "gaugehistogram" => distribution("_gsum", "_gcount", false),
        "info" => Type::Info,
        "unknown" | "untyped" => Type::Unknown,
        _ => return Err("a TYPE that is none of the format's"),
    };
    Ok(Some((name, kind)))
}

/// What a sample of a family is; `None` if it is no metric of its own.
fn shape(sample: &Sample<'_>, family: Option<(&str, Type)>, format: Format) -> Option<Shape> {
    let suffix = family.and_then(|(name, kind)| Some((sample.name.strip_prefix(name)?, kind)));
    match suffix {
        Some((suffix, Type::Counter)) if counted(format).contains(&suffix) => Some(Shape::Counter),
        None | Some(("", Type::Gauge | Type::Unknown)) => Some(Shape::Gauge),
        Some((suffix, Type::Distribution { sum, count, grows })) if suffix == sum || suffix == count => {
            Some(if grows { Shape::Counter } else { Shape::Gauge })
        }
        // Quantiles, buckets, infos and times of creation.
        Some(("" | "_bucket" | "_created" | "_info", _)) => None,
        // The name only begins like the family before it.
        Some(_) => Some(Shape::Gauge),
    }
}

/// What may follow the family's name in that of a counter's number: in Prometheus's format the family has the name that
/// the program gave it, `_total` and all, but some programs write families as in `OpenMetrics`.
fn counted(format: Format) -> &'static [&'static str] {
    match format {
        Format::Prometheus => &["", "_total"],
        Format::OpenMetrics => &["_total"],
    }
}

/// A sample at the beginning of a line, and what follows it.
fn sample(line: &str) -> Result<(Sample<'_>, &str), &'static str> {
    let (name, rest) = word(line, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'));
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("no name of a metric");
    }
    let rest = rest.trim_start_matches([' ', '\t']);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let rest = rest.trim_start_matches([' ', '\t']);
    let (value, rest) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    let value = value.parse().map_err(|_no_number| "no number where a value should be")?;
    Ok((Sample { name, labels, value, shape: Shape::Gauge }, rest))
}

type Labels<'a> = BTreeMap<&'a str, Cow<'a, str>>;

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Result<(Labels<'_>, &str), &'static str> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start();
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (name, after) = word(rest, |c| c.is_ascii_alphanumeric() || c == '_');
        let after = after.trim_start().strip_prefix('=').ok_or("a label without a value")?;
        let after = after.trim_start().strip_prefix('"').ok_or("a label's value without a quotation mark")?;
        let (value, after) = quoted(after)?;
        if name.is_empty() || labels.insert(name, value).is_some() {
            return Err("a label without a name of its own");
        }
        rest = after.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(rest) => rest,
            None if rest.starts_with('}') => rest,
            None => return Err("no end of the labels"),
        };
    }
}

/// A quoted text up to its closing mark, with `\\`, `\"` and `\n` resolved, and what follows.
fn quoted(text: &str) -> Result<(Cow<'_, str>, &str), &'static str> {
    let mut escaped = false;
    let end = text.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    let (raw, rest) = text.split_at(end.ok_or("no end of a label's value")?);
    let rest = rest.strip_prefix('"').unwrap_or(rest);
    if !raw.contains('\\') {
        return Ok((Cow::Borrowed(raw), rest));
    }
    let mut value = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, false) => value.push(c),
            (_, true) => match chars.next() {
                Some('n') => value.push('\n'),
                Some(other @ ('\\' | '"')) => value.push(other),
                // Both formats say that any other pair stands for itself.
                other => value.extend(['\\'].into_iter().chain(other)),
            },
        }
    }
    Ok((Cow::Owned(value), rest))
}

/// What follows a value: a timestamp, and in `OpenMetrics` an exemplar.
fn check_rest(rest: &str, format: Format) -> Result<(), &'static str> {
    let rest = rest.trim();
    let (timestamp, exemplar) = match rest.split_once('#') {
        Some((timestamp, exemplar)) => (timestamp.trim(), Some(exemplar)),
        None => (rest, None),
    };
    if !timestamp.is_empty() && timestamp.parse::<f64>().is_err() {
        return Err("something after the value that is no timestamp");
    }
    match exemplar {
        Some(exemplar) if format == Format::Prometheus || !exemplar.trim_start().starts_with('{') => {
            Err("something after the value that is no exemplar")
        }
        _ => Ok(()),
    }
}

/// The longest beginning whose characters are `allowed`, and the rest.
fn word(text: &str, allowed: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !allowed(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The samples as `name{label=value} number shape`.
    fn samples(text: &str, format: Format) -> Result<Vec<String>, Garbage> {
        let mut samples = Vec::new();
        read(text, format, |sample| {
            let labels: Vec<_> =
                sample.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let Sample { name, value, shape, .. } = sample;
            samples.push(format!("{name}{{{}}} {value} {shape:?}", labels.join(",")));
        })?;
        Ok(samples)
    }

    #[test]
    fn prometheus_text_is_read() {
        let text = "# HELP http_requests_total The requests.\n# TYPE http_requests_total counter\n\
            http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n\
            http_requests_total{code=\"400\",method=\"post\",} 3\n\n\
            # a comment\n# TYPE queue gauge\nqueue -2.5e1\n\
            # TYPE rpc summary\nrpc{quantile=\"0.5\"} 4773\nrpc_sum 1.7560473e+07\nrpc_count 2693\n\
            # TYPE took histogram\ntook_bucket{le=\"+Inf\"} 144320\ntook_sum 53423\ntook_count 144320\n\
            bare_metric \t{ } +Inf\nnothing NaN\n";
        assert_eq!(
            samples(text, Format::Prometheus).unwrap(),
            [
                "http_requests_total{code=200,method=post} 1027 Counter",
                "http_requests_total{code=400,method=post} 3 Counter",
                "queue{} -25 Gauge",
                "rpc_sum{} 17560473 Counter",
                "rpc_count{} 2693 Counter",
                "took_sum{} 53423 Counter",
                "took_count{} 144320 Counter",
                "bare_metric{} inf Gauge",
                "nothing{} NaN Gauge",
            ]
        );
    }

    #[test]
    fn openmetrics_text_is_read() {
        let text = "# TYPE requests counter\n# UNIT requests requests\nrequests_total{path=\"/\"} 17 1520879607.789 # {id=\"a b\"} 0.5\n\
            requests_created{path=\"/\"} 1520430000.1\n# TYPE build info\nbuild_info{version=\"1\"} 1\n\
            # TYPE state stateset\nstate{state=\"a\"} 1\nstate{state=\"b\"} 0\n\
            # TYPE sizes gaugehistogram\nsizes_bucket{le=\"1\"} 1\nsizes_gsum 3\nsizes_gcount 2\n\
            # TYPE other unknown\nother 5\n# EOF\n";
        assert_eq!(
            samples(text, Format::OpenMetrics).unwrap(),
            [
                "requests_total{path=/} 17 Counter",
                "state{state=a} 1 Gauge",
                "state{state=b} 0 Gauge",
                "sizes_gsum{} 3 Gauge",
                "sizes_gcount{} 2 Gauge",
                "other{} 5 Gauge",
            ]
        );
    }

    #[test]
    fn a_name_that_only_begins_like_a_family_is_not_of_it() {
        let text = "# TYPE jobs counter\njobs 3\njobs_waiting 2\nother 1\n";
        let expected = ["jobs{} 3 Counter", "jobs_waiting{} 2 Gauge", "other{} 1 Gauge"];
        assert_eq!(samples(text, Format::Prometheus).unwrap(), expected);
    }

    #[test]
    fn escapes_in_labels_are_resolved() {
        let text = concat!(r#"files{path="C:\\DIR\\",says="a \"b\"\n, {c=\"d\"} \x"} 1"#, "\n");
        let expected = "files{path=C:\\DIR\\,says=a \"b\"\n, {c=\"d\"} \\x} 1 Gauge";
        assert_eq!(samples(text, Format::Prometheus).unwrap(), [expected]);
    }

    #[test]
    fn garbage_is_told_with_its_line() {
        for bad in [
            "<html>",
            "a",
            "a b",
            "a 1 b",
            "a{ 1",
            "a{b} 1",
            "a{b=1} 1",
            "a{b=\"c} 1",
            "a{b=\"c\"d=\"e\"} 1",
            "a{b=\"c\",b=\"d\"} 1",
            "a{=\"c\"} 1",
            "1a 1",
            "# TYPE a",
            "# TYPE a b",
            "a 1 # {b=\"c\"} 1",
        ] {
            let text = format!("good 1\n{bad}\n");
            assert_eq!(samples(&text, Format::Prometheus).unwrap_err().line, 2, "{bad}");
        }
    }

    #[test]
    fn a_text_that_was_cut_off_is_no_text() {
        assert_eq!(samples("a 1\nb 2\n", Format::OpenMetrics).unwrap_err().line, 2);
        assert_eq!(samples("a 1\n# EOF\nb 2\n", Format::OpenMetrics).unwrap_err().line, 3);
        assert_eq!(samples("a 1\n# EOF", Format::OpenMetrics).unwrap(), ["a{} 1 Gauge"]);
        assert_eq!(samples("a 1\nb 2", Format::Prometheus).unwrap_err().line, 2, "which may have been 23");
        assert_eq!(samples("", Format::Prometheus).unwrap(), [""; 0]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}|([a-z{}\"=,# \\\\\n0-9.]|TYPE|EOF|counter){0,60}") {
            for format in [Format::Prometheus, Format::OpenMetrics] {
                samples(&text, format).ok();
            }
        }

        #[test]
        fn what_is_written_is_read(
            name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,20}",
            labels in proptest::collection::btree_map("[a-zA-Z_][a-zA-Z0-9_]{0,8}", "\\PC{0,12}|[\\\\\"\n]{0,6}", 0..4),
            value in proptest::num::f64::NORMAL | proptest::num::f64::ZERO,
        ) {
            let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let written: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
            let text = format!("{name}{{{}}} {value:e}\n# EOF\n", written.join(","));
            for format in [Format::Prometheus, Format::OpenMetrics] {
                let mut seen = Vec::new();
                read(&text, format, |sample| seen.push(sample)).unwrap();
                prop_assert_eq!(seen.len(), 1);
                prop_assert_eq!(seen[0].name, &name);
                prop_assert_eq!(seen[0].value.to_bits(), value.to_bits());
                let back: BTreeMap<_, _> =
                    seen[0].labels.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect();
                prop_assert_eq!(&back, &labels);
            }
        }
    }
}
