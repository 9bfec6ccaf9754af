//! From records to calls of the store: batching, retries, refusals.
//!
//! Metrics of a run may go in any order; everything else keeps the order in which it was logged. Params travel by
//! themselves, since one conflict refuses a whole batch. A batch that is refused for good is split until the refused
//! record stands alone: it is given back with the reason, the others are stored. Where the run itself takes nothing, as
//! one that was deleted meanwhile, the batch is given back as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::entity::{LifecycleStage, Metric, ModelOutput, Param, RunChange, Tag};
use crate::error::{Error, ErrorKind, Result};
use crate::journal::record::{Point, Record, Text};
use crate::journal::{Definitions, Entry};
use crate::store::{Batch, Store};

/// Records taken from a journal at once; the store's own limits cut them into batches.
pub(crate) const TAKE_MAX: usize = 16_384;

/// What a delivery reports to, and what it asks when the store is busy.
pub(crate) trait Ledger {
    /// The record is in the store.
    fn stored(&mut self, entry: &Entry);
    /// The store will never take the record.
    fn refused(&mut self, entry: &Entry, error: &Error);
    /// Waits before the call is made again; false gives up, and the record stays in the journal.
    fn wait_to_retry(&mut self, error: &Error, attempt: u32) -> bool;
}

/// The store is busy and the ledger would not wait any longer.
#[derive(Debug)]
pub(crate) struct GaveUp;

/// Points of the last batch, whose memory serves the next one.
pub(crate) type Spare = Vec<Metric>;

/// Delivers `entries` to the store.
pub(crate) fn deliver(
    store: &dyn Store,
    definitions: &Definitions,
    entries: &[Entry],
    spare: &mut Spare,
    ledger: &mut dyn Ledger,
) -> Result<(), GaveUp> {
    let mut delivery = Delivery { store, definitions, spare, ledger };
    let mut lanes: BTreeMap<u32, Lane<'_>> = BTreeMap::new();
    let keys = definitions.keys();
    for entry in entries {
        match &entry.record {
            Record::Metric(point) if point.key >= keys => {
                let unknown = Error::not_found("the journal does not say which key a metric has");
                delivery.ledger.refused(entry, &unknown);
            }
            Record::Metric(point) => {
                let metrics = &mut lanes.entry(point.run).or_default().metrics;
                metrics.entry(point.key).or_default().push(entry);
            }
            Record::Text(Text::Tag { run, .. }) => lanes.entry(*run).or_default().tags.push(entry),
            Record::Text(Text::Param { run, .. }) => lanes.entry(*run).or_default().params.push(entry),
            Record::Text(Text::Measure { run, point }) => {
                let of_models = &mut lanes.entry(*run).or_default().of_models;
                of_models.entry(point.model_id.as_deref()).or_default().push(entry);
            }
            Record::Text(Text::Note { .. }) => delivery.ledger.stored(entry),
            Record::Text(
                Text::DeleteTag { run, .. }
                | Text::Input { run, .. }
                | Text::ModelInput { run, .. }
                | Text::ModelOutput { run, .. }
                | Text::End { run, .. },
            ) => {
                if let Some(lane) = lanes.remove(run) {
                    delivery.flush(*run, lane)?;
                }
                delivery.single(*run, entry)?;
            }
            Record::Text(Text::Aside { file }) => {
                let gone = Error::new(ErrorKind::Lost, "a large record's file is gone").with("file", file);
                delivery.ledger.refused(entry, &gone);
            }
        }
    }
    for (run, lane) in lanes {
        delivery.flush(run, lane)?;
    }
    Ok(())
}

/// What waits for one run.
#[derive(Default)]
struct Lane<'a> {
    /// Points by their key.
    metrics: BTreeMap<u32, Vec<&'a Entry>>,
    /// Points by the model that they measure: one model that is gone refuses no point of another.
    of_models: BTreeMap<Option<&'a str>, Vec<&'a Entry>>,
    tags: Vec<&'a Entry>,
    params: Vec<&'a Entry>,
}

struct Delivery<'a> {
    store: &'a dyn Store,
    definitions: &'a Definitions,
    spare: &'a mut Spare,
    ledger: &'a mut dyn Ledger,
}

