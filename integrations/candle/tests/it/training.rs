//! What a training leaves behind, whichever way its loop is written.

use std::panic::{AssertUnwindSafe, catch_unwind};

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::{Optimizer, VarBuilder};
use runlog_candle::{AdamW, Autolog, SGD, VarMap, loss};
use runlog_core::RunStatus;
use runlog_core::fluent;

use crate::{batches, data, model, one_run, one_run_of, params, recorded, said, train, tree, values};

#[test]
fn the_usual_loop_is_recorded_whole() {
    let (_, run, tracker) = one_run_of(|| train().unwrap());
    assert_eq!(
        tree(&tracker, &run),
        "\
run FINISHED
  params
    batch_size = 20
    beta1 = 0.9
    beta2 = 0.999
    eps = 1e-08
    loss_function = nll
    lr = 0.01
    optimizer_name = AdamW
    total_params = 67
    trainable_params = 67
    weight_decay = 0.01
  tags
    mlflow.autologging = candle
    runlog.source
  metrics
    learning_rate: 6 points, steps 1..6
    samples: 1 points, steps 6..6
    steps: 1 points, steps 6..6
    train_loss: 6 points, steps 1..6
  datasets
  artifacts
    model_summary.txt
  model model at step 6, Ready
    MLmodel
    architecture.json
    model.safetensors
"
    );
    assert_eq!((run.metric("steps"), run.metric("samples")), (Some(6.0), Some(120.0)));
    assert_eq!(
        tracker.load_text(&format!("runs:/{}/model_summary.txt", run.info.run_id)).unwrap(),
        "\
Name           Shape   Type  Params
-------------  ------  ----  ------
hidden.bias    [8]     f32   8
hidden.weight  [8, 4]  f32   32
output.bias    [3]     f32   3
output.weight  [3, 8]  f32   24

Trainable params: 67
Non-trainable params: 0
Total params: 67
Size: 268 bytes
"
    );
}

#[test]
fn the_loss_is_that_of_each_step_and_the_rate_the_one_it_was_made_with() {
    let (losses, run, tracker) = one_run_of(|| {
        let (inputs, labels) = data();
        let varmap = VarMap::new();
        let model = model(&varmap);
        let mut optimizer = SGD::new(varmap.all_vars(), 0.5).unwrap();
        let mut losses = Vec::new();
        for _ in 0..4 {
            let loss = loss::cross_entropy(&model.forward(&inputs).unwrap(), &labels).unwrap();
            optimizer.backward_step(&loss).unwrap();
            losses.push(f64::from(loss.to_scalar::<f32>().unwrap()));
            optimizer.set_learning_rate(optimizer.learning_rate() / 2.0);
        }
        losses
    });
    let recorded: Vec<f64> =
        values(&tracker, &run, "train_loss").into_iter().map(|(_, value)| value).collect();
    assert_eq!(recorded, losses);
    let rates = [(1, 0.5), (2, 0.25), (3, 0.125), (4, 0.0625)];
    assert_eq!(values(&tracker, &run, "learning_rate"), rates);
    assert_eq!((run.param("optimizer_name"), run.param("lr")), (Some("SGD"), Some("0.5")));
}

/// `loss.backward()` and `step(&grads)`: the loss comes from the function that computed it.
#[test]
fn a_loop_that_takes_the_gradients_itself_leaves_the_same() {
    let by = |step: fn(&mut AdamW, &Tensor) -> Result<()>| {
        let ((), run, tracker) = one_run_of(|| {
            let (inputs, labels) = data();
            let varmap = VarMap::new();
            let model = model(&varmap);
            let mut optimizer = AdamW::new(varmap.all_vars(), params()).unwrap();
            for (x, y) in batches(&inputs, &labels) {
                let loss = loss::nll(&model.log_probabilities(&x).unwrap(), &y).unwrap();
                step(&mut optimizer, &loss).unwrap();
            }
        });
        (tree(&tracker, &run), values(&tracker, &run, "train_loss"))
    };
    let whole = by(Optimizer::backward_step);
    let apart = by(|optimizer, loss| optimizer.step(&loss.backward()?));
    assert_eq!(apart, whole);
}

