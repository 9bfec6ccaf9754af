//! A convolutional network on handwritten digits, with all that candle does not know of itself: `cargo run --release -p
//! runlog-example-candle --bin cnn`.
//!
//! Epochs, the data, the validation metrics and the best checkpoint are a line each; the model is loaded again at the
//! end, as another program would.

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, Dropout, Linear, Module, Optimizer, ParamsAdamW, VarBuilder};
use runlog::candle::{AdamW, CandleOptions, Checkpoints, VarMap, load_model, loss};
use runlog_example_candle::{digits, show_last_run};

struct Cnn {
    edges: Conv2d,
    shapes: Conv2d,
    output: Linear,
    dropout: Dropout,
}

impl Cnn {
    #[expect(clippy::needless_pass_by_value, reason = "as models of candle are written")]
    fn new(vb: VarBuilder<'_>) -> Result<Self> {
        let same = Conv2dConfig { padding: 1, ..Default::default() };
        Ok(Self {
            edges: candle_nn::conv2d(1, 8, 3, same, vb.pp("edges"))?,
            shapes: candle_nn::conv2d(8, 16, 3, same, vb.pp("shapes"))?,
            output: candle_nn::linear(16 * 2 * 2, 10, vb.pp("output"))?,
            dropout: Dropout::new(0.2),
        })
    }

    fn forward(&self, images: &Tensor, training: bool) -> Result<Tensor> {
        let images = images.reshape(((), 1, 8, 8))?;
        let edges = self.edges.forward(&images)?.relu()?.max_pool2d(2)?;
        let shapes = self.shapes.forward(&edges)?.relu()?.max_pool2d(2)?;
        self.output.forward(&self.dropout.forward(&shapes.flatten_from(1)?, training)?)
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let best = Checkpoints::every_epochs(1).highest("val_accuracy");
    runlog::candle::autolog_with(CandleOptions::new().checkpoints(best));
    let device = Device::Cpu;
    let (train, valid) = digits(&device)?;

    // A run of one's own, to name it and to measure the machine; without it the training gets one by itself.
    let run = runlog::start_run("digits-cnn")?;
    let varmap = VarMap::new();
    let model = Cnn::new(VarBuilder::from_varmap(&varmap, DType::F32, &device))?;
    let mut optimizer = AdamW::new(varmap.all_vars(), ParamsAdamW { lr: 4e-3, ..Default::default() })?;
    optimizer.data("digits", &train.images, &train.labels);
    for number in 1..=5 {
        let epoch = optimizer.epoch();
        for batch in train.batches(50) {
            let batch = batch?;
            let loss = loss::cross_entropy(&model.forward(&batch.images, true)?, &batch.labels)?;
            optimizer.backward_step(&loss)?;
        }
        let logits = model.forward(&valid.images, false)?;
        let accuracy = valid.accuracy(&logits)?;
        run.log_metric(
            "val_loss",
            candle_nn::loss::cross_entropy(&logits, &valid.labels)?.to_scalar::<f32>()?,
            number,
        );
        run.log_metric("val_accuracy", accuracy, number);
        drop(epoch);
        println!("epoch {number}  validation accuracy {accuracy:.3}");
    }
    drop(optimizer); // the training ends, and its model is stored
    let uri = format!("runs:/{}/model", run.run_id());
    run.finish()?;

    let loaded = Cnn::new(load_model(&uri, &device)?.var_builder(DType::F32))?;
    let accuracy = valid.accuracy(&loaded.forward(&valid.images, false)?)?;
    println!("loaded again: validation accuracy {accuracy:.3}");
    show_last_run()?;
    Ok(())
}
