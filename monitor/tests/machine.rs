//! The registered monitor on the machine that runs the tests, from outside: its keys, and what a tick allocates.
//!
//! Linux only: elsewhere sysinfo reads, which allocates and needs a longer run for the processors.

#![cfg(target_os = "linux")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use runlog_core::autolog::{Gpus, Monitor, MonitorDriver, MonitorSink, SystemMetrics, Tier, Watch};
use runlog_core::config::Config;
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
    (runlog_monitor::DRIVER.start)(&Watch::new("", settings, Config::default()), Box::new(sink))
}

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

/// The first line of `/proc/stat`, which changes when the kernel's clock has ticked.
fn processor_times() -> Option<String> {
    std::fs::read_to_string("/proc/stat").ok()?.lines().next().map(str::to_owned)
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
        std::thread::yield_now();
    }
    monitor.stop().unwrap();

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
fn a_tick_does_not_allocate() {
    const WARM: i64 = 5;
    const LAST: i64 = 105;
    Driver::new("device", |registry| Ok(Box::new(Device(registry.key(DEVICE, Kind::Gauge)?, 0.0))))
        .register();
    let counted = Arc::new((Mutex::new(None), Condvar::new()));
    // Reads what no other test does, so that no other run comes and goes on its thread.
    let asked = SystemMetrics::new().interval(Duration::from_millis(2)).gpus(Gpus::Visible);
    let (mut before, mut device) = (None, 0);
    let result = Arc::clone(&counted);
    // The sink runs on the monitor's thread, so it reads that thread's count.
    let sink = Each(move |key: &str, _, step| {
        device += u32::from(key.ends_with(DEVICE));
        let count = ALLOCATIONS.with(Cell::get);
        if step == WARM && before.is_none() {
            before = Some(count);
        }
        if step == LAST {
            let mut result = result.0.lock().unwrap();
            result.get_or_insert((count - before.unwrap(), device > 1));
        }
        result.1.notify_all();
    });
    let monitor = start(asked, sink).unwrap();
    let allocations = *counted.1.wait_while(counted.0.lock().unwrap(), |count| count.is_none()).unwrap();
    monitor.stop().unwrap();
    assert_eq!(allocations, Some((0, true)), "in {} ticks, with answers of the device", LAST - WARM);
}
