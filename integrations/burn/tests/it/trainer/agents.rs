//! Reinforcement learning: an agent that learns to walk to the right.

use burn::module::{Module, Param};
use burn::rl::{
    Batchable, Environment, LearnerTransitionBatch, Policy, PolicyLearner, PolicyState, RLTrainOutput,
    SliceAccess, StepResult, ToAction, ToObservation,
};
use burn::store::ModuleRecord;
use burn::tensor::{Device, ExecutionError, Int, Tensor};
use burn::train::metric::{Adaptor, CumulativeRewardMetric, EpisodeLengthMetric, LossInput, LossMetric};
use burn::train::{ItemLazy, OffPolicyConfig, RLResult, RLStrategies};
use runlog_burn::Autolog;
use runlog_burn::train::RLTraining;
use runlog_core::RunStatus;

use super::setup::*;

/// A step to the right or to the left, on a line of five places. It ends on the right.
#[derive(Clone)]
struct Line(usize);

#[derive(Clone)]
struct Place(usize);

#[derive(Clone)]
struct Step(bool);

impl Environment for Line {
    type State = Place;
    type Action = Step;

    const MAX_STEPS: usize = 8;

    fn state(&self) -> Place {
        Place(self.0)
    }

    fn step(&mut self, Step(right): Step) -> StepResult<Place> {
        self.0 = if right { self.0 + 1 } else { self.0.saturating_sub(1) };
        StepResult { next_state: Place(self.0), reward: 1.0, done: self.0 >= 4, truncated: false }
    }

    fn reset(&mut self) {
        self.0 = 0;
    }
}

/// Rows of numbers: what the policy sees, and does.
#[derive(Clone)]
struct Rows(Tensor<2>);

impl Batchable for Rows {
    fn batch(rows: Vec<Self>) -> Self {
        Self(Tensor::cat(rows.into_iter().map(|rows| rows.0).collect(), 0))
    }

    fn unbatch(self) -> Vec<Self> {
        self.0.split(1, 0).into_iter().map(Self).collect()
    }
}

impl SliceAccess for Rows {
    fn zeros_like(sample: &Self, capacity: usize, device: &Device) -> Self {
        Self(SliceAccess::zeros_like(&sample.0, capacity, device))
    }

    fn select(self, dim: usize, indices: Tensor<1, Int>) -> Self {
        Self(SliceAccess::select(self.0, dim, indices))
    }

    fn slice_assign_inplace(&mut self, index: usize, value: Self) {
        SliceAccess::slice_assign_inplace(&mut self.0, index, value.0);
    }
}

impl ToObservation<Rows> for Place {
    fn to_observation(&self, device: &Device) -> Rows {
        Rows(Tensor::<2, Int>::from_data([[i64::try_from(self.0).unwrap()]], device).float())
    }
}

impl ToAction<Rows> for Step {
    fn to_action(&self, device: &Device) -> Rows {
        Rows(Tensor::from_data([[f32::from(u8::from(self.0))]], device))
    }
}

impl From<Rows> for Step {
    fn from(rows: Rows) -> Self {
        Self(rows.0.into_data().try_to_vec_as::<f32>().unwrap()[0] > 0.5)
    }
}

/// Goes right where the sum of the place and its weight is positive.
#[derive(Module, Debug)]
struct Walk {
    weight: Param<Tensor<2>>,
}

#[derive(Clone)]
struct Walker(Walk);

#[derive(Clone)]
struct Weights(Walk);

impl PolicyState for Weights {
    type Record = ModuleRecord;

    fn into_record(self) -> ModuleRecord {
        self.0.into_record()
    }

    fn load_record(&self, record: ModuleRecord) -> Self {
        Self(self.0.clone().load_record(record))
    }
}

#[derive(Clone)]
struct Nothing;

impl ItemLazy for Nothing {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}

impl Policy for Walker {
    type Observation = Rows;
    type ActionDistribution = Rows;
    type Action = Rows;
    type ActionContext = Nothing;
    type PolicyState = Weights;

    fn forward(&mut self, places: Rows) -> Rows {
        let rows = places.0.dims()[0];
        Rows(places.0 + self.0.weight.val().repeat_dim(0, rows))
    }

    fn action(&mut self, places: Rows, _deterministic: bool) -> (Rows, Vec<Nothing>) {
        let actions = self.forward(places).0.greater_scalar(0.0).float();
        let rows = actions.dims()[0];
        (Rows(actions), vec![Nothing; rows])
    }

    fn update(&mut self, weights: Weights) {
        self.0 = weights.0;
    }

    fn state(&self) -> Weights {
        Weights(self.0.clone())
    }

    fn to_device(self, device: &Device) -> Self {
        Self(self.0.to_device(device))
    }

    fn load_record(self, record: ModuleRecord) -> Self {
        Self(self.0.load_record(record))
    }
}

#[derive(Clone)]
struct Lesson(Tensor<1>);

impl ItemLazy for Lesson {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}

