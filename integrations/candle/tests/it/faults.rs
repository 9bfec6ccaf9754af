//! Whatever goes wrong on our side, training goes on and comes to the same weights.

use candle_core::{Result, Tensor};
use candle_nn::Optimizer;
use runlog_candle::{AdamW, VarMap, loss};
use runlog_core::autolog::testing::Fault;
use runlog_core::fluent::with_tracker;

use crate::off::said_by;
use crate::{batches, bits, data, model, params, tracker_at};

/// Everything that is observed: epochs, data, checkpoints, losses that are read by another thread, and a model.
fn train() -> Result<Vec<(String, Vec<u32>)>> {
    let (inputs, labels) = data();
    let varmap = VarMap::new();
    let model = model(&varmap);
    let mut optimizer = AdamW::new(varmap.all_vars(), params())?;
    optimizer.data("sixty", &inputs, &labels);
    for _ in 0..2 {
        let _epoch = optimizer.epoch();
        for (x, y) in batches(&inputs, &labels) {
            let loss = loss::nll(&model.log_probabilities(&x)?, &y)?;
            let twice = Tensor::stack(&[&loss, &loss], 0)?;
            optimizer.backward_step(&twice)?;
        }
    }
    drop(optimizer);
    Ok(bits(&varmap))
}

/// What the child does, with checkpoints on.
pub(crate) fn under_each() -> String {
    let expected = with_tracker(&tracker_at("memory:"), || train().unwrap());
    // All at once: a checkpoint waits some seconds for a store that cannot be reached.
    std::thread::scope(|scope| {
        for fault in Fault::ALL {
            let expected = &expected;
            scope.spawn(move || {
                assert_eq!(&with_tracker(&fault.tracker(), || train().unwrap()), expected, "{fault:?}");
            });
        }
    });
    format!("the same under {} faults", Fault::ALL.len())
}

#[test]
fn training_is_the_same_under_every_fault() {
    assert_eq!(said_by("faults"), format!("the same under {} faults", Fault::ALL.len()));
}
