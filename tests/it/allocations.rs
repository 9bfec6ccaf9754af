//! Logging a metric allocates nothing and makes no system call, once its key is known.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use crate::support::Place;

/// The system's allocator, with a count of what each thread asked of it.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator is unsafe to be")]
// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends still allocates when its counter is gone.
        ALLOCATIONS.try_with(|count| count.set(count.get() + 1)).ok();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn logging_a_metric_allocates_nothing() {
    let place = Place::new();
    let run = place.tracker().start_run("allocations").unwrap();
    let loss = run.metric("loss");
    run.log_metric("by key", 0.5, 0);
    assert!(allocations(|| drop(vec![1])) > 0, "allocations are counted");
    // Several segments, at a pace that the shipper can make them ready at.
    for round in 0..10 {
        let counted = allocations(|| {
            for step in 0..10_000 {
                loss.log(0.5, step);
                run.log_metric("by key", 0.5, step);
            }
        });
        assert_eq!(counted, 0, "in round {round}");
        run.flush().unwrap();
    }
    run.finish().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn logging_a_metric_makes_no_system_call() {
    use std::os::unix::process::ExitStatusExt as _;

    const SIGSYS: i32 = 31;
    let asking = Place::new().play(&["log-without-a-system-call", "and-ask"]);
    assert_eq!(asking.status.signal(), Some(SIGSYS), "a system call kills the process");
    let place = Place::new();
    assert!(place.play(&["log-without-a-system-call"]).status.success());
    let (tracker, run) = (place.tracker(), place.run());
    for key in ["by handle", "by key"] {
        let points = tracker.metric_history(&run.info.run_id, key).unwrap();
        assert_eq!(points.len(), 50_001, "{key}");
    }
}
