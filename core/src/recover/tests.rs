//! What dead processes left reaches the store once, and what cannot stays and is told.

use std::sync::Arc;

use super::*;
use crate::entity::{Metric, ModelOutput, NewLoggedModel, NewRun};
use crate::journal::record::Point;
use crate::journal::{Journal, RunDefinition, Shape};
use crate::store::MemoryStore;
use crate::store::faulty::{Fault, Faulty};

/// A process that logged a metric and a tag to a run whose owner is `owner`; the run's number and id.
fn process(store: &MemoryStore, place: &Place, owner: Option<&str>) -> (Journal, u32, String) {
    let journal = Journal::open(place, "s", Shape::default());
    let owner = owner.or(journal.owner_name()).unwrap_or_default();
    let run = store.create_run(&NewRun {
        experiment_id: "0".to_owned(),
        run_name: "r".to_owned(),
        tags: vec![Tag::new(OWNER, owner)],
        ..NewRun::default()
    });
    let run_id = run.unwrap().info.run_id;
    let definitions = journal.definitions();
    let key = definitions.key("loss").unwrap();
    let run = definitions.run(RunDefinition { run_id: run_id.clone(), owned: true }).unwrap();
    journal.metric(Point { run, key, value: 0.5, timestamp: 7, step: 1 }).unwrap();
    journal.text(&Text::Tag { run, key: "stage".to_owned(), value: "old".to_owned() }).unwrap();
    (journal, run, run_id)
}

/// A process that died after its run's end, and that run's id.
fn dead_process(store: &MemoryStore, place: &Place, owner: Option<&str>) -> String {
    let (journal, run, run_id) = process(store, place, owner);
    journal.text(&Text::End { run, status: RunStatus::Finished, time: 9 }).unwrap();
    run_id
}

/// Recovers until the dead process's lock is free: a child that another test spawns may hold a copy for a moment.
fn recover_all(store: &dyn Store, place: &Place, journals: usize) -> Result<Recovery> {
    while dead_journals(place).len() < journals {
        std::thread::yield_now();
    }
    recover(store, place, "s", Pace::Full, PATIENCE)
}

/// Recovers until nothing is left, for the same reason: it may hold a copy of the lock of the recovery before, too.
fn recover_rest(store: &dyn Store, place: &Place) {
    let Place::Directory(dir) = place else { return };
    while dir.read_dir().unwrap().next().is_some() {
        recover(store, place, "s", Pace::Full, PATIENCE).unwrap();
    }
}

#[test]
fn whatever_call_of_a_recovery_fails_the_next_one_completes_it() {
    type Break = fn(ErrorKind) -> Fault;
    let breaks: [Break; 2] = [Fault::Fails, Fault::Torn];
    for broken in 0.. {
        let mut made = 0;
        for fault in breaks {
            let dir = tempfile::tempdir().unwrap();
            let (store, place) = (Arc::new(MemoryStore::new()), Place::Directory(dir.path().to_owned()));
            let ended = dead_process(&store, &place, None);
            let (journal, _, killed) = process(&store, &place, None);
            drop(journal);
            let faulty = Faulty::scripted(Arc::clone(&store) as _, move |call| {
                if call.total == broken { fault(ErrorKind::Unavailable) } else { Fault::None }
            });
            // What fails is done by the next one.
            recover_all(&faulty, &place, 2).ok();
            made = faulty.total_calls();
            recover_rest(&*store, &place);
            for (run_id, status) in [(ended, RunStatus::Finished), (killed, RunStatus::Failed)] {
                let run = store.get_run(&run_id).unwrap();
                assert_eq!((run.info.status, run.tag("stage")), (status, Some("old")), "call {broken}");
                assert_eq!(store.metric_history(&run_id, "loss").unwrap().len(), 1);
                assert_eq!(run.tag(ENDED_BY).is_some(), status == RunStatus::Failed);
            }
        }
        if broken >= made {
            return;
        }
    }
}

#[test]
fn the_end_and_tags_of_a_dead_process_do_not_go_over_who_resumed_its_run() {
    let dir = tempfile::tempdir().unwrap();
    let (store, place) = (MemoryStore::new(), Place::Directory(dir.path().to_owned()));
    let run_id = dead_process(&store, &place, Some("somebody else"));
    assert_eq!(recover_all(&store, &place, 1).unwrap().journals, 1);
    let run = store.get_run(&run_id).unwrap();
    assert_eq!(
        (run.info.status, run.tag("stage"), run.metric("loss")),
        (RunStatus::Running, None, Some(0.5))
    );
}

