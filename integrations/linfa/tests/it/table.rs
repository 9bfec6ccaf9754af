//! The table of `docs/linfa.md`: every algorithm of linfa, fitted for real, recorded, saved, and loaded by another
//! process, where it must predict the same bits.

mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use runlog_core::{Run, RunStatus};
use runlog_linfa::{LoadModel, load_model};

use crate::recorded_in;

/// What a model predicts.
type Bits = Vec<u64>;

/// Loads a model from a folder, and predicts.
type Load = Box<dyn Fn(&Path) -> Bits>;

/// One algorithm.
struct Row {
    package: &'static str,
    algorithm: &'static str,
    /// Runs it below this directory.
    fit: Box<dyn Fn(&Path) -> Fitted>,
    load: Option<Load>,
    /// Why there is no model, where the run cannot tell.
    why: &'static str,
}

struct Fitted {
    /// `None` if it is not recorded.
    run: Option<Run>,
    bits: Bits,
    /// The folder of the model, if it was saved.
    folder: Option<PathBuf>,
}

/// A fit whose model is loaded as an `L`, which must predict as it does.
fn loaded_as<M: 'static, L: LoadModel + 'static>(
    (package, algorithm): (&'static str, &'static str),
    fit: fn() -> M,
    fitted: fn(&M) -> Bits,
    loaded: fn(&L) -> Bits,
) -> Row {
    let load = move |folder: &Path| loaded(&load_model::<L>(folder).unwrap());
    Row { load: Some(Box::new(load)), ..unsaved((package, algorithm), "", fit, fitted) }
}

fn saved<M: LoadModel + 'static>(
    names: (&'static str, &'static str),
    fit: fn() -> M,
    predict: fn(&M) -> Bits,
) -> Row {
    loaded_as(names, fit, predict, predict)
}

/// A fit that saves no model: its run says why, or `why` does.
fn unsaved<M: 'static>(
    (package, algorithm): (&'static str, &'static str),
    why: &'static str,
    fit: fn() -> M,
    predict: fn(&M) -> Bits,
) -> Row {
    let fit = move |dir: &Path| {
        std::fs::create_dir(dir).unwrap();
        let uri = format!("sqlite:///{}", dir.join("mlflow.db").display());
        let (model, mut runs, tracker) = recorded_in(&uri, fit);
        assert!(runs.len() < 2, "{algorithm}: {runs:#?}");
        let run = runs.pop();
        let id = run.as_ref().and_then(|run| Some(run.outputs.first()?.model_id.clone()));
        let folder = id.map(|id| tracker.get_logged_model(&id).unwrap().artifact_location.into());
        Fitted { bits: predict(&model), run, folder }
    };
    Row { package, algorithm, fit: Box::new(fit), load: None, why }
}

/// A cell of the table: what kind of metrics the run has.
fn metrics(run: &Run) -> &'static str {
    let has = |key: &str| run.metric(&format!("training_{key}")).is_some();
    match () {
        () if has("r2_score") => "regression",
        () if has("accuracy_score") => "classification",
        () if has("silhouette_score") => "clustering",
        () => "",
    }
}

/// The type that `MLmodel` says to load the model as.
fn loads_as(folder: &Path) -> String {
    let described = std::fs::read_to_string(folder.join("MLmodel")).unwrap();
    let line = described.lines().find_map(|line| line.trim().strip_prefix("loads_as: ")).unwrap();
    line.trim_matches('\'').to_owned()
}

/// What the other process predicts with the models that it finds in `folders`.
fn predictions(folders: &BTreeMap<String, PathBuf>) -> BTreeMap<String, Bits> {
    let list: String = folders.iter().fold(String::new(), |mut list, (name, folder)| {
        writeln!(list, "{name}\t{}", folder.display()).unwrap();
        list
    });
    let mut test = Command::new(std::env::current_exe().unwrap());
    let child = test.args(["table::in_a_child", "--exact", "--nocapture"]).env(MODELS, list);
    let output = child.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let read = |line: &str| {
        let (name, bits) = line.split_once("predicts: ")?.1.split_once('\t')?;
        Some((name.to_owned(), bits.split(' ').map(|bits| bits.parse().unwrap()).collect()))
    };
    said.lines().filter_map(read).collect()
}

