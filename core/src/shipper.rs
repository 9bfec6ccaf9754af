//! The one background thread that takes records from the journal to the store.
//!
//! It batches naturally: everything that arrived while the last batch was in flight is the next batch. Nobody wakes it
//! for a record, since a wake costs the caller more than the record; it looks by itself, less and less often while
//! little comes: a transaction costs what hundreds of points do. Who waits for a record wakes it.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::deliver::{GaveUp, Ledger, Spare, TAKE_MAX, deliver, guarded};
use crate::engine::{Engine, Turn};
use crate::error::{Error, ErrorKind, Result};
use crate::journal::record::{Record, Text};
use crate::journal::{Definitions, Entry, Place, Reader};
use crate::notice;

/// The shortest pause, doubled while nothing comes.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause: how long a record may lie before it is taken to the store.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How many records are worth a batch: as long as fewer come, the next look waits for them.
const BATCH_WORTH: usize = 1000;
/// How often journal and store are brought to the disk: what a power cut may lose.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// The first pause when the store cannot be reached, doubled up to the last.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// The size at which the file of refused records takes no more.
const REJECTED_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// Starts the thread.
pub(crate) fn start(engine: Arc<Engine>) -> Result<()> {
    let shipping = move || {
        let guarded = Arc::clone(&engine);
        let (reader, taken, spare) = Default::default();
        let shipper = Shipper { engine, reader, taken, spare, synced_at: clock::instant() };
        if catch_unwind(AssertUnwindSafe(|| shipper.run())).is_err() {
            let why =
                "the thread that stores what is logged panicked; the next process delivers what is left";
            guarded.announce(|progress| {
                progress.trouble = Some(why.to_owned());
                progress.note_error(why);
                progress.closed = true;
            });
            notice::error("shipper-panicked", format_args!("{why}"));
        }
    };
    let spawned = std::thread::Builder::new().name("runlog-shipper".to_owned()).spawn(shipping);
    spawned.map(drop).map_err(|cause| {
        Error::new(
            ErrorKind::Unavailable,
            format!("cannot start the thread that stores what is logged: {cause}"),
        )
        .because(cause)
    })
}

struct Shipper {
    engine: Arc<Engine>,
    reader: Reader,
    taken: Vec<Entry>,
    spare: Spare,
    synced_at: Instant,
}

impl Shipper {
    fn run(mut self) {
        let (mut pause, mut looked_at) = (PAUSE_MIN, clock::instant());
        loop {
            self.engine.journal.beat();
            self.engine.journal.stay_ahead(&mut self.reader);
            let due = self.engine.log_health_when_due();
            let closing = self.engine.begin_look();
            match self.ship() {
                Ok(0) if closing.is_some() => break,
                Err(GaveUp) => break,
                Ok(records) => {
                    self.sync_when_due();
                    let now = clock::instant();
                    pause = pause_after(pause, records, now - looked_at);
                    looked_at = now;
                    if records < BATCH_WORTH {
                        self.engine.wait_until_wanted(due.map_or(pause, |due| pause.min(due)));
                    }
                }
            }
        }
        self.sync();
        self.engine.journal.close(&self.reader);
        self.engine.announce(|progress| progress.closed = true);
    }

    /// Delivers what is there and says how many records that was.
    fn ship(&mut self) -> Result<usize, GaveUp> {
        let Self { engine, reader, taken, spare, .. } = self;
        taken.clear();
        engine.journal.read(reader, TAKE_MAX, taken);
        let definitions = engine.journal.definitions();
        let delivered = deliver(&*engine.store, definitions, taken, spare, &mut Live { engine, reader });
        // Else the journal would pass for delivered, and be removed.
        delivered.inspect_err(|GaveUp| reader.give_back(taken))?;
        engine.journal.acknowledge(taken);
        engine.end_look(reader);
        Ok(taken.len())
    }

    fn sync_when_due(&mut self) {
        if clock::instant() - self.synced_at >= SYNC_EVERY {
            self.sync();
        } else if self.engine.journal.is_worth_recycling(&self.reader) {
            // The journal itself has time until the next sync: while records come this fast, there is much of it.
            self.sync_store();
        }
    }

    /// Brings store and journal to the disk. The store first: an acknowledged slot must not be the only copy.
    fn sync(&mut self) {
        self.synced_at = clock::instant();
        if !self.engine.journal.needs_sync(&self.reader) {
            return;
        }
        let safe_below = self.sync_store();
        if !self.is_about_to_go(safe_below) {
            self.engine.journal.sync(&mut self.reader, safe_below);
        }
    }

    /// Brings the store to the disk and recycles what the journal needs no more; says below what all is safe.
    fn sync_store(&mut self) -> u64 {
        let done_below = self.reader.done_below();
        match guarded(|| self.engine.store.sync()) {
            Ok(()) => {
                if !self.is_about_to_go(done_below) {
                    self.engine.journal.recycle(&mut self.reader);
                }
                done_below
            }
            Err(error) => {
                notice::warn(
                    "store-sync",
                    format_args!("the store cannot be synced, so the journal grows until it can: {error}"),
                );
                self.engine.progress().note_error(&error.to_string());
                0
            }
        }
    }