/// The loss that is minimised is not the one that a function returned: its value counts, and the function's name.
#[test]
fn a_composed_loss_is_recorded_as_it_is() {
    let ((), run, tracker) = one_run_of(|| {
        let (inputs, _) = data();
        let weight = Var::zeros((4, 1), DType::F32, &Device::Cpu).unwrap();
        let mut optimizer = SGD::new(vec![weight.clone()], 0.1).unwrap();
        let output = inputs.matmul(&weight).unwrap();
        let mse = loss::mse(&output, &output.ones_like().unwrap()).unwrap();
        optimizer.backward_step(&(mse + 2.0).unwrap()).unwrap();
    });
    assert_eq!(values(&tracker, &run, "train_loss"), [(1, 3.0)]);
    assert_eq!((run.param("loss_function"), run.param("batch_size")), (Some("mse"), Some("60")));
    assert!(run.outputs.is_empty(), "there is no map to name the weights by");
}

/// It is read by another thread: as on a device, where reading at once would wait for it. That thread is slower than
/// this optimizer, and its queue is shorter than the training.
#[test]
fn losses_that_are_read_later_are_all_there() {
    let ((), run, tracker) = one_run_of(|| {
        let pair = Tensor::new(&[1.0_f32, 2.0], &Device::Cpu).unwrap();
        let loss = |step: i16| pair.affine(1.0, f64::from(step)).unwrap();
        let losses: Vec<_> = (0..3000).map(loss).collect();
        let mut optimizer = Autolog::from(Momentum { vars: Vec::new(), rate: 0.5 });
        for part in losses.chunks(1500) {
            let _epoch = optimizer.epoch();
            for loss in part {
                optimizer.backward_step(loss).unwrap();
            }
        }
    });
    let points = values(&tracker, &run, "train_loss");
    let expected: Vec<_> = (0_i16..3000).map(|step| (i64::from(step) + 1, f64::from(3 + 2 * step))).collect();
    assert_eq!(points, expected);
    assert_eq!(values(&tracker, &run, "train_loss_epoch"), [(1, 1502.0), (2, 4502.0)]);
}

/// The thread that reads is at the first of these when the optimizer is dropped.
#[test]
fn a_training_ends_when_its_last_loss_is_read() {
    const ELEMENTS: usize = 1 << 22;
    let ((), run, tracker) = one_run_of(|| {
        let large = Tensor::ones(ELEMENTS, DType::F32, &Device::Cpu).unwrap();
        let mut optimizer = Autolog::from(Momentum { vars: Vec::new(), rate: 0.5 });
        for _ in 0..5 {
            optimizer.backward_step(&large).unwrap();
        }
    });
    let sum = f64::from(1 << 22);
    assert_eq!(values(&tracker, &run, "train_loss"), (1..=5).map(|step| (step, sum)).collect::<Vec<_>>());
}

/// What came before the length was told belongs to no epoch.
#[test]
fn the_mean_of_an_epoch_is_of_its_own_steps() {
    let ((), run, tracker) = one_run_of(|| {
        let loss = |value: f32| {
            let output = Tensor::new(&[[value], [value]], &Device::Cpu).unwrap();
            loss::mse(&output, &output.zeros_like().unwrap()).unwrap()
        };
        let mut optimizer = Autolog::from(Momentum { vars: Vec::new(), rate: 0.5 });
        optimizer.backward_step(&loss(10.0)).unwrap();
        optimizer.epoch_length(4);
        for value in [1.0, 2.0, 3.0, 4.0] {
            optimizer.backward_step(&loss(value)).unwrap();
        }
    });
    assert_eq!(values(&tracker, &run, "train_loss_epoch"), [(1, 2.5), (2, 12.5)]);
}

