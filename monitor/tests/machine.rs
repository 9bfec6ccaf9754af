//! The registered monitor on the machine that runs the tests, from outside: its keys, and what a tick allocates.
//!
//! Linux only: elsewhere sysinfo reads, which allocates and needs a longer run for the processors.

#![cfg(target_os = "linux")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use runlog_core::autolog::{Gpus, Monitor, MonitorDriver, MonitorSink, SystemMetrics, Tier, Watch};
use runlog_core::config::Config;
use runlog_monitor::readers::Readers;
use runlog_monitor::{Driver, Key, Kind, Probe, ProbeError, Sink};

/// Counts the allocations of each thread by itself, so that tests beside this one do not matter.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count_one() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

#[expect(unsafe_code, reason = "an allocator cannot be written without; every call goes to the system's own")]
// SAFETY: every method passes its arguments on to `System` unchanged; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_one();
        // SAFETY: `pointer` came from `System` with this layout; the caller answers for the size.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn start(settings: SystemMetrics, sink: impl MonitorSink + 'static) -> runlog_core::Result<Box<dyn Monitor>> {
    // Of one run only one is sampled at a time.
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let run_id = format!("{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
    (runlog_monitor::DRIVER.start)(&Watch::new(run_id, settings, Config::default()), Box::new(sink))
}

/// On a busy machine a probe with a thread of its own may not answer in time, which nothing here is about.
fn stop(monitor: Box<dyn Monitor>) {
    monitor.stop().ok();
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
#[path = "fixture/gpus.rs"]
mod gpus;

fn compat() -> SystemMetrics {
    SystemMetrics::new().tier(Tier::Compat)
}

/// A sink that hands each point to a closure.
struct Each<F>(F);

impl<F: FnMut(&str, f64, i64) + Send> MonitorSink for Each<F> {
    fn log(&mut self, key: &str, value: f64, _: i64, step: i64) {
        (self.0)(key, value, step);
    }

    fn tag(&mut self, _: &str, _: &str) {}
}

#[test]
fn linking_the_crate_registers_its_driver() {
    let names: Vec<_> = inventory::iter::<MonitorDriver>().map(|driver| driver.name).collect();
    assert_eq!(names, [runlog_monitor::DRIVER.name]);
}

/// The second line of `/proc/stat`, the first processor's, which changes when its clock has ticked.
fn processor_times() -> Option<String> {
    std::fs::read_to_string("/proc/stat").ok()?.lines().nth(1).map(str::to_owned)
}

#[test]
fn a_short_run_has_all_eight_keys_at_its_start_and_its_end_once_the_clock_has_ticked() {
    let (sender, points) = sync_channel(1000);
    let asked = compat().node_id("node_0");
    let sink = Each(move |key: &str, value, step| sender.send((key.to_owned(), value, step)).unwrap());
    let monitor = start(asked, sink).unwrap();
    let opening = points.recv().unwrap();
    let before = processor_times();
    assert!(before.is_some());
    while processor_times() == before {
        thread::yield_now();
    }
    stop(monitor);

    let all: Vec<_> = [opening].into_iter().chain(points.iter()).collect();
    // The driver of the other test may be registered by now.
    let host = all.iter().map(|(key, ..)| key.as_str()).filter(|key| !key.ends_with(DEVICE));
    let keys: BTreeSet<_> = host.collect();
    let expected = [
        "system/node_0/cpu_utilization_percentage",
        "system/node_0/disk_available_megabytes",
        "system/node_0/disk_usage_megabytes",
        "system/node_0/disk_usage_percentage",
        "system/node_0/network_receive_megabytes",
        "system/node_0/network_transmit_megabytes",
        "system/node_0/system_memory_usage_megabytes",
        "system/node_0/system_memory_usage_percentage",
    ];
    assert!(keys.iter().copied().eq(expected), "{keys:?}");
    for key in &keys {
        let steps: Vec<_> = all.iter().filter(|(of, ..)| of == key).map(|(.., step)| *step).collect();
        // A rate has its first point when it is known: at the end, unless a second has passed.
        assert!(steps == [0, 1] || key.contains("cpu_") && !steps.is_empty(), "{key} {steps:?}");
    }
    for (key, value, step) in &all {
        assert!(value.is_finite() && *value >= 0.0, "{key} {value}");
        assert!(!key.ends_with("percentage") || *value <= 100.0, "{key} {value}");
        assert!((0..=1).contains(step), "{key} {step}");
    }
}

/// What a probe with a thread of its own reads.
const DEVICE: &str = "device_readings";

struct Device(Key, f64);

impl Probe for Device {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        self.1 += 1.0;
        sink.put(self.0, self.1);
        Ok(())
    }
}

#[test]
fn a_run_in_the_highest_tier_has_finite_values_of_metrics_that_are_described() {
    let (sender, points) = sync_channel(10_000);
    let asked = SystemMetrics::new().tier(Tier::Full).interval(Duration::from_millis(2));
    // Once enough was seen nobody receives.
    let sink = Each(move |key: &str, value, _| sender.send((key.to_owned(), value)).unwrap_or_default());
    let monitor = start(asked, sink).unwrap();
    let mut missing = BTreeSet::from([
        "system/load_average_1m",
        "system/cpu_iowait_percentage",
        "system/cpu_0_utilization_percentage",
    ]);
    for (key, value) in points.iter().take(100_000).filter(|(key, _)| !key.ends_with(DEVICE)) {
        let name = key.strip_prefix("system/").unwrap();
        let whole = name.strip_suffix("_min").or_else(|| name.strip_suffix("_max")).unwrap_or(name);
        assert!(runlog_monitor::describe(whole).is_some(), "{key}");
        assert!(value.is_finite() && value >= 0.0, "{key} {value}");
        assert!(!key.ends_with("percentage") || value <= 100.0, "{key} {value}");
        missing.remove(&*key);
        if missing.is_empty() {
            break;
        }
    }
    drop(points);
    stop(monitor);
    assert_eq!(missing, BTreeSet::new());
}