    /// Whether the journal is delivered, and takes nothing more.
    fn is_about_to_go(&self, safe_below: u64) -> bool {
        let journal = &self.engine.journal;
        journal.is_sealed() && safe_below >= journal.tail()
    }
}

/// The pause after a look that found so many records since the last: until a batch is worth it, if they go on to come
/// as they did.
fn pause_after(pause: Duration, records: usize, since_last: Duration) -> Duration {
    let records = u32::try_from(records).unwrap_or(u32::MAX);
    let worth = u32::try_from(BATCH_WORTH).unwrap_or(u32::MAX);
    let wanted = if records == 0 { pause * 2 } else { since_last.saturating_mul(worth) / records };
    wanted.clamp(PAUSE_MIN, PAUSE_MAX)
}

/// The ledger of the process that logs.
struct Live<'a> {
    engine: &'a Engine,
    reader: &'a mut Reader,
}

impl Ledger for Live<'_> {
    fn stored(&mut self, entry: &Entry) {
        self.engine.take_observed(entry);
    }

    fn refused(&mut self, entry: &Entry, error: &Error) {
        let run = run_of(entry);
        if self.engine.take_observed(entry) && error.kind() == ErrorKind::Conflict {
            notice::warn(
                &format!("observed: {error}"),
                format_args!(
                    "autologging leaves out a setting, as the run has another value of it from before; where each \
                     training has a run of its own, all are kept: {error}"
                ),
            );
            return;
        }
        notice::error(
            &format!("refused: {error}"),
            format_args!("a record is lost, the store refused it: {error}"),
        );
        self.engine.refused(run, entry, error);
        if let Err(cause) = keep_rejected(&self.engine.place, self.engine.journal.definitions(), entry, error)
        {
            tracing::debug!(target: "runlog::shipper", %cause, "a refused record could not be kept");
        }
    }

    fn wait_to_retry(&mut self, error: &Error, attempt: u32) -> bool {
        notice::warn(
            "store-unavailable",
            format_args!("the store cannot be reached; what is logged waits in the journal: {error}"),
        );
        self.engine.announce(|progress| {
            progress.trouble = Some(error.to_string());
            progress.note_error(&error.to_string());
        });
        let begin = clock::instant();
        loop {
            // The journal holds what comes meanwhile: it stays ahead of the log calls, and safe from a power cut.
            let journal = &self.engine.journal;
            journal.beat();
            journal.stay_ahead(self.reader);
            if journal.needs_sync(self.reader) {
                journal.sync(self.reader, 0);
            }
            self.engine.log_health_when_due();
            match self.engine.wait_in_trouble(begin, retry_pause(attempt), SYNC_EVERY) {
                Turn::Tend => {}
                Turn::Retry => return true,
                Turn::GiveUp => return false,
            }
        }
    }
}

/// The pause before retry number `attempt`, counted from 0.
pub(crate) fn retry_pause(attempt: u32) -> Duration {
    RETRY_MIN.saturating_mul(1 << attempt.min(16)).min(RETRY_MAX)
}

/// The number of the run that a record is of.
pub(crate) fn run_of(entry: &Entry) -> u32 {
    match &entry.record {
        Record::Metric(point) => point.run,
        Record::Text(
            Text::Param { run, .. }
            | Text::Tag { run, .. }
            | Text::DeleteTag { run, .. }
            | Text::Measure { run, .. }
            | Text::Input { run, .. }
            | Text::ModelInput { run, .. }
            | Text::ModelOutput { run, .. }
            | Text::End { run, .. },
        ) => *run,
        Record::Text(Text::Aside { .. } | Text::Note { .. }) => u32::MAX,
    }
}

/// The file that keeps what a store refused, beside its journals.
pub(crate) const REJECTED: &str = "rejected.jsonl";

/// Appends a refused record, with the reason, to the file [`REJECTED`].
///
/// # Errors
/// The file cannot be written, or is as large as it may get.
pub(crate) fn keep_rejected(
    place: &Place,
    definitions: &Definitions,
    entry: &Entry,
    error: &Error,
) -> Result<()> {
    let Place::Directory(dir) = place else { return Ok(()) };
    let run = definitions.run_of(run_of(entry));
    let record = match &entry.record {
        Record::Metric(point) => serde_json::json!({
            "metric": definitions.key_name(point.key),
            "value": point.value.to_string(),
            "timestamp": point.timestamp,
            "step": point.step,
        }),
        Record::Text(text) => serde_json::to_value(text).unwrap_or_default(),
    };
    let line = serde_json::json!({
        "run_id": run.map(|run| run.run_id.clone()),
        "refused_because": error.to_string(),
        "record": record,
    });
    let path = dir.join(REJECTED);
    append_bounded(&path, &format!("{line}\n")).map_err(|cause| {
        let message =
            format!("a refused record cannot be kept, move the file away or free some space: {cause}");
        Error::new(ErrorKind::Unavailable, message).with("path", path.display()).because(cause)
    })
}

fn append_bounded(path: &Path, line: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::options().create(true).append(true).open(path)?;
    if file.metadata()?.len() >= REJECTED_BYTES_MAX {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "the file is full"));
    }
    file.write_all(line.as_bytes())
}
