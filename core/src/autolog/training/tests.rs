//! Whose run a training gets, and how it ends, wherever and however often trainings go on.

use std::collections::HashMap;
use std::panic::catch_unwind;

use super::super::registry::configure;
use super::*;
use crate::config::Config;
use crate::entity::{Param, Run};
use crate::error::Error;
use crate::fluent::with_tracker;
use crate::model::ModelSpec;
use crate::store::RunQuery;
use crate::tracker::Tracker;

fn tracker() -> Tracker {
    Tracker::with_config(Some("memory:"), Config::from_map(&HashMap::new()).unwrap()).unwrap()
}

fn integration(name: &'static str, options: AutologOptions) -> &'static Integration {
    let integration = Box::leak(Box::new(Integration::new(name, "0")));
    configure(integration, options.silent(true), ());
    integration
}

fn runs(tracker: &Tracker) -> Vec<Run> {
    tracker.search_runs(RunQuery::new().all_experiments()).unwrap()
}

#[test]
fn without_a_run_of_the_users_a_training_gets_one_that_is_tagged() {
    let tracker = tracker();
    let integration = integration("managed", AutologOptions::new().extra_tag("team", "vision"));
    with_tracker(&tracker, || {
        let training = Training::start(integration).unwrap();
        training.record("metrics", |run| run.log_metric("loss", 0.5, 1).wait());
        training.finish();
    });
    let runs = runs(&tracker);
    assert_eq!((runs.len(), runs[0].info.status), (1, RunStatus::Finished));
    assert_eq!((runs[0].tag(AUTOLOGGING), runs[0].tag("team")), (Some("managed"), Some("vision")));
    assert_eq!(runs[0].metric("loss"), Some(0.5));
}

#[test]
fn a_run_of_the_users_is_joined_and_never_ended_nor_tagged() {
    let tracker = tracker();
    let integration = integration("joined", AutologOptions::new().extra_tag("team", "vision"));
    let run = tracker.start_run("mine").unwrap();
    let training = Training::start(integration).unwrap();
    assert_eq!(training.run().run_id(), run.run_id());
    training.fail(&Error::invalid("the data is empty"));
    let mine = tracker.get_run(run.run_id()).unwrap();
    assert_eq!((mine.info.status, mine.tag(AUTOLOGGING), mine.tag("team")), (RunStatus::Running, None, None));
    run.finish().unwrap();
}

#[test]
fn an_exclusive_integration_records_nothing_beside_a_run_of_the_users() {
    let tracker = tracker();
    let integration = integration("exclusive", AutologOptions::new().exclusive(true));
    let run = tracker.start_run("mine").unwrap();
    assert!(Training::start(integration).is_none());
    run.finish().unwrap();
    with_tracker(&tracker, || Training::start(integration).unwrap().finish());
    assert_eq!(runs(&tracker).len(), 2);
}

#[test]
fn a_training_inside_another_is_part_of_it() {
    let tracker = tracker();
    let integration = integration("nested", AutologOptions::new());
    with_tracker(&tracker, || {
        let outer = Training::start(integration).unwrap();
        assert!(Training::start(integration).is_none());
        outer.finish();
        Training::start(integration).unwrap().finish();
    });
    assert_eq!(runs(&tracker).len(), 2);
}

#[test]
fn an_error_or_panic_in_an_adapter_ends_its_records_and_nothing_else() {
    let tracker = tracker();
    let integration = integration("failing", AutologOptions::new());
    with_tracker(&tracker, || {
        for fault in [|| Err(Error::invalid("ours")), || panic!("ours")] {
            let training = Training::start(integration).unwrap();
            training.record("before", |run| run.log_metric("before", 1.0, 0).wait());
            training.record("params", |_| fault());
            training.record("after", |run| run.log_metric("after", 1.0, 0).wait());
            training.finish();
        }
    });
    for run in runs(&tracker) {
        assert_eq!(run.info.status, RunStatus::Finished);
        assert_eq!((run.metric("before"), run.metric("after")), (Some(1.0), None));
    }
}

#[test]
fn a_panic_of_another_thread_is_told_by_its_payload_and_one_of_this_with_its_place() {
    let integration = integration("resumed", AutologOptions::new());
    let ended = |panics: fn()| {
        let tracker = tracker();
        with_tracker(&tracker, || {
            let training = Training::start(integration).unwrap();
            let payload = catch_unwind(panics).unwrap_err();
            training.panicked(&*payload);
        });
        runs(&tracker)[0].tag("runlog.ended_by").unwrap().to_owned()
    };
    let elsewhere = ended(|| std::panic::resume_unwind(Box::new("shapes differ".to_owned())));
    assert_eq!(elsewhere, "panicked: shapes differ");
    let here = ended(|| panic!("shapes differ"));
    assert!(here.contains("tests.rs") && here.ends_with("shapes differ"), "{here}");
}

#[test]
fn a_training_that_fails_or_panics_fails_its_run_with_the_reason() {
    let tracker = tracker();
    let integration = integration("failed", AutologOptions::new());
    with_tracker(&tracker, || {
        Training::start(integration).unwrap().fail(&Error::invalid("the data is empty"));
        catch_unwind(|| {
            let _training = Training::start(integration).unwrap();
            panic!("shapes differ");
        })
        .unwrap_err();
    });
    let ended: Vec<_> =
        runs(&tracker).iter().map(|run| run.tag("runlog.ended_by").unwrap().to_owned()).collect();
    assert!(ended.iter().any(|why| why == "the data is empty"));
    assert!(ended.iter().any(|why| why.contains("shapes differ")));
}

#[test]
fn trainings_that_are_open_at_once_share_a_run_which_the_last_one_ends() {
    let tracker = tracker();
    let integration = integration("open", AutologOptions::new());
    with_tracker(&tracker, || {
        let generator = Training::open(integration).unwrap();
        let critic = Training::open(integration).unwrap();
        assert_eq!((generator.part(), critic.part()), (1, 2));
        assert_eq!(generator.run().run_id(), critic.run().run_id());
        critic.fail(&Error::invalid("diverged"));
        assert_eq!(runs(&tracker)[0].info.status, RunStatus::Running);
        generator.finish();
        Training::open(integration).unwrap().finish();
    });
    let mut ended: Vec<_> = runs(&tracker).iter().map(|run| run.info.status).collect();
    ended.sort_by_key(|status| *status as u8);
    assert_eq!(ended, [RunStatus::Finished, RunStatus::Failed]);
}

#[test]
fn of_trainings_that_share_a_run_the_first_that_goes_wrong_says_how_it_ends() {
    let tracker = tracker();
    let integration = integration("first wrong", AutologOptions::new());
    with_tracker(&tracker, || {
        let [first, second, third] = [(); 3].map(|()| Training::open(integration).unwrap());
        first.finish();
        second.kill("the user has seen enough");
        third.fail(&Error::invalid("diverged"));
    });
    let run = &runs(&tracker)[0];
    assert_eq!(run.info.status, RunStatus::Killed);
    assert_eq!(run.tag("runlog.ended_by"), Some("the user has seen enough"));
}

#[test]
fn a_run_that_the_user_deleted_is_shared_by_no_further_training() {
    let tracker = tracker();
    let integration = integration("deleted", AutologOptions::new());
    with_tracker(&tracker, || {
        let first = Training::open(integration).unwrap();
        tracker.delete_run(first.run().run_id()).unwrap();
        let second = Training::open(integration).unwrap();
        assert_ne!(first.run().run_id(), second.run().run_id());
    });
    assert_eq!(runs(&tracker).len(), 1, "the second one's, which is not deleted");
}

#[test]
fn an_open_training_keeps_no_call_from_being_observed_and_no_run_of_the_users_from_starting() {
    let tracker = tracker();
    let (open, call) =
        (integration("loop", AutologOptions::new()), integration("call", AutologOptions::new()));
    with_tracker(&tracker, || {
        let open = Training::open(open).unwrap();
        let call = Training::start(call).unwrap();
        assert_ne!(open.run().run_id(), call.run().run_id());
        call.finish();
        let users = fluent::start_run("mine").unwrap();
        assert!(tracker.get_run(users.run_id()).unwrap().tag("mlflow.parentRunId").is_none());
        users.finish().unwrap();
        assert_eq!(fluent::active_run().unwrap().run_id(), open.run().run_id());
        open.finish();
    });
    assert_eq!(runs(&tracker).len(), 3);
}

#[test]
fn of_steps_and_epochs_every_nth_is_wanted_counted_from_one() {
    let wanted = |every: usize| -> Vec<usize> {
        let integration =
            integration("every", AutologOptions::new().every_n_steps(every).every_n_epochs(every));
        let training = with_tracker(&tracker(), || Training::start(integration)).unwrap();
        let wanted: Vec<_> = (1..=7).filter(|step| training.wants_step(*step)).collect();
        assert_eq!(wanted, (1..=7).filter(|epoch| training.wants_epoch(*epoch)).collect::<Vec<_>>());
        training.record("anything", |_| Err(Error::invalid("ours")));
        assert!(!training.wants_step(every), "an adapter that failed wants nothing more");
        wanted
    };
    assert_eq!(wanted(1), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(wanted(3), [3, 6], "neither the first nor the last has a privilege");
    assert_eq!(wanted(0), [0; 0], "none");
}

#[test]
fn a_weak_recorder_tells_of_an_ended_training_as_long_as_the_tracker_is_open() {
    let tracker = tracker();
    let integration = integration("weak", AutologOptions::new());
    let weak = with_tracker(&tracker, || {
        let training = Training::start(integration).unwrap();
        let weak = training.downgrade();
        training.finish();
        weak
    });
    weak.upgrade().unwrap().record("later", |run| run.log_metric("later", 1.0, 0).wait());
    let run = tracker.get_run(weak.run_id()).unwrap();
    assert_eq!((run.metric("later"), run.info.status), (Some(1.0), RunStatus::Finished));
    weak.upgrade().unwrap().record("ours", |_| Err(Error::invalid("ours")));
    assert!(!weak.upgrade().unwrap().is_on(), "a failure is remembered");
    drop(tracker);
    assert!(weak.upgrade().is_none());
}

#[test]
fn what_is_not_to_be_logged_is_not_even_described() {
    let integration = integration("bare", AutologOptions::new().log_models(false).log_datasets(false));
    let tracker = tracker();
    with_tracker(&tracker, || {
        let training = Training::start(integration).unwrap();
        training.log_dataset("train", || panic!("described"));
        assert!(training.log_model(|_| panic!("described")).is_none() && training.is_on());
        training.finish();
    });
    assert_eq!((runs(&tracker)[0].inputs.datasets.len(), runs(&tracker)[0].outputs.len()), (0, 0));
}

#[test]
fn an_error_whose_text_panics_fails_the_run_all_the_same() {
    #[derive(Debug)]
    struct Wordless;
    impl std::fmt::Display for Wordless {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("no words")
        }
    }
    impl std::error::Error for Wordless {}
    let (tracker, integration) = (tracker(), integration("wordless", AutologOptions::new()));
    with_tracker(&tracker, || Training::start(integration).unwrap().fail(&Wordless));
    assert_eq!(runs(&tracker)[0].info.status, RunStatus::Failed);
}

#[test]
fn a_second_training_in_a_run_costs_the_run_nothing_and_its_model_has_its_own_params_and_points() {
    let (tracker, integration) = (tracker(), integration("twice", AutologOptions::new()));
    let run = tracker.start_run("mine").unwrap();
    run.log_param("seed", 1);
    let train = |depth: &str, score: f64| {
        let training = Training::start(integration).unwrap();
        training.log_params([("depth", depth), ("seed", "2")]);
        training.record("a point", |run| run.log_metric("before", score, 0).wait());
        let model = training.log_model(|_| Ok(ModelSpec::new("model").file("model.bin", []))).unwrap();
        training.record("a point", |run| run.log_metric("after", score, 0).wait());
        training.finish();
        model.model_id
    };
    let (first, second) = (train("3", 0.3), train("5", 0.5));
    run.log_metric("users", 0.9, 0);
    let mine = run.run_id().to_owned();
    run.finish().unwrap();
    let param =
        |params: &[Param], key: &str| params.iter().find(|param| param.key == key).unwrap().value.clone();
    let params = tracker.get_run(&mine).unwrap().data.params;
    assert_eq!((param(&params, "seed"), param(&params, "depth")), ("1".to_owned(), "3".to_owned()));
    let model = |id: &str| {
        let model = tracker.get_logged_model(id).unwrap();
        let points: Vec<_> = model.metrics.iter().map(|point| (point.key.clone(), point.value)).collect();
        (param(&model.params, "depth"), points)
    };
    let point = |key: &str, value: f64| (key.to_owned(), value);
    assert_eq!(model(&first), ("3".to_owned(), vec![point("after", 0.3), point("before", 0.3)]));
    let users = point("users", 0.9);
    assert_eq!(model(&second), ("5".to_owned(), vec![point("after", 0.5), point("before", 0.5), users]));
}
