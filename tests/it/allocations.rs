//! Logging a metric allocates nothing and makes no system call, once its key is known.

use crate::counting::allocations;
use crate::support::Place;

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
