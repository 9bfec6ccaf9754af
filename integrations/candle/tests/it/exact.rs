//! Training is what it was: the same bits with autologging on, off and absent, and the same results through every door.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{Optimizer, VarBuilder, loss as candles};
use runlog_candle::{AdamW, Autolog, SGD, VarMap, loss as ours};

use crate::{Mlp, batches, bits, data, model, named, params, recorded, said, train};

/// The same loop as `train`, with candle's own names only.
fn train_with_candle_alone() -> Result<candle_nn::VarMap> {
    let (inputs, labels) = data();
    let varmap = candle_nn::VarMap::new();
    let model = Mlp::new(VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu))?;
    let start = VarMap::new();
    crate::model(&start);
    for (name, var) in &named(&varmap) {
        var.set(start.data().lock().unwrap()[name].as_tensor())?;
    }
    let mut optimizer = candle_nn::AdamW::new(varmap.all_vars(), params())?;
    for _ in 0..2 {
        for (x, y) in batches(&inputs, &labels) {
            optimizer.backward_step(&candle_nn::loss::nll(&model.log_probabilities(&x)?, &y)?)?;
        }
    }
    Ok(varmap)
}

#[test]
fn weights_are_the_same_bit_for_bit_with_and_without() {
    let (on, runs) = recorded(|| train().unwrap());
    assert_eq!(runs.len(), 1);
    let absent = bits(&train_with_candle_alone().unwrap());
    assert_eq!(bits(&on), absent);
    // Off is a process of its own.
    assert_eq!(crate::off::weights_in_a_child("never on"), format!("{absent:?}"));
}

#[test]
fn every_loss_function_returns_what_candles_does() {
    let (inputs, labels) = data();
    let output = model(&VarMap::new()).forward(&inputs).unwrap();
    let target = output.affine(0.5, 0.25).unwrap();
    let both = |ours: Result<Tensor>, candles: Result<Tensor>| {
        let bits = |loss: Tensor| loss.to_scalar::<f32>().unwrap().to_bits();
        assert_eq!(ours.map(bits).map_err(|e| said(&e)), candles.map(bits).map_err(|e| said(&e)));
    };
    runlog_candle::autolog();
    both(ours::nll(&output, &labels), candles::nll(&output, &labels));
    both(ours::cross_entropy(&output, &labels), candles::cross_entropy(&output, &labels));
    both(ours::mse(&output, &target), candles::mse(&output, &target));
    both(ours::huber(&output, &target, 0.5), candles::huber(&output, &target, 0.5));
    let sigmoid = ours::binary_cross_entropy_with_logit(&output, &target);
    both(sigmoid, candles::binary_cross_entropy_with_logit(&output, &target));
    both(ours::nll(&output, &output), candles::nll(&output, &output));
}

/// Each call reaches the optimizer once, and its result reaches the caller.
#[derive(Debug, Default)]
struct Counting {
    steps: usize,
    backward_steps: usize,
}

impl Optimizer for Counting {
    type Config = ();

    fn new(_: Vec<candle_core::Var>, (): ()) -> Result<Self> {
        Ok(Self::default())
    }

    fn step(&mut self, _: &candle_core::backprop::GradStore) -> Result<()> {
        self.steps += 1;
        candle_core::bail!("step {}", self.steps)
    }

    fn backward_step(&mut self, _: &Tensor) -> Result<()> {
        self.backward_steps += 1;
        candle_core::bail!("backward step {}", self.backward_steps)
    }

    fn learning_rate(&self) -> f64 {
        0.0
    }

    fn set_learning_rate(&mut self, _: f64) {}
}

#[test]
fn calls_reach_the_optimizer_once_and_as_they_are() {
    let ((), runs) = recorded(|| {
        let mut optimizer = Autolog::from(Counting::default());
        let loss = Tensor::new(1.0_f32, &Device::Cpu).unwrap();
        assert_eq!(said(&optimizer.step(&loss.backward().unwrap()).unwrap_err()), "step 1");
        assert_eq!(said(&optimizer.backward_step(&loss).unwrap_err()), "backward step 1");
        assert_eq!((optimizer.steps, optimizer.backward_steps), (1, 1));
    });
    assert_eq!(runs[0].metric("steps"), None, "a step that failed is none");
}

/// What could go to another thread still can.
#[test]
fn optimizers_and_maps_are_as_mobile_as_candles() {
    fn is_mobile<T: Send + Sync + 'static>() {}
    is_mobile::<AdamW>();
    is_mobile::<SGD>();
    is_mobile::<VarMap>();
    let ((), runs) = recorded(|| {
        let varmap = VarMap::new();
        let model = model(&varmap);
        let mut optimizer = AdamW::new(varmap.all_vars(), params()).unwrap();
        let (inputs, labels) = data();
        let loss = runlog_candle::loss::nll(&model.log_probabilities(&inputs).unwrap(), &labels).unwrap();
        optimizer.backward_step(&loss).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                optimizer.backward_step(&loss).unwrap();
            });
        });
    });
    assert_eq!((runs.len(), runs[0].metric("steps"), runs[0].outputs.len()), (1, Some(2.0), 1));
}
