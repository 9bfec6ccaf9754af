//! The crate in the place of candle-nn: a program of candle's, with its own imports, under candle's own name.

use candle_core::{DType, Device, Result, Tensor};
use runlog_candle as candle_nn;

use crate::one_run;

/// Written as for candle: every import is `candle_nn::…`.
mod program {
    use super::candle_nn::optim::{AdamW as AdamWOfOptim, Optimizer as OptimizerOfOptim};
    use super::candle_nn::var_map::VarMap as VarMapOfModule;
    use super::candle_nn::{
        self, AdamW, Conv2dConfig, Linear, Module, ParamsAdamW, SGD, VarBuilder, VarMap, loss, ops,
    };
    use super::*;

    fn step<O: OptimizerOfOptim>(optimizer: &mut O, loss: &Tensor) -> Result<()> {
        optimizer.backward_step(loss)
    }

    pub(super) fn main() -> Result<()> {
        let device = Device::Cpu;
        let varmap: VarMapOfModule = VarMap::new();
        let vb = VarBuilder::from_varmap(&varmap, DType::F32, &device);
        let conv = candle_nn::conv2d(1, 2, 3, Conv2dConfig::default(), vb.pp("conv"))?;
        let linear: Linear = candle_nn::linear(2 * 2 * 2, 3, vb.pp("linear"))?;
        let mut adam: AdamWOfOptim = AdamW::new(varmap.all_vars(), ParamsAdamW::default())?;
        let x = Tensor::ones((5, 1, 4, 4), DType::F32, &device)?;
        let y = Tensor::zeros(5, DType::U32, &device)?;
        let output = linear.forward(&conv.forward(&x)?.relu()?.flatten_from(1)?)?;
        step(&mut adam, &loss::nll(&ops::log_softmax(&output, 1)?, &y)?)?;
        SGD::new(vec![], 0.1)?;
        Ok(())
    }
}

#[test]
fn a_program_of_candles_is_recorded_as_it_is() {
    let ((), run) = one_run(|| program::main().unwrap());
    assert_eq!((run.param("optimizer_name"), run.param("loss_function")), (Some("AdamW"), Some("nll")));
    assert_eq!((run.metric("steps"), run.outputs.len()), (Some(1.0), 1));
}
