//! Checks of filters: which runs, experiments and models they select.

use super::{Check, fresh, new_experiment, of_metrics, of_params, of_tags, ok, refused, run_in};
use crate::entity::{
    Dataset, DatasetInput, Metric, ModelStatus, NewExperiment, NewLoggedModel, Param, RunChange, RunStatus,
    Tag,
};
use crate::error::ErrorKind;
use crate::store::{ExperimentQuery, ModelQuery, PageRequest, RunQuery, Store};

/// Every check of this file.
pub const CHECKS: &[Check] = &[
    a_metric_is_compared_by_its_latest_value,
    nan_is_different_from_every_number,
    text_is_compared_letter_by_letter,
    what_is_missing_matches_only_is_null,
    attributes_are_compared,
    ids_may_be_listed,
    any_dataset_of_a_run_will_do,
    all_conditions_must_hold,
    keys_with_other_characters_are_quoted,
    a_wrong_filter_is_refused_with_its_place,
    experiments_are_filtered,
    models_are_filtered,
    metrics_of_models_are_those_on_the_datasets,
];

/// Runs of one experiment, each known by its number.
struct Runs<'s> {
    store: &'s dyn Store,
    experiment_id: String,
    ids: Vec<String>,
}

impl<'s> Runs<'s> {
    fn new(store: &'s dyn Store, count: i64) -> Self {
        let experiment_id = new_experiment(store);
        let ids = (0..count).map(|time| run_in(store, &experiment_id, 10 * time).info.run_id).collect();
        Self { store, experiment_id, ids }
    }

    fn metric(&self, run: usize, key: &str, value: f64) {
        ok(self.store.log_batch(&self.ids[run], &of_metrics(vec![Metric::new(key, value, 1, 1)])));
    }

    fn param(&self, run: usize, key: &str, value: &str) {
        ok(self.store.log_batch(&self.ids[run], &of_params(vec![Param::new(key, value)])));
    }

    fn tag(&self, run: usize, key: &str, value: &str) {
        ok(self.store.log_batch(&self.ids[run], &of_tags(vec![Tag::new(key, value)])));
    }

    /// That `filter` finds these runs, by number, oldest first.
    #[track_caller]
    fn check(&self, filter: &str, expected: &[usize]) {
        let query = RunQuery::new().experiment_id(&self.experiment_id).filter(filter).order_by("start_time");
        let found = ok(self.store.search_runs(&query, &PageRequest::first(100))).items;
        let found: Vec<_> =
            found.iter().map(|run| self.ids.iter().position(|id| *id == run.info.run_id)).collect();
        assert_eq!(found, expected.iter().map(|run| Some(*run)).collect::<Vec<_>>(), "{filter}");
    }
}

/// With every operator; the value that was logged first does not count.
pub fn a_metric_is_compared_by_its_latest_value(store: &dyn Store) {
    let runs = Runs::new(store, 3);
    for (run, value) in [(0, 0.25), (1, 0.5), (2, 0.75)] {
        runs.metric(run, "loss", value);
        ok(store.log_batch(&runs.ids[run], &of_metrics(vec![Metric::new("loss", 9.0, 0, 0)])));
    }
    runs.check("metrics.loss < 0.5", &[0]);
    runs.check("metrics.loss <= 0.5", &[0, 1]);
    runs.check("metrics.loss > .5", &[2]);
    runs.check("metrics.loss >= 5e-1", &[1, 2]);
    runs.check("metrics.loss = 0.5", &[1]);
    runs.check("metric.loss != 0.5", &[0, 2]);
    runs.check("metrics.loss > -1", &[0, 1, 2]);
}

/// And equal to none, nor less, nor greater.
pub fn nan_is_different_from_every_number(store: &dyn Store) {
    let runs = Runs::new(store, 2);
    runs.metric(0, "loss", f64::NAN);
    runs.metric(1, "loss", 0.0);
    runs.check("metrics.loss != 0", &[0]);
    runs.check("metrics.loss != 1", &[0, 1]);
    runs.check("metrics.loss = 0", &[1]);
    runs.check("metrics.loss >= 0", &[1]);
    runs.check("metrics.loss < 1", &[1]);
}

