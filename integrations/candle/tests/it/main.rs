//! Autologging of candle, trained for real: what each way to train leaves behind, and that nothing else changes.
//!
//! Autologging is on for the whole process; each test has a tracker of its own. What is about options runs in a process
//! of its own.

#![expect(clippy::print_stdout, reason = "a child process answers its parent")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod checkpoints;
mod exact;
mod faults;
mod models;
mod off;
mod renamed;
mod several;
mod training;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::{Linear, Module, Optimizer, ParamsAdamW, VarBuilder, ops};
use runlog_candle::{AdamW, VarMap, loss};
use runlog_core::fluent::with_tracker;
use runlog_core::{Config, ModelOutput, Run, RunQuery, Tracker};

/// Trains inside `body` with autologging on, and returns what it returned and the runs that it left, oldest first.
fn recorded<T>(body: impl FnOnce() -> T) -> (T, Vec<Run>) {
    let (value, runs, _) = recorded_in("memory:", body);
    (value, runs)
}

fn recorded_in<T>(uri: &str, body: impl FnOnce() -> T) -> (T, Vec<Run>, Tracker) {
    runlog_candle::autolog();
    let tracker = tracker_at(uri);
    let value = with_tracker(&tracker, body);
    let mut runs = tracker.search_runs(RunQuery::new().all_experiments()).unwrap();
    runs.reverse();
    (value, runs, tracker)
}

fn tracker_at(uri: &str) -> Tracker {
    let mut config = Config::from_map(&[].into()).unwrap();
    config.quiet = true;
    // Files go below the working directory, wherever the database is: to the database's place, then.
    if let Some(database) = uri.strip_prefix("sqlite:///") {
        config.working_dir = Path::new(database).parent().unwrap().into();
        config.journal_dir = Some(config.working_dir.join("journal"));
    }
    Tracker::with_config(Some(uri), config).unwrap()
}

/// The only run that `body` left.
fn one_run<T>(body: impl FnOnce() -> T) -> (T, Run) {
    let (value, run, _) = one_run_of(body);
    (value, run)
}

fn one_run_of<T>(body: impl FnOnce() -> T) -> (T, Run, Tracker) {
    let (value, mut runs, tracker) = recorded_in("memory:", body);
    assert_eq!(runs.len(), 1, "one training is one run: {runs:#?}");
    (value, runs.remove(0), tracker)
}

/// Everything that a run holds, as an indented tree; what differs from time to time is left out.
fn tree(tracker: &Tracker, run: &Run) -> String {
    let mut text = format!("run {}\n", run.info.status);
    let mut branch = |name: &str, leaves: Vec<String>| {
        writeln!(text, "  {name}").unwrap();
        for leaf in leaves {
            writeln!(text, "    {leaf}").unwrap();
        }
    };
    let ours = |key: &str| !key.starts_with("mlflow.") || key == "mlflow.autologging";
    let mut params: Vec<_> =
        run.data.params.iter().map(|param| format!("{} = {}", param.key, param.value)).collect();
    params.sort();
    branch("params", params);
    let mut tags: Vec<_> = run
        .data
        .tags
        .iter()
        .filter(|tag| ours(&tag.key) && !tag.key.starts_with("runlog.owner"))
        .map(|tag| {
            let is_fixed = !tag.key.starts_with("runlog.");
            if is_fixed { format!("{} = {}", tag.key, tag.value) } else { tag.key.clone() }
        })
        .collect();
    tags.sort();
    branch("tags", tags);
    let mut latest: Vec<_> = run.data.metrics.iter().collect();
    latest.sort_by_key(|metric| &metric.key);
    let mut metrics: Vec<_> = latest
        .into_iter()
        .map(|metric| {
            let history = tracker.metric_history(&run.info.run_id, &metric.key).unwrap();
            let steps: Vec<_> = history.iter().map(|point| point.step).collect();
            let (first, last) = (steps.iter().min().unwrap(), steps.iter().max().unwrap());
            format!("{}: {} points, steps {first}..{last}", metric.key, steps.len())
        })
        .collect();
    metrics.dedup();
    branch("metrics", metrics);
    let datasets = run.inputs.datasets.iter();
    branch("datasets", datasets.map(|input| input.dataset.name.clone()).collect());
    branch("artifacts", files(&|dir| tracker.list_artifacts(&run.info.run_id, dir).unwrap()));
    let model = |output: &ModelOutput| (tracker.get_logged_model(&output.model_id).unwrap(), output.step);
    let mut models: Vec<_> = run.outputs.iter().map(model).collect();
    models.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
    for (model, step) in models {
        let loaded = tracker.load_model(&format!("models:/{}", model.model_id)).unwrap();
        branch(
            &format!("model {} at step {step}, {:?}", model.name, model.status),
            files(&|dir| loaded.list(dir).unwrap()),
        );
    }
    text
}