#[test]
fn a_tick_does_not_allocate() {
    /// So many in a row are looked for: a probe with a thread of its own is opened some ticks later, which allocates.
    const TICKS: i64 = 100;
    const LAST: i64 = 2000;
    Driver::new("device", |registry| Ok(Box::new(Device(registry.key(DEVICE, Kind::Gauge)?, 0.0))))
        .register();
    for tier in [Tier::Compat, Tier::Standard, Tier::Full] {
        let found = Arc::new((Mutex::new(None), Condvar::new()));
        // Reads what no other test does, so that no other run comes and goes on its thread.
        let asked = SystemMetrics::new().tier(tier).interval(Duration::from_millis(2)).gpus(Gpus::Visible);
        let (mut begun, mut before, mut device) = (0, 0, 0);
        let result = Arc::clone(&found);
        // The sink runs on the monitor's thread, so it reads that thread's count.
        let sink = Each(move |key: &str, _, step| {
            let count = ALLOCATIONS.with(Cell::get);
            if count != before {
                (begun, before, device) = (step, count, 0);
            }
            device += u32::from(key.ends_with(DEVICE));
            if step - begun >= TICKS || step >= LAST {
                result.0.lock().unwrap().get_or_insert(step - begun >= TICKS && device > 1);
                result.1.notify_all();
            }
        });
        let monitor = start(asked, sink).unwrap();
        let without = *found.1.wait_while(found.0.lock().unwrap(), |found| found.is_none()).unwrap();
        stop(monitor);
        assert_eq!(without, Some(true), "{TICKS} ticks of {tier:?} without an allocation");
    }
}

#[test]
fn a_tick_of_hardware_that_is_not_here_does_not_allocate_either() {
    let dir = tempfile::tempdir().unwrap();
    fixture::bare_host(dir.path());
    let mut readers = Readers::open(dir.path(), Tier::Full);
    let drivers = ["host", "cpu", "memory", "pressure", "disk", "disk traffic", "network", "infiniband"];
    assert!(readers.count() >= drivers.len() + 3, "energy, temperature and frequency too");
    readers.read(None);
    fixture::tick(dir.path(), 1);
    let before = ALLOCATIONS.with(Cell::get);
    for _ in 0..10 {
        readers.read(Some(Duration::from_secs(1)));
    }
    assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0);
    assert_eq!(readers.failures().len(), 0);
}

#[test]
fn a_tick_of_amds_and_intels_cards_does_not_allocate() {
    let dir = tempfile::tempdir().unwrap();
    gpus::four_cards(dir.path());
    let vendors = ["amd", "intel", "drm"];
    let mut readers = Readers::open_only(dir.path(), Tier::Full, |name| vendors.contains(&name));
    assert_eq!(readers.count(), vendors.len());
    for since_last in [None, Some(Duration::from_secs(1))] {
        readers.read(since_last);
    }
    let values = readers.values();
    for (card, name) in [
        (0, "ecc_corrected_errors"),
        (1, "power_usage_watts"),
        (2, "power_usage_percentage"),
        (3, "memory_temperature_celsius"),
    ] {
        assert!(values.contains_key(&format!("gpu_{card}_{name}")), "{name}: {values:?}");
        assert!(values.contains_key(&format!("gpu_{card}_process_sm_percentage")), "{card}: {values:?}");
        assert!(values.contains_key(&format!("gpu_{card}_process_memory_megabytes")), "{card}: {values:?}");
    }
    let before = ALLOCATIONS.with(Cell::get);
    // Which descriptors are a card's is looked up every 10 s, and that does allocate.
    for _ in 0..8 {
        readers.read(Some(Duration::from_secs(1)));
    }
    assert_eq!((ALLOCATIONS.with(Cell::get) - before, readers.failures().len()), (0, 0));
}

#[test]
fn a_tick_of_a_tree_of_processes_and_threads_does_not_allocate() {
    let children: Vec<_> = (0..30).map(|_| Command::new("sleep").arg("600").spawn().unwrap()).collect();
    let threads: Vec<_> = (0..170)
        .map(|_| {
            let (stop, stopped) = sync_channel::<()>(0);
            (stop, thread::Builder::new().spawn(move || stopped.recv().unwrap_err()).unwrap())
        })
        .collect();
    let mut readers = Readers::open_only(Path::new("/"), Tier::Full, |name| name.starts_with("process"));
    for since_last in [None, Some(Duration::from_secs(1))] {
        readers.read(since_last);
    }
    let found = readers.values()["process_tree_processes"];
    let before = ALLOCATIONS.with(Cell::get);
    // Time enough to look for new ones and at each thread again.
    for _ in 0..30 {
        readers.read(Some(Duration::from_secs(1)));
    }
    let allocations = ALLOCATIONS.with(Cell::get) - before;
    for mut child in children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    for (stop, thread) in threads {
        drop(stop);
        thread.join().unwrap();
    }
    assert_eq!((allocations, readers.failures().len()), (0, 0));
    assert!(found >= 31.0, "{found}");
}
