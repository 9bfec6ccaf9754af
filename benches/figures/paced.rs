//! What a log call costs at the pace of a training, with the shipper, its syncing and the disk's other users at work.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, io, thread};

use runlog::{RunOptions, SystemMetrics};
use runlog_core::clock;

use crate::Size;
use crate::measure::{Singles, at_a_pace};
use crate::place::{DISK, Place};
use crate::process::Child;
use crate::table::{Row, Table, ns};

/// The slowest call of a thousand may take so long, in nanoseconds.
const TAIL_MAX: f64 = 5000.0;

pub(crate) fn measure(table: &mut Table, size: Size) {
    let millisecond = Duration::from_millis(1);
    let tenth = Duration::from_micros(100);
    let second = || SystemMetrics::new().interval(Duration::from_secs(1));
    at(table, size, "1 kHz", millisecond, RunOptions::new());
    at(table, size, "10 kHz", tenth, RunOptions::new());
    at(
        table,
        size,
        "10 kHz, the machine watched every second",
        tenth,
        RunOptions::new().log_system_metrics(second()),
    );
    let busy = Child::start(&["busy", DISK]);
    at(table, size, "10 kHz, another process writes and syncs", tenth, RunOptions::new());
    busy.end();
}

/// Second by second in turns with a loop that only reads the clock: what that one waits for is the machine's doing.
fn at(table: &mut Table, size: Size, what: &str, every: Duration, options: RunOptions) {
    let place = Place::new();
    let run = place.run(options);
    let loss = run.metric("loss");
    let calls = (Duration::from_secs(1).as_nanos() / every.as_nanos()) as u64;
    let (mut ours, mut clocks) = (Vec::new(), Vec::new());
    for _ in 0..size.pick(10, 1) {
        ours.extend(at_a_pace(calls, every, |step| {
            loss.log(0.25, step);
        }));
        clocks.extend(at_a_pace(calls, every, |_| {
            std::hint::black_box(clock::now_ms());
        }));
    }
    run.finish().unwrap();
    let (ours, clocks) = (Singles::new(ours), Singles::new(clocks));
    let show = |calls: Singles| {
        let [p50, p99, p999, max] = [calls.p50, calls.p99, calls.p999, calls.max].map(ns);
        format!("p50 {p50}, p99 {p99}, p99.9 {p999}, max {max}")
    };
    table.add(Row {
        what: format!("`metric.log` at {what}"),
        ours: show(ours),
        beside: format!("a loop that reads the clock: {}", show(clocks)),
        wanted: "p99.9 ≤ 5 µs".into(),
        held: Some(ours.p999 <= TAIL_MAX),
        ..Row::default()
    });
}

/// Writes and syncs below `dir` until standard input ends.
pub(crate) fn busy(dir: &str) {
    const BYTES_MAX: u64 = 256 << 20;
    let ended = AtomicBool::new(false);
    let mut file = tempfile::tempfile_in(dir).unwrap();
    let block = fs::read("/proc/self/exe").map_or(vec![7; 1 << 20], |program| program[..1 << 20].to_vec());
    thread::scope(|scope| {
        scope.spawn(|| {
            io::stdin().read_to_end(&mut Vec::new()).unwrap();
            ended.store(true, Ordering::Relaxed);
        });
        let mut written = 0;
        while !ended.load(Ordering::Relaxed) {
            file.write_all(&block).unwrap();
            file.sync_all().unwrap();
            written += block.len() as u64;
            if written >= BYTES_MAX {
                file.set_len(0).unwrap();
                io::Seek::rewind(&mut file).unwrap();
                written = 0;
            }
        }
    });
}