#[test]
fn the_epochs_of_a_guard_have_a_mean_a_duration_and_a_rate() {
    let ((), run, tracker) = one_run_of(|| {
        let (inputs, labels) = data();
        let varmap = VarMap::new();
        let model = model(&varmap);
        let mut optimizer = AdamW::new(varmap.all_vars(), params()).unwrap();
        for number in 1..=2 {
            let epoch = optimizer.epoch();
            assert_eq!(epoch.number(), number);
            for rows in [0..40, 40..60] {
                let part = |tensor: &Tensor| tensor.narrow(0, rows.start, rows.len()).unwrap();
                let loss =
                    loss::nll(&model.log_probabilities(&part(&inputs)).unwrap(), &part(&labels)).unwrap();
                optimizer.backward_step(&loss).unwrap();
            }
        }
    });
    let losses = values(&tracker, &run, "train_loss");
    let means: Vec<_> = losses.chunks(2).map(|pair| (pair[0].1 * 40.0 + pair[1].1 * 20.0) / 60.0).collect();
    assert_eq!(values(&tracker, &run, "train_loss_epoch"), [(1, means[0]), (2, means[1])]);
    assert_eq!(values(&tracker, &run, "epoch"), [(2, 1.0), (4, 2.0)]);
    for key in ["epoch_seconds", "samples_per_second"] {
        let points = values(&tracker, &run, key);
        assert_eq!(points.iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>(), [1, 2]);
        assert!(points.iter().all(|(_, value)| *value > 0.0), "{key}");
    }
    assert_eq!(run.metric("epochs"), Some(2.0));
}

#[test]
fn data_that_is_named_is_a_dataset_and_says_where_epochs_end_and_what_goes_in() {
    let ((), run, tracker) = one_run_of(|| {
        let (inputs, labels) = data();
        let varmap = VarMap::new();
        let model = model(&varmap);
        let mut optimizer = AdamW::new(varmap.all_vars(), params()).unwrap();
        optimizer.data("sixty", &inputs, &labels);
        for (x, y) in batches(&inputs, &labels).into_iter().cycle().take(7) {
            let loss = loss::nll(&model.log_probabilities(&x).unwrap(), &y).unwrap();
            optimizer.backward_step(&loss).unwrap();
        }
    });
    let input = &run.inputs.datasets[0];
    assert_eq!((&*input.dataset.name, &*input.dataset.digest), ("sixty", "ddbb5cb7"));
    assert_eq!(values(&tracker, &run, "epoch"), [(3, 1.0), (6, 2.0)]);
    let files = tracker.load_model(&format!("models:/{}", run.outputs[0].model_id)).unwrap();
    let signature = files.mlmodel().signature().unwrap().unwrap();
    let text = |schema: Option<runlog_core::model::Schema>| schema.unwrap().to_json().unwrap();
    assert_eq!(
        [text(signature.inputs), text(signature.outputs)],
        [
            r#"[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 4]}}]"#,
            r#"[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}]"#,
        ]
    );
}

/// What the user logs belongs to the training's run: candle knows nothing of validation.
#[test]
fn metrics_of_the_users_own_land_in_the_trainings_run() {
    let ((), run, tracker) = one_run_of(|| {
        let (inputs, labels) = data();
        let varmap = VarMap::new();
        let model = model(&varmap);
        let mut optimizer = AdamW::new(varmap.all_vars(), params()).unwrap();
        for epoch in 1..=2 {
            for (x, y) in batches(&inputs, &labels) {
                let loss = loss::nll(&model.log_probabilities(&x).unwrap(), &y).unwrap();
                optimizer.backward_step(&loss).unwrap();
            }
            fluent::log_metric("val_accuracy", 0.5 * f64::from(epoch), epoch);
        }
        assert_eq!(optimizer.run().unwrap().run_id(), fluent::active_run().unwrap().run_id());
    });
    assert_eq!(values(&tracker, &run, "val_accuracy"), [(1, 0.5), (2, 1.0)]);
    assert_eq!(run.info.status, RunStatus::Finished);
}

#[test]
fn a_run_of_the_users_is_joined_and_not_ended() {
    let ((), run) = one_run(|| {
        let run = fluent::start_run("mine").unwrap();
        train().unwrap();
        let seen = fluent::get_run(run.run_id()).unwrap();
        assert_eq!(seen.info.status, RunStatus::Running);
        run.finish().unwrap();
    });
    assert_eq!((run.info.run_name.as_str(), run.info.status), ("mine", RunStatus::Finished));
    assert_eq!(run.tag("mlflow.autologging"), None);
    assert_eq!((run.metric("steps"), run.outputs.len()), (Some(6.0), 1));
}

