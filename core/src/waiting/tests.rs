//! What waits is listed and delivered, for every store.

use std::collections::HashMap;

use super::*;
use crate::entity::{NewRun, Tag};
use crate::journal::record::{Point, Text};
use crate::journal::{Journal as Writer, RunDefinition, Shape};
use crate::recover::OWNER;

const DATABASE: &str = "sqlite:///mlflow.db";
const FILES: &str = "./files";

/// A user's place, with stores and a directory for journals.
struct Home {
    dir: tempfile::TempDir,
    config: Config,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::from_map(&HashMap::new()).unwrap();
        dir.path().clone_into(&mut config.working_dir);
        config.journal_dir = Some(dir.path().join("journal"));
        config.quiet = true;
        Self { dir, config }
    }

    fn store(&self, uri: &str) -> Arc<dyn Store> {
        store::open(uri, None, self.dir.path()).unwrap()
    }

    /// A process that logs `points` and a param to a run of its own in the store at `uri`.
    fn process(&self, uri: &str, points: i64) -> (Writer, String) {
        let address = store::canonical(uri, self.dir.path());
        let journal = Writer::open(&Place::of(&address, &self.config), &address, Shape::default());
        let tag = Tag::new(OWNER, journal.owner_name().unwrap());
        let new = NewRun {
            experiment_id: "0".to_owned(),
            run_name: "left".to_owned(),
            tags: vec![tag],
            ..NewRun::default()
        };
        let run_id = self.store(uri).create_run(&new).unwrap().info.run_id;
        let key = journal.definitions().key("loss").unwrap();
        let run = journal.definitions().run(RunDefinition { run_id: run_id.clone(), owned: true }).unwrap();
        for step in 0..points {
            journal.metric(Point { run, key, value: 0.5, timestamp: 7, step }).unwrap();
        }
        journal.text(&Text::Param { run, key: "depth".to_owned(), value: "3".to_owned() }).unwrap();
        (journal, run_id)
    }

    /// One that has died; the run's id.
    fn dead(&self, uri: &str, points: i64) -> String {
        let (journal, run_id) = self.process(uri, points);
        drop(journal);
        run_id
    }

    /// Waits until no child that another test spawned at this moment holds a copy of a lock of `dead` processes.
    fn settle(&self, dead: usize) {
        let count = || {
            let journals = list(None, &self.config).unwrap();
            journals.iter().filter(|journal| journal.state == State::Waits).count()
        };
        while count() < dead {
            std::thread::yield_now();
        }
    }

    fn deliver(&self, uri: Option<&str>) -> Vec<Delivered> {
        deliver(uri, &self.config, &mut |_| {}).unwrap()
    }
}

