//! Trees of processes as files, in which processes come, end, are taken over and have the numbers of others.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use runlog_core::autolog::Tier;

use super::*;
use crate::probe::testing::{Bench, empty, write};

const OWN: u32 = 10;
const SECOND: Option<Duration> = Some(Duration::from_secs(1));

/// A process, as the system tells it.
#[derive(Clone, Copy, Debug)]
struct Told {
    id: u32,
    parent: u32,
    state: char,
    ticks: u64,
    reaped: u64,
    threads: u64,
    began: u64,
    pages: u64,
    megabytes_read: u64,
}

/// One with so many ticks of its own, and so many of children that it has waited for.
fn told(id: u32, parent: u32, ticks: u64, reaped: u64) -> Told {
    let began = u64::from(id) * 7;
    Told { id, parent, state: 'S', ticks, reaped, threads: 1, began, pages: 100, megabytes_read: 0 }
}

fn own(ticks: u64, reaped: u64) -> Told {
    told(OWN, 1, ticks, reaped)
}

/// A machine of one processor, so that a hundred ticks a second are 100 %.
struct World {
    machine: Machine,
    /// Whether it lists children.
    listed: bool,
    /// What stands below `proc`; only what changes is written.
    files: RefCell<BTreeMap<String, String>>,
}

impl World {
    fn new(dir: &Path, listed: bool) -> Self {
        let machine = empty(dir);
        std::os::unix::fs::symlink(OWN.to_string(), machine.proc.join("self")).unwrap();
        write(&machine.proc.join("stat"), "cpu 1 1 1 1\ncpu0 1 1 1 1\n");
        Self { machine, listed, files: RefCell::default() }
    }

    /// These are all that there are, besides some that are none of ours.
    fn has(&self, processes: &[Told]) {
        let mut files = BTreeMap::new();
        for process in [told(1, 0, 5000, 9000), told(2, 1, 700, 0)].iter().chain(processes) {
            let Told { id, parent, state, ticks, reaped, threads, began, pages, megabytes_read } = process;
            let times = format!("{ticks} 0 {reaped} 0 20 0 {threads} 0 {began}");
            files.insert(
                format!("{id}/stat"),
                format!("{id} (x) {state} {parent} 1 1 0 -1 0 0 0 0 0 {times} 1 1\n"),
            );
            files.insert(format!("{id}/statm"), format!("9 {pages} 1 1 0 1 0\n"));
            let (read, written) = (megabytes_read * 1_000_000, megabytes_read * 2_000_000);
            let io = format!("read_bytes: {read}\nwrite_bytes: {written}\ncancelled_write_bytes: 0\n");
            files.insert(format!("{id}/io"), io);
            let of_it = processes.iter().filter(|child| child.parent == *id);
            let children: Vec<_> = of_it.map(|child| child.id.to_string()).collect();
            let list = if self.listed { "children" } else { "comm" };
            files.insert(format!("{id}/task/{id}/{list}"), children.join(" "));
        }
        let mut before = self.files.borrow_mut();
        for (file, content) in &files {
            if before.get(file) != Some(content) {
                self.write(file, content);
            }
        }
        for file in before.keys().filter(|file| file.ends_with("/stat") && !files.contains_key(*file)) {
            fs::remove_dir_all(self.machine.proc.join(file).parent().unwrap()).unwrap();
        }
        *before = files;
    }

    fn write(&self, file: &str, content: &str) {
        write(&self.machine.proc.join(file), content);
    }

    /// Writes what will be written over.
    fn spoil(&self, file: &str, content: &str) {
        self.write(file, content);
        self.files.borrow_mut().remove(file);
    }

    fn open(&self) -> Bench {
        Bench::open(&super::super::TREE_DRIVER, &self.machine).unwrap()
    }
}

/// The values without `process_`.
fn read_after(bench: &mut Bench, since_last: Option<Duration>) -> BTreeMap<String, f64> {
    let values = bench.read_after(since_last).unwrap().into_iter();
    values.map(|(name, value)| (name.strip_prefix("process_").unwrap().to_owned(), value)).collect()
}

