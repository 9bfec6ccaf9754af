//! The parser takes any text without a panic, and says where it stumbles.

use proptest::prelude::*;

use super::clause::{Clause, Comparison, Field, Likeness, Number, Test};
use super::{EXPERIMENTS, MODELS, RUNS, filter, orders};
use crate::error::ErrorKind;

/// Pieces that filters and orders are made of, so that random text often goes far.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => prop::sample::select(vec![
            "metrics", "params", "tags", "dataset", "attributes", "status", "run_id", "name", ".", "loss", "`", "'", "\"",
            " ", "=", "!=", "<", ">=", "AND", "and", "IN", "NOT", "IS", "NULL", "LIKE", "(", ")", ",", "0.5", "-", "1e9",
            "\\", "''", "%", "_", "\n", "DESC", "asc", ";", "é",
        ])
        .prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_a_filter_or_invalid_input(text in pieces()) {
        for grammar in [&RUNS, &EXPERIMENTS, &MODELS] {
            if let Err(error) = filter(&text, grammar) {
                prop_assert_eq!(error.kind(), ErrorKind::InvalidInput);
                prop_assert!(!error.to_string().contains('\n'), "{}", error);
            }
        }
    }

    #[test]
    fn any_text_is_an_order_or_invalid_input(text in pieces()) {
        for grammar in [&RUNS, &EXPERIMENTS, &MODELS] {
            if let Err(error) = orders(std::slice::from_ref(&text), grammar) {
                prop_assert_eq!(error.kind(), ErrorKind::InvalidInput);
            }
        }
    }

    /// Whatever a key has in it, backticks do.
    #[test]
    fn every_key_can_be_named(key in "[A-Za-z0-9_./ :-]{1,20}", text in "[^'`\"]{0,10}") {
        let found = filter(&format!("params.`{key}` = '{text}'"), &RUNS).unwrap();
        let expected = Clause { field: Field::Param(key.clone()), test: Test::Text(Likeness::Equal, text) };
        prop_assert_eq!(found, vec![expected]);
        let sorted = orders(&[format!("metrics.`{key}` DESC")], &RUNS).unwrap();
        prop_assert_eq!(&sorted[0].field, &Field::Metric(key));
    }

    #[test]
    fn every_number_is_read_as_it_was_written(number in -1e15..1e15_f64) {
        let found = filter(&format!("metrics.m >= {number:.3}"), &RUNS).unwrap();
        let written: f64 = format!("{number:.3}").parse().unwrap();
        prop_assert_eq!(&found[0].test, &Test::Number(Comparison::AtLeast, Number::Real(written)));
    }
}

#[test]
fn text_after_text_takes_no_more_than_a_moment() {
    // Every quote may begin a text that ends far away.
    let text = "'a\\".repeat(20_000);
    assert!(filter(&text, &RUNS).is_err());
    let many = ["metrics.m > 1"; 201].join(" AND ");
    assert!(filter(&many, &RUNS).unwrap_err().to_string().contains("at most 200"));
    let long = format!("params.p LIKE '{}'", "%".repeat(20_000));
    assert!(filter(&long, &RUNS).unwrap_err().to_string().contains("pattern"));
}