fn why(delivered: &Delivered) -> String {
    match &delivered.outcome {
        Outcome::Stays(error) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_store_gets_its_own_and_all_of_it_is_counted() {
    let home = Home::new();
    let runs = [home.dead(FILES, 5), home.dead(DATABASE, 20)];
    home.settle(2);
    let listed = list(None, &home.config).unwrap();
    let counts = listed.iter().map(|journal| (journal.records.metrics, journal.records.params));
    assert_eq!(counts.collect::<Vec<_>>(), [(5, 1), (20, 1)]);
    for (journal, run_id) in listed.iter().zip(&runs) {
        let expected = WaitingRun {
            run_id: run_id.clone(),
            run_name: Some("left".to_owned()),
            status: Some(RunStatus::Running),
            records: journal.records.total(),
        };
        assert_eq!(journal.runs, [expected]);
        assert!(journal.since.is_some() && journal.trouble.is_none());
        // Points take a slot of 64 bytes each; this param takes one, too.
        assert_eq!(journal.bytes, 64 * journal.records.total());
    }
    let mut told = Vec::new();
    let delivered = deliver(None, &home.config, &mut |progress| told.push(progress)).unwrap();
    assert!(delivered.iter().all(|one| matches!(one.outcome, Outcome::Done)), "{delivered:?}");
    assert_eq!(told.first(), Some(&Progress { done: 0, all: 27 }));
    assert_eq!(told.last(), Some(&Progress { done: 27, all: 27 }));
    for (uri, run_id, points) in [(FILES, &runs[0], 5), (DATABASE, &runs[1], 20)] {
        let run = home.store(uri).get_run(run_id).unwrap();
        assert_eq!((run.info.status, run.param("depth")), (RunStatus::Failed, Some("3")));
        assert_eq!(home.store(uri).metric_history(run_id, "loss").unwrap().len(), points);
    }
    assert!(list(None, &home.config).unwrap().is_empty());
}

#[test]
fn a_store_that_is_named_is_the_only_one() {
    let home = Home::new();
    home.dead(FILES, 5);
    home.dead(DATABASE, 20);
    home.settle(2);
    assert_eq!(list(Some(FILES), &home.config).unwrap().len(), 1);
    let delivered = home.deliver(Some(FILES));
    assert_eq!(delivered.iter().map(|one| one.recovery.records).collect::<Vec<_>>(), [6]);
    assert_eq!(list(None, &home.config).unwrap().len(), 1);
}

#[test]
fn a_store_that_is_gone_is_told_and_never_made() {
    let home = Home::new();
    home.dead(DATABASE, 2);
    let run_id = home.dead(FILES, 2);
    home.settle(2);
    std::fs::remove_file(home.dir.path().join("mlflow.db")).unwrap();
    let listed = list(None, &home.config).unwrap();
    assert!(listed[1].trouble.as_ref().unwrap().to_string().contains("not there any more"));
    let delivered = home.deliver(None);
    assert!(matches!(delivered[0].outcome, Outcome::Done));
    assert!(why(&delivered[1]).contains("not there any more"));
    assert_eq!(home.store(FILES).metric_history(&run_id, "loss").unwrap().len(), 2);
    assert!(!home.dir.path().join("mlflow.db").exists());
    assert_eq!(list(None, &home.config).unwrap().len(), 1, "and what is left waits on");
}

#[test]
fn a_living_process_is_shown_and_left_alone() {
    let home = Home::new();
    let (_journal, run_id) = home.process(DATABASE, 7);
    let listed = list(None, &home.config).unwrap();
    assert_eq!((listed[0].state, listed[0].records.metrics), (State::Lives, 7));
    let delivered = home.deliver(None);
    assert!(matches!(delivered[0].outcome, Outcome::Lives));
    let run = home.store(DATABASE).get_run(&run_id).unwrap();
    assert_eq!((run.info.status, run.metric("loss")), (RunStatus::Running, None));
}

#[test]
fn a_journal_of_another_version_is_told_and_keeps_no_other_back() {
    let home = Home::new();
    home.dead(DATABASE, 3);
    home.settle(1);
    let theirs = list(None, &home.config).unwrap().remove(0).dir;
    std::fs::write(theirs.join("owner.json"), r#"{"format": 2}"#).unwrap();
    let run_id = home.dead(DATABASE, 4);
    home.settle(2);
    for uri in [None, Some(DATABASE)] {
        let listed = list(uri, &home.config).unwrap();
        assert_eq!(listed.len(), 2, "it may be of the store that is named");
        assert!(listed[0].trouble.as_ref().unwrap().to_string().contains("with the version that wrote it"));
    }
    let delivered = home.deliver(None);
    assert!(why(&delivered[0]).contains("with the version that wrote it"));
    assert!(matches!(delivered[1].outcome, Outcome::Done));
    assert_eq!(home.store(DATABASE).metric_history(&run_id, "loss").unwrap().len(), 4);
    assert!(theirs.exists());
}

#[test]
fn what_the_store_refuses_is_kept_and_where_is_told() {
    let home = Home::new();
    let (journal, _) = home.process(DATABASE, 1);
    journal.text(&Text::Param { run: 0, key: "depth".to_owned(), value: "4".to_owned() }).unwrap();
    drop(journal);
    home.settle(1);
    let delivered = home.deliver(None);
    assert_eq!((delivered[0].recovery.records, delivered[0].recovery.refused), (2, 1));
    let rejected = std::fs::read_to_string(delivered[0].rejected.as_ref().unwrap()).unwrap();
    assert!(rejected.contains("depth") && rejected.contains("write-once"), "{rejected}");
}

#[test]
fn two_at_once_deliver_each_journal_once() {
    const JOURNALS: usize = 6;
    const POINTS: i64 = 3000;
    let home = Home::new();
    let runs: Vec<_> = (0..JOURNALS).map(|_| home.dead(FILES, POINTS)).collect();
    home.settle(JOURNALS);
    let both: Vec<Vec<Delivered>> = std::thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(|| home.deliver(None)));
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let all = || both.iter().flatten();
    assert_eq!(all().filter(|one| matches!(one.outcome, Outcome::Done)).count(), JOURNALS);
    let records: u64 = all().map(|one| one.recovery.records).sum();
    assert_eq!(records, JOURNALS as u64 * (POINTS.cast_unsigned() + 1));
    assert_eq!(all().map(|one| one.recovery.ended_runs.len()).sum::<usize>(), JOURNALS);
    for run_id in runs {
        let file = home.dir.path().join(format!("files/0/{run_id}/metrics/loss"));
        assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 3000, "a line a point");
    }
    assert!(home.deliver(None).is_empty());
}
