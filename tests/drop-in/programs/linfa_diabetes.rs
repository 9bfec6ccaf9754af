// How far does diabetes progress in a year? Plain linfa: the same text stands over linfa and over the package in its place.

use std::error::Error;

use linfa::prelude::*;
use linfa_linear::LinearRegression;

fn main() -> Result<(), Box<dyn Error>> {
    let (train, valid) = linfa_datasets::diabetes().split_with_ratio(0.8);
    let model = LinearRegression::default().fit(&train)?;
    let r2 = model.predict(&valid).r2(&valid)?;
    println!("R² {r2:.3} on rows it has not seen");
    Ok(())
}