impl Delivery<'_> {
    fn flush(&mut self, run: u32, lane: Lane<'_>) -> Result<(), GaveUp> {
        let limits = self.store.limits();
        for params in split_by_key(&lane.params, limits.params) {
            self.send(run, params)?;
        }
        let (last, replaced) = last_of_each_key(&lane.tags);
        // First: whoever dies in between must not leave an old value to be stored over the new one.
        for entry in replaced {
            self.ledger.stored(entry);
        }
        for tags in last.chunks(limits.tags) {
            self.send(run, tags)?;
        }
        // Stores keep points by key, time and step: what comes in this order is written in one go.
        let mut in_order = Vec::new();
        for mut metrics in lane.metrics.into_values() {
            metrics.sort_by_key(|entry| match entry.record {
                Record::Metric(point) => (point.timestamp, point.step),
                Record::Text(_) => Default::default(),
            });
            in_order.append(&mut metrics);
        }
        for metrics in lane.of_models.values().chain([&in_order]) {
            for metrics in metrics.chunks(limits.metrics) {
                self.send(run, metrics)?;
            }
        }
        Ok(())
    }

    /// Stores `entries` in one call if that can be.
    fn send(&mut self, run: u32, entries: &[&Entry]) -> Result<(), GaveUp> {
        match self.log(run, entries)? {
            Err(error) if entries.len() > 1 && self.is_closed(run)? => self.refuse(entries, &error),
            outcome => self.settle(run, entries, outcome)?,
        }
        Ok(())
    }

    /// Reports what became of `entries`; where one of several is to blame, each half is sent by itself.
    fn settle(&mut self, run: u32, entries: &[&Entry], outcome: Result<()>) -> Result<(), GaveUp> {
        match outcome {
            Ok(()) => {
                for entry in entries {
                    self.ledger.stored(entry);
                }
            }
            Err(error) if entries.len() == 1 || is_of_a_gone_model(entries, &error) => {
                self.refuse(entries, &error);
            }
            Err(_one_of_them) => {
                let (first, second) = entries.split_at(entries.len() / 2);
                for half in [first, second] {
                    let outcome = self.log(run, half)?;
                    self.settle(run, half, outcome)?;
                }
            }
        }
        Ok(())
    }

    fn log(&mut self, run: u32, entries: &[&Entry]) -> Result<Result<()>, GaveUp> {
        let batch = self.batch(entries);
        let outcome = self.retry(run, |store, run_id| store.log_batch(run_id, &batch));
        *self.spare = batch.metrics;
        outcome
    }

    fn refuse(&mut self, entries: &[&Entry], error: &Error) {
        for entry in entries {
            self.ledger.refused(entry, error);
        }
    }

    /// Whether the run takes nothing, whatever the record: it is deleted, or gone.
    fn is_closed(&mut self, run: u32) -> Result<bool, GaveUp> {
        Ok(match self.retry(run, |store, run_id| store.get_run(run_id))? {
            Ok(run) => run.info.lifecycle_stage == LifecycleStage::Deleted,
            Err(error) => error.kind() == ErrorKind::NotFound,
        })
    }

    fn batch(&mut self, entries: &[&Entry]) -> Batch {
        let mut batch = Batch { metrics: std::mem::take(self.spare), ..Batch::default() };
        // How many points of the batch are of this one, not the last.
        let mut points = 0;
        let mut known = None;
        for entry in entries {
            match &entry.record {
                Record::Metric(point) => {
                    // Points come key by key.
                    if known.is_none_or(|(number, _)| number != point.key) {
                        known = self.definitions.key_name(point.key).map(|key| (point.key, key));
                    }
                    let Some((_, key)) = known else { continue };
                    match batch.metrics.get_mut(points) {
                        Some(spare) => reuse(spare, key, *point),
                        None => {
                            batch.metrics.push(Metric::new(key, point.value, point.timestamp, point.step));
                        }
                    }
                    points += 1;
                }
                Record::Text(Text::Measure { point, .. }) => {
                    batch.metrics.truncate(points);
                    batch.metrics.push(point.metric());
                    points += 1;
                }
                Record::Text(Text::Param { key, value, .. }) => batch.params.push(Param::new(key, value)),
                Record::Text(Text::Tag { key, value, .. }) => batch.tags.push(Tag::new(key, value)),
                Record::Text(_) => {}
            }
        }
        batch.metrics.truncate(points);
        batch
    }

    /// Stores a record that is no part of a batch.
    fn single(&mut self, run: u32, entry: &Entry) -> Result<(), GaveUp> {
        let Record::Text(text) = &entry.record else { return Ok(()) };
        let outcome = self.retry(run, |store, run_id| match text {
            Text::DeleteTag { key, .. } => match store.delete_tag(run_id, key) {
                // Deleted already: a replay, or somebody else.
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                outcome => outcome,
            },
            Text::Input { input, .. } => store.log_inputs(run_id, std::slice::from_ref(input), &[]),
            Text::ModelInput { model_id, .. } => {
                store.log_inputs(run_id, &[], std::slice::from_ref(model_id))
            }
            Text::ModelOutput { model_id, step, .. } => {
                store.log_outputs(run_id, &[ModelOutput::new(model_id, *step)])
            }
            Text::End { status, time, .. } => {
                let change = RunChange { status: Some(*status), end_time: Some(*time), run_name: None };
                store.update_run(run_id, &change)
            }
            _ => Ok(()),
        })?;
        match outcome {
            Ok(()) => self.ledger.stored(entry),
            Err(error) => self.ledger.refused(entry, &error),
        }
        Ok(())
    }

    fn retry<T>(
        &mut self,
        run: u32,
        call: impl Fn(&dyn Store, &str) -> Result<T>,
    ) -> Result<Result<T>, GaveUp> {
        let Some(run) = self.definitions.run_of(run) else {
            return Ok(Err(Error::not_found("the journal does not say which run a record is of")));
        };
        let mut attempt = 0;
        loop {
            match guarded(|| call(self.store, &run.run_id)) {
                Err(error) if error.is_temporary() || !blames_the_record(error.kind()) => {
                    if !self.ledger.wait_to_retry(&error, attempt) {
                        return Err(GaveUp);
                    }
                    attempt += 1;
                }
                outcome => return Ok(outcome),
            }
        }
    }
}

