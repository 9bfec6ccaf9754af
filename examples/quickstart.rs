//! Two runs in `mlflow.db`: one that linfa's training records itself, one by hand.
//!
//! Look at them with `runlog list`, or with `mlflow ui --backend-store-uri sqlite:///mlflow.db`.

use linfa::prelude::*;
use linfa_trees::DecisionTree;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    runlog::autolog();

    // A run of its own: parameters, training metrics, the dataset, the model and its signature.
    let (train, valid) = linfa_datasets::iris().split_with_ratio(0.8);
    let model = DecisionTree::params().max_depth(Some(3)).fit(&train)?;

    // A run by hand.
    let run = runlog::start_run("by hand")?;
    run.log_param("max_depth", 3);
    run.log_metric("accuracy", model.predict(&valid).confusion_matrix(&valid)?.accuracy(), None);
    for step in 0..100 {
        run.log_metric("loss", 1.0 / f64::from(step + 1), step);
    }
    run.finish()?;
    Ok(())
}
