//! What a log call costs the thread that makes it.

use std::thread;

use runlog::MetricHandle;

use crate::Size;
use crate::counting::allocations;
use crate::floor::{Channel, Mapped};
use crate::measure::{back_to_back, one_by_one};
use crate::place::Place;
use crate::table::{Row, Spread, Table, ns, pairs, times};

const THREADS: usize = 4;

pub(crate) fn measure(table: &mut Table, size: Size) {
    alone(table, size);
    together(table, size);
    allocated(table);
}

/// One thread, with nothing between the calls.
fn alone(table: &mut Table, size: Size) {
    // A million calls of each, in slices.
    let (count, calls) = size.pick((9, 112_000), (3, 10_000));
    let place = Place::new();
    let run = place.run("hot");
    let loss = run.metric("loss");
    let mapped = Mapped::new();
    let ours = || {
        let took = back_to_back(calls, |step| {
            loss.log(0.25, step);
        });
        run.flush().unwrap();
        took
    };
    let beside = pairs(count, ours, || back_to_back(calls, |_| mapped.append()));
    table.add(Row {
        what: "`metric.log`, back to back".into(),
        ours: beside.ours.show(ns),
        beside: format!("bare mapped append {}", beside.other.show(ns)),
        ratio: beside.ratio.show(times),
        wanted: "≤ 2".into(),
        held: Some(beside.ratio.median <= 2.0),
    });
    let beside = pairs(count, ours, || {
        let channel = Channel::new(calls);
        back_to_back(calls, |_| channel.push())
    });
    table.add(Row {
        what: "the same".into(),
        ours: beside.ours.show(ns),
        beside: format!("push into a bounded channel {}", beside.other.show(ns)),
        ratio: beside.ratio.show(times),
        ..Row::default()
    });
    let singles = one_by_one(calls, |step| {
        loss.log(0.25, step);
    });
    let clock = one_by_one(calls, drop);
    table.add(Row {
        what: "`metric.log`, single calls, p50".into(),
        ours: ns(singles.p50),
        beside: format!("reading the clock around nothing {}", ns(clock.p50)),
        ratio: ns(singles.p50 - clock.p50),
        wanted: "40 ns more".into(),
        held: Some(singles.p50 - clock.p50 <= 40.0),
    });
    let tag = one_by_one(size.pick(5000, 500), |_| {
        run.set_tag("stage", "training");
    });
    table.add(Row { what: "`set_tag`, single calls, p50".into(), ours: ns(tag.p50), ..Row::default() });
    run.finish().unwrap();
}

/// Four threads at once: a handle for each, and one for all.
fn together(table: &mut Table, size: Size) {
    let (count, calls) = size.pick((5, 50_000), (3, 5000));
    let place = Place::new();
    let run = place.run("threads");
    let mapped = Mapped::new();
    let own: Vec<MetricHandle> = (0..THREADS).map(|thread| run.metric(&format!("loss_{thread}"))).collect();
    let one: Vec<MetricHandle> = (0..THREADS).map(|_| own[0].clone()).collect();
    for (what, handles) in [("a handle each", &own), ("one handle", &one)] {
        let log = |handles: &[MetricHandle]| {
            let took = at_once(
                handles,
                |handle, step| {
                    handle.log(0.25, step);
                },
                calls,
            );
            run.flush().unwrap();
            took
        };
        let floor = || at_once(&[(); THREADS], |(), _| mapped.append(), calls);
        let beside = pairs(count, || log(handles), floor);
        table.add(Row {
            what: format!("`metric.log`, {THREADS} threads at once, {what}"),
            ours: beside.ours.show(ns),
            beside: format!("bare mapped appends by as many {}", beside.other.show(ns)),
            ratio: beside.ratio.show(times),
            wanted: "≤ 200 ns".into(),
            held: Some(beside.ours.median <= 200.0),
        });
    }
    run.finish().unwrap();
}

/// What a call takes each of the threads, in nanoseconds.
fn at_once<T: Sync>(each: &[T], call: impl Fn(&T, u64) + Sync, calls: u64) -> f64 {
    let took = thread::scope(|scope| {
        let threads: Vec<_> = each
            .iter()
            .map(|with| scope.spawn(|| back_to_back(calls, |number| call(with, number))))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    Spread::new(took).median
}

fn allocated(table: &mut Table) {
    const CALLS: u64 = 10_000;
    let place = Place::new();
    let run = place.run("allocations");
    let loss = run.metric("loss");
    run.log_metric("by key", 0.25, 0);
    for (what, counted) in [
        (
            "`metric.log`",
            allocations(|| {
                (0..CALLS).for_each(|step| {
                    loss.log(0.25, step);
                });
            }),
        ),
        (
            "`log_metric`",
            allocations(|| {
                (0..CALLS).for_each(|step| {
                    run.log_metric("by key", 0.25, step);
                });
            }),
        ),
    ] {
        table.add(Row {
            what: format!("allocations of {CALLS} calls of {what}"),
            ours: counted.to_string(),
            wanted: "0".into(),
            held: Some(counted == 0),
            ..Row::default()
        });
    }
    run.finish().unwrap();
}