#[test]
fn what_was_logged_of_models_is_delivered_and_ends_the_run_no_earlier() {
    let dir = tempfile::tempdir().unwrap();
    let (store, place) = (MemoryStore::new(), Place::Directory(dir.path().to_owned()));
    let model = NewLoggedModel { experiment_id: "0".to_owned(), ..NewLoggedModel::default() };
    let model_id = store.create_logged_model(&model).unwrap().model_id;
    let journal = Journal::open(&place, "s", Shape::default());
    let tag = Tag::new(OWNER, journal.owner_name().unwrap());
    let new = NewRun { experiment_id: "0".to_owned(), tags: vec![tag], ..NewRun::default() };
    let run_id = store.create_run(&new).unwrap().info.run_id;
    let run = journal.definitions().run(RunDefinition { run_id: run_id.clone(), owned: true }).unwrap();
    let point = Metric::new("accuracy", 0.5, 70_000, 1).for_model(&model_id);
    for text in [
        Text::ModelInput { run, model_id: model_id.clone() },
        Text::ModelOutput { run, model_id: model_id.clone(), step: 2 },
        Text::Measure { run, point: Box::new(point.into()) },
    ] {
        journal.text(&text).unwrap();
    }
    drop(journal);
    recover_all(&store, &place, 1).unwrap();
    let run = store.get_run(&run_id).unwrap();
    assert_eq!((run.info.status, run.info.end_time), (RunStatus::Failed, Some(70_000)));
    assert_eq!(
        (run.inputs.models, run.outputs),
        (vec![model_id.clone()], vec![ModelOutput::new(&*model_id, 2)])
    );
    assert_eq!(store.get_logged_model(&model_id).unwrap().metrics.len(), 1);
}

#[test]
fn a_run_whose_process_died_before_it_knew_the_id_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (store, place) = (MemoryStore::new(), Place::Directory(dir.path().to_owned()));
    let journal = Journal::open(&place, "s", Shape::default());
    journal.definitions().creates_run_in("0").unwrap();
    let create = |owner: &str| {
        let tags = vec![Tag::new(OWNER, owner)];
        let new = NewRun { experiment_id: "0".to_owned(), tags, start_time: 5, ..NewRun::default() };
        store.create_run(&new).unwrap().info.run_id
    };
    let (left, others) = ([create(journal.owner_name().unwrap())], create("somebody else"));
    drop(journal);
    let ended = recover_all(&store, &place, 1).unwrap().ended_runs;
    assert_eq!(ended.iter().map(|run| &*run.run_id).collect::<Vec<_>>(), left);
    let left = store.get_run(&left[0]).unwrap();
    assert_eq!((left.info.status, left.info.end_time), (RunStatus::Failed, Some(5)));
    assert_eq!(store.get_run(&others).unwrap().info.status, RunStatus::Running);
}

#[test]
fn a_journal_that_cannot_be_delivered_keeps_no_other_back() {
    let dir = tempfile::tempdir().unwrap();
    let (store, place) = (MemoryStore::new(), Place::Directory(dir.path().to_owned()));
    dead_process(&store, &place, None);
    let found = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    // The first in order, and unreadable even to root.
    let unreadable = dir.path().join("0");
    std::fs::rename(found, &unreadable).unwrap();
    std::fs::remove_file(unreadable.join("definitions.jsonl")).unwrap();
    std::fs::create_dir(unreadable.join("definitions.jsonl")).unwrap();
    let runs: Vec<String> = (0..3).map(|_| dead_process(&store, &place, None)).collect();
    let kept = recover_all(&store, &place, 4).unwrap().kept;
    assert!(kept.len() == 1 && kept[0].0 == unreadable, "{kept:?}");
    for run_id in runs {
        let run = store.get_run(&run_id).unwrap();
        assert_eq!((run.info.status, run.tag("stage")), (RunStatus::Finished, Some("old")));
    }
}

/// The directory of the only journal in `place`.
fn only_journal(place: &Place) -> PathBuf {
    let [dir] = <[PathBuf; 1]>::try_from(crate::journal::all_journals(place).unwrap()).unwrap();
    dir
}