/// Makes a point of `spare`, as [`Metric::new`] would, in the memory of its key.
fn reuse(spare: &mut Metric, key: &str, point: Point) {
    let Metric { key: name, value, timestamp, step, model_id, dataset_name, dataset_digest, run_id } = spare;
    name.clear();
    name.push_str(key);
    (*value, *timestamp, *step) = (point.value, point.timestamp, point.step);
    for of_a_model in [model_id, dataset_name, dataset_digest, run_id] {
        *of_a_model = None;
    }
}

/// Makes a call of a store; one that panics is in trouble, as one that cannot be reached.
pub(crate) fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_panic| Err(Error::new(ErrorKind::Unexpected, "the store panicked")))
}

/// Whether an error says that the store will never take this record, and not that the store itself is in trouble.
fn blames_the_record(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::InvalidInput
            | ErrorKind::Conflict
            | ErrorKind::AlreadyExists
            | ErrorKind::NotFound
            | ErrorKind::Unsupported
    )
}

/// Runs of entries with each key at most once, in order: stores take no key twice in a batch.
fn split_by_key<'a, 'e>(entries: &'a [&'e Entry], max: usize) -> impl Iterator<Item = &'a [&'e Entry]> {
    let mut rest = entries;
    std::iter::from_fn(move || {
        let mut keys = BTreeSet::new();
        let fitting = rest.iter().take(max).take_while(|entry| keys.insert(key_of(entry))).count();
        let (batch, later) = rest.split_at(fitting);
        rest = later;
        (!batch.is_empty()).then_some(batch)
    })
}

/// Whether `entries`, which then all measure one model, are refused because the model is gone.
fn is_of_a_gone_model(entries: &[&Entry], error: &Error) -> bool {
    let measures = |entry: &&Entry| matches!(entry.record, Record::Text(Text::Measure { .. }));
    error.kind() == ErrorKind::NotFound && entries.iter().all(measures)
}

/// The last entry of each key, and those that it replaces.
fn last_of_each_key<'e>(entries: &[&'e Entry]) -> (Vec<&'e Entry>, Vec<&'e Entry>) {
    let mut keys = BTreeSet::new();
    entries.iter().rev().partition(|entry| keys.insert(key_of(entry)))
}

