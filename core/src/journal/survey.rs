//! What lies in a journal, without changing anything of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Place;
use super::definitions::Definitions;
use super::observer::{Observer, Seen};
use super::owner::Owner;
use super::reader::Entry;
use super::record::{Record, Text};
use super::recovery::{all_journals, is_being_delivered};
use super::slot;
use super::window::{Segments, Slot};
use crate::error::{Error, ErrorKind, Result};
use crate::shipper::run_of;
use crate::waiting::{Journal, Records, State, WaitingRun};

/// What lies in the journals in `place`, of living processes too.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn survey(place: &Place) -> Result<Vec<Journal>> {
    let Place::Directory(dir) = place else { return Ok(Vec::new()) };
    let observer = Observer::of(dir);
    Ok(all_journals(place)?.into_iter().filter_map(|dir| look(&observer, dir)).collect())
}

fn look(observer: &Observer, dir: PathBuf) -> Option<Journal> {
    let (owner, mut state) = match observer.look(&dir) {
        Ok(Seen::Dead(owner)) => (Ok(owner), State::Waits),
        Ok(Seen::Living(owner)) => (owner, State::Lives),
        // Delivered and removed just now, or no journal at all.
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Ok(Seen::Unreadable(error)) | Err(error) => (Err(error), State::Waits),
    };
    if state == State::Waits && is_being_delivered(&dir) {
        state = State::IsDelivered;
    }
    let mut journal = Journal::new(dir, state);
    journal.trouble = match owner {
        Ok(owner) => count(&mut journal, &owner).err(),
        Err(error) => Some(error),
    };
    Some(journal)
}

/// Counts what waits in the journal.
fn count(journal: &mut Journal, owner: &Owner) -> Result<()> {
    journal.pid = Some(owner.pid());
    journal.host = owner.elsewhere().map(str::to_owned);
    journal.store = Some(owner.store.clone());
    let dir = journal.dir.clone();
    let begun = begun(&dir);
    let segments = Segments::find(&dir)?;
    let definitions = Definitions::read(&dir)?;
    let mut of_runs: BTreeMap<u32, u64> = BTreeMap::new();
    let mut oldest = None;
    let mut unreadable = 0_u64;
    let damaged = segments.walk::<Error>(&dir, |window| {
        for slot in window.waiting() {
            let entry = match slot {
                Slot::Waiting(entry) => entry,
                Slot::Unreadable => {
                    unreadable += 1;
                    continue;
                }
                Slot::Acknowledged(_) | Slot::Cut => continue,
            };
            add(&mut journal.records, &entry.record);
            *of_runs.entry(run_of(&entry)).or_default() += 1;
            journal.bytes += bytes(&entry);
            if let Record::Metric(point) = entry.record {
                // Timestamps are the user's to give; nothing waits from before the process began.
                let time = begun.map_or(point.timestamp, |begun| point.timestamp.max(begun));
                oldest = oldest.map_or(Some(time), |oldest: i64| Some(oldest.min(time)));
            }
        }
        Ok(())
    })?;
    journal.since = oldest.or(begun);
    let runs = definitions.runs().into_iter();
    let runs = runs.map(|(number, run)| (run.owned, of_runs.get(&number).copied().unwrap_or(0), run));
    journal.runs = runs
        .filter(|(owned, records, _)| *owned || *records > 0)
        .map(|(_, records, run)| WaitingRun::new(&run.run_id, records))
        .collect();
    match super::partly_unreadable(&dir, &damaged, unreadable) {
        // A living process's may change while it is read.
        Some(error) if journal.state != State::Lives => Err(error),
        _ => Ok(()),
    }
}

fn add(records: &mut Records, record: &Record) {
    let kind = match record {
        Record::Metric(_) | Record::Text(Text::Measure { .. }) => &mut records.metrics,
        Record::Text(Text::Param { .. }) => &mut records.params,
        Record::Text(Text::Tag { .. } | Text::DeleteTag { .. }) => &mut records.tags,
        Record::Text(Text::Input { .. } | Text::ModelInput { .. } | Text::ModelOutput { .. }) => {
            &mut records.inputs
        }
        Record::Text(Text::End { .. }) => &mut records.ends,
        Record::Text(Text::Note { .. } | Text::Aside { .. }) => &mut records.others,
    };
    *kind += 1;
}

/// What a record takes, in its slots or in a file of its own.
fn bytes(entry: &Entry) -> u64 {
    let slots = entry.slots * slot::BYTES as u64;
    match &entry.record {
        // It takes no more to name the file.
        Record::Text(text) if entry.slots == 2 => {
            serde_json::to_vec(text).map_or(slots, |text| slots.max(text.len() as u64))
        }
        _ => slots,
    }
}

/// When the process made the journal, in milliseconds since the Unix epoch.
fn begun(dir: &Path) -> Option<i64> {
    let modified = dir.join(super::owner::FILE).metadata().ok()?.modified().ok()?;
    let since_epoch = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_millis()).ok()
}
