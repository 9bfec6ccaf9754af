//! Places as users have them: none yet, one in use, and wrong ones.

use std::collections::{BTreeSet, HashMap};
use std::fs;

use super::*;
use crate::entity::NewExperiment;
use crate::journal::Owner;

/// What a program started in `dir` with these variables would be configured with.
fn config(dir: &Path, vars: &[(&str, &str)]) -> Config {
    let vars: HashMap<_, _> =
        vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut config = Config::from_map(&vars).unwrap();
    config.working_dir = dir.to_owned();
    config.journal_dir.get_or_insert_with(|| dir.join("journal"));
    config.quiet = true;
    config
}

/// A new experiment. Not by a tracker, whose threads may close the store a moment after it is dropped.
fn made(store: &dyn Store, name: &str) -> String {
    store.create_experiment(&NewExperiment { name: name.to_owned(), ..NewExperiment::default() }).unwrap()
}

/// Everything below `dir`, with a digest of what stands in files.
fn tree(dir: &Path) -> BTreeSet<(PathBuf, u64)> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
            found.insert((path, 0));
        } else {
            let content = fs::read(&path).unwrap();
            found.insert((path, xxhash_rust::xxh3::xxh3_64(&content)));
        }
    }
    found
}

/// The checkup, having made sure that it changes nothing.
#[track_caller]
fn check(dir: &Path, vars: &[(&str, &str)]) -> Checkup {
    let before = tree(dir);
    let checkup = checkup(None, &config(dir, vars));
    assert_eq!(tree(dir), before);
    checkup
}

#[test]
fn before_the_first_run_nothing_is_there_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let found = check(dir.path(), &[]);
    assert!(found.can_log() && found.artifacts.trouble.is_none(), "{found:?}");
    assert!(!found.store.exists && found.store.experiment.is_none());
    assert_eq!(found.store.named_by, "default");
    assert!(found.store.uri.ends_with("/mlflow.db"), "{found:?}");
    assert_eq!(found.artifacts.root.unwrap(), dir.path().join("mlruns").display().to_string());
    assert!(found.journal.dir.unwrap().starts_with(dir.path().join("journal")));

    fs::write(dir.path().join("mlflow.db"), "").unwrap();
    assert!(!check(dir.path(), &[]).store.exists, "an empty file is not made a store");
    assert!(check(dir.path(), &[("MLFLOW_TRACKING_URI", "./mlruns")]).can_log());
}

#[test]
fn the_store_and_the_experiment_are_those_of_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    for uri in ["sqlite:///mlflow.db", "./files"] {
        let wine = made(&*store::open(uri, None, dir.path()).unwrap(), "wine");
        let named = |vars: &[(&str, &str)]| {
            let vars: Vec<_> = [("MLFLOW_TRACKING_URI", uri)].iter().chain(vars).copied().collect();
            check(dir.path(), &vars)
        };
        let default = named(&[]);
        assert!(default.can_log() && default.store.exists, "{default:?}");
        assert_eq!(default.store.named_by, "MLFLOW_TRACKING_URI");
        assert_eq!(default.store.experiment.unwrap().name, "Default");
        let by_name = named(&[("MLFLOW_EXPERIMENT_NAME", "wine")]);
        assert_eq!(
            by_name.artifacts.root.as_ref(),
            Some(&by_name.store.experiment.unwrap().artifact_location)
        );
        assert_eq!(named(&[("MLFLOW_EXPERIMENT_ID", &wine)]).store.experiment.unwrap().name, "wine");
        let new = named(&[("MLFLOW_EXPERIMENT_NAME", "new")]);
        assert!(new.can_log() && new.store.experiment.is_none(), "the first run makes it");
    }
}

