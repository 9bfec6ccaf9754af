//! A store with something of everything that searches can be about.

use std::collections::HashMap;

use runlog::store::{Batch, Store};
use runlog::{Dataset, DatasetInput, Metric, ModelStatus, Param, RunStatus, Tag};
use runlog_core::{NewExperiment, NewLoggedModel, NewRun, RunChange};

/// What was put into a store, under numbers that are the same in every store.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) experiments: Vec<String>,
    runs: Vec<String>,
    models: Vec<String>,
    /// The number of each run and model.
    numbers: HashMap<String, usize>,
}

const RUNS: usize = 36;

/// Keys that need quotes, and some that one would expect to need them.
const KEYS: [&str; 18] = [
    "a/b",
    "a b",
    "a-b",
    "a:b",
    "a.b.c",
    "a.b",
    "1a",
    "12a",
    "1",
    "_x",
    "in",
    "from",
    "order",
    "desc",
    "ключ",
    "é",
    "in_channels",
    "sys/cpu",
];

/// Texts that are easily taken for something else.
const TEXTS: [&str; 24] = [
    "red",
    "blue",
    "Red",
    "it's",
    "it''s",
    " red",
    "tail ",
    "",
    "é",
    "É",
    "ключ",
    "a_b",
    "a%b",
    "a*b",
    "a?b",
    "[a]",
    "a\\b",
    "a\\",
    "a\nb",
    "say \"hi\"",
    "5",
    "RED",
    "axb",
    "%",
];

impl Content {
    /// Fills an empty store.
    pub(super) fn put_into(store: &dyn Store) -> Self {
        let mut content = Self {
            experiments: vec!["0".to_owned()],
            runs: Vec::new(),
            models: Vec::new(),
            numbers: HashMap::new(),
        };
        for (number, (name, team)) in
            [("vision", "red"), ("voice", "blue"), ("it's", "Red"), ("Été", ""), ("gone", "red")]
                .iter()
                .enumerate()
        {
            let tags = match number {
                3 => Vec::new(),
                _ => vec![Tag::new("team", *team), Tag::new("a/b", "slash")],
            };
            // Two of them were created at the same time.
            let creation_time = [1000, 2000, 2000, 3000, 2500][number];
            let new =
                NewExperiment { name: (*name).to_owned(), artifact_location: None, creation_time, tags };
            content.experiments.push(store.create_experiment(&new).unwrap());
        }
        for number in 0..RUNS {
            content.run(store, number);
        }
        for number in 0..12 {
            content.model(store, number);
        }
        for (number, run_id) in content.runs.iter().enumerate().filter(|(number, _)| number % 9 == 8) {
            store.delete_run(run_id, 1_700_000_100_000 + i64::try_from(number).unwrap()).unwrap();
        }
        store.delete_logged_model(&content.models[11], 9000).unwrap();
        store.delete_experiment(&content.experiments[5], 9000).unwrap();
        content
    }

    fn run(&mut self, store: &dyn Store, number: usize) {
        let time = 1_700_000_000_000 + 1000 * i64::try_from(number).unwrap();
        let new = NewRun {
            experiment_id: self.experiments[1 + number % 2].clone(),
            run_name: if number == 7 { "it's".to_owned() } else { format!("run-{number}") },
            user_id: ["ada", "bob", "bea"][number % 3].to_owned(),
            start_time: time,
            tags: vec![Tag::new("team", TEXTS[(number * 5) % TEXTS.len()])],
        };
        let run_id = store.create_run(&new).unwrap().info.run_id;
        let step = i64::try_from(number % 5).unwrap();
        let tenth = f64::from(u32::try_from(number * 7 % 10).unwrap()) / 10.0;
        let mut batch = Batch::default();
        let mut metric = |key: &str, value| batch.metrics.push(Metric::new(key, value, time, step));
        if number % 11 != 10 {
            metric("loss", 1.0);
            batch.metrics.push(Metric::new("loss", tenth, time, step + 1));
        }
        let mut metric = |key: &str, value| batch.metrics.push(Metric::new(key, value, time, step));
        metric("acc", 1.0 - tenth);
        metric("step", f64::from(u32::try_from(number % 6).unwrap()));
        metric("nan", if number.is_multiple_of(3) { f64::NAN } else { tenth - 0.3 });
        match number % 4 {
            0 => metric("mixed", f64::NAN),
            1 => metric("mixed", -tenth),
            2 => metric("mixed", tenth),
            _ => {}
        }
        match number % 6 {
            0 => metric("big", f64::INFINITY),
            1 => metric("big", f64::NEG_INFINITY),
            _ => metric("big", 1.5),
        }
        if number % 4 == 1 {
            for key in KEYS {
                metric(key, tenth);
            }
        }
        let mut param = |key: &str, value: &str| batch.params.push(Param::new(key, value));
        if number % 8 != 7 {
            param("team", TEXTS[number % TEXTS.len()]);
        }
        match number % 3 {
            0 => param("opt", "adam"),
            1 => param("opt", "sgd"),
            _ => {}
        }
        param("num", ["9", "10", "2", "-1"][number % 4]);
        if number % 5 == 2 {
            param("a b", "space");
            param("a/b", "slash");
            param("a.b.c", "dots");
            param("it's", "quote");
            param("a\"b", "quote");
        }
        store.log_batch(&run_id, &batch).unwrap();
        let inputs = [
            DatasetInput::new(Dataset::new("iris", "d1"), "train"),
            DatasetInput::new(Dataset::new("wine", "d2"), "eval"),
            DatasetInput::new(Dataset::new("it's", "d3"), "test"),
        ];
        let of_run: Vec<_> = inputs
            .into_iter()
            .enumerate()
            .filter(|(place, _)| number & (1 << place) != 0)
            .map(|(_, input)| input)
            .collect();
        store.log_inputs(&run_id, &of_run, &[]).unwrap();
        let status = [
            RunStatus::Finished,
            RunStatus::Failed,
            RunStatus::Killed,
            RunStatus::Scheduled,
            RunStatus::Running,
        ][number % 5];
        let end_time = status.is_terminal().then_some(time + 500);
        store.update_run(&run_id, &RunChange { status: Some(status), end_time, run_name: None }).unwrap();
        if number == 9 {
            store.delete_tag(&run_id, "mlflow.runName").unwrap();
        }
        self.numbers.insert(run_id.clone(), number);
        self.runs.push(run_id);
    }

