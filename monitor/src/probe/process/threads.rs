//! The busiest thread of this process: what one processor does not get faster than.
//!
//! Reading every thread at every sample would cost more than all the rest, so they are read in [`Turn`]. The reading is
//! of the time between two turns: that thread's processor time which used most of it. A thread that began since counts
//! from its beginning; one that ended is not seen any more.
//!
//! Invariant: a thread is told from an earlier one of the same number by when it began.

use std::mem;
use std::time::Duration;

use super::FILES_PER_SECOND;
use super::numbered::Numbered;
use super::stat::Stat;
use super::turn::{Due, Turn};
use crate::probe::{Machine, ProbeError, corrupt};

/// Enough for most programs, so that lists do not grow while a run goes on.
const THREADS_AT_FIRST: usize = 256;

/// The threads as they were last seen.
#[derive(Debug)]
pub(super) struct Threads {
    directory: Numbered,
    turn: Turn,
    /// In the order of the system's list, which stays the same while threads come and go.
    known: Vec<Thread>,
    listed: Vec<Thread>,
    ids: Vec<u32>,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Thread {
    id: u32,
    began: u64,
    ticks: u64,
}

/// The processor time of one thread over a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busiest {
    pub(super) ticks: u64,
    pub(super) over: Duration,
}

impl Threads {
    pub(super) fn open(machine: &Machine) -> Result<Self, ProbeError> {
        Ok(Self {
            directory: Numbered::open(machine.proc.join("self/task"))?,
            turn: Turn::new(FILES_PER_SECOND),
            known: Vec::with_capacity(THREADS_AT_FIRST),
            listed: Vec::with_capacity(THREADS_AT_FIRST),
            ids: Vec::with_capacity(THREADS_AT_FIRST),
            buffer: Vec::new(),
        })
    }

    /// The busiest thread since the last turn; `None` if it is not their turn yet, or there was none before.
    pub(super) fn busiest(&mut self, since_last: Option<Duration>) -> Result<Option<Busiest>, ProbeError> {
        let due = self.turn.due(since_last);
        if due == Due::NotYet {
            return Ok(None);
        }
        let most = self.look();
        let (most, read) = match most {
            Ok(most) => (most, self.known.len()),
            Err(error) => {
                // Nothing to compare the next look with.
                self.turn = Turn::new(FILES_PER_SECOND);
                self.known.clear();
                return Err(error);
            }
        };
        self.turn.done(read);
        Ok(match due {
            Due::After(over) => most.map(|ticks| Busiest { ticks, over }),
            Due::NotYet | Due::Anew => None,
        })
    }

    /// Reads all threads: the ticks of the one that used most since the last look.
    fn look(&mut self) -> Result<Option<u64>, ProbeError> {
        let Self { directory, known, listed, ids, buffer, .. } = self;
        ids.clear();
        directory.list(|id| ids.push(id))?;
        listed.clear();
        let (mut most, mut cursor, first_look) = (None, 0, known.is_empty());
        for id in ids.iter().copied() {
            let Some(stat) = directory.read(format_args!("{id}/stat"), buffer)? else { continue };
            let stat = Stat::parse(stat).ok_or_else(|| corrupt("a thread's account has an unknown form"))?;
            let thread = Thread { id, began: stat.began, ticks: stat.ticks };
            let before = find(known, &mut cursor, thread);
            if !first_look {
                most = most.max(Some(thread.ticks.saturating_sub(before.map_or(0, |before| before.ticks))));
            }
            listed.push(thread);
        }
        mem::swap(known, listed);
        Ok(most)
    }
}

/// The same thread at the last look; `cursor` is where the next one is expected.
fn find(known: &[Thread], cursor: &mut usize, thread: Thread) -> Option<Thread> {
    let is_it = |known: &Thread| known.id == thread.id;
    let place = match known.get(*cursor) {
        Some(next) if is_it(next) => *cursor,
        _ => known.iter().position(is_it)?,
    };
    *cursor = place + 1;
    known.get(place).copied().filter(|known| known.began == thread.began)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::testing::{empty, write};

    const SECOND: Option<Duration> = Some(Duration::from_secs(1));

    /// Threads with their numbers, beginnings and ticks.
    fn set(machine: &Machine, threads: &[(u32, u64, u64)]) {
        let task = machine.proc.join("self/task");
        if task.exists() {
            for entry in std::fs::read_dir(&task).unwrap() {
                std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
            }
        }
        for (id, start, ticks) in threads {
            let stat = format!("{id} (x) R 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 3 0 {start} 1 1\n");
            write(&task.join(format!("{id}/stat")), &stat);
        }
    }

    fn ticks(busiest: Option<Busiest>) -> Option<u64> {
        busiest.map(|busiest| busiest.ticks)
    }

    #[test]
    fn the_one_that_used_most_since_the_last_look_is_the_busiest() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        set(&machine, &[(1, 5, 1000), (2, 6, 10)]);
        let mut threads = Threads::open(&machine).unwrap();
        assert_eq!(threads.busiest(None).unwrap(), None, "what it used before is not of this run");
        set(&machine, &[(1, 5, 1020), (2, 6, 90)]);
        let busiest = Busiest { ticks: 80, over: Duration::from_secs(1) };
        assert_eq!(threads.busiest(SECOND).unwrap(), Some(busiest));
        set(&machine, &[(1, 5, 1030), (3, 900, 70)]);
        assert_eq!(ticks(threads.busiest(SECOND).unwrap()), Some(70), "one that began since");
        set(&machine, &[(1, 5, 1031), (3, 950, 60)]);
        assert_eq!(ticks(threads.busiest(SECOND).unwrap()), Some(60), "another of the same number");
        set(&machine, &[(1, 5, 1131), (3, 950, 60)]);
        assert_eq!(threads.busiest(None).unwrap(), None, "a gap");
        set(&machine, &[(1, 5, 1136), (3, 950, 60)]);
        assert_eq!(ticks(threads.busiest(SECOND).unwrap()), Some(5));
    }

    #[test]
    fn many_threads_are_looked_at_less_often_and_over_the_whole_time() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        let many = |ticks| (1..=60).map(|id| (id, 5, ticks * u64::from(id))).collect::<Vec<_>>();
        set(&machine, &many(1));
        let mut threads = Threads::open(&machine).unwrap();
        threads.busiest(None).unwrap();
        set(&machine, &many(2));
        assert_eq!([(); 2].map(|()| threads.busiest(SECOND).unwrap()), [None; 2]);
        let busiest = Busiest { ticks: 60, over: Duration::from_secs(3) };
        assert_eq!(threads.busiest(SECOND).unwrap(), Some(busiest));
    }

    #[test]
    fn a_look_that_fails_is_not_compared_with() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        set(&machine, &[(1, 5, 0)]);
        let mut threads = Threads::open(&machine).unwrap();
        threads.busiest(None).unwrap();
        write(&machine.proc.join("self/task/1/stat"), "garbage");
        assert!(matches!(threads.busiest(SECOND), Err(ProbeError::Failed(_))));
        set(&machine, &[(1, 5, 200)]);
        assert_eq!(threads.busiest(SECOND).unwrap(), None);
        set(&machine, &[(1, 5, 250)]);
        assert_eq!(ticks(threads.busiest(SECOND).unwrap()), Some(50));
    }
}
