//! Programs that the frameworks ship, unmodified, three times: over the framework itself, over runlog's package in its place
//! with autologging off, and with the one line `runlog::autolog()`. They print and write the same, and the last time
//! leaves the runs that stand here.
//!
//! By default a few of each kind; with the feature `every` all that need no network.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use runlog::{Config, RunQuery, Tracker};
use tempfile::TempDir;

/// How what a program prints and writes compares to what it printed and wrote before.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Same {
    /// Byte for byte.
    Whole,
    /// But for its numbers and the order of its words, which follow a hash map or an unseeded generator: they change from
    /// one start to the next without runlog too.
    ButNumbers,
    /// But for the times in burn's log, and for the ids of parameters in its files of weights, which burn draws anew at each
    /// start.
    ButIds,
}
use Same::{ButIds, ButNumbers, Whole};

/// Program, what stays the same, and the runs that it leaves with autologging on.
///
/// The two without runs fit in `cross_validate`, inside of linfa, where nothing of ours is called: the third way records
/// no cross-validation. Kernels and scalers only transform; they are no runs of their own.
const PROGRAMS: &[(&str, Same, usize)] = &[
    ("burn/digits", ButIds, 1),
    ("candle/digits", Whole, 1),
    ("linfa/diabetes", Whole, 1),
    ("linfa-bayes/winequality_bayes", Whole, 1),
    ("linfa-bayes/winequality_bernouilli", Whole, 1),
    ("linfa-bayes/winequality_multinomial", Whole, 1),
    ("linfa-clustering/dbscan", ButNumbers, 1),
    ("linfa-clustering/kmeans", Whole, 1),
    ("linfa-clustering/optics", Whole, 1),
    ("linfa-elasticnet/elasticnet", Whole, 1),
    ("linfa-elasticnet/elasticnet_cv", Whole, 0),
    ("linfa-elasticnet/multitask_elasticnet", Whole, 1),
    ("linfa-ensemble/adaboost_iris", ButNumbers, 7),
    ("linfa-ensemble/ensemble_iris", ButNumbers, 2),
    ("linfa-ftrl/winequality_ftrl", Whole, 1),
    ("linfa-hierarchical/irisflower", ButNumbers, 1),
    ("linfa-ica/fast_ica", ButNumbers, 1),
    ("linfa-lars/lars", Whole, 1),
    ("linfa-linear/diabetes", Whole, 1),
    ("linfa-linear/glm", Whole, 1),
    ("linfa-logistic/logistic_cv", Whole, 0),
    ("linfa-logistic/winequality_logistic", Whole, 1),
    ("linfa-logistic/winequality_multi_logistic", Whole, 1),
    ("linfa-pls/pls_regression", Whole, 1),
    ("linfa-preprocessing/scaling", Whole, 2),
    ("linfa-preprocessing/whitening", Whole, 2),
    ("linfa-reduction/diffusion_map", Whole, 1),
    ("linfa-reduction/pca", Whole, 1),
    ("linfa-svm/noisy_sin_svr", Whole, 1),
    ("linfa-svm/winequality_multi_svm", Whole, 6), // one for each kind of wine
    ("linfa-trees/decision_tree", ButNumbers, 2),
    ("linfa-tsne/tsne", ButNumbers, 2), // then it panics: it draws with gnuplot, which is not found
];

/// What a program did.
#[derive(Debug, PartialEq)]
struct Outcome {
    code: Option<i32>,
    stdout: String,
    /// What it wrote into its working directory.
    files: BTreeMap<String, Vec<u8>>,
    runs: usize,
}

/// Runs `binary` with `args` in a directory of its own.
fn outcome(binary: &str, args: &[&str]) -> Outcome {
    let dir = TempDir::new().unwrap();
    let work = dir.path().join("work");
    fs::create_dir_all(work.join("examples")).unwrap(); // where one of them writes to
    let mut command = Command::new(binary);
    command.args(args).current_dir(&work).env_clear();
    command.env("RUNLOG_JOURNAL_DIR", dir.path().join("journal"));
    let output = command.env("PATH", dir.path().join("empty")).output().unwrap();
    let mut files = BTreeMap::new();
    collect(&work, &work, &mut files);
    // Last: whoever opens the database has files beside it come and go.
    let runs = runs_in(&work, dir.path());
    files.retain(|name, _| !name.starts_with("mlflow.db") && !name.starts_with("mlruns/"));
    let stdout = String::from_utf8(output.stdout).unwrap();
    Outcome { code: output.status.code(), stdout, files, runs }
}