#[test]
fn what_can_be_read_of_a_damaged_journal_is_delivered_and_the_rest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (store, place) = (MemoryStore::new(), Place::Directory(dir.path().to_owned()));
    let (journal, run, run_id) = process(&store, &place, None);
    for step in 2..70_000 {
        journal.metric(Point { run, key: 0, value: 0.5, timestamp: 7, step }).unwrap();
    }
    drop(journal);
    let damaged = only_journal(&place);
    // The second segment's magic.
    let segments = |path: &PathBuf| path.extension().is_some_and(|it| it == "seg");
    let files = damaged.read_dir().unwrap().map(|entry| entry.unwrap().path()).filter(segments);
    for path in files {
        let mut bytes = std::fs::read(&path).unwrap();
        if bytes[16] == 2 {
            bytes[0] = b'x';
            std::fs::write(&path, bytes).unwrap();
        }
    }
    let other = dead_process(&store, &place, None);
    let recovery = recover_all(&store, &place, 2).unwrap();
    assert_eq!(recovery.journals, 1);
    assert!(recovery.kept.len() == 1 && recovery.kept[0].1.contains("1 file(s)"));
    let delivered = store.metric_history(&run_id, "loss").unwrap().len();
    assert!((60_000..66_000).contains(&delivered), "{delivered}");
    assert_eq!(store.get_run(&run_id).unwrap().info.status, RunStatus::Failed);
    assert_eq!(store.get_run(&other).unwrap().info.status, RunStatus::Finished);
    let again = recover_all(&store, &place, 1).unwrap();
    assert_eq!((again.records, again.kept.len()), (0, 1));
    assert_eq!(only_journal(&place), damaged);
}

#[test]
fn a_journal_of_another_version_is_left_as_it_is_and_keeps_no_other_back() {
    for (file, at, text) in [
        ("owner.json", 0, &b"{\"format\": 2}      "[..]),
        ("definitions.jsonl", 0, b"{\"Unit\": 1}\n"),
        ("0.seg", 8, &[2]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (store, place) = (MemoryStore::new(), Place::Directory(dir.path().to_owned()));
        let (journal, _, run_id) = process(&store, &place, None);
        drop(journal);
        let theirs = only_journal(&place);
        let mut bytes = std::fs::read(theirs.join(file)).unwrap();
        if file == "owner.json" {
            bytes.clear();
        }
        bytes.splice(at..at + if at == 0 { 0 } else { text.len() }, text.iter().copied());
        std::fs::write(theirs.join(file), bytes).unwrap();
        let other = dead_process(&store, &place, None);
        let recovery = recover_all(&store, &place, 2).unwrap();
        assert_eq!(recovery.journals, 1, "{file}");
        assert!(
            recovery.kept.len() == 1 && recovery.kept[0].1.contains("with the version that wrote it"),
            "{recovery:?}"
        );
        let run = store.get_run(&run_id).unwrap();
        assert_eq!((run.info.status, run.metric("loss")), (RunStatus::Running, None), "{file}");
        assert_eq!(store.get_run(&other).unwrap().info.status, RunStatus::Finished);
        assert_eq!(only_journal(&place), theirs);
    }
}

#[test]
fn a_record_whose_meaning_was_never_written_down_is_refused_and_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let (store, place) = (MemoryStore::new(), Place::Directory(dir.path().to_owned()));
    let (journal, run, run_id) = process(&store, &place, None);
    journal.metric(Point { run, key: 9, value: 0.5, timestamp: 7, step: 1 }).unwrap();
    journal.metric(Point { run: 9, key: 0, value: 0.5, timestamp: 7, step: 1 }).unwrap();
    drop(journal);
    let recovery = recover_all(&store, &place, 1).unwrap();
    assert_eq!((recovery.records, recovery.refused, recovery.journals), (2, 2, 1));
    let kept = std::fs::read_to_string(dir.path().join("rejected.jsonl")).unwrap();
    assert_eq!(kept.lines().count(), 2, "{kept}");
    assert_eq!(store.metric_history(&run_id, "loss").unwrap().len(), 1);
}

