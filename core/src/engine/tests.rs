//! What becomes of log calls when the store fails, hangs, tears or dies: nothing is lost uncounted, nothing doubled.

mod bounded;
mod health;

use std::sync::Arc;
use std::time::Duration;

use super::{Engine, PATIENCE as END_PATIENCE};
use crate::entity::{Dataset, DatasetInput, NewRun, Run, RunStatus};
use crate::error::ErrorKind;
use crate::journal::record::{Point, Text};
use crate::journal::{Journal, Place, RunDefinition, Shape, dead_journals};
use crate::recover::{Pace, recover};
use crate::store::faulty::{Call, Fault, Faulty, Gate, Method};
use crate::store::{MemoryStore, Store};

const PATIENCE: Duration = Duration::from_secs(20);

/// An engine on a store that fails by script, with a run.
struct Rig {
    dir: tempfile::TempDir,
    /// Behind the faults.
    store: Arc<MemoryStore>,
    faulty: Arc<Faulty>,
    engine: Arc<Engine>,
    run: u32,
    run_id: String,
}

impl Rig {
    fn new(script: impl Fn(&Call<'_>) -> Fault + Send + Sync + 'static) -> Self {
        Self::with(Shape::default(), script)
    }

    fn with(shape: Shape, script: impl Fn(&Call<'_>) -> Fault + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(MemoryStore::new());
        let new = NewRun { experiment_id: "0".to_owned(), run_name: "r".to_owned(), ..NewRun::default() };
        let run_id = store.create_run(&new).unwrap().info.run_id;
        let faulty = Arc::new(Faulty::scripted(Arc::clone(&store) as _, script));
        let place = Place::Directory(dir.path().to_owned());
        let journal = Journal::open(&place, "s", shape);
        let engine = Engine::start(Arc::clone(&faulty) as _, journal, place, false, END_PATIENCE).unwrap();
        let definitions = engine.journal.definitions();
        definitions.key("loss").unwrap();
        let run = definitions.run(RunDefinition { run_id: run_id.clone(), owned: false }).unwrap();
        Self { dir, store, faulty, engine, run, run_id }
    }

    fn log(&self, steps: std::ops::Range<i64>) {
        for step in steps {
            self.engine.log_metric(Point { run: self.run, key: 0, value: 0.5, timestamp: step, step });
        }
    }

    fn log_text(&self, text: &Text) {
        self.engine.log(self.run, text);
    }

    /// Everything that a run can log, in an order that matters.
    fn log_all_kinds(&self) {
        let run = self.run;
        let key = || "k".to_owned();
        let tag = |value: &str| Text::Tag { run, key: key(), value: value.to_owned() };
        self.log(0..100);
        self.log_text(&Text::Param { run, key: key(), value: "v".to_owned() });
        self.log_text(&tag("old"));
        self.log_text(&Text::DeleteTag { run, key: key() });
        self.log_text(&tag("new"));
        let input = Box::new(DatasetInput::new(Dataset::new("iris", "1"), "train"));
        self.log_text(&Text::Input { run, input });
        self.log_text(&Text::End { run, status: RunStatus::Finished, time: 200 });
        self.log(100..200);
    }

    /// Checks that the store has all of that, and once.
    #[track_caller]
    fn check_all_kinds(&self) {
        let run = self.stored();
        assert_eq!(self.steps(), (0..200).collect::<Vec<_>>());
        assert_eq!((run.param("k"), run.tag("k")), (Some("v"), Some("new")));
        assert_eq!(run.inputs.datasets.len(), 1);
        assert_eq!((run.info.status, run.info.end_time), (RunStatus::Finished, Some(200)));
        assert!(self.engine.losses(self.run).is_empty());
    }

    /// Whether the journal takes a point.
    fn takes(&self, key: u32, step: i64) -> bool {
        let point = Point { run: self.run, key, value: 0.5, timestamp: step, step };
        !self.engine.log_metric(point).is_refused()
    }

    /// Delivers what the engine, which has ended, left in its journal.
    fn recover(&self) {
        let place = Place::Directory(self.dir.path().to_owned());
        // A child that another test spawns may hold a copy of its lock for a moment.
        while dead_journals(&place).is_empty() {
            std::thread::yield_now();
        }
        let recovery = recover(&*self.store, &place, "s", Pace::Full, PATIENCE).unwrap();
        assert_eq!((recovery.journals, recovery.refused), (1, 0));
    }

    fn stored(&self) -> Run {
        self.store.get_run(&self.run_id).unwrap()
    }

    fn steps(&self) -> Vec<i64> {
        self.store.metric_history(&self.run_id, "loss").unwrap().iter().map(|point| point.step).collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.engine.close(PATIENCE);
    }
}

#[test]
fn a_store_that_fails_for_a_while_loses_nothing() {
    let rig = Rig::new(|call| match call {
        Call { method: Method::LogBatch | Method::UpdateRun, number: ..3, .. } => {
            Fault::Fails(ErrorKind::Unavailable)
        }
        _ => Fault::None,
    });
    rig.log_all_kinds();
    rig.engine.flush(PATIENCE).unwrap();
    rig.check_all_kinds();
}

#[test]
fn an_answer_that_is_lost_stores_nothing_twice() {
    let rig = Rig::new(|call| match call {
        Call { method: Method::Sync | Method::Close, .. } => Fault::None,
        Call { number: 0, .. } => Fault::Torn(ErrorKind::Unavailable),
        _ => Fault::None,
    });
    rig.log_all_kinds();
    rig.engine.flush(PATIENCE).unwrap();
    rig.check_all_kinds();
    for method in [Method::LogBatch, Method::DeleteTag, Method::LogInputs, Method::UpdateRun] {
        assert!(rig.faulty.calls(method) >= 2, "{method:?} was made again");
    }
}

#[test]
fn a_store_whose_every_call_fails_and_then_tears_gets_everything_once() {
    let rig = Rig::new(|call| match call.total % 3 {
        0 => Fault::Fails(ErrorKind::Unavailable),
        1 => Fault::Torn(ErrorKind::Unavailable),
        _ => Fault::None,
    });
    rig.log_all_kinds();
    rig.engine.flush(PATIENCE).unwrap();
    rig.check_all_kinds();
}

#[test]
fn a_record_that_is_refused_for_good_is_counted_and_the_others_are_kept() {
    let rig = Rig::new(|call| match call.batch {
        Some(batch) if batch.metrics.iter().any(|point| point.step == 42) => {
            Fault::Fails(ErrorKind::InvalidInput)
        }
        _ => Fault::None,
    });
    rig.log(0..1000);
    rig.engine.flush(PATIENCE).unwrap();
    assert_eq!(rig.steps(), (0..1000).filter(|step| *step != 42).collect::<Vec<_>>());
    assert_eq!(rig.engine.losses(rig.run).total(), 1);
    let rejected = std::fs::read_to_string(rig.dir.path().join("rejected.jsonl")).unwrap();
    assert!(rejected.lines().count() == 1 && rejected.contains("\"step\":42"), "{rejected}");
}

#[test]
fn each_record_for_a_run_that_was_deleted_is_counted_with_the_reason() {
    let rig = Rig::new(|_| Fault::None);
    rig.log(0..10);
    rig.engine.flush(PATIENCE).unwrap();
    rig.store.delete_run(&rig.run_id, 1).unwrap();
    rig.log(10..2000);
    rig.engine.flush(PATIENCE).unwrap();
    let losses = rig.engine.losses(rig.run);
    assert_eq!(losses.total(), 1990);
    assert!(losses.iter().all(|(reason, _)| reason.contains("deleted")), "{losses}");
    assert_eq!(rig.steps().len(), 10);
}

#[test]
fn a_store_that_hangs_holds_up_no_log_call() {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = Rig::new(move |call| match call.method {
        Method::LogBatch => Fault::Waits(held.clone()),
        _ => Fault::None,
    });
    rig.log(0..1);
    gate.wait_for_arrivals(1);
    // Were they to wait for the store, this would never end.
    rig.log(1..20_000);
    assert_eq!(rig.steps(), [0; 0]);
    gate.open();
    rig.engine.flush(PATIENCE).unwrap();
    assert_eq!(rig.steps(), (0..20_000).collect::<Vec<_>>());
}

#[test]
fn what_a_store_that_died_has_not_taken_at_the_end_the_next_process_delivers() {
    // It takes a little, dies in the middle of something, and stays dead.
    let rig = Rig::new(|call| match call.total {
        0 | 1 => Fault::None,
        2 => Fault::Torn(ErrorKind::Unavailable),
        _ => Fault::Fails(ErrorKind::Unavailable),
    });
    rig.log_all_kinds();
    rig.engine.flush(Duration::from_millis(1)).unwrap_err();
    rig.engine.close(Duration::from_millis(1));
    assert!(rig.engine.close(PATIENCE), "it has given up");
    assert_eq!(std::fs::read_dir(rig.dir.path()).unwrap().count(), 1, "the journal stays");
    let place = Place::Directory(rig.dir.path().to_owned());
    assert_eq!(rig.stored().info.status, RunStatus::Running);
    rig.recover();
    rig.check_all_kinds();
    assert_eq!(
        recover(&*rig.store, &place, "s", Pace::Full, PATIENCE).unwrap().journals,
        0,
        "and nothing is left"
    );
}

#[test]
fn an_engine_closes_although_a_thread_goes_on_to_log_and_keeps_what_it_took() {
    let rig = Rig::new(|_| Fault::None);
    rig.log(0..1);
    let (engine, run, key) = (&rig.engine, rig.run, 0);
    let log = |step: &i64| {
        !engine.log_metric(Point { run, key, value: 0.5, timestamp: 1, step: *step }).is_refused()
    };
    let taken = std::thread::scope(|scope| {
        let logging = scope.spawn(|| (1..i64::MAX).take_while(log).count() + 1);
        assert!(engine.close(Duration::from_mins(5)));
        logging.join().unwrap()
    });
    // One may have been between its reservation and its publication: the next process delivers it.
    while rig.steps().len() < taken {
        recover(&*rig.store, &Place::Directory(rig.dir.path().to_owned()), "s", Pace::Full, PATIENCE)
            .unwrap();
    }
    assert_eq!(rig.steps().len(), taken);
    assert_eq!(engine.losses(run).total(), 1, "and the one that was refused is counted");
}
