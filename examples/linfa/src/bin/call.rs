//! One fit that records itself because it says so, in code whose imports stay linfa's:
//! `cargo run --release -p runlog-example-linfa --bin call`.

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::error::Error;

use linfa::prelude::*;
use linfa_linear::LinearRegression;
use runlog::linfa::Autolog;

fn main() -> Result<(), Box<dyn Error>> {
    runlog::autolog();
    let (train, valid) = linfa_datasets::diabetes().split_with_ratio(0.8);
    let model = LinearRegression::default().autolog().fit(&train)?;
    let r2 = model.predict(&valid).r2(&valid)?;
    println!("R² {r2:.3} on rows it has not seen");
    Ok(())
}
