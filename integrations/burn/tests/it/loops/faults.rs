//! Whatever goes wrong in recording a loop, the training ends with the same weights.

use std::panic::{AssertUnwindSafe, catch_unwind};

use runlog_burn::{LogAs, example_of, signature_of};
use runlog_core::autolog::testing::Fault;
use runlog_core::fluent::with_tracker;

use super::setup::*;

#[test]
fn a_fault_at_any_hook_leaves_the_training_as_it_is() {
    runlog_burn::autolog();
    let expected = plain().0.bits();
    for fault in Fault::ALL {
        let trained = with_tracker(&fault.tracker(), || catch_unwind(AssertUnwindSafe(train)));
        assert_eq!(trained.expect("no panic of ours").bits(), expected, "{fault:?}");
    }
}

/// Everything that a loop can record.
fn train() -> Net {
    let (model, mut optim) = recorded_loop(|model| drop(model.loss(0).log_as("valid_loss").into_data()));
    let items = items(0, &device());
    let output = model.forward(items.clone());
    optim.log_model_with(&model, |spec| {
        Ok(spec.signature(signature_of(&items, &output)).input_example(example_of(&items)?))
    });
    model
}
