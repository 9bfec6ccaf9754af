//! burn's own trainer and evaluator, which record themselves. What runlog adds is marked with `// +`.
//!
//! ```sh
//! cargo run --release -p runlog-example-burn
//! ```

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::sync::Arc;

use burn::optim::AdamConfig;
use burn::prelude::*;
use burn::train::metric::store::{Aggregate, Direction, Split};
use burn::train::metric::{AccuracyMetric, LossMetric};
use burn::train::{
    EvaluatorBuilder, Learner, MetricEarlyStoppingStrategy, StoppingCondition, SupervisedTraining,
};
use runlog::burn::{Autolog, signature_of}; // +
use runlog_example_burn::{Cnn, CnnConfig, DigitBatch, TrainingConfig, digits, loader};

/// Where burn keeps its checkpoints and its log.
const FOLDER: &str = "target/digits";

fn main() -> Result<(), Box<dyn Error>> {
    runlog::autolog(); // +

    let config = TrainingConfig::new(CnnConfig::new(), AdamConfig::new());
    let device = Device::flex();
    device.seed(config.seed);
    let [train, valid, test] = digits()?;
    let train = loader(train, config.batch_size, Some(config.seed));
    let valid = loader(valid, config.batch_size, None);
    let test = loader(test, config.batch_size, None);

    let training = SupervisedTraining::new(FOLDER, train, Arc::clone(&valid))
        .metrics((AccuracyMetric::new(), LossMetric::new()))
        .with_default_checkpointers()
        .early_stopping(MetricEarlyStoppingStrategy::new(
            &LossMetric::new(),
            Aggregate::Mean,
            Direction::Lowest,
            Split::Valid,
            StoppingCondition::NoImprovementSince { n_epochs: 2 },
        ))
        .num_epochs(config.num_epochs)
        .summary()
        .autolog() // +
        .config(&config) // + what burn does not tell of the network and the optimizer
        .signature(&valid, |model: &Cnn, batch: DigitBatch| {
            signature_of(&batch.images.clone(), &model.forward(batch.images))
        }); // + (optional)

    let model = config.model.init(&device.clone().autodiff());
    let result = training.launch(Learner::new(model, config.optimizer.init(), config.learning_rate));

    // The renderer of the training goes on, and takes the evaluation to the same run.
    EvaluatorBuilder::new(FOLDER)
        .renderer(result.renderer)
        .metrics((AccuracyMetric::new(), LossMetric::new()))
        .build(result.model)
        .eval("test", test);

    println!("Look at it with: mlflow ui --backend-store-uri sqlite:///mlflow.db");
    Ok(())
}