/// The optimizer is dropped at the end of the function, after the user has finished the run.
#[test]
fn a_run_of_the_users_that_ended_before_the_optimizer_still_gets_the_model() {
    let ((), run) = one_run(|| {
        let (inputs, labels) = data();
        let varmap = VarMap::new();
        let model = model(&varmap);
        let mut optimizer = AdamW::new(varmap.all_vars(), params()).unwrap();
        let run = fluent::start_run("mine").unwrap();
        let loss = loss::nll(&model.log_probabilities(&inputs).unwrap(), &labels).unwrap();
        optimizer.backward_step(&loss).unwrap();
        run.finish().unwrap();
    });
    assert_eq!((run.info.status, run.outputs.len()), (RunStatus::Finished, 1));
}

#[test]
fn nothing_is_recorded_before_the_first_step() {
    let ((), runs) = recorded(|| {
        let varmap = VarMap::new();
        let _model = model(&varmap);
        let optimizer = AdamW::new(varmap.all_vars(), params()).unwrap();
        let _epoch = optimizer.epoch();
        drop(optimizer);
    });
    assert!(runs.is_empty());
}

/// candle's `?` leaves a function unseen, but not an error that came through the optimizer or a loss function.
#[test]
fn an_error_of_the_loss_or_the_step_that_ends_the_training_fails_its_run() {
    let failing = |fault: fn(&mut AdamW, &VarMap, &Tensor) -> Result<()>| {
        let (error, run) = one_run(|| {
            let (inputs, labels) = data();
            let varmap = VarMap::new();
            let model = model(&varmap);
            let mut optimizer = AdamW::new(varmap.all_vars(), params()).unwrap();
            let _epoch = optimizer.epoch();
            let output = model.log_probabilities(&inputs).unwrap();
            optimizer.backward_step(&loss::nll(&output, &labels).unwrap()).unwrap();
            fault(&mut optimizer, &varmap, &output).unwrap_err()
        });
        assert_eq!(run.info.status, RunStatus::Failed);
        assert_eq!(run.tag("runlog.ended_by"), Some(&*said(&error)));
        assert!(run.outputs.is_empty() && run.metric("train_loss_epoch").is_none());
    };
    failing(|_, _, output| loss::nll(output, output).map(drop));
    failing(|optimizer, varmap, output| {
        let mut gradients = output.sum_all()?.backward()?;
        gradients.insert(varmap.data().lock().unwrap()["output.bias"].as_tensor(), output.clone());
        optimizer.step(&gradients)
    });
}

#[test]
fn an_error_that_was_handled_fails_nothing() {
    let ((), run) = one_run(|| {
        let (inputs, labels) = data();
        let varmap = VarMap::new();
        let model = model(&varmap);
        let mut optimizer = AdamW::new(varmap.all_vars(), params()).unwrap();
        let output = model.log_probabilities(&inputs).unwrap();
        loss::nll(&output, &output).unwrap_err();
        optimizer.backward_step(&loss::nll(&output, &labels).unwrap()).unwrap();
    });
    assert_eq!((run.info.status, run.outputs.len()), (RunStatus::Finished, 1));
}

/// A step that went well shows that the error did, also where no loss function was called for it.
#[test]
fn an_error_that_was_handled_before_a_step_fails_nothing() {
    let ((), run) = one_run(|| {
        let (inputs, labels) = data();
        let varmap = VarMap::new();
        let model = model(&varmap);
        let mut optimizer = AdamW::new(varmap.all_vars(), params()).unwrap();
        let _epoch = optimizer.epoch();
        let output = model.log_probabilities(&inputs).unwrap();
        let gradients = loss::nll(&output, &labels).unwrap().backward().unwrap();
        loss::nll(&output, &output).unwrap_err();
        optimizer.step(&gradients).unwrap();
    });
    assert_eq!((run.info.status, run.outputs.len()), (RunStatus::Finished, 1));
    assert_eq!(run.metric("epochs"), Some(1.0));
}

