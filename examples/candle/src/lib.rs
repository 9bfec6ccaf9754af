//! What the examples share: the digits, and how a training's run looks afterwards.

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use candle_core::{Device, Result, Tensor};
use runlog::RunQuery;

/// Images that the examples train on; the others are for validation.
pub const TRAIN: usize = 1500;

/// Images with their labels.
#[derive(Clone, Debug)]
pub struct Digits {
    /// `(images, 64)`: 8x8 pixels from 0 to 1, row by row.
    pub images: Tensor,
    /// `(images)`: 0 to 9.
    pub labels: Tensor,
}

/// Handwritten digits: those to train on, and 297 others. `examples/data/README.md` says where they come from.
///
/// # Errors
/// The device cannot take them.
pub fn digits(device: &Device) -> Result<(Digits, Digits)> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for line in include_str!("../../data/digits.csv").lines() {
        let numbers = line.split(',').map(|number| number.parse().map_err(candle_core::Error::wrap));
        let numbers = numbers.collect::<Result<Vec<u8>>>()?;
        let (label, image) = numbers.split_last().ok_or_else(|| candle_core::Error::msg("an empty line"))?;
        pixels.extend(image.iter().map(|pixel| f32::from(*pixel) / 16.0));
        labels.push(u32::from(*label));
    }
    let count = labels.len();
    let images = Tensor::from_vec(pixels, (count, 64), device)?;
    let labels = Tensor::from_vec(labels, count, device)?;
    let part = |from: usize, count: usize| -> Result<Digits> {
        Ok(Digits { images: images.narrow(0, from, count)?, labels: labels.narrow(0, from, count)? })
    };
    Ok((part(0, TRAIN)?, part(TRAIN, count - TRAIN)?))
}

impl Digits {
    /// Batch after batch, in order; the last one may be smaller.
    ///
    /// # Errors
    /// The device cannot cut them.
    pub fn batches(&self, size: usize) -> impl Iterator<Item = Result<Self>> {
        let count = self.labels.elem_count();
        (0..count).step_by(size).map(move |from| {
            let size = size.min(count - from);
            Ok(Self {
                images: self.images.narrow(0, from, size)?,
                labels: self.labels.narrow(0, from, size)?,
            })
        })
    }

    /// The part of the labels that `logits` get right.
    ///
    /// # Errors
    /// Shapes that do not go together.
    pub fn accuracy(&self, logits: &Tensor) -> Result<f32> {
        let right = logits.argmax(1)?.eq(&self.labels)?;
        right.to_dtype(candle_core::DType::F32)?.mean_all()?.to_scalar()
    }
}

/// Prints what the last run holds, as the store has it.
///
/// # Errors
/// The store cannot be read.
pub fn show_last_run() -> runlog::Result<()> {
    let Some(run) = runlog::search_runs(RunQuery::new().max_results(1))?.pop() else { return Ok(()) };
    println!("\nrun {} is {}", run.info.run_name, run.info.status);
    let params = run.data.params.iter().map(|param| format!("{}={}", param.key, param.value));
    println!("  params   {}", params.collect::<Vec<_>>().join(" "));
    let metrics = run.data.metrics.iter().map(|metric| format!("{}={:.4}", metric.key, metric.value));
    println!("  metrics  {}", metrics.collect::<Vec<_>>().join(" "));
    for input in &run.inputs.datasets {
        println!("  data     {} ({})", input.dataset.name, input.dataset.digest);
    }
    for output in &run.outputs {
        println!("  model    models:/{}", output.model_id);
    }
    println!("\nlook at it: mlflow ui --backend-store-uri sqlite:///mlflow.db");
    Ok(())
}
