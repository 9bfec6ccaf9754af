//! Numbers and strings as Python's `repr` writes them, so that a param set from Rust equals one set from Python.

use std::borrow::Cow;

/// The shortest text that reads back as `value`, in Python's layout: `0.1`, `1e-05`, `1e+16`, `inf`, `nan`.
///
/// ```
/// assert_eq!(runlog_core::flatten::python_float(1e-5), "1e-05");
/// ```
pub fn float(value: f64) -> String {
    float_in(&mut zmij::Buffer::new(), value).into_owned()
}

/// As [`float`], with the digits that an `f32` needs: `0.1`, not `0.10000000149011612`.
pub fn float32(value: f32) -> String {
    layout(zmij::Buffer::new().format(value), value.is_finite())
}

/// As [`float`], without an allocation for most.
pub(crate) fn float_in(buffer: &mut zmij::Buffer, value: f64) -> Cow<'_, str> {
    let shortest = buffer.format(value);
    // There both have one layout.
    if (1e-4..1e16).contains(&value.abs()) {
        Cow::Borrowed(shortest)
    } else {
        Cow::Owned(layout(shortest, value.is_finite()))
    }
}

/// Turns a number as Rust's libraries write it, such as `0.00001` or `1e16`, into Python's layout: exponents below -4
/// and from 16 on, with two digits at least.
fn layout(shortest: &str, is_finite: bool) -> String {
    let (sign, magnitude) = shortest.strip_prefix('-').map_or(("", shortest), |rest| ("-", rest));
    if !is_finite {
        return if magnitude == "inf" { shortest } else { "nan" }.to_owned();
    }
    let (mantissa, exponent) = magnitude.split_once('e').unwrap_or((magnitude, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return format!("{sign}0.0");
    }
    let zeros = digits.len() - significant.len();
    let significant = significant.trim_end_matches('0');
    // Of the first digit that is not 0.
    let exponent = exponent.parse().unwrap_or(0) + place(whole.len()) - place(zeros) - 1;
    match usize::try_from(exponent) {
        Ok(exponent) if exponent < 16 => {
            let whole = exponent + 1;
            let (whole_digits, fraction) = significant.split_at(whole.min(significant.len()));
            let fraction = if fraction.is_empty() { "0" } else { fraction };
            format!("{sign}{whole_digits:0<whole$}.{fraction}")
        }
        Err(_) if exponent >= -4 => {
            let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0));
            format!("{sign}0.{zeros}{significant}")
        }
        _ => {
            let (first, rest) = significant.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            let direction = if exponent < 0 { '-' } else { '+' };
            format!("{sign}{first}{point}{rest}e{direction}{:02}", exponent.unsigned_abs())
        }
    }
}

/// A count of digits, of which a number has a few hundred at most.
fn place(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// `text` as it stands in a Python list: in single quotes, unless only those are in it.
pub(super) fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(quote);
    for c in text.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\\' => quoted.push_str("\\\\"),
            c if c == quote => quoted.extend(['\\', c]),
            c if c.is_control() || (c.is_whitespace() && c != ' ') => quoted.push_str(&escaped(c)),
            c => quoted.push(c),
        }
    }
    quoted.push(quote);
    quoted
}

fn escaped(c: char) -> String {
    match u32::from(c) {
        code @ 0..=0xff => format!("\\x{code:02x}"),
        code => format!("\\u{code:04x}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn layouts_are_those_of_python_3() {
        for (value, expect) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (100.0, "100.0"),
            (123.456, "123.456"),
            (0.0001, "0.0001"),
            (0.000_123_4, "0.0001234"),
            (0.000_01, "1e-05"),
            (1.5e-10, "1.5e-10"),
            (1e-100, "1e-100"),
            (123_456_789_012_345.0, "123456789012345.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (-1.25e17, "-1.25e+17"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(float(value), expect);
        }
        // Halfway between two texts.
        assert_eq!(float(1_606_407_158_395_850.0 + 0.25), "1606407158395850.2");
        assert_eq!(float(23_356_677_250_032.0 + 0.5625), "23356677250032.562");
        assert_eq!(float(-23_356_677_250_032.0 - 0.6875), "-23356677250032.688");
        assert_eq!(float32(2_097_152.0 + 0.25), "2097152.2");
        for (value, expect) in [
            (0.1, "0.1"),
            (-0.0, "-0.0"),
            (16_777_216.0, "16777216.0"),
            (-2e13, "-20000000000000.0"),
            (1e16, "1e+16"),
            (0.000_1, "0.0001"),
            (0.000_012_5, "1.25e-05"),
            (1e-6, "1e-06"),
            (f32::NEG_INFINITY, "-inf"),
            (f32::NAN, "nan"),
        ] {
            assert_eq!(float32(value), expect);
        }
    }

    #[test]
    fn strings_are_quoted_as_by_python_3() {
        for (text, expect) in [
            ("a b", "'a b'"),
            ("it's", "\"it's\""),
            ("\"", "'\"'"),
            ("'\"", "'\\'\"'"),
            ("a\\b\n\t\r", "'a\\\\b\\n\\t\\r'"),
            ("\0\u{7f}\u{a0}\u{2028}é🦀", "'\\x00\\x7f\\xa0\\u2028é🦀'"),
        ] {
            assert_eq!(quoted(text), expect);
        }
    }

    /// The digits of a number without those that say only where the point is.
    fn digits(text: &str) -> String {
        let mantissa = text.split('e').next().unwrap_or_default();
        mantissa.replace(['-', '.'], "").trim_matches('0').to_owned()
    }

    proptest! {
        #[test]
        fn no_text_is_longer_than_the_shortest(bits in any::<u64>(), short in any::<i32>(), places in 0..12) {
            let short = f64::from(short) / 10_f64.powi(places);
            for value in [f64::from_bits(bits), short] {
                prop_assert_eq!(digits(&float(value)).len(), digits(&format!("{value:e}")).len());
            }
        }

        #[test]
        fn texts_read_back_as_the_same_bits(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let back: f64 = float(value).parse().unwrap();
            prop_assert!(value.is_nan() && back.is_nan() || value.to_bits() == back.to_bits());
        }
    }
}