/// Reads each state of the processes a second after the one before: the ticks that are counted after the first.
fn counted(states: &[&[Told]]) -> Vec<u64> {
    let both = [true, false].map(|listed| {
        let dir = tempfile::tempdir().unwrap();
        let world = World::new(dir.path(), listed);
        world.has(states[0]);
        let mut bench = world.open();
        assert!(!read_after(&mut bench, None).contains_key("tree_cpu_utilization_percentage"));
        let each = |state: &&[Told]| {
            world.has(state);
            // A time so long that whatever is found can have been used in it.
            let after = Some(Duration::from_secs(100));
            let value = read_after(&mut bench, after)["tree_cpu_utilization_percentage"] * 100.0;
            assert!(value >= 0.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole ticks")]
            let ticks = value.round() as u64;
            ticks
        };
        states[1..].iter().map(each).collect::<Vec<_>>()
    });
    assert_eq!(both[0], both[1], "found by lists of children and by parents");
    both.into_iter().next().unwrap()
}

#[test]
fn a_tree_is_read() {
    for listed in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let world = World::new(dir.path(), listed);
        let child = Told { threads: 4, pages: 300, megabytes_read: 30, ..told(11, OWN, 1000, 0) };
        let zombie = Told { state: 'Z', threads: 9, pages: 9, ..told(12, OWN, 500, 0) };
        // Listed before its parent.
        let grandchild = told(5, 11, 40, 0);
        world.has(&[own(100, 50), child, zombie, grandchild]);
        let mut bench = world.open();
        let megabytes = 500.0 * page_bytes() / 1e6;
        let gauges =
            [("tree_memory_rss_megabytes", megabytes), ("tree_processes", 3.0), ("tree_threads", 6.0)];
        let gauges = gauges.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(read_after(&mut bench, None), gauges.into(), "what was used before is not of this run");

        let child = Told { megabytes_read: 50, ..told(11, OWN, 1010, 0) };
        world.has(&[Told { megabytes_read: 5, ..own(120, 50) }, child, zombie, told(5, 11, 60, 0)]);
        let values = read_after(&mut bench, Some(Duration::from_secs(2)));
        for (name, expected) in [
            ("tree_cpu_utilization_percentage", 25.0),
            ("tree_disk_read_megabytes_per_second", 12.5),
            ("tree_disk_write_megabytes_per_second", 25.0),
            ("disk_read_megabytes_per_second", 2.5),
            ("disk_write_megabytes_per_second", 5.0),
        ] {
            assert_eq!(values.get(name), Some(&expected), "{name}");
        }
        assert_eq!(values.len(), 8);
    }
}

#[test]
fn what_a_process_had_used_counts_when_it_is_found() {
    let found = counted(&[
        &[own(0, 0)],
        &[own(1, 0), told(11, OWN, 30, 0), told(12, 11, 5, 2)],
        &[own(2, 0), told(11, OWN, 34, 0), told(12, 11, 5, 2)],
    ]);
    assert_eq!(found, [38, 5]);
}

#[test]
fn what_is_found_late_is_told_at_the_pace_at_which_it_can_have_been_used() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path(), true);
    world.has(&[own(0, 0)]);
    let mut bench = world.open();
    read_after(&mut bench, None);
    world.has(&[own(0, 0), told(11, OWN, 250, 0)]);
    let mut percentage = || read_after(&mut bench, SECOND)["tree_cpu_utilization_percentage"].to_string();
    assert_eq!([(); 4].map(|()| percentage()), ["100", "100", "50", "0"]);
}

#[test]
fn a_large_tree_is_read_less_often_and_over_the_whole_time() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path(), true);
    let all = |ticks, megabytes_read| -> Vec<_> {
        let child = |id| Told { megabytes_read, ..told(id, OWN, ticks, 0) };
        std::iter::once(own(0, 0)).chain((101..230).map(child)).collect()
    };
    world.has(&all(0, 0));
    let mut bench = world.open();
    assert_eq!(read_after(&mut bench, None).get("tree_processes"), Some(&130.0));
    world.has(&all(1, 3));
    assert_eq!([(); 2].map(|()| read_after(&mut bench, SECOND).len()), [0, 0], "nothing is read");
    let values = read_after(&mut bench, SECOND);
    assert_eq!(values.get("tree_cpu_utilization_percentage"), Some(&43.0), "129 ticks in 3 s");
    assert_eq!(values.get("tree_disk_read_megabytes_per_second"), Some(&129.0));
    assert_eq!(values.get("tree_processes"), Some(&130.0));
}

#[test]
fn what_a_process_used_until_its_end_counts_once_and_is_not_lost() {
    let waited_for = counted(&[
        &[own(0, 0), told(11, OWN, 100, 0)],
        &[own(0, 0), told(11, OWN, 150, 0)],
        &[own(0, 180)],
        &[own(7, 180)],
    ]);
    assert_eq!(waited_for, [50, 30, 7]);
    let a_zombie_first = counted(&[
        &[own(0, 0), told(11, OWN, 100, 0)],
        &[own(0, 0), Told { state: 'Z', ..told(11, OWN, 130, 0) }],
        &[own(0, 0), Told { state: 'Z', ..told(11, OWN, 130, 0) }],
        &[own(0, 130)],
    ]);
    assert_eq!(a_zombie_first, [30, 0, 0]);
    let never_seen = counted(&[&[own(0, 0)], &[own(3, 20)], &[own(3, 20)]]);
    assert_eq!(never_seen, [23, 0]);
    let with_its_child =
        counted(&[&[own(0, 0), told(11, OWN, 100, 10), told(12, 11, 50, 0)], &[own(0, 175)]]);
    assert_eq!(with_its_child, [15]);
}

