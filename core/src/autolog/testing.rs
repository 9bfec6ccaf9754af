//! What can go wrong around a training, for the tests of adapters: under each of these a training must end as it does
//! without autologging.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::config::Config;
use crate::engine::PATIENCE;
use crate::entity::NewExperiment;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Journal, Place, Shape};
use crate::store::faulty::{self, Faulty};
use crate::store::{MemoryStore, Store};
use crate::sync::lock;
use crate::tracker::{Tracker, WeakTracker};

/// How long the end of a run waits for a store that does not answer; it is no test's business that users wait longer.
const SHORT_PATIENCE: Duration = Duration::from_millis(20);
/// Room in a journal that is full soon: for two short records.
const SLOTS: u64 = 2;

/// Something that goes wrong. The numbers count from 0.
///
/// ```
/// use runlog_core::autolog::testing::Fault;
/// use runlog_core::fluent::with_tracker;
///
/// let train = || 42; // with autologging on
/// for fault in Fault::ALL {
///     assert_eq!(with_tracker(&fault.tracker(), train), 42, "{fault:?}");
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// From this call on, the store cannot be reached.
    StoreUnreachable(u64),
    /// From this call on, the store refuses everything.
    StoreRefuses(u64),
    /// From this call on, the store panics.
    StorePanics(u64),
    /// Every second call of the store takes effect, and its answer is lost.
    AnswersLost,
    /// No file can be stored.
    ArtifactsRefused,
    /// The journal takes two short records, and then nothing.
    JournalFull,
    /// What the adapter reports to its [`Recorder`](super::Recorder) with this call fails.
    HookFails(u64),
    /// What the adapter reports to its [`Recorder`](super::Recorder) with this call panics.
    HookPanics(u64),
}

/// Both faults of the hooks with these numbers.
macro_rules! all_with_hooks {
    ([$($other:expr),* $(,)?], $($hook:literal)*) => {
        &[$($other,)* $(Fault::HookFails($hook), Fault::HookPanics($hook)),*]
    };
}

impl Fault {
    /// Every kind of fault, at the places where trainings have something to do with the store or the recorder.
    pub const ALL: &'static [Self] = all_with_hooks!([
        Self::StoreUnreachable(0),
        Self::StoreUnreachable(4),
        Self::StoreUnreachable(8),
        Self::StoreRefuses(0),
        Self::StoreRefuses(2),
        Self::StoreRefuses(4),
        Self::StoreRefuses(6),
        Self::StoreRefuses(8),
        Self::StoreRefuses(12),
        Self::StorePanics(0),
        Self::StorePanics(4),
        Self::StorePanics(8),
        Self::AnswersLost,
        Self::ArtifactsRefused,
        Self::JournalFull,
    ], 0 1 2 3 4 5 6 7 8 9 10 15 20 30);

    /// A tracker in memory that has this fault, for [`with_tracker`](crate::fluent::with_tracker). Use it for one
    /// training: the calls are counted by tracker.
    ///
    /// # Panics
    /// If the process has no thread or memory left for it.
    #[expect(clippy::expect_used, reason = "this is for tests, which fail by panicking")]
    pub fn tracker(self) -> Tracker {
        let (store, config) = self.store_and_config().expect("a store in memory");
        let store = Faulty::scripted(store, move |call| self.of_call(call.total));
        let address = "memory:";
        let shape = match self {
            Self::JournalFull => Shape { slots_max: SLOTS, ..Shape::default() },
            _ => Shape::default(),
        };
        let journal = Journal::open(&Place::Memory, address, shape);
        let tracker = Tracker::over(Arc::new(store), journal, config, self.patience()).expect("a thread");
        if matches!(self, Self::HookFails(_) | Self::HookPanics(_)) {
            let strike = Strike { tracker: tracker.downgrade(), fault: self, calls: AtomicU64::new(0) };
            let mut strikes = lock(&STRIKES);
            strikes.retain(|strike| strike.tracker.upgrade().is_some());
            strikes.push(strike);
        }
        tracker
    }

    fn store_and_config(self) -> Result<(Arc<dyn Store>, Config)> {
        let (store, mut config) = (MemoryStore::new(), Config::from_map(&HashMap::new())?);
        if self == Self::ArtifactsRefused {
            let nowhere = Some("nowhere:/".to_owned());
            let new =
                NewExperiment { name: "x".to_owned(), artifact_location: nowhere, ..Default::default() };
            config.experiment_id = Some(store.create_experiment(&new)?);
        }
        Ok((Arc::new(store), config))
    }

    /// A store that answers is waited for: a machine that is busy must not look like this fault.
    fn patience(self) -> Duration {
        match self {
            Self::ArtifactsRefused | Self::JournalFull | Self::HookFails(_) | Self::HookPanics(_) => PATIENCE,
            _ => SHORT_PATIENCE,
        }
    }

    /// What becomes of a call of the store before which it had `count`.
    #[expect(clippy::panic, reason = "it is asked for")]
    fn of_call(self, count: u64) -> faulty::Fault {
        match self {
            Self::StoreUnreachable(from) if count >= from => faulty::Fault::Fails(ErrorKind::Unavailable),
            Self::StoreRefuses(from) if count >= from => faulty::Fault::Fails(ErrorKind::Denied),
            Self::StorePanics(from) if count >= from => panic!("{self:?}"),
            Self::AnswersLost if count % 2 == 1 => faulty::Fault::Torn(ErrorKind::Unavailable),
            _ => faulty::Fault::None,
        }
    }
}

