//! What a log call costs its caller, beside the floor of the same run: `cargo bench --bench log`.
//!
//! `floor` are the two cheapest things a log call could be: the same clock with a bare append to a mapped file (which is
//! as safe from a kill, but has no key, no checksum, no second thread and nobody who reads it), and the same clock with
//! a push into a bounded channel (which a kill empties). Wall time on a shared machine is noise: compare the lines of
//! one run, not those of two. Allocations are counted per call.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot start has nothing to measure")]

use std::sync::atomic::{AtomicI64, Ordering};

use divan::{AllocProfiler, Bencher};
use runlog::{ActiveRun, Config, Tracker};
use tempfile::TempDir;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// Enough calls for a median, few enough that the shipper keeps up and the journal does not fill.
const SAMPLES: u32 = 500;
const CALLS: u32 = 1000;

fn main() {
    divan::main();
}

/// A run in a new database, and the directory it is in.
fn run() -> (ActiveRun, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::from_map(&[].into()).unwrap();
    config.working_dir = dir.path().into();
    config.journal_dir = Some(dir.path().join("journal"));
    config.quiet = true;
    let tracker = Tracker::with_config(Some("sqlite:///mlflow.db"), config).unwrap();
    (tracker.start_run("bench").unwrap(), dir)
}

/// A run that ends as one that went well.
fn finish((run, dir): (ActiveRun, TempDir)) {
    run.finish().unwrap();
    drop(dir);
}

mod floor {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    use std::sync::mpsc::sync_channel;

    use divan::Bencher;
    use memmap2::MmapOptions;
    use runlog_core::clock;

    use super::{CALLS, SAMPLES};

    /// 64 bytes, clock and sequence among them, into a mapped file.
    #[divan::bench(sample_count = SAMPLES, sample_size = CALLS)]
    fn mapped_append(bencher: Bencher<'_, '_>) {
        const SLOTS: usize = 1 << 16;
        let file = tempfile::tempfile().unwrap();
        file.set_len((SLOTS * 64) as u64).unwrap();
        let map = MmapOptions::new().map_raw(&file).unwrap();
        let base = map.as_mut_ptr().expose_provenance();
        let tail = AtomicUsize::new(0);
        bencher.bench(|| {
            let place = tail.fetch_add(1, Ordering::Relaxed);
            let slot = std::ptr::with_exposed_provenance::<[AtomicU64; 8]>(base + place % SLOTS * 64);
            // SAMPLES · CALLS appends wrap around; each slot is inside the mapping, which outlives the closure.
            // SAFETY: see above; the words are only ever used as atomics.
            #[expect(unsafe_code, reason = "a slot in mapped memory")]
            let slot = unsafe { &*slot };
            let words = [clock::now_ms().cast_unsigned(), place as u64, 1, 2, 3, 4, 5, 6];
            for (at, word) in slot.iter().zip(words) {
                at.store(word, Ordering::Relaxed);
            }
        });
    }

    #[divan::bench(sample_count = SAMPLES, sample_size = CALLS)]
    fn bounded_channel_push(bencher: Bencher<'_, '_>) {
        let (sender, receiver) = sync_channel((SAMPLES * CALLS * 2) as usize);
        bencher.bench_local(|| sender.try_send((clock::now_ms(), 0.25, 1_i64)).unwrap());
        drop(receiver);
    }
}

/// Through a handle: the key is checked once.
#[divan::bench(threads = [1, 4], sample_count = SAMPLES, sample_size = CALLS)]
fn metric_by_handle(bencher: Bencher<'_, '_>) {
    let run = run();
    let (loss, step) = (run.0.metric("loss"), AtomicI64::new(0));
    bencher.bench(|| loss.log(0.25, step.fetch_add(1, Ordering::Relaxed)));
    finish(run);
}

#[divan::bench(threads = [1, 4], sample_count = SAMPLES, sample_size = CALLS)]
fn metric_by_key(bencher: Bencher<'_, '_>) {
    let run = run();
    let step = AtomicI64::new(0);
    bencher.bench(|| run.0.log_metric("loss", 0.25, step.fetch_add(1, Ordering::Relaxed)));
    finish(run);
}

#[divan::bench(sample_count = 100, sample_size = 100)]
fn tag(bencher: Bencher<'_, '_>) {
    let run = run();
    bencher.bench(|| run.0.set_tag("stage", "training"));
    finish(run);
}

/// A whole run, from its start to the moment when everything is in the database.
#[divan::bench(args = [0, 10_000], sample_count = 10, sample_size = 1)]
fn whole_run(bencher: Bencher<'_, '_>, points: i64) {
    bencher.bench(|| {
        let run = run();
        for step in 0..points {
            run.0.log_metric("loss", 0.25, step);
        }
        finish(run);
    });
}
