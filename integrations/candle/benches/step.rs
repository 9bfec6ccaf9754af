//! What a recorded step costs the thread that trains: `cargo bench -p runlog-candle --bench step`.
//!
//! Each group is the same steps with candle's own types (`absent`), with ours and autologging off, and with it on; what
//! counts is the difference within a group. `calls` is the adapter alone, around an optimizer that does nothing, `loss`
//! is a loss function and such a step, and `mlp` a real step of a small model. The thread does not wait for anything, so
//! its time is its CPU time. Allocations are counted per step.
//!
//! Instructions, without the noise of a clock: `valgrind --tool=callgrind --toggle-collect='*calls_off*' <this binary>
//! calls::off --sample-count 1`, and the same for `absent`; a sample is 1000 steps.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot start has nothing to measure")]

use std::hint::black_box;

use candle_core::backprop::GradStore;
use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::{Linear, Module, Optimizer, ParamsAdamW, VarBuilder, ops};
use divan::{AllocProfiler, Bencher};
use runlog_candle::{Autolog, CandleOptions};
use runlog_core::fluent::with_tracker;
use runlog_core::{Config, Tracker};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// Enough steps for a median, few enough that the shipper keeps up and the journal does not fill.
const SAMPLES: u32 = 100;
const STEPS: u32 = 1000;

fn main() {
    divan::main();
}

/// An optimizer that does nothing.
struct Idle;

impl Optimizer for Idle {
    type Config = ();

    fn new(_: Vec<Var>, (): ()) -> Result<Self> {
        Ok(Self)
    }

    #[inline(never)]
    fn step(&mut self, _: &GradStore) -> Result<()> {
        Ok(())
    }

    #[inline(never)]
    fn backward_step(&mut self, _: &Tensor) -> Result<()> {
        Ok(())
    }

    fn learning_rate(&self) -> f64 {
        0.1
    }

    fn set_learning_rate(&mut self, _: f64) {}
}

/// With autologging on or off, in a new database.
fn in_a_tracker(on: bool, bench: impl FnOnce()) {
    runlog_candle::autolog_with(CandleOptions::new().silent(true).disable(!on));
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::from_map(&[].into()).unwrap();
    config.working_dir = dir.path().into();
    config.journal_dir = Some(dir.path().join("journal"));
    config.quiet = true;
    let tracker = Tracker::with_config(Some("sqlite:///mlflow.db"), config).unwrap();
    with_tracker(&tracker, bench);
}

mod calls {
    use super::*;

    #[inline(never)]
    fn calls_absent(optimizer: &mut Idle, loss: &Tensor) {
        for _ in 0..STEPS {
            black_box(optimizer.backward_step(black_box(loss))).unwrap();
        }
    }

    #[inline(never)]
    fn calls_off(optimizer: &mut Autolog<Idle>, loss: &Tensor) {
        for _ in 0..STEPS {
            black_box(optimizer.backward_step(black_box(loss))).unwrap();
        }
    }

    fn loss() -> Tensor {
        Tensor::new(0.5_f32, &Device::Cpu).unwrap()
    }

    #[divan::bench(sample_count = SAMPLES, sample_size = 1, items_count = STEPS)]
    fn absent(bencher: Bencher<'_, '_>) {
        let (mut optimizer, loss) = (Idle, loss());
        bencher.bench_local(|| calls_absent(&mut optimizer, &loss));
    }

    #[divan::bench(sample_count = SAMPLES, sample_size = 1, items_count = STEPS)]
    fn off(bencher: Bencher<'_, '_>) {
        in_a_tracker(false, || {
            let (mut optimizer, loss) = (Autolog::from(Idle), loss());
            bencher.bench_local(|| calls_off(&mut optimizer, &loss));
        });
    }

    #[divan::bench(sample_count = SAMPLES, sample_size = STEPS)]
    fn on(bencher: Bencher<'_, '_>) {
        in_a_tracker(true, || {
            let (mut optimizer, loss) = (Autolog::from(Idle), loss());
            bencher.bench_local(|| optimizer.backward_step(&loss));
        });
    }
}

mod loss {
    use super::*;

    fn data() -> (Tensor, Tensor) {
        let ones = Tensor::ones((8, 2), DType::F32, &Device::Cpu).unwrap();
        (ones.clone(), ones)
    }

    #[divan::bench(sample_count = SAMPLES, sample_size = STEPS)]
    fn absent(bencher: Bencher<'_, '_>) {
        let (mut optimizer, (x, y)) = (Idle, data());
        bencher.bench_local(|| optimizer.backward_step(&candle_nn::loss::mse(&x, &y)?));
    }

    #[divan::bench(sample_count = SAMPLES, sample_size = STEPS, args = [false, true])]
    fn autolog(bencher: Bencher<'_, '_>, on: bool) {
        in_a_tracker(on, || {
            let (mut optimizer, (x, y)) = (Autolog::from(Idle), data());
            bencher.bench_local(|| optimizer.backward_step(&runlog_candle::loss::mse(&x, &y)?));
        });
    }
}

mod mlp {
    use super::*;

    struct Mlp(Linear, Linear);

    impl Mlp {
        fn new(map: &candle_nn::VarMap) -> Self {
            let vb = VarBuilder::from_varmap(map, DType::F32, &Device::Cpu);
            let layer = |inputs, outputs, name| candle_nn::linear(inputs, outputs, vb.pp(name)).unwrap();
            Self(layer(64, 32, "hidden"), layer(32, 10, "output"))
        }

        fn forward(&self, x: &Tensor) -> Result<Tensor> {
            ops::log_softmax(&self.1.forward(&self.0.forward(x)?.relu()?)?, D::Minus1)
        }
    }

    fn batch() -> (Tensor, Tensor) {
        let x = Tensor::ones((50, 64), DType::F32, &Device::Cpu).unwrap();
        (x, Tensor::zeros(50, DType::U32, &Device::Cpu).unwrap())
    }

    #[divan::bench(sample_count = SAMPLES, sample_size = 20)]
    fn absent(bencher: Bencher<'_, '_>) {
        let (map, (x, y)) = (candle_nn::VarMap::new(), batch());
        let mlp = Mlp::new(&map);
        let mut optimizer = candle_nn::AdamW::new(map.all_vars(), ParamsAdamW::default()).unwrap();
        bencher.bench_local(|| optimizer.backward_step(&candle_nn::loss::nll(&mlp.forward(&x)?, &y)?));
    }

    #[divan::bench(sample_count = SAMPLES, sample_size = 20, args = [false, true])]
    fn autolog(bencher: Bencher<'_, '_>, on: bool) {
        in_a_tracker(on, || {
            let (map, (x, y)) = (runlog_candle::VarMap::new(), batch());
            let mlp = Mlp::new(&map);
            let mut optimizer = runlog_candle::AdamW::new(map.all_vars(), ParamsAdamW::default()).unwrap();
            bencher
                .bench_local(|| optimizer.backward_step(&runlog_candle::loss::nll(&mlp.forward(&x)?, &y)?));
        });
    }
}