#[test]
fn what_would_keep_a_run_from_being_logged_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let below_file = file.join("sub").display().to_string();
    for (variable, value, told) in [
        ("MLFLOW_TRACKING_URI", "https://user:hunter2@host/", "not supported"),
        ("MLFLOW_TRACKING_URI", "sqlite://mlflow.db", "three slashes"),
        ("MLFLOW_TRACKING_URI", &format!("sqlite:///{below_file}/m.db"), "no directory"),
        ("MLFLOW_EXPERIMENT_ID", "7", "MLFLOW_EXPERIMENT_ID"),
        ("MLFLOW_RUN_ID", "0123", "MLFLOW_RUN_ID"),
    ] {
        let found = check(dir.path(), &[(variable, value)]);
        let trouble = found.store.trouble.as_ref().unwrap().to_string();
        assert!(!found.can_log() && trouble.contains(told), "{trouble}");
        assert!(!format!("{found:?}").contains("hunter2"));
    }
    let found = check(dir.path(), &[("RUNLOG_JOURNAL_DIR", &below_file)]);
    assert!(!found.can_log() && found.store.trouble.is_none(), "{found:?}");
    assert!(found.journal.trouble.unwrap().to_string().contains("no directory"));
}

#[test]
fn an_existing_store_can_be_wrong_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = store::open("sqlite:///mlflow.db", None, dir.path()).unwrap();
    let deleted = made(&*store, "deleted");
    store.delete_experiment(&deleted, 1).unwrap();
    drop(store);
    for (variable, value) in [
        ("MLFLOW_EXPERIMENT_ID", "12345"),
        ("MLFLOW_EXPERIMENT_ID", &*deleted),
        ("MLFLOW_EXPERIMENT_NAME", "deleted"),
        ("MLFLOW_RUN_ID", "0123456789abcdef0123456789abcdef"),
    ] {
        assert!(!check(dir.path(), &[(variable, value)]).can_log(), "{variable}={value}");
    }
    let both = [("MLFLOW_EXPERIMENT_ID", "0"), ("MLFLOW_EXPERIMENT_NAME", "deleted")];
    assert!(!check(dir.path(), &both).can_log());
    fs::create_dir_all(dir.path().join("other/things")).unwrap();
    let found = check(dir.path(), &[("MLFLOW_TRACKING_URI", "./other")]);
    assert!(!found.can_log(), "a directory that holds something else");
    fs::write(dir.path().join("no.db"), "not a database, but long enough to be read as one ".repeat(9))
        .unwrap();
    assert!(!check(dir.path(), &[("MLFLOW_TRACKING_URI", "sqlite:///no.db")]).can_log());
}

#[test]
fn a_store_that_is_no_place_needs_none() {
    let dir = tempfile::tempdir().unwrap();
    for (vars, named_by) in [
        ([("MLFLOW_TRACKING_URI", "memory:")], "MLFLOW_TRACKING_URI"),
        ([("RUNLOG_MODE", "disabled")], "RUNLOG_MODE"),
    ] {
        let found = check(dir.path(), &vars);
        assert!(
            found.can_log() && found.journal.dir.is_none() && found.artifacts.root.is_none(),
            "{found:?}"
        );
        assert_eq!(found.store.named_by, named_by);
    }
}

#[test]
fn journals_of_dead_processes_are_counted_and_stay() {
    let dir = tempfile::tempdir().unwrap();
    let found = check(dir.path(), &[]);
    let (store, address) = (found.journal.dir.unwrap(), found.store.uri);
    for name in ["dead", ".gone-1", ".new-1", "elsewhere"] {
        fs::create_dir_all(store.join(name)).unwrap();
        fs::write(store.join(name).join("definitions.jsonl"), "").unwrap();
        let address = if name == "elsewhere" { "sqlite:////another.db" } else { &address };
        drop(Owner::this_process(address).write(&store.join(name)).unwrap());
    }
    fs::create_dir_all(store.join("alive")).unwrap();
    let _alive = Owner::this_process(&address).write(&store.join("alive")).unwrap();
    // A child that another test spawns at this moment may hold a copy of the lock until it executes its program.
    loop {
        let waiting = check(dir.path(), &[]).journal.waiting;
        if let [one] = &waiting[..] {
            assert_eq!((&one.dir, one.pid), (&store.join("dead"), Some(std::process::id())));
            assert!(one.trouble.is_none(), "{one:?}");
            return;
        }
        std::thread::yield_now();
    }
}

#[test]
fn whether_runs_are_sampled_follows_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let found = check(dir.path(), &[("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "3")]);
    assert!(!found.system_metrics);
    assert_eq!(found.sampling.interval, Some(std::time::Duration::from_secs(3)));
    assert!(check(dir.path(), &[("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")]).system_metrics);
}
