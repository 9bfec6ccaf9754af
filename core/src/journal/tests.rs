//! The journal as its users see it: what was logged is read once, in order, and is there after a crash.

use proptest::prelude::*;

use super::*;
use crate::entity::RunStatus;

fn point(step: i64) -> Point {
    Point { run: 0, key: 1, value: 0.5, timestamp: 1_700_000_000_000, step }
}

fn tag(value: &str) -> Text {
    Text::Tag { run: 0, key: "k".to_owned(), value: value.to_owned() }
}

fn journal(dir: &Path) -> Journal {
    Journal::open(&Place::Directory(dir.to_owned()), "store", Shape::default())
}

fn read_all(journal: &Journal, reader: &mut Reader) -> Vec<Record> {
    let mut entries = Vec::new();
    journal.read(reader, usize::MAX, &mut entries);
    journal.acknowledge(&entries);
    entries.into_iter().map(|entry| entry.record).collect()
}

/// What a process that died here would leave behind.
fn crash(journal: Journal) {
    drop(journal);
}

/// The journal of the process that crashed.
///
/// A child that another test spawns at this moment may hold a copy of the lock until it executes its program.
fn claim(dir: &Path) -> Claim {
    let place = Place::Directory(dir.to_owned());
    loop {
        if let Some(dead) = dead_journals(&place).first()
            && let Taken::Claim(claim) = Claim::take(dead).unwrap()
        {
            return *claim;
        }
        std::thread::yield_now();
    }
}

#[test]
fn records_are_read_once_in_the_order_of_their_calls() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let mut reader = Reader::default();
    journal.metric(point(1)).unwrap();
    journal.text(&tag(&"long ".repeat(100))).unwrap();
    journal.metric(point(2)).unwrap();
    let records = read_all(&journal, &mut reader);
    assert_eq!(
        records,
        [Record::Metric(point(1)), Record::Text(tag(&"long ".repeat(100))), Record::Metric(point(2))]
    );
    assert_eq!(read_all(&journal, &mut reader), []);
    assert_eq!(reader.done_below(), journal.tail());
}

#[test]
fn a_crash_leaves_what_was_not_acknowledged_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let mut reader = Reader::default();
    journal.metric(point(1)).unwrap();
    journal.text(&tag("old")).unwrap();
    read_all(&journal, &mut reader);
    journal.text(&tag("new")).unwrap();
    journal.metric(point(2)).unwrap();
    crash(journal);
    let claim = claim(dir.path());
    let left: Vec<_> = claim.unacknowledged().map(|entry| entry.record).collect();
    assert_eq!(left, [Record::Text(tag("new")), Record::Metric(point(2))]);
    assert_eq!(claim.all().count(), 4);
}

#[test]
fn records_cross_segments_and_segments_are_recycled() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let mut reader = Reader::default();
    let text = tag(&"x".repeat(30_000));
    let mut read = 0;
    for round in 0..500 {
        journal.text(&text).unwrap();
        for record in read_all(&journal, &mut reader) {
            assert_eq!(record, Record::Text(text.clone()), "round {round}");
            read += 1;
        }
        journal.recycle(&mut reader);
    }
    assert_eq!(read, 500);
    assert!(journal.tail() >> segment::SLOTS_LOG2 >= 4, "several segments were used");
    assert!(journal.queue.segments_made() <= 2, "and only two were made");
}

#[test]
fn a_slot_that_is_reserved_but_not_published_delays_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let mut reader = Reader::default();
    let reserved = journal.queue.reserve(1, Share::Metrics).unwrap();
    journal.metric(point(2)).unwrap();
    assert_eq!(read_all(&journal, &mut reader), [Record::Metric(point(2))]);
    assert_eq!(reader.done_below(), reserved);
    journal.queue.publish(reserved, Kind::Metric, 0, point(1).to_words()).unwrap();
    assert_eq!(read_all(&journal, &mut reader), [Record::Metric(point(1))]);
    assert_eq!(reader.done_below(), journal.tail());
}

#[test]
fn past_its_bound_metrics_are_refused_and_ends_still_fit() {
    let journal = Journal::open(&Place::Memory, "store", Shape::default());
    while journal.queue.reserve(1000, Share::Metrics).is_ok() {}
    while journal.metric(point(1)).is_ok() {}
    assert!(journal.text(&Text::End { run: 0, status: RunStatus::Finished, time: 1 }).is_ok());
}

#[test]
fn large_records_stand_aside_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let large = tag(&"y".repeat(1_000_000));
    let slots = journal.text(&large).unwrap();
    assert!(slots.end - slots.start < 10);
    assert_eq!(read_all(&journal, &mut Reader::default()), [Record::Text(large.clone())]);
    let again = tag(&"z".repeat(100_000));
    journal.text(&again).unwrap();
    crash(journal);
    assert!(claim(dir.path()).unacknowledged().any(|entry| entry.record == Record::Text(again.clone())));
}

#[test]
fn a_copy_of_a_segment_is_told_and_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    for step in 0..10 {
        journal.metric(point(step)).unwrap();
    }
    let home = journal.dir().unwrap().to_owned();
    std::fs::copy(home.join("0.seg"), home.join("0 copy.seg")).unwrap();
    crash(journal);
    let claim = claim(dir.path());
    assert_eq!(claim.all().count(), 10);
    let damaged = claim.walk::<()>(|_| Ok(())).unwrap();
    assert!(matches!(&damaged[..], [why] if why.contains("same number")), "{damaged:?}");
}