/// `LIKE` too, while `ILIKE` does not care for the case of ASCII letters. Nothing in a text needs to be escaped.
pub fn text_is_compared_letter_by_letter(store: &dyn Store) {
    let runs = Runs::new(store, 5);
    for (run, value) in [(0, "adam"), (1, "Adam"), (2, "it's"), (3, "a_b%*[c]"), (4, "É")] {
        runs.param(run, "p", value);
        runs.tag(run, "t", value);
    }
    for name in ["params.p", "tags.t"] {
        runs.check(&format!("{name} = 'adam'"), &[0]);
        runs.check(&format!("{name} != \"adam\""), &[1, 2, 3, 4]);
        runs.check(&format!("{name} LIKE 'ad%'"), &[0]);
        runs.check(&format!("{name} ILIKE 'AD%'"), &[0, 1]);
        runs.check(&format!("{name} like '_dam'"), &[0, 1]);
        runs.check(&format!("{name} LIKE '%d%'"), &[0, 1]);
        runs.check(&format!("{name} = \"it's\""), &[2]);
        runs.check(&format!("{name} = 'it''s'"), &[]);
        runs.check(&format!("{name} LIKE '%*[c]'"), &[3]);
        runs.check(&format!("{name} LIKE '?dam'"), &[]);
        runs.check(&format!("{name} ILIKE 'é'"), &[]);
        runs.check(&format!("{name} LIKE '_'"), &[4]);
    }
}

/// Not even `!=` does.
pub fn what_is_missing_matches_only_is_null(store: &dyn Store) {
    let runs = Runs::new(store, 2);
    runs.param(0, "p", "x");
    runs.tag(0, "t", "x");
    runs.metric(0, "m", 1.0);
    for name in ["params.p", "tags.t"] {
        runs.check(&format!("{name} != 'y'"), &[0]);
        runs.check(&format!("{name} IS NULL"), &[1]);
        runs.check(&format!("{name} is not null"), &[0]);
    }
    runs.check("metrics.m != 2", &[0]);
    runs.check("end_time > 0", &[]);
}

/// Text and numbers; `run_name` is the tag of the name.
pub fn attributes_are_compared(store: &dyn Store) {
    let runs = Runs::new(store, 3);
    let ended = RunChange { status: Some(RunStatus::Finished), end_time: Some(15), run_name: None };
    ok(store.update_run(&runs.ids[1], &ended));
    runs.tag(2, "mlflow.runName", "renamed");
    runs.check("status = 'FINISHED'", &[1]);
    runs.check("attributes.status != 'FINISHED'", &[0, 2]);
    runs.check("start_time >= 10", &[1, 2]);
    runs.check("created < 10.5", &[0, 1]);
    runs.check("end_time <= 15", &[1]);
    runs.check("run_name = 'renamed'", &[2]);
    runs.check("`Run Name` LIKE 'brave-%'", &[0, 1]);
    runs.check("user_id = 'someone'", &[0, 1, 2]);
    runs.check("artifact_uri LIKE '%/artifacts'", &[0, 1, 2]);
}

/// Only those of runs.
pub fn ids_may_be_listed(store: &dyn Store) {
    let runs = Runs::new(store, 3);
    let [a, _, c] = &runs.ids[..] else { return };
    runs.check(&format!("run_id IN ('{a}', \"{c}\")"), &[0, 2]);
    runs.check(&format!("run_id NOT IN ('{a}')"), &[1, 2]);
    runs.check(&format!("run_id = '{c}'"), &[2]);
}

/// Two conditions need not be about the same one.
pub fn any_dataset_of_a_run_will_do(store: &dyn Store) {
    let runs = Runs::new(store, 3);
    let iris = DatasetInput::new(Dataset::new("iris", "d1"), "train");
    let wine = DatasetInput::new(Dataset::new("wine", "d2"), "eval");
    ok(store.log_inputs(&runs.ids[0], &[iris.clone(), wine.clone()], &[]));
    ok(store.log_inputs(&runs.ids[1], &[wine], &[]));
    runs.check("dataset.name = 'iris'", &[0]);
    runs.check("datasets.digest = 'd2'", &[0, 1]);
    runs.check("dataset.context LIKE 'ev%'", &[0, 1]);
    runs.check("dataset.name = 'iris' AND dataset.context = 'eval'", &[0]);
    runs.check("dataset.name != 'iris'", &[0, 1]);
    runs.check("dataset.name IN ('iris', 'other')", &[0]);
    runs.check("dataset.name NOT IN ('wine')", &[0]);
}

