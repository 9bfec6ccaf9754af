//! Points: each is in its file once, whoever wrote it and in whatever order.

use std::collections::BTreeSet;
use std::io::Write as _;

use proptest::prelude::*;

use super::*;

fn point(n: i64) -> Metric {
    Metric::new("loss", 0.5, n, n)
}

#[test]
fn a_torn_last_line_is_cut_and_a_whole_one_is_kept() {
    for (left, expect) in [
        ("1 0.5 1\n2 0.", "1 0.5 1\n3 0.5 3\n"),
        ("2 ", "3 0.5 3\n"),
        ("1 0.5 1\n2 0.5 2", "1 0.5 1\n2 0.5 2\n3 0.5 3\n"),
        ("1 0.5 1\n\0\0\0\0", "1 0.5 1\n3 0.5 3\n"),
        ("1 0.5\r\n2 0.5", "1 0.5\r\n2 0.5\n3 0.5 3\n"),
        ("", "3 0.5 3\n"),
    ] {
        let place = Place::new();
        let (run_id, dir) = place.run();
        fs::write(dir.join("metrics/loss"), left).unwrap();
        for _ in 0..2 {
            place.log(&run_id, &[point(3)]).unwrap();
            assert_eq!(read(dir.join("metrics/loss")), expect, "{left:?}");
        }
        place.log(&run_id, &[point(4)]).unwrap();
        assert_eq!(read(dir.join("metrics/loss")), format!("{expect}4 0.5 4\n"));
    }
}

#[test]
fn what_is_there_already_leaves_an_open_line_as_it_is() {
    let place = Place::new();
    let (run_id, dir) = place.run();
    fs::write(dir.join("metrics/loss"), "1 0.5 1\n2 0.5 2").unwrap();
    place.log(&run_id, &[point(1), point(2)]).unwrap();
    assert_eq!(read(dir.join("metrics/loss")), "1 0.5 1\n2 0.5 2");
    place.log(&run_id, &[point(2), point(3)]).unwrap();
    assert_eq!(read(dir.join("metrics/loss")), "1 0.5 1\n2 0.5 2\n3 0.5 3\n");
}

#[test]
fn a_line_that_somebody_died_writing_is_not_read() {
    let place = Place::new();
    let (run_id, dir) = place.run();
    fs::write(dir.join("metrics/loss"), "1 0.5 1\n12 0.5 1").unwrap();
    assert_eq!(place.store.metric_history(&run_id, "loss").unwrap().len(), 2, "somebody left it so");
    // As a writer that was killed leaves it.
    fs::write(dir.join(".runlog.lock"), "metrics/loss\n").unwrap();
    assert_eq!(place.store.metric_history(&run_id, "loss").unwrap(), [point(1)]);
    assert_eq!(place.store.get_run(&run_id).unwrap().data.metrics, [point(1)]);
    place.store.update_run(&run_id, &RunChange::default()).unwrap();
    assert_eq!(read(dir.join("metrics/loss")), "1 0.5 1\n");
}

#[test]
fn an_old_point_among_many_is_found() {
    let place = Place::new();
    let (run_id, dir) = place.run();
    let points: Vec<Metric> = (0..1000).map(point).collect();
    place.log(&run_id, &points).unwrap();
    let again = [point(0), point(500), point(999), point(1000), point(-1), point(0), point(-1)];
    for store in [&place.store, &open(&place.root), &place.store] {
        log(store, &run_id, &again).unwrap();
        assert_eq!(read(dir.join("metrics/loss")).lines().count(), 1002);
    }
}

#[test]
fn of_equal_points_the_first_stays_and_the_history_has_one() {
    let place = Place::new();
    let (run_id, dir) = place.run();
    fs::write(dir.join("metrics/loss"), "1 0.5 1\n1 0.5 1\n0 nan 1\n0 NaN 1\n1 5e-1 1 iris 0a1b\n").unwrap();
    assert_eq!(place.store.metric_history(&run_id, "loss").unwrap().len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Two stores and MLflow, which appends what nobody had, in any order.
    #[test]
    fn each_point_is_in_the_file_once(steps in prop::collection::vec((0..3_usize, prop::collection::vec(0..400_i64, 1..60)), 1..30)) {
        let place = Place::new();
        let (run_id, dir) = place.run();
        let stores = [open(&place.root), open(&place.root)];
        let mut expect = BTreeSet::new();
        for (writer, numbers) in steps {
            let new: BTreeSet<i64> = numbers.iter().copied().filter(|number| !expect.contains(number)).collect();
            if let Some(store) = stores.get(writer) {
                log(store, &run_id, &numbers.iter().copied().map(point).collect::<Vec<_>>()).unwrap();
            } else {
                let mut options = fs::OpenOptions::new();
                let mut file = options.append(true).create(true).open(dir.join("metrics/loss")).unwrap();
                for number in &new {
                    writeln!(file, "{number} 0.5 {number}").unwrap();
                }
            }
            expect.extend(new);
        }
        let mut found: Vec<i64> = read(dir.join("metrics/loss"))
            .lines()
            .map(|line| line.split(' ').next().unwrap().parse().unwrap())
            .collect();
        found.sort_unstable();
        prop_assert!(found.iter().eq(&expect), "{found:?}");
        prop_assert_eq!(place.store.metric_history(&run_id, "loss").unwrap().len(), expect.len());
    }
}