#[test]
fn a_delivered_journal_is_removed_and_another_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let mut reader = Reader::default();
    journal.metric(point(1)).unwrap();
    journal.close(&reader);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    read_all(&journal, &mut reader);
    journal.close(&reader);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_journal_of_what_was_read_but_given_back_stays() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let mut reader = Reader::default();
    journal.metric(point(1)).unwrap();
    let mut read = Vec::new();
    journal.read(&mut reader, usize::MAX, &mut read);
    reader.give_back(&read);
    journal.close(&reader);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(read_all(&journal, &mut reader), [Record::Metric(point(1))], "and it is read again");
}

#[test]
fn a_backlog_is_synced_once_and_a_slot_that_is_published_late_after_that() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let mut reader = Reader::default();
    journal.metric(point(0)).unwrap();
    let late = journal.queue.reserve(1, Share::Metrics).unwrap();
    journal.metric(point(2)).unwrap();
    journal.sync(&mut reader, 0);
    assert_eq!(reader.sync_from, late, "none of them was read");
    journal.queue.publish(late, Kind::Metric, 0, point(1).to_words()).unwrap();
    journal.sync(&mut reader, 0);
    assert_eq!(reader.sync_from, journal.tail());
    assert!(!journal.needs_sync(&reader));
}

#[test]
fn a_living_process_is_not_recovered_and_a_dead_one_only_once() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::Directory(dir.path().to_owned());
    let living = journal(dir.path());
    assert_eq!(dead_journals(&place), Vec::<PathBuf>::new());
    crash(living);
    let _held = claim(dir.path());
    for dead in dead_journals(&place) {
        assert!(matches!(Claim::take(&dead).unwrap(), Taken::Busy));
    }
}

#[test]
fn a_record_that_ends_in_the_next_segment_is_read_and_acknowledged_once() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    for step in 1..SLOTS {
        journal.metric(point(i64::try_from(step).unwrap())).unwrap();
    }
    let long = tag(&"over the edge ".repeat(100));
    journal.text(&long).unwrap();
    journal.metric(point(0)).unwrap();
    crash(journal);
    let claim = claim(dir.path());
    let left: Vec<_> = claim.unacknowledged().skip(SLOTS - 1).map(|entry| entry.record).collect();
    assert_eq!(left, [Record::Text(long), Record::Metric(point(0))]);
    claim
        .walk::<Error>(|window| {
            for slot in window.slots() {
                if let Slot::Waiting(entry) = slot {
                    window.acknowledge(&entry);
                }
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(claim.unacknowledged().count(), 0);
    assert_eq!(claim.all().count(), SLOTS + 1);
}

#[test]
fn where_no_directory_can_be_made_records_still_flow() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let journal = journal(&file);
    assert!(!journal.is_durable());
    journal.metric(point(1)).unwrap();
    assert_eq!(read_all(&journal, &mut Reader::default()), [Record::Metric(point(1))]);
}

#[test]
fn many_threads_lose_and_double_nothing() {
    const THREADS: i64 = 4;
    const EACH: i64 = 50_000;
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let mut reader = Reader::default();
    let mut seen = vec![0_u8; usize::try_from(THREADS * EACH).unwrap()];
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let journal = &journal;
                scope.spawn(move || {
                    for n in 0..EACH {
                        journal.metric(point(thread * EACH + n)).unwrap();
                    }
                })
            })
            .collect();
        loop {
            let finished = writers.iter().all(std::thread::ScopedJoinHandle::is_finished);
            for record in read_all(&journal, &mut reader) {
                let Record::Metric(point) = record else { panic!("only metrics were logged") };
                seen[usize::try_from(point.step).unwrap()] += 1;
            }
            journal.recycle(&mut reader);
            journal.stay_ahead(&mut reader);
            if finished && reader.done_below() == journal.tail() {
                break;
            }
        }
    });
    assert!(seen.iter().all(|count| *count == 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Any interleaving of appends, deliveries and a crash: what is left is what was logged and not acknowledged.
    #[test]
    fn a_replay_is_what_was_logged_less_what_was_acknowledged(
        steps in proptest::collection::vec((0..4_u8, 0..200_usize), 1..60),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let journal = journal(dir.path());
        let mut reader = Reader::default();
        let mut waiting = std::collections::VecDeque::new();
        for (kind, size) in steps {
            match kind {
                0 => {
                    let record = point(i64::try_from(size).unwrap());
                    journal.metric(record).unwrap();
                    waiting.push_back(Record::Metric(record));
                }
                1 => {
                    let record = tag(&"é".repeat(size));
                    journal.text(&record).unwrap();
                    waiting.push_back(Record::Text(record));
                }
                2 => {
                    let mut entries = Vec::new();
                    journal.read(&mut reader, size, &mut entries);
                    journal.acknowledge(&entries);
                    for entry in entries {
                        prop_assert_eq!(Some(entry.record), waiting.pop_front());
                    }
                }
                _ => journal.sync(&mut reader, 0),
            }
        }
        crash(journal);
        let left: Vec<_> = claim(dir.path()).unacknowledged().map(|entry| entry.record).collect();
        prop_assert_eq!(left, Vec::from(waiting));
    }
}