fn key_of(entry: &Entry) -> Option<&str> {
    match &entry.record {
        Record::Text(Text::Param { key, .. } | Text::Tag { key, .. }) => Some(key),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::entity::{NewRun, Run, RunStatus};
    use crate::journal::RunDefinition;
    use crate::store::MemoryStore;
    use crate::store::faulty::{Fault, Faulty, Method};

    #[derive(Default)]
    struct Heard {
        stored: BTreeSet<u64>,
        refused: Vec<(u64, ErrorKind)>,
    }

    impl Ledger for Heard {
        fn stored(&mut self, entry: &Entry) {
            assert!(self.stored.insert(entry.first), "a record is reported once");
        }

        fn refused(&mut self, entry: &Entry, error: &Error) {
            self.refused.push((entry.first, error.kind()));
        }

        fn wait_to_retry(&mut self, _: &Error, _: u32) -> bool {
            false
        }
    }

    /// A store in memory with a run, whose number is 0; run 1 is gone.
    fn place() -> (Arc<MemoryStore>, Definitions, String) {
        let store = Arc::new(MemoryStore::new());
        let new = NewRun { experiment_id: "0".to_owned(), run_name: "r".to_owned(), ..NewRun::default() };
        let run_id = store.create_run(&new).unwrap().info.run_id;
        let definitions = Definitions::default();
        definitions.key("loss").unwrap();
        definitions.run(RunDefinition { run_id: run_id.clone(), owned: true }).unwrap();
        definitions.run(RunDefinition { run_id: "gone".to_owned(), owned: true }).unwrap();
        (store, definitions, run_id)
    }

    /// The records, whose sequences are their places.
    fn entries(records: Vec<Record>) -> Vec<Entry> {
        (0..).zip(records).map(|(first, record)| Entry { first, slots: 1, record }).collect()
    }

    fn heard(store: &dyn Store, definitions: &Definitions, records: Vec<Record>) -> Heard {
        let entries = entries(records);
        let mut heard = Heard::default();
        deliver(store, definitions, &entries, &mut Spare::new(), &mut heard).unwrap();
        assert_eq!(heard.stored.len() + heard.refused.len(), entries.len(), "every record is reported");
        heard
    }

    fn delivered(records: Vec<Record>) -> (Run, Heard) {
        let (store, definitions, run_id) = place();
        let heard = heard(&*store, &definitions, records);
        (store.get_run(&run_id).unwrap(), heard)
    }

    fn metric(run: u32, step: i64) -> Record {
        Record::Metric(Point { run, key: 0, value: 0.5, timestamp: 1, step })
    }

    fn param(key: &str, value: &str) -> Record {
        Record::Text(Text::Param { run: 0, key: key.to_owned(), value: value.to_owned() })
    }

    fn tag(value: &str) -> Record {
        Record::Text(Text::Tag { run: 0, key: "k".to_owned(), value: value.to_owned() })
    }

    #[test]
    fn a_point_in_the_memory_of_another_says_nothing_of_that_one() {
        let mut spare = Metric::new("accuracy", 1.0, 2, 3).for_model("m-0").on_dataset("iris", "0a1b");
        spare.run_id = Some("r".to_owned());
        reuse(&mut spare, "loss", Point { run: 0, key: 0, value: 0.5, timestamp: 7, step: -1 });
        assert_eq!(spare, Metric::new("loss", 0.5, 7, -1));
    }

    #[test]
    fn a_refused_param_stands_alone_and_all_others_are_stored() {
        let mut records: Vec<Record> = (0..100).map(|n| param(&n.to_string(), "v")).collect();
        records.push(param("42", "other"));
        records.push(param("42", "v"));
        records.extend((100..200).map(|n| param(&n.to_string(), "v")));
        let (run, heard) = delivered(records);
        assert_eq!(heard.refused, [(100, ErrorKind::Conflict)]);
        assert_eq!(run.data.params.len(), 200);
        assert_eq!(run.param("42"), Some("v"));
    }

    #[test]
    fn tags_and_deletes_take_effect_in_order() {
        let delete = || Record::Text(Text::DeleteTag { run: 0, key: "k".to_owned() });
        let (run, _) = delivered(vec![tag("1"), tag("2"), delete(), tag("3"), tag("4")]);
        assert_eq!(run.tag("k"), Some("4"));
        let (run, heard) = delivered(vec![tag("1"), delete(), delete()]);
        assert_eq!((run.tag("k"), heard.refused.len()), (None, 0));
    }

    fn measure(model_id: &str, step: i64) -> Record {
        let point = Box::new(Metric::new("accuracy", 0.5, 1, step).for_model(model_id).into());
        Record::Text(Text::Measure { run: 0, point })
    }

    #[test]
    fn a_model_that_is_gone_costs_its_own_points_and_no_others() {
        let (run, heard) =
            delivered(vec![measure("m-gone", 1), metric(0, 1), measure("m-gone", 2), metric(0, 2)]);
        assert_eq!(heard.refused, [0, 2].map(|first| (first, ErrorKind::NotFound)));
        assert_eq!((run.data.metrics.len(), run.metric("loss")), (1, Some(0.5)));
    }

    #[test]
    fn models_are_linked_as_what_a_run_used_and_made() {
        let model_id = "m-1".to_owned();
        let input = Record::Text(Text::ModelInput { run: 0, model_id: model_id.clone() });
        let output = Record::Text(Text::ModelOutput { run: 0, model_id: model_id.clone(), step: 3 });
        let (run, heard) = delivered(vec![input, output.clone(), output]);
        assert_eq!(heard.refused, []);
        assert_eq!((run.inputs.models, run.outputs), (vec![model_id], vec![ModelOutput::new("m-1", 3)]));
    }

    #[test]
    fn the_end_of_a_run_comes_after_what_it_logged() {
        let end = Record::Text(Text::End { run: 0, status: RunStatus::Finished, time: 9 });
        let (run, _) = delivered(vec![metric(0, 1), param("p", "v"), end, metric(0, 2)]);
        assert_eq!((run.info.status, run.info.end_time), (RunStatus::Finished, Some(9)));
        assert_eq!(run.data.metrics[0].step, 2, "and what comes later is stored all the same");
    }

    #[test]
    fn what_is_logged_to_a_run_that_is_gone_is_refused_and_costs_no_other_run() {
        let (run, heard) = delivered(vec![metric(1, 1), metric(0, 1), metric(1, 2), metric(7, 1)]);
        assert_eq!(run.data.metrics.len(), 1);
        assert_eq!(heard.refused, [0, 2, 3].map(|first| (first, ErrorKind::NotFound)));
    }

    #[test]
    fn a_run_that_was_deleted_meanwhile_refuses_each_batch_in_one_call() {
        let (inner, definitions, run_id) = place();
        inner.delete_run(&run_id, 1).unwrap();
        let store = Faulty::inert(inner);
        let mut records: Vec<Record> = (0..5000).map(|step| metric(0, step)).collect();
        records.extend((0..500).map(|n| param(&n.to_string(), "v")));
        records.extend([tag("1"), metric(1, 1), metric(1, 2)]);
        let heard = heard(&store, &definitions, records);
        assert_eq!((heard.stored.len(), heard.refused.len()), (0, 5503));
        let gone = heard.refused.iter().filter(|(_, kind)| *kind == ErrorKind::NotFound).count();
        let deleted = heard.refused.iter().filter(|(_, kind)| *kind == ErrorKind::InvalidInput).count();
        assert_eq!((gone, deleted), (2, 5501), "each with its run's reason");
        assert_eq!(
            store.calls(Method::LogBatch),
            4,
            "params, a tag and metrics of one run, metrics of the other"
        );
    }

    #[test]
    fn a_record_that_the_store_refuses_for_good_costs_no_other() {
        let (inner, definitions, run_id) = place();
        let store = Faulty::scripted(Arc::clone(&inner) as _, |call| match call.batch {
            Some(batch) if batch.metrics.iter().any(|point| point.step == 42) => {
                Fault::Fails(ErrorKind::NotFound)
            }
            _ => Fault::None,
        });
        let heard = heard(&store, &definitions, (0..100).map(|step| metric(0, step)).collect());
        assert_eq!(heard.refused, [(42, ErrorKind::NotFound)], "which is not the run's fault");
        assert_eq!(inner.metric_history(&run_id, "loss").unwrap().len(), 99);
    }

    #[test]
    fn a_store_in_trouble_is_not_a_refusal() {
        for kind in [ErrorKind::Unavailable, ErrorKind::Denied, ErrorKind::Corrupt, ErrorKind::Unexpected] {
            let (inner, definitions, _) = place();
            let store = Faulty::scripted(inner, move |_| Fault::Fails(kind));
            let mut heard = Heard::default();
            deliver(&store, &definitions, &entries(vec![metric(0, 1)]), &mut Spare::new(), &mut heard)
                .unwrap_err();
            assert_eq!((heard.stored.len(), heard.refused.len()), (0, 0), "{kind}: it stays in the journal");
        }
    }
}
