//! The journal's queue among threads, in every order of their steps within the bounds that each model names.

use std::sync::Arc;

use loom::thread::{self, JoinHandle};
use runlog_model::journal::{Row, SLOTS, Taker};

/// Tries every order in which running threads are interrupted at most so many times.
fn check(interruptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(interruptions);
    builder.max_branches = 100_000;
    builder.check(model);
}

/// Starts a thread that logs these numbers and returns those that the journal took.
fn logs<const COUNT: usize>(row: &Arc<Row>, numbers: [u64; COUNT]) -> JoinHandle<Vec<u64>> {
    let row = Arc::clone(row);
    thread::spawn(move || numbers.into_iter().filter(|number| row.log(*number)).collect())
}

fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

/// A thread that publishes what was reserved.
fn publishes(row: &Arc<Row>, sequence: u64, number: u64) -> JoinHandle<()> {
    let row = Arc::clone(row);
    thread::spawn(move || assert!(row.publish(sequence, number)))
}

#[test]
fn what_two_threads_log_is_read_once_and_whole() {
    check(2, || {
        let row = Arc::new(Row::new(3));
        let writers = [logs(&row, [11, 12]), logs(&row, [21])];
        let mut taker = Taker::default();
        let mut read = taker.finish(&row);
        for writer in writers {
            writer.join().unwrap();
        }
        read.extend(taker.finish(&row));
        assert_eq!(sorted(read), [11, 12, 21]);
        assert_eq!(taker.done_below(), 3);
    });
}

#[test]
fn a_slot_that_is_reserved_but_not_published_is_passed_over_and_read_later() {
    check(3, || {
        let row = Arc::new(Row::new(2));
        let slow = row.reserve().unwrap();
        assert!(row.log(2));
        let writer = publishes(&row, slow, 1);
        let mut taker = Taker::default();
        let mut read = taker.finish(&row);
        assert!(read.contains(&2), "nobody is delayed");
        assert_eq!(taker.done_below() == slow, !read.contains(&1), "and nothing is called done that is not");
        writer.join().unwrap();
        read.extend(taker.finish(&row));
        assert_eq!(sorted(read), [1, 2]);
    });
}

#[test]
fn a_segment_is_used_again_only_when_each_of_its_slots_was_published_and_read() {
    check(2, || {
        let row = Arc::new(Row::new(4));
        let slow = row.reserve().unwrap();
        assert!(row.log(2));
        let writer = publishes(&row, slow, 1);
        let others = logs(&row, [3]);
        let mut taker = Taker::default();
        let mut read = taker.finish(&row);
        if row.recycle(&mut taker) > 0 {
            assert!(read.contains(&1), "a slot that was not read is given away");
        }
        writer.join().unwrap();
        others.join().unwrap();
        read.extend(taker.finish(&row));
        assert_eq!(sorted(read), [1, 2, 3]);
    });
}

#[test]
fn a_slot_of_the_last_generation_is_never_read_as_new() {
    check(2, || {
        let row = Arc::new(Row::new(2));
        let mut taker = Taker::default();
        for number in 1..=SLOTS as u64 {
            assert!(row.log(number));
        }
        let mut read = taker.finish(&row);
        assert_eq!(row.recycle(&mut taker), 1);
        let writer = logs(&row, [3, 4]);
        read.extend(taker.finish(&row));
        writer.join().unwrap();
        read.extend(taker.finish(&row));
        assert_eq!(read, [1, 2, 3, 4]);
    });
}

#[test]
fn a_segment_that_several_threads_need_at_once_is_made_once() {
    check(2, || {
        let row = Arc::new(Row::new(3));
        let mut taker = Taker::default();
        for number in 1..=SLOTS as u64 {
            assert!(row.log(number));
        }
        let writers = [logs(&row, [3]), logs(&row, [4])];
        row.prepare_ahead(&taker);
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(sorted(taker.finish(&row)), [1, 2, 3, 4]);
    });
}

#[test]
fn what_is_taken_while_the_journal_closes_is_seen_by_who_closes_it() {
    check(2, || {
        let row = Arc::new(Row::new(4));
        let writers = [logs(&row, [1]), logs(&row, [2])];
        let end = row.close();
        let mut taker = Taker::default();
        let mut read = taker.finish(&row);
        let removed = taker.done_below() >= end;
        let accepted: Vec<_> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        if removed {
            assert_eq!(sorted(read), sorted(accepted), "what was taken is removed unread");
        } else {
            read.extend(taker.finish(&row));
            assert!(accepted.iter().all(|number| read.contains(number)), "what was taken is lost");
        }
        assert!(!row.log(3), "nothing more is taken");
    });
}

#[test]
fn at_the_bound_what_is_refused_is_not_read_and_what_is_taken_is() {
    check(2, || {
        let row = Arc::new(Row::new(1));
        assert!(row.log(1));
        let writers = [logs(&row, [11, 12]), logs(&row, [21])];
        let mut accepted = vec![1];
        accepted.extend(writers.into_iter().flat_map(|writer| writer.join().unwrap()));
        assert!(accepted.len() >= SLOTS, "what there is room for is taken");
        assert!(accepted.len() <= SLOTS + 1, "and no more than each other thread's one record beside it");
        let mut taker = Taker::default();
        assert_eq!(sorted(taker.finish(&row)), sorted(accepted));
        assert!(!row.log(2));
        row.recycle(&mut taker);
        assert!(row.log(2), "there is room again");
    });
}

#[test]
fn a_text_of_several_slots_is_read_whole_or_not_yet() {
    check(2, || {
        let row = Arc::new(Row::new(4));
        let text = {
            let row = Arc::clone(&row);
            thread::spawn(move || assert!(row.log_text(1, 3)))
        };
        let metric = logs(&row, [2]);
        let mut taker = Taker::default();
        let mut read = taker.finish(&row);
        text.join().unwrap();
        metric.join().unwrap();
        read.extend(taker.finish(&row));
        assert_eq!(sorted(read), [1, 2]);
        assert_eq!(taker.done_below(), 4);
    });
}

#[test]
fn a_file_never_holds_an_older_record_than_memory() {
    // What is compared at the end is in the memory that the row is made of.
    check(3, || {
        let row = Arc::new(Row::in_files(4));
        let slow = row.reserve().unwrap();
        assert!(row.log(2));
        let writer = publishes(&row, slow, 1);
        let mut taker = Taker::default();
        let mut read = taker.finish(&row);
        row.recycle(&mut taker);
        assert!(row.log(3));
        writer.join().unwrap();
        read.extend(taker.finish(&row));
        assert_eq!(sorted(read), [1, 2, 3]);
    });
}
