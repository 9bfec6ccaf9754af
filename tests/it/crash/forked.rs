//! A forked child outlives its parent, which was killed: the parent's journal is delivered though the child holds a copy
//! of its lock, and the child goes on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::program::Program;
use super::rounds;
use super::victim::Logged;
use crate::counters::Counters;
use crate::support::Place;

#[test]
fn what_a_killed_parent_logged_arrives_while_its_forked_child_goes_on() {
    rounds(10, |rng| {
        let place = if rng.bool() { Place::new() } else { Place::of_files() };
        let path = place.path().join("counters");
        let counters = Counters::open(&path);
        let count = |thread| counters.at(thread).load(Ordering::Acquire);
        let mut command = place.scenario(&["fork-and-count", path.to_str().unwrap()]);
        let mut parent = Program::start(&mut command, false);
        let run_id = parent.line();
        parent.go();
        let child = Pid::from_raw(parent.line().parse().unwrap()).unwrap();
        let wait_for = |thread, records| {
            while count(thread) < records {
                std::thread::park_timeout(Duration::from_micros(100));
            }
        };
        let until_killed = rng.u64(1..1000);
        wait_for(0, until_killed);
        let parents = format!("{}-", parent.player());
        let is_parents =
            |path: &std::path::PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(&parents);
        parent.kill();

        let tracker = place.tracker();
        while place.journals().iter().any(is_parents) {
            tracker.recover().unwrap();
        }
        let run = tracker.get_run(&run_id).unwrap();
        Logged::of_points(&run_id, vec![count(0)]).check_records(&place, &run);
        assert!(run.tag("runlog.ended_by").unwrap().contains("died without ending it"));

        // The child does not notice, and what it logs arrives too.
        wait_for(1, count(1) + rng.u64(1..1000));
        kill_process(child, Signal::KILL).unwrap();
        drop(tracker);
        let tracker = place.recovered();
        Logged::of_points(&run_id, vec![count(0), count(1)])
            .check_records(&place, &tracker.get_run(&run_id).unwrap());
    });
}