#[test]
fn a_child_that_ends_between_the_readings_of_it_and_its_parent_counts_once() {
    // The parent is read first, so its account of children may come a sample later.
    let late = counted(&[
        &[own(0, 0), told(11, OWN, 100, 0)],
        &[own(0, 0)],
        &[own(0, 120)],
        &[own(0, 120)],
        &[own(0, 150)],
    ]);
    assert_eq!(late, [0, 20, 0, 30]);
}

#[test]
fn a_parent_that_ignores_its_childrens_end_takes_nothing_back() {
    let ignored = counted(&[
        &[own(0, 0), told(11, OWN, 100, 0)],
        &[own(10, 0), told(11, OWN, 150, 0)],
        &[own(20, 0)],
        &[own(30, 0)],
    ]);
    assert_eq!(ignored, [60, 10, 10]);
}

#[test]
fn a_number_that_is_used_again_is_another_process() {
    let again = Told { began: 5000, ..told(11, OWN, 12, 0) };
    let counted = counted(&[
        &[own(0, 0), told(11, OWN, 100, 0)],
        &[own(0, 103), again],
        &[own(0, 103), Told { ticks: 13, ..again }],
    ]);
    assert_eq!(counted, [3 + 12, 1]);
}

#[test]
fn one_whose_number_is_anothers_by_the_time_it_is_read_is_not_ours() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path(), true);
    world.has(&[own(0, 0), told(11, OWN, 0, 0)]);
    world.spoil("10/task/10/children", "2 11 99");
    let mut bench = world.open();
    assert_eq!(read_after(&mut bench, None).get("tree_processes"), Some(&2.0));
}

#[test]
fn one_that_another_process_takes_over_leaves_with_its_descendants() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path(), true);
    world.has(&[own(0, 0), told(11, OWN, 0, 0), told(12, 11, 0, 0), told(13, 12, 0, 0)]);
    let mut bench = world.open();
    assert_eq!(read_after(&mut bench, None).get("tree_processes"), Some(&4.0));
    // Its parent ended; init took it over, and it goes on using time.
    world.has(&[own(0, 0), told(12, 1, 90, 0), told(13, 12, 90, 0)]);
    for _ in 0..2 {
        let values = read_after(&mut bench, SECOND);
        assert_eq!(values.get("tree_processes"), Some(&1.0));
        assert_eq!(values.get("tree_cpu_utilization_percentage"), Some(&0.0));
    }

    world.has(&[own(0, 0), told(21, OWN, 0, 0), told(22, 21, 0, 0)]);
    assert_eq!(read_after(&mut bench, SECOND).get("tree_processes"), Some(&3.0));
    // One of these took it over: it stays.
    world.has(&[own(0, 0), told(22, OWN, 5, 0)]);
    let values = read_after(&mut bench, SECOND);
    assert_eq!(values.get("tree_processes"), Some(&2.0));
    assert_eq!(values.get("tree_cpu_utilization_percentage"), Some(&5.0));
}

#[test]
fn a_gap_is_not_averaged_over() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path(), true);
    world.has(&[own(0, 0)]);
    let mut bench = world.open();
    read_after(&mut bench, None);
    world.has(&[own(500, 0), told(11, OWN, 700, 0)]);
    let after = read_after(&mut bench, None);
    assert_eq!((after.len(), after["tree_processes"].to_string()), (3, "2".to_owned()), "{after:?}");
    world.has(&[own(501, 0), told(11, OWN, 702, 0)]);
    assert_eq!(read_after(&mut bench, SECOND).get("tree_cpu_utilization_percentage"), Some(&3.0));
}

#[test]
fn what_a_child_read_is_not_its_parents_when_it_was_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path(), true);
    let child = |megabytes_read| Told { megabytes_read, ..told(11, OWN, 0, 0) };
    world.has(&[own(0, 0), child(700)]);
    let mut bench = world.open();
    read_after(&mut bench, None);
    world.has(&[Told { megabytes_read: 1, ..own(0, 0) }, child(710)]);
    read_after(&mut bench, SECOND);
    world.has(&[Told { megabytes_read: 713, ..own(0, 0) }]);
    let values = read_after(&mut bench, SECOND);
    assert_eq!(values.get("disk_read_megabytes_per_second"), Some(&2.0));
    assert_eq!(values.get("tree_disk_read_megabytes_per_second"), Some(&2.0));
}