#[test]
fn a_refused_record_that_cannot_be_kept_stays_in_its_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (store, place) = (MemoryStore::new(), Place::Directory(dir.path().to_owned()));
    let (journal, run, run_id) = process(&store, &place, None);
    for value in ["1", "2"] {
        journal.text(&Text::Param { run, key: "k".to_owned(), value: value.to_owned() }).unwrap();
    }
    drop(journal);
    let rejected = dir.path().join("rejected.jsonl");
    std::fs::create_dir(&rejected).unwrap();
    // Else it is taken for a journal.
    let kept = recover_all(&store, &place, 1).unwrap().kept;
    assert!(kept.len() == 1 && kept[0].1.contains("cannot be kept"), "{kept:?}");
    std::fs::remove_dir(&rejected).unwrap();
    let recovery = recover_all(&store, &place, 1).unwrap();
    assert_eq!((recovery.journals, recovery.records, recovery.refused), (1, 0, 1));
    assert_eq!(std::fs::read_to_string(&rejected).unwrap().lines().count(), 1);
    assert_eq!(store.get_run(&run_id).unwrap().param("k"), Some("1"));
}

#[test]
fn a_journal_that_cannot_be_claimed_is_told_and_keeps_no_other_back() {
    let dir = tempfile::tempdir().unwrap();
    let (store, place) = (MemoryStore::new(), Place::Directory(dir.path().to_owned()));
    dead_process(&store, &place, None);
    // Cannot be opened to write, even by root, as no file can in a directory that is read-only.
    let lock = only_journal(&place).join("recovery.lock");
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    let other = dead_process(&store, &place, None);
    let recovery = recover_all(&store, &place, 2).unwrap();
    assert_eq!((recovery.journals, recovery.kept.len()), (1, 1));
    assert_eq!(store.get_run(&other).unwrap().info.status, RunStatus::Finished);
}

#[test]
fn beside_a_training_it_goes_in_small_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let (store, place) = (Arc::new(MemoryStore::new()), Place::Directory(dir.path().to_owned()));
    let (journal, run, run_id) = process(&store, &place, None);
    for step in 2..10_000 {
        journal.metric(Point { run, key: 0, value: 0.5, timestamp: 7, step }).unwrap();
    }
    drop(journal);
    let largest = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = Arc::clone(&largest);
    let watched = Faulty::scripted(Arc::clone(&store) as _, move |call| {
        let points = call.batch.map_or(0, |batch| batch.metrics.len());
        seen.fetch_max(points, std::sync::atomic::Ordering::Relaxed);
        Fault::None
    });
    while dead_journals(&place).is_empty() {
        std::thread::yield_now();
    }
    recover(&watched, &place, "s", Pace::Gentle, PATIENCE).unwrap();
    assert_eq!(store.metric_history(&run_id, "loss").unwrap().len(), 9999);
    let largest = largest.load(std::sync::atomic::Ordering::Relaxed);
    assert!((1..=TAKE_GENTLY).contains(&largest), "{largest}");
}

#[test]
fn a_store_that_stays_busy_is_given_up_and_what_it_took_is_not_delivered_again() {
    let dir = tempfile::tempdir().unwrap();
    let (store, place) = (Arc::new(MemoryStore::new()), Place::Directory(dir.path().to_owned()));
    dead_process(&store, &place, None);
    while dead_journals(&place).is_empty() {
        std::thread::yield_now();
    }
    // The tag and the point are stored, the end is not.
    let busy = Faulty::scripted(Arc::clone(&store) as _, |call| match call.method {
        crate::store::faulty::Method::UpdateRun => Fault::Fails(ErrorKind::Unavailable),
        _ => Fault::None,
    });
    let mut recovery = Recovery::default();
    let mut settled = 0;
    let Taken::Claim(claim) = Claim::take(&only_journal(&place)).unwrap() else { panic!("it is dead") };
    let stays = Delivery {
        store: &busy,
        place: &place,
        pace: Pace::Full,
        patience: Duration::ZERO,
        settled: &mut |records| settled += records,
    }
    .deliver(*claim, &mut recovery);
    let Err(Stays::Store(error)) = stays else { panic!("{stays:?}") };
    assert!(error.is_temporary(), "{error}");
    assert_eq!((recovery.records, settled), (2, 2));
    let recovery = recover_all(&*store, &place, 1).unwrap();
    assert_eq!((recovery.records, recovery.ended_runs.len()), (1, 1));
    assert_eq!(recovery.ended_runs[0].reason, None, "its process had ended it");
}
