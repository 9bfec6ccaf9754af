//! A small network on handwritten digits, as programs of candle are written: `cargo run --release -p
//! runlog-example-candle --bin mlp`.
//!
//! Two lines make the difference: the changed import, and `runlog::autolog()`. Without them this is plain candle; with
//! them the training leaves a run in `mlflow.db`: settings, loss and learning rate by step, and the weights.

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{Linear, Module, Optimizer, ParamsAdamW, VarBuilder};
use runlog::candle::{AdamW, VarMap, loss}; // the changed import: was `use candle_nn::{AdamW, VarMap, loss};`
use runlog_example_candle::{digits, show_last_run};

struct Mlp {
    hidden: Linear,
    output: Linear,
}

impl Mlp {
    #[expect(clippy::needless_pass_by_value, reason = "as models of candle are written")]
    fn new(vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            hidden: candle_nn::linear(64, 64, vb.pp("hidden"))?,
            output: candle_nn::linear(64, 10, vb.pp("output"))?,
        })
    }

    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        self.output.forward(&self.hidden.forward(images)?.relu()?)
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    runlog::autolog(); // the added line
    train(&Device::Cpu)?;
    show_last_run()?;
    Ok(())
}

fn train(device: &Device) -> Result<()> {
    let (train, valid) = digits(device)?;
    let varmap = VarMap::new();
    let model = Mlp::new(VarBuilder::from_varmap(&varmap, DType::F32, device))?;
    let mut optimizer = AdamW::new(varmap.all_vars(), ParamsAdamW { lr: 5e-3, ..Default::default() })?;
    for epoch in 1..=10 {
        let mut sum = 0.0;
        let mut steps = 0.0;
        for batch in train.batches(50) {
            let batch = batch?;
            let loss = loss::cross_entropy(&model.forward(&batch.images)?, &batch.labels)?;
            optimizer.backward_step(&loss)?;
            sum += loss.to_scalar::<f32>()?;
            steps += 1.0;
        }
        let accuracy = valid.accuracy(&model.forward(&valid.images)?)?;
        println!("epoch {epoch:2}  loss {:.4}  validation accuracy {accuracy:.3}", sum / steps);
    }
    Ok(())
}