impl Adaptor<LossInput> for Lesson {
    fn adapt(&self) -> LossInput {
        LossInput::new(self.0.clone())
    }
}

/// Each lesson adds a little to the weight.
#[derive(Clone)]
struct Teacher(Walker);

impl PolicyLearner for Teacher {
    type TrainContext = Lesson;
    type InnerPolicy = Walker;
    type Record = ModuleRecord;

    fn train(&mut self, _batch: LearnerTransitionBatch<Walker>) -> RLTrainOutput<Lesson, Weights> {
        let walk = self.0.0.clone();
        let weight = walk.weight.map(|weight| weight + 0.25);
        let loss = weight.val().neg().reshape([1]);
        self.0 = Walker(Walk { weight });
        RLTrainOutput { policy: self.0.state(), item: Lesson(loss) }
    }

    fn policy(&self) -> Walker {
        self.0.clone()
    }

    fn update_policy(&mut self, update: Walker) {
        self.0 = update;
    }

    fn record(&self) -> ModuleRecord {
        self.0.0.clone().into_record()
    }

    fn load_record(self, record: ModuleRecord) -> Self {
        Self(self.0.load_record(record))
    }

    fn device(&self) -> Device {
        Device::flex()
    }
}

fn teacher() -> Teacher {
    Teacher(Walker(Walk { weight: Param::from_tensor(Tensor::from_data([[-1.0]], &Device::flex())) }))
}

const STEPS: usize = 60;

fn strategy<RLC: burn::train::RLComponentsTypes>() -> RLStrategies<RLC> {
    let config = OffPolicyConfig::new().with_train_batch_size(8).with_eval_interval(20).with_eval_episodes(2);
    RLStrategies::OffPolicyStrategy(config)
}

fn weight(result: &RLResult<Walker>) -> f32 {
    result.policy.0.weight.val().into_data().try_to_vec_as::<f32>().unwrap()[0]
}

#[test]
fn an_agents_training_is_recorded_over_the_steps_of_its_environment() {
    let dir = tempfile::tempdir().unwrap();
    let alone = tempfile::tempdir().unwrap();
    let plain = burn::train::RLTraining::new(alone.path(), || Line(0))
        .with_application_logger(None)
        .metrics_train((LossMetric::new(),))
        .with_learning_strategy(strategy())
        .with_inference_device(Device::flex())
        .num_steps(STEPS)
        .launch(teacher());
    let (result, run, tracker) = one_run(|| {
        RLTraining::new(dir.path(), || Line(0))
            .with_application_logger(None)
            .metrics_train((LossMetric::new(),))
            .metrics_episode((CumulativeRewardMetric::new(), EpisodeLengthMetric::new()))
            .with_learning_strategy(strategy())
            .with_inference_device(Device::flex())
            .with_checkpointer()
            .num_steps(STEPS)
            .label("walk")
            .launch(teacher())
    });
    assert!(result.error.is_none(), "{:?}", result.error);
    assert_eq!(weight(&result).to_bits(), weight(&plain).to_bits());
    assert_eq!((run.info.status, run.tag("label")), (RunStatus::Finished, Some("walk")));
    for (param, value) in [
        ("environment_steps", "60"),
        ("strategy", "OffPolicy"),
        ("eval_episodes", "2"),
        ("train_batch_size", "8"),
    ] {
        assert_eq!(run.param(param), Some(value), "{param}");
    }
    let losses = history(&tracker, &run, "train_loss");
    assert_eq!(losses.first().map(|(step, _)| *step), Some(1), "by the steps of the optimizer: {losses:?}");
    let lengths = history(&tracker, &run, "train_episode_length");
    assert!(!lengths.is_empty() && lengths.iter().all(|(step, _)| (1..=60).contains(step)), "{lengths:?}");
    let evaluated = history(&tracker, &run, "valid_cum_reward");
    assert_eq!(
        evaluated.iter().map(|(step, _)| *step).collect::<Vec<_>>(),
        [20, 40, 60],
        "one point an evaluation"
    );
    assert!(text(&tracker, &run, "metric_definitions.json").contains("cum_reward"));
    let stored = files(&tracker, &run);
    assert!(stored.iter().any(|file| file == "policy/policy.bpk"), "{stored:?}");
    assert!(stored.iter().any(|file| file.starts_with("checkpoints/global_step_60/")), "{stored:?}");
}

#[test]
fn burns_own_builder_is_recorded_with_autolog_and_an_interrupted_one_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (_, run, _) = one_run(|| {
        let training = burn::train::RLTraining::new(dir.path(), || Line(0))
            .with_application_logger(None)
            .with_learning_strategy(strategy())
            .num_steps(STEPS);
        training.interrupter().stop(Some("enough"));
        training.autolog().config(&serde_json::json!({"gamma": 0.99})).launch(teacher())
    });
    assert_eq!((run.info.status, run.param("gamma")), (RunStatus::Killed, Some("0.99")));
    assert_eq!(run.tag("runlog.ended_by"), Some("enough"));
}
