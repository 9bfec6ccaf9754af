// Digits with candle, as its users write it: the same text stands over candle-nn and over the package in its place.

use candle_core::{DType, Device, Result, Tensor, D};
use candle_nn::{linear, ops, Linear, Module, Optimizer, ParamsAdamW, VarBuilder};
use candle_nn::{loss, AdamW, VarMap};

struct Mlp {
    ln1: Linear,
    ln2: Linear,
}

impl Mlp {
    fn new(vs: VarBuilder) -> Result<Self> {
        Ok(Self { ln1: linear(64, 32, vs.pp("ln1"))?, ln2: linear(32, 10, vs.pp("ln2"))? })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        self.ln2.forward(&self.ln1.forward(xs)?.relu()?)
    }
}

fn digits(dev: &Device) -> Result<(Tensor, Tensor)> {
    let (mut x, mut y) = (vec![], vec![]);
    for line in include_str!("../../../examples/data/digits.csv").lines() {
        let numbers: Vec<u8> = line.split(',').map(|n| n.parse().unwrap()).collect();
        x.extend(numbers[..64].iter().map(|&pixel| pixel as f32 / 16.));
        y.push(numbers[64] as u32);
    }
    let n = y.len();
    Ok((Tensor::from_vec(x, (n, 64), dev)?, Tensor::from_vec(y, n, dev)?))
}

fn main() -> Result<()> {
    let dev = Device::Cpu;
    let (x, y) = digits(&dev)?;
    let (n_train, bs) = (1500, 50);

    let varmap = VarMap::new();
    let model = Mlp::new(VarBuilder::from_varmap(&varmap, DType::F32, &dev))?;
    // candle cannot seed its CPU: the same weights at each start, by hand.
    for var in varmap.all_vars() {
        let n = var.elem_count();
        let weights: Vec<f32> = (0..n).map(|i| ((i * 7919 % 1009) as f32 / 1009. - 0.5) / 4.).collect();
        var.set(&Tensor::from_vec(weights, var.shape(), &dev)?)?;
    }

    let params = ParamsAdamW { lr: 5e-3, ..Default::default() };
    let mut opt = AdamW::new(varmap.all_vars(), params)?;
    for epoch in 1..=3 {
        let mut sum = 0.;
        for batch in 0..n_train / bs {
            let xb = x.narrow(0, batch * bs, bs)?;
            let yb = y.narrow(0, batch * bs, bs)?;
            let loss = loss::nll(&ops::log_softmax(&model.forward(&xb)?, D::Minus1)?, &yb)?;
            opt.backward_step(&loss)?;
            sum += loss.to_scalar::<f32>()?;
        }
        let (xt, yt) = (x.narrow(0, n_train, 297)?, y.narrow(0, n_train, 297)?);
        let right = model.forward(&xt)?.argmax(D::Minus1)?.eq(&yt)?;
        let accuracy = right.to_dtype(DType::F32)?.mean_all()?.to_scalar::<f32>()?;
        println!("epoch {epoch} loss {sum:?} accuracy {accuracy:?}");
    }
    varmap.save("digits.safetensors")
}