/// A trailing AND is tolerated.
pub fn all_conditions_must_hold(store: &dyn Store) {
    let runs = Runs::new(store, 3);
    for run in 0..3 {
        runs.metric(run, "loss", [0.1, 0.2, 0.3][run]);
        runs.param(run, "p", ["x", "y", "x"][run]);
    }
    runs.check("metrics.loss < 0.25 AND params.p = 'x'", &[0]);
    runs.check("metrics.loss > 0.1 and metrics.loss < 0.3\nAND params.p != 'x' AND", &[1]);
    runs.check("", &[0, 1, 2]);
}

/// In backticks or quotes, after the first dot.
pub fn keys_with_other_characters_are_quoted(store: &dyn Store) {
    let runs = Runs::new(store, 2);
    runs.metric(1, "val/loss", 0.5);
    runs.param(1, "model.layers.first", "3");
    runs.param(1, "two words", "x");
    runs.check("metrics.`val/loss` = 0.5", &[1]);
    runs.check("metrics.\"val/loss\" = 0.5", &[1]);
    runs.check("params.model.layers.first = '3'", &[1]);
    runs.check("params.'two words' = 'x'", &[1]);
}

/// And says what to write instead.
pub fn a_wrong_filter_is_refused_with_its_place(store: &dyn Store) {
    let wrong = [
        ("metrics.loss < '0.5'", "without quotes", "character 16"),
        ("params.lr = 5", "single quotes", "character 13"),
        ("metrics.a/b > 1", "backticks", "character 10"),
        ("metrics.loss < 1 OR metrics.loss > 2", "AND", "character 18"),
        ("metrics.loss LIKE 1", "<=", "`LIKE`"),
        ("loss < 1", "metrics.", "`loss`"),
        ("metrics.loss <", "number", "the end"),
        ("status IN ('FINISHED')", "LIKE", "`IN`"),
        ("x.y = 'z'", "metrics", "`x.y`"),
    ];
    let experiment_id = new_experiment(store);
    for (filter, advice, place) in wrong {
        let query = RunQuery::new().experiment_id(&experiment_id).filter(filter);
        let message = refused(store.search_runs(&query, &PageRequest::first(1)), ErrorKind::InvalidInput);
        assert!(message.contains(advice) && message.contains(place), "{filter}: {message}");
    }
    let filter = ExperimentQuery::new().filter("name ilike 'A%'");
    refused(store.search_experiments(&filter, &PageRequest::first(1)), ErrorKind::InvalidInput);
    let filter = ModelQuery::new().experiment_id(experiment_id).filter("metric.acc > 1");
    refused(store.search_logged_models(&filter, &PageRequest::first(1)), ErrorKind::InvalidInput);
}

/// By name, id, times and tags.
pub fn experiments_are_filtered(store: &dyn Store) {
    let mark = fresh("mark");
    let create = |creation_time, tags| {
        let new = NewExperiment {
            name: format!("{mark} {creation_time}"),
            creation_time,
            tags,
            artifact_location: None,
        };
        ok(store.create_experiment(&new))
    };
    let (old, new) = (create(10, vec![Tag::new("team", "Red")]), create(20, Vec::new()));
    let check = |filter: &str, expected: &[&str]| {
        let query = ExperimentQuery::new()
            .filter(format!("name LIKE '{mark}%' AND {filter}"))
            .order_by("creation_time");
        let found = ok(store.search_experiments(&query, &PageRequest::first(10))).items;
        let found: Vec<_> = found.iter().map(|experiment| experiment.experiment_id.as_str()).collect();
        assert_eq!(found, expected, "{filter}");
    };
    check("name = 'nothing'", &[]);
    check("creation_time > 10", &[&new]);
    check("attribute.last_update_time <= 10", &[&old]);
    check(&format!("experiment_id = '{old}'"), &[&old]);
    check(&format!("experiment_id IN ('{old}', '{new}')"), &[&old, &new]);
    check(&format!("experiment_id != '{old}'"), &[&new]);
    check("tags.team ILIKE 'r%'", &[&old]);
    check("tags.team LIKE 'r%'", &[]);
    check("tag.team IS NULL", &[&new]);
}