#[test]
fn input_and_output_that_is_kept_from_us_is_absent() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path(), true);
    world.has(&[own(0, 0), told(11, OWN, 0, 0)]);
    fs::remove_file(world.machine.proc.join("11/io")).unwrap();
    let mut bench = world.open();
    assert_eq!(read_after(&mut bench, None).get("tree_processes"), Some(&2.0), "of a child");
    assert_eq!(read_after(&mut bench, SECOND).len(), 8);
    fs::remove_file(world.machine.proc.join("10/io")).unwrap();
    let mut bench = world.open();
    read_after(&mut bench, None);
    assert_eq!(read_after(&mut bench, SECOND).len(), 4, "of this process");
}

#[test]
fn garbage_fails_and_is_not_compared_with() {
    for file in ["10/stat", "11/stat", "11/statm", "10/io", "11/io", "10/task/10/children"] {
        for garbage in ["garbage", "1 (x) S", "read_bytes: -1\nwrite_bytes: 2\n", "99999999999999999999"] {
            let dir = tempfile::tempdir().unwrap();
            let world = World::new(dir.path(), true);
            world.has(&[own(0, 0), told(11, OWN, 0, 0)]);
            let mut bench = world.open();
            read_after(&mut bench, None);
            world.spoil(file, garbage);
            assert!(matches!(bench.read(), Err(ProbeError::Failed(_))), "{file} {garbage}");
            world.has(&[own(500, 0), told(11, OWN, 500, 0)]);
            assert_eq!(read_after(&mut bench, SECOND).len(), 3, "no rates over two times");
            world.has(&[own(510, 0), told(11, OWN, 520, 0)]);
            assert_eq!(read_after(&mut bench, SECOND).get("tree_cpu_utilization_percentage"), Some(&30.0));
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path(), true);
    world.has(&[own(0, 0)]);
    let mut bench = world.open();
    world.has(&[]);
    assert!(matches!(bench.read(), Err(ProbeError::Failed(_))), "this process is not there");
    world.has(&[own(0, 0)]);
    assert_eq!(read_after(&mut bench, SECOND).len(), 3, "and is again");
}

#[test]
fn the_lowest_tier_reads_none_of_it_and_a_system_without_accounts_has_none() {
    let opened = Bench::open_in(Tier::Compat, &super::super::TREE_DRIVER, &Machine::default());
    assert!(matches!(opened, Err(ProbeError::Absent(_))));
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        Bench::open(&super::super::TREE_DRIVER, &empty(dir.path())),
        Err(ProbeError::Absent(_))
    ));
}

/// What happens to a modelled process in a step.
#[derive(Clone, Copy, Debug)]
enum Event {
    Work(usize, u64),
    Start(usize),
    /// Ends, after so many more ticks, and is waited for by its parent if it has no children.
    End(usize, u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (any::<usize>(), 0..50_u64).prop_map(|(which, ticks)| Event::Work(which, ticks)),
        any::<usize>().prop_map(Event::Start),
        (any::<usize>(), 0..50_u64).prop_map(|(which, ticks)| Event::End(which, ticks)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn however_processes_come_and_end_every_tick_counts_once(
        steps in proptest::collection::vec(proptest::collection::vec(event(), 0..4), 1..6),
    ) {
        let mut processes = vec![own(0, 0)];
        let (mut next, mut used, mut states, mut totals) = (100, 0, vec![processes.clone()], vec![]);
        for events in steps {
            for event in events {
                match event {
                    Event::Work(which, ticks) => {
                        let which = which % processes.len();
                        processes[which].ticks += ticks;
                        used += ticks;
                    }
                    Event::Start(which) => {
                        let parent = processes[which % processes.len()].id;
                        processes.push(told(next, parent, 0, 0));
                        next += 1;
                    }
                    Event::End(which, ticks) => {
                        let which = which % processes.len();
                        let ended = processes[which];
                        if which > 0 && !processes.iter().any(|child| child.parent == ended.id) {
                            processes.remove(which);
                            used += ticks;
                            let parent = processes.iter_mut().find(|p| p.id == ended.parent).unwrap();
                            parent.reaped += ended.ticks + ended.reaped + ticks;
                        }
                    }
                }
            }
            states.push(processes.clone());
            totals.push(used);
        }
        let states: Vec<_> = states.iter().map(Vec::as_slice).collect();
        let mut sum = 0;
        for (counted, used) in counted(&states).into_iter().zip(totals) {
            sum += counted;
            prop_assert_eq!(sum, used);
        }
    }
}