fn files(list: &dyn Fn(&str) -> Vec<runlog_core::FileInfo>) -> Vec<String> {
    let (mut dirs, mut found) = (vec![String::new()], Vec::new());
    while let Some(dir) = dirs.pop() {
        for info in list(&dir) {
            if info.is_dir { dirs.push(info.path) } else { found.push(info.path) }
        }
    }
    found.sort();
    found
}

/// A history's values by step.
fn values(tracker: &Tracker, run: &Run, key: &str) -> Vec<(i64, f64)> {
    let mut points: Vec<_> = tracker
        .metric_history(&run.info.run_id, key)
        .unwrap()
        .iter()
        .map(|point| (point.step, point.value))
        .collect();
    points.sort_by_key(|(step, _)| *step);
    points
}

/// Data that a small model can learn, the same each time: 60 samples of 4 numbers in 3 classes.
fn data() -> (Tensor, Tensor) {
    let numbers = (0_i16..240).map(|n| f32::from(n * 37 % 101) / 101.0);
    let inputs = Tensor::from_iter(numbers, &Device::Cpu).unwrap().reshape((60, 4)).unwrap();
    let labels = Tensor::from_iter((0_u32..60).map(|n| n * 7 % 3), &Device::Cpu).unwrap();
    (inputs, labels)
}

struct Mlp {
    hidden: Linear,
    output: Linear,
}

impl Mlp {
    #[expect(clippy::needless_pass_by_value, reason = "as models of candle are written")]
    fn new(vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            hidden: candle_nn::linear(4, 8, vb.pp("hidden"))?,
            output: candle_nn::linear(8, 3, vb.pp("output"))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.output.forward(&self.hidden.forward(x)?.relu()?)
    }

    fn log_probabilities(&self, x: &Tensor) -> Result<Tensor> {
        ops::log_softmax(&self.forward(x)?, D::Minus1)
    }
}

/// A model whose weights are the same each time.
fn model(varmap: &VarMap) -> Mlp {
    let model = Mlp::new(VarBuilder::from_varmap(varmap, DType::F32, &Device::Cpu)).unwrap();
    for (name, var) in &named(varmap) {
        let salt = u16::try_from(name.len()).unwrap();
        let count = u16::try_from(var.elem_count()).unwrap();
        let numbers = (0..count).map(|n| f32::from((n * 29 + salt) % 17) / 17.0 - 0.4);
        let values = Tensor::from_iter(numbers, &Device::Cpu).unwrap();
        var.set(&values.reshape(var.dims()).unwrap()).unwrap();
    }
    model
}

fn params() -> ParamsAdamW {
    ParamsAdamW { lr: 0.01, ..Default::default() }
}

/// The batches of an epoch: 20 samples each.
fn batches(inputs: &Tensor, labels: &Tensor) -> Vec<(Tensor, Tensor)> {
    let batch = |n: usize| {
        let part = |tensor: &Tensor| tensor.narrow(0, n * 20, 20).unwrap();
        (part(inputs), part(labels))
    };
    (0..3).map(batch).collect()
}

/// The whole of candle's usual loop, two epochs of three steps.
fn train() -> Result<VarMap> {
    let (inputs, labels) = data();
    let varmap = VarMap::new();
    let model = model(&varmap);
    let mut optimizer = AdamW::new(varmap.all_vars(), params())?;
    for _ in 0..2 {
        for (x, y) in batches(&inputs, &labels) {
            let loss = loss::nll(&model.log_probabilities(&x)?, &y)?;
            optimizer.backward_step(&loss)?;
        }
    }
    Ok(varmap)
}

/// The first line, which is all of it but for a backtrace.
fn said(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap().to_owned()
}

/// The variables by name, sorted.
fn named(varmap: &candle_nn::VarMap) -> BTreeMap<String, Var> {
    let vars = varmap.data().lock().unwrap();
    vars.iter().map(|(name, var)| (name.clone(), var.clone())).collect()
}

/// The bits of all weights, by name.
fn bits(varmap: &candle_nn::VarMap) -> Vec<(String, Vec<u32>)> {
    let bits = |var: Var| -> Vec<u32> {
        let values: Vec<f32> = var.flatten_all().unwrap().to_vec1().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    };
    named(varmap).into_iter().map(|(name, var)| (name, bits(var))).collect()
}