/// Any value of a metric will do; the status is its number.
pub fn models_are_filtered(store: &dyn Store) {
    let models = Models::new(store);
    models.check("name = 'net'", &[0]);
    models.check("name ILIKE 'N%'", &[0, 1]);
    models.check("metrics.acc > 0.8", &[1]);
    models.check("metrics.acc < 0.4", &[0, 1]);
    models.check("params.lr = '0.1'", &[0]);
    models.check("tags.team IN ('red', 'blue')", &[0]);
    models.check("status = '2'", &[1]);
    models.check("creation_timestamp >= 20", &[1]);
    models.check("model_type = 'agent' AND metrics.acc = 0.9", &[1]);
    models.check(&format!("model_id NOT IN ('{}')", models.ids[0]), &[1]);
}

/// Without a condition on a metric, any metric on one of the datasets will do.
pub fn metrics_of_models_are_those_on_the_datasets(store: &dyn Store) {
    let models = Models::new(store);
    let check = |datasets: &[(&str, Option<&str>)], filter: &str, expected: &[usize]| {
        let mut query = models.query(filter);
        for (name, digest) in datasets {
            query = query.dataset(*name, *digest);
        }
        models.check_query(&query, expected);
    };
    check(&[("iris", None)], "", &[0, 1]);
    check(&[("iris", Some("d2"))], "", &[1]);
    check(&[("iris", Some("d1"))], "metrics.acc > 0.8", &[]);
    check(&[("iris", Some("d1")), ("iris", Some("d2"))], "metrics.acc > 0.8", &[1]);
    check(&[("other", None)], "", &[]);
}

/// Two models of one experiment.
struct Models<'s> {
    store: &'s dyn Store,
    experiment_id: String,
    ids: Vec<String>,
}

impl<'s> Models<'s> {
    fn new(store: &'s dyn Store) -> Self {
        let experiment_id = new_experiment(store);
        let run_id = run_in(store, &experiment_id, 1).info.run_id;
        let create = |name: &str, creation_timestamp, tags: Vec<Tag>, lr: &str| {
            let new = NewLoggedModel {
                experiment_id: experiment_id.clone(),
                name: name.to_owned(),
                model_type: Some("agent".to_owned()),
                creation_timestamp,
                params: vec![Param::new("lr", lr)],
                tags,
                ..NewLoggedModel::default()
            };
            ok(store.create_logged_model(&new)).model_id
        };
        let ids = vec![
            create("net", 10, vec![Tag::new("team", "red")], "0.1"),
            create("Net", 20, Vec::new(), "0.2"),
        ];
        ok(store.finalize_logged_model(&ids[1], ModelStatus::Ready, 30));
        let point = |model: usize, value, at, digest| {
            Metric::new("acc", value, at, at).for_model(&ids[model]).on_dataset("iris", digest)
        };
        let points = vec![point(0, 0.3, 1, "d1"), point(1, 0.3, 2, "d1"), point(1, 0.9, 3, "d2")];
        ok(store.log_batch(&run_id, &of_metrics(points)));
        Self { store, experiment_id, ids }
    }

    fn query(&self, filter: &str) -> ModelQuery {
        ModelQuery::new().experiment_id(&self.experiment_id).filter(filter).order_by("creation_timestamp")
    }

    #[track_caller]
    fn check(&self, filter: &str, expected: &[usize]) {
        self.check_query(&self.query(filter), expected);
    }

    #[track_caller]
    fn check_query(&self, query: &ModelQuery, expected: &[usize]) {
        let found = ok(self.store.search_logged_models(query, &PageRequest::first(10))).items;
        let found: Vec<_> =
            found.iter().map(|model| self.ids.iter().position(|id| *id == model.model_id)).collect();
        assert_eq!(found, expected.iter().map(|model| Some(*model)).collect::<Vec<_>>(), "{query:?}");
    }
}
