//! Several optimizers, several threads.

use burn::optim::AdamConfig;
use runlog_burn::{Autolog, LogAs};
use runlog_core::RunStatus;

use super::setup::*;

#[test]
fn optimizers_that_live_at_once_share_a_run_and_keep_apart() {
    let (models, run, tracker) = one_run(|| {
        let (mut one, mut two) = (Net::new(&device()), Net::new(&device()));
        let config = AdamConfig::new();
        let mut first = config.init().autolog().config(&config);
        let mut second = config.init().autolog().config(&config.clone().with_beta_1(0.5));
        for batch in 0..2 {
            let grads = one.gradients(&one.loss(batch).log_as("critic_loss"));
            one = first.step(0.1, one, grads);
            let grads = two.gradients(&two.loss(batch).log_as("generator_loss"));
            two = second.step(0.2, two, grads);
        }
        let models = [first.log_model(&one).unwrap(), second.log_model(&two).unwrap()];
        drop(first);
        let grads = two.gradients(&two.loss(0));
        second.step(0.2, two, grads);
        models
    });
    assert_eq!(run.info.status, RunStatus::Finished);
    for key in ["critic_loss", "generator_loss"] {
        assert_eq!(history(&tracker, &run, key).iter().map(|(step, _)| *step).collect::<Vec<_>>(), [1, 2]);
    }
    assert_eq!(history(&tracker, &run, "learning_rate"), [(1, 0.1), (2, 0.1)]);
    assert_eq!(history(&tracker, &run, "learning_rate-2"), [(1, 0.2), (2, 0.2), (3, 0.2)]);
    assert_eq!((run.param("beta_1"), run.param("beta_1-2")), (Some("0.9"), Some("0.5")));
    assert_eq!(models.map(|model| model.name), ["model", "model-2"]);
}

#[test]
fn optimizers_one_after_the_other_are_two_runs() {
    let ((), runs, _) = recorded_in("memory:", || {
        for _ in 0..2 {
            let model = Net::new(&device());
            let mut optim = AdamConfig::new().init().autolog();
            let grads = model.gradients(&model.loss(0));
            optim.step(RATE, model, grads);
        }
    });
    assert_eq!(runs.len(), 2);
}