#[test]
fn a_panic_goes_on_and_fails_the_run() {
    let (result, run) = one_run(|| {
        catch_unwind(AssertUnwindSafe(|| {
            let (inputs, labels) = data();
            let varmap = VarMap::new();
            let model = model(&varmap);
            let mut optimizer = AdamW::new(varmap.all_vars(), params()).unwrap();
            let _epoch = optimizer.epoch();
            let loss = loss::nll(&model.log_probabilities(&inputs).unwrap(), &labels).unwrap();
            optimizer.backward_step(&loss).unwrap();
            panic!("out of ideas");
        }))
    });
    assert!(result.is_err(), "the panic reaches the caller");
    assert_eq!(run.info.status, RunStatus::Failed);
    assert!(run.tag("runlog.ended_by").unwrap().contains("out of ideas"));
    assert!(run.outputs.is_empty() && run.metric("train_loss_epoch").is_none());
}

/// A third party's, with a constructor of its own.
#[derive(Debug)]
struct Momentum {
    vars: Vec<Var>,
    rate: f64,
}

impl Momentum {
    fn nesterov(vars: Vec<Var>) -> Self {
        Self { vars, rate: 0.25 }
    }

    fn vars(&self) -> usize {
        self.vars.len()
    }
}

impl Optimizer for Momentum {
    type Config = (f64, bool);

    fn new(vars: Vec<Var>, (rate, _): Self::Config) -> Result<Self> {
        Ok(Self { vars, rate })
    }

    fn step(&mut self, grads: &GradStore) -> Result<()> {
        self.vars
            .iter()
            .filter_map(|var| Some((var, grads.get(var)?)))
            .try_for_each(|(var, grad)| var.set(&var.sub(&(grad * self.rate)?)?))
    }

    fn learning_rate(&self) -> f64 {
        self.rate
    }

    fn set_learning_rate(&mut self, rate: f64) {
        self.rate = rate;
    }
}

/// Code that knows only candle's trait.
fn fit<O: Optimizer>(optimizer: &mut O, varmap: &VarMap) -> Result<()> {
    let (inputs, labels) = data();
    let model = crate::Mlp::new(VarBuilder::from_varmap(varmap, DType::F32, &Device::Cpu))?;
    optimizer.backward_step(&loss::cross_entropy(&model.forward(&inputs)?, &labels)?)
}

#[test]
fn any_optimizer_is_recorded_also_in_code_that_is_generic_over_it() {
    let varmap = || {
        let varmap = VarMap::new();
        model(&varmap);
        varmap
    };
    let ((), by_type) = one_run(|| {
        let varmap = varmap();
        let mut optimizer = Autolog::<Momentum>::new(varmap.all_vars(), (0.25, true)).unwrap();
        assert_eq!(optimizer.vars(), 4, "its own methods are there");
        fit(&mut optimizer, &varmap).unwrap();
    });
    let ((), by_value) = one_run(|| {
        let varmap = varmap();
        let mut optimizer = Autolog::from(Momentum::nesterov(varmap.all_vars()));
        optimizer.weights(&varmap);
        fit(&mut optimizer, &varmap).unwrap();
    });
    for run in [by_type, by_value] {
        let params = ["optimizer_name", "lr", "loss_function", "total_params"];
        let said: Vec<_> = params.iter().map(|key| run.param(key).unwrap()).collect();
        assert_eq!(said, ["Momentum", "0.25", "cross_entropy", "67"]);
        assert_eq!((run.metric("learning_rate"), run.outputs.len()), (Some(0.25), 1));
    }
}

#[test]
fn everything_that_candles_own_optimizers_have_is_there() {
    let ((), run) = one_run(|| {
        let varmap = VarMap::new();
        let model = model(&varmap);
        let (inputs, labels) = data();
        let mut adam = AdamW::new_lr(varmap.all_vars(), 0.125).unwrap();
        assert_eq!(adam.params().beta1.to_bits(), 0.9_f64.to_bits());
        adam.set_params(params());
        adam.backward_step(&loss::nll(&model.log_probabilities(&inputs).unwrap(), &labels).unwrap()).unwrap();
        drop(adam);
        let mut sgd = SGD::empty(0.5).unwrap();
        varmap.all_vars().iter().for_each(|var| sgd.push(var));
        let vars = varmap.all_vars();
        let sgd_of_some = SGD::from_slice(&vars.iter().take(1).collect::<Vec<_>>(), 0.5).unwrap();
        assert_eq!((sgd.into_inner().len(), sgd_of_some.into_inner().len()), (4, 1));
    });
    assert_eq!(run.param("lr"), Some("0.01"));
}
