//! A hand-written training loop that records itself. What runlog adds is marked with `// +`.
//!
//! ```sh
//! cargo run --release -p runlog-example-burn --bin custom_loop
//! ```

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;

use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{AdamConfig, GradientsParams};
use burn::prelude::*;
use runlog::burn::{Autolog, LogAs}; // +
use runlog_example_burn::{CnnConfig, DigitBatch, TrainingConfig, digits, loader};

fn main() -> Result<(), Box<dyn Error>> {
    runlog::autolog(); // +

    let config = TrainingConfig::new(CnnConfig::new(), AdamConfig::new());
    let device = Device::flex();
    device.seed(config.seed);
    let [train, valid, _] = digits()?;
    let train = loader(train, config.batch_size, Some(config.seed));
    let valid = loader(valid, config.batch_size, None);

    let mut model = config.model.init(&device.clone().autodiff());
    let mut optim = config.optimizer.init().autolog().config(&config); // + .autolog().config(&config)
    let loss = CrossEntropyLossConfig::new().init(&device.clone().autodiff());
    for epoch in 1..=config.num_epochs {
        let seen = optim.epoch(); // + (optional) the mean loss, time and speed of each epoch
        for batch in train.iter() {
            let DigitBatch { images, targets } = batch?;
            seen.samples(targets.dims()[0]); // + (optional)
            let scores = model.forward(images.autodiff());
            let loss = loss.forward(scores, targets.autodiff()).log_as("train_loss"); // + .log_as("train_loss")
            let grads = GradientsParams::from_grads(loss.backward(), &model);
            model = optim.step(config.learning_rate, model, grads);
        }

        let (valid_model, mut right, mut images) = (model.valid(), 0_i64, 0);
        for batch in valid.iter() {
            let batch = batch?;
            images += batch.targets.dims()[0];
            let guesses = valid_model.forward(batch.images).argmax(1).flatten::<1>(0, 1);
            right += guesses.equal(batch.targets).int().sum().into_scalar::<i64>();
        }
        #[expect(clippy::cast_precision_loss, reason = "250 images")]
        let accuracy = right as f64 / images as f64;
        runlog::log_metric("valid_accuracy", accuracy, epoch); // + (optional) what only you know
        println!("epoch {epoch}: {:.1} % of the validation images", 100.0 * accuracy);
    }
    optim.log_model(&model.valid()); // +
    Ok(())
}