    fn model(&mut self, store: &dyn Store, number: usize) {
        let time = 500 * i64::try_from(number).unwrap();
        let run_id = &self.runs[number];
        let new = NewLoggedModel {
            experiment_id: self.experiments[1 + number % 2].clone(),
            name: ["net", "tree", "Net", "nest"][number % 4].to_owned(),
            model_type: ["agent", "tree", ""].get(number % 4).map(|text| (*text).to_owned()),
            source_run_id: (!number.is_multiple_of(3)).then(|| run_id.clone()),
            creation_timestamp: time,
            params: vec![
                Param::new("team", ["red", "blue", "5", "it's"][number % 4]),
                Param::new("lr", ["0.1", "0.2"][number % 2]),
                Param::new("a b", "x"),
            ],
            tags: if number % 5 == 4 {
                Vec::new()
            } else {
                vec![Tag::new("team", ["red", "Red"][number % 2])]
            },
        };
        let model_id = store.create_logged_model(&new).unwrap().model_id;
        let tenth = f64::from(u32::try_from(number * 3 % 10).unwrap()) / 10.0;
        let on = |key: &str, value, at: i64, dataset: Option<(&str, &str)>| {
            let point = Metric::new(key, value, time + at, at).for_model(&model_id);
            match dataset {
                Some((name, digest)) => point.on_dataset(name, digest),
                None => point,
            }
        };
        let mut metrics =
            vec![on("loss", 1.0 - tenth, 1, None), on("a/b", tenth, 1, None), on("a b", tenth, 1, None)];
        if number % 6 != 5 {
            metrics.push(on("acc", tenth, 2, Some(("iris", "d1"))));
            metrics.push(on("acc", 1.0 - tenth, 1, Some(("wine", "d2"))));
        }
        if number % 4 == 3 {
            metrics.push(on("acc", 0.5, 3, Some(("iris", "d9"))));
        }
        store.log_batch(run_id, &Batch { metrics, ..Batch::default() }).unwrap();
        match number % 3 {
            0 => drop(store.finalize_logged_model(&model_id, ModelStatus::Ready, time + 300).unwrap()),
            1 => drop(store.finalize_logged_model(&model_id, ModelStatus::Failed, time + 100).unwrap()),
            _ => {}
        }
        self.numbers.insert(model_id.clone(), number);
        self.models.push(model_id);
    }

    /// `text` with the ids of this store where it names runs and models by number: `{run 3}`, `{model 2}`.
    pub(super) fn with_ids(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (what, ids) in [("run", &self.runs), ("model", &self.models)] {
            for (number, id) in ids.iter().enumerate() {
                text = text.replace(&format!("{{{what} {number}}}"), id);
            }
        }
        text
    }

    /// The number of an id, or the id itself where stores give the same.
    pub(super) fn label(&self, id: &str) -> String {
        self.numbers.get(id).map_or_else(|| id.to_owned(), ToString::to_string)
    }
}