/// The trackers whose hooks fail.
static STRIKES: Mutex<Vec<Strike>> = Mutex::new(Vec::new());

struct Strike {
    tracker: WeakTracker,
    fault: Fault,
    calls: AtomicU64,
}

/// Fails, or panics, if that is what becomes of this call of a recorder.
#[expect(clippy::panic, reason = "it is asked for")]
pub(super) fn strike(tracker: &Tracker) -> Result<()> {
    let strikes = lock(&STRIKES);
    let of_tracker = |strike: &&Strike| strike.tracker.upgrade().is_some_and(|of| of.is_same(tracker));
    let Some(strike) = strikes.iter().find(of_tracker) else { return Ok(()) };
    let (fault, call) = (strike.fault, strike.calls.fetch_add(1, Ordering::Relaxed));
    drop(strikes);
    match fault {
        Fault::HookFails(at) if at == call => {
            Err(Error::new(ErrorKind::Unexpected, "this failure is asked for"))
        }
        Fault::HookPanics(at) if at == call => panic!("{fault:?}"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AutologOptions, Integration, Training, configure};
    use super::*;
    use crate::data::Arrays;
    use crate::entity::{ModelStatus, Run};
    use crate::fluent::with_tracker;
    use crate::model::ModelSpec;
    use crate::store::RunQuery;

    fn integration(name: &'static str) -> &'static Integration {
        let integration = Box::leak(Box::new(Integration::new(name, "0")));
        configure(integration, AutologOptions::new().silent(true), ());
        integration
    }

    /// A training that tells its recorder of everything there is, in six calls.
    fn train(integration: &'static Integration) -> u32 {
        let Some(training) = Training::start(integration) else { return 42 };
        training.record("the params", |run| {
            run.log_param("epochs", 3);
            Ok(())
        });
        training.log_dataset("train", || Arrays::new("digits").features([1.0, 2.0], &[2, 1]).dataset());
        let loss = training.run().metric("loss");
        for epoch in 0..3 {
            loss.log(1.0, epoch);
            training.record("an epoch", |run| {
                run.log_metric("accuracy", 0.5, epoch);
                Ok(())
            });
        }
        training.log_model(|_| Ok(ModelSpec::new("model").file("weights", "w")));
        training.finish();
        42
    }

    #[test]
    fn a_training_is_what_it_is_under_every_fault() {
        let integration = integration("faults");
        for fault in Fault::ALL {
            assert_eq!(with_tracker(&fault.tracker(), || train(integration)), 42, "{fault:?}");
        }
    }

    #[test]
    fn every_fault_is_felt() {
        let integration = integration("felt");
        let left = |fault: Fault| -> Option<Run> {
            let tracker = fault.tracker();
            with_tracker(&tracker, || train(integration));
            tracker.search_runs(RunQuery::new().all_experiments()).ok()?.pop()
        };
        for fault in [Fault::StoreUnreachable(0), Fault::StoreRefuses(0), Fault::StorePanics(0)] {
            assert!(std::panic::catch_unwind(|| left(fault)).ok().flatten().is_none(), "{fault:?}");
        }
        assert_eq!(left(Fault::JournalFull).unwrap().metric("accuracy"), None);
        let refused = Fault::ArtifactsRefused.tracker();
        with_tracker(&refused, || train(integration));
        assert_eq!(refused.last_logged_model().unwrap().unwrap().status, ModelStatus::Failed);
        for fault in [Fault::HookFails(2), Fault::HookPanics(2)] {
            let run = left(fault).unwrap();
            assert_eq!((run.param("epochs"), run.inputs.datasets.len()), (Some("3"), 1), "{fault:?}");
            assert_eq!((run.metric("loss"), run.metric("accuracy"), run.outputs.len()), (Some(1.0), None, 0));
        }
        let whole = left(Fault::HookFails(6)).unwrap();
        assert_eq!((whole.metric("accuracy"), whole.outputs.len()), (Some(0.5), 1), "six calls are all");
    }
}