/// Tells the child the names and folders of the models.
const MODELS: &str = "RUNLOG_LINFA_MODELS";

/// Does nothing unless it is a child.
#[test]
fn in_a_child() {
    #[expect(clippy::disallowed_methods, reason = "tells a child from its parent")]
    let Ok(list) = std::env::var(MODELS) else { return };
    let folders: BTreeMap<&str, &str> = list.lines().filter_map(|line| line.split_once('\t')).collect();
    for row in rows::all() {
        let Some(folder) = folders.get(row.algorithm) else { continue };
        let bits: Vec<_> = row.load.unwrap()(Path::new(folder)).iter().map(u64::to_string).collect();
        println!("predicts: {}\t{}", row.algorithm, bits.join(" "));
    }
}

/// The page is generated: what differs is written beside the build, to be looked at and copied.
#[test]
fn every_algorithm_of_linfa_is_as_the_table_says() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows::all();
    let fitted: Vec<_> = rows.iter().map(|row| (row.fit)(&dir.path().join(row.algorithm))).collect();
    let folders = rows.iter().zip(&fitted);
    let folders = folders.filter_map(|(row, done)| Some((row.algorithm.to_owned(), done.folder.clone()?)));
    let folders: BTreeMap<String, PathBuf> = folders.collect();
    let predicted = predictions(&folders);

    let mut table = String::from(
        "| crate | algorithm | settings | metrics | its model is loaded as |\n| --- | --- | --- | --- | --- |\n",
    );
    for (row, Fitted { run, bits, folder }) in rows.iter().zip(&fitted) {
        let algorithm = row.algorithm;
        let name = algorithm.split(" (").next().unwrap();
        let (settings, metrics, tag) = match run {
            None => ("not recorded".to_owned(), "", None),
            Some(run) => {
                assert_eq!((run.info.status, run.tag("estimator_name")), (RunStatus::Finished, Some(name)));
                let settings = match run.data.params.len() {
                    0 => "none".to_owned(),
                    count => count.to_string(),
                };
                (settings, metrics(run), run.tag("runlog.model_unsaved"))
            }
        };
        let model = match folder {
            Some(folder) => {
                assert!(
                    !bits.is_empty() && predicted[algorithm] == *bits,
                    "{algorithm} predicts the same bits"
                );
                format!("`{}`", loads_as(folder))
            }
            None => format!("not saved: {}", tag.unwrap_or(row.why)),
        };
        assert!(!model.ends_with(": "), "{algorithm} has no model, and no reason");
        let variant = &algorithm[name.len()..];
        writeln!(table, "| {} | `{name}`{variant} | {settings} | {metrics} | {model} |", row.package)
            .unwrap();
    }

    let page = include_str!("../../linfa.md");
    let start = page.find("| crate |").unwrap_or(page.len());
    let end = start + page[start..].find("\n\n").map_or(page.len() - start, |end| end + 1);
    if page[start..end] != table {
        let wanted = Path::new(env!("CARGO_TARGET_TMPDIR")).join("linfa.md");
        std::fs::write(&wanted, [&page[..start], &table, &page[end..]].concat()).unwrap();
        panic!("docs/linfa.md differs from what was recorded; copy {} over it", wanted.display());
    }
}

#[test]
fn no_algorithm_is_missing_in_the_table() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/algorithms");
    let mut known = BTreeSet::new();
    for file in std::fs::read_dir(sources).unwrap() {
        let code = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let names = code
            .lines()
            .filter_map(|line| line.strip_prefix("    \"")?.split_once("\" "))
            .map(|(name, _)| name);
        known.extend(names.map(str::to_owned));
    }
    let rows = rows::all();
    let shown: BTreeSet<_> =
        rows.iter().map(|row| row.algorithm.split(" (").next().unwrap().to_owned()).collect();
    let missing: Vec<_> = known.difference(&shown).collect();
    assert!(known.len() > 30 && missing.is_empty(), "no row for {missing:?}");
}