fn runs_in(work: &Path, journals: &Path) -> usize {
    let database = work.join("mlflow.db");
    if !database.exists() {
        return 0;
    }
    let mut config = Config::from_map(&[].into()).unwrap();
    config.journal_dir = Some(journals.join("journal"));
    let uri = format!("sqlite:///{}", database.display());
    let tracker = Tracker::with_config(Some(&uri), config).unwrap();
    tracker.search_runs(RunQuery::new().all_experiments()).unwrap().len()
}

fn collect(root: &Path, dir: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.insert(name, fs::read(&path).unwrap());
        }
    }
}

/// Without what changes from one start of a program to the next.
fn comparable(same: Same, mut outcome: Outcome) -> Outcome {
    outcome.runs = 0;
    if same == ButNumbers {
        // The distance to the next word follows a number's width, and lines change places.
        let number = |c: char| c.is_ascii_digit() || c == '.';
        let mut words: Vec<_> =
            outcome.stdout.split_whitespace().map(|word| word.replace(number, "")).collect();
        words.sort_unstable();
        outcome.stdout = words.join(" ");
        outcome.files.values_mut().for_each(Vec::clear);
    }
    if same == ButIds {
        for (name, bytes) in &mut outcome.files {
            if Path::new(name).extension().is_some_and(|end| end == "bpk") {
                *bytes = weights(bytes);
            } else if name.ends_with("experiment.log") {
                let text = String::from_utf8(std::mem::take(bytes)).unwrap();
                let without_times = text.lines().filter_map(|line| line.split_once('Z'));
                *bytes = without_times.map(|(_, rest)| rest).collect::<Vec<_>>().join("\n").into_bytes();
            }
        }
    }
    outcome
}

/// The numbers of a burnpack file but for zeros, sorted: the tensors of an optimizer's file stand in the order of their ids,
/// with zeros between them, so that each begins at a multiple of 256 bytes.
fn weights(file: &[u8]) -> Vec<u8> {
    let header = 10 + u32::from_le_bytes(file[6..10].try_into().unwrap()) as usize;
    let data = &file[header.next_multiple_of(256).min(file.len())..];
    let mut numbers: Vec<_> = data.chunks(4).filter(|number| *number != [0; 4]).collect();
    numbers.sort_unstable();
    numbers.concat()
}

fn check(program: &str, same: Same, runs: usize) {
    let plain = outcome(env!("CARGO_BIN_EXE_plain"), &[program]);
    let off = outcome(env!("CARGO_BIN_EXE_drop-in"), &[program]);
    let on = outcome(env!("CARGO_BIN_EXE_drop-in"), &[program, "autolog"]);
    assert_eq!((plain.runs, off.runs, on.runs), (0, 0, runs), "{program}: the runs of the three ways");
    assert!(
        !plain.stdout.is_empty() || !plain.files.is_empty() || plain.code != Some(0),
        "{program} does nothing"
    );
    let plain = comparable(same, plain);
    assert_eq!(comparable(same, off), plain, "{program}: autologging off");
    assert_eq!(comparable(same, on), plain, "{program}: autologging on");
}

/// The programs that were built.
fn built() -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_plain")).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn programs_do_the_same_over_the_package_in_the_frameworks_place() {
    let built = built();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(program) = built.get(next.fetch_add(1, Ordering::Relaxed)) {
            let row = PROGRAMS.iter().find(|(name, ..)| name == program);
            let (_, same, runs) = row.unwrap_or_else(|| panic!("{program} has no row here"));
            check(program, *same, *runs);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().unwrap().get() {
            scope.spawn(work);
        }
    });
    let expected = if cfg!(feature = "every") { PROGRAMS.len() } else { 9 };
    assert_eq!(built.len(), expected, "{built:?}");
}

/// The program that is compared with is really one without runlog: nothing of it is linked.
#[test]
fn the_plain_programs_hold_nothing_of_runlogs() {
    let holds =
        |binary: &str| fs::read(binary).unwrap().windows(18).any(|text| text == b"mlflow.autologging");
    assert!(holds(env!("CARGO_BIN_EXE_drop-in")));
    assert!(!holds(env!("CARGO_BIN_EXE_plain")));
}
