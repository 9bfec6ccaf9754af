//! This process and its descendants: processor time, memory, threads, and what they read from disks and wrote there.
//!
//! The processes that are known are read in [`Turn`], which is at every sample unless they are many; new ones are looked
//! for less often. What a process had used before it was found counts when it is found, so that over a run nothing is
//! missing.
//!
//! The kernel adds what a process used to its parent's account of children (`cutime`, `cstime`, and its `io` as a
//! whole) once the parent has waited for it. So what a process used after it was last seen is not lost, and neither is
//! a child that was never seen; what was counted already is taken off (see [`Member::count`]). A parent that ignores
//! its children's end has no such account: of them the last unseen part is lost.
//!
//! Invariant: what is counted never runs backwards, however processes come, end and are taken over by others; a process
//! is told from an earlier one of the same number by when it began; a zombie uses nothing, but what it had used stays.

mod find;
mod member;

use self::find::Find;
use self::member::{Fate, Member, Used};
use super::FILES_PER_SECOND;
use super::numbered::Numbered;
use super::own::{page_bytes, there, ticks_per_second};
use super::processors::Processors;
use super::spread::Spread;
use super::stat::{Stat, disk_bytes, resident_pages};
use super::turn::{Due, Turn};
use crate::metrics;
use crate::probe::pseudo::Pseudo;
use crate::probe::{
    Key, MEGABYTE, Machine, Opened, Probe, ProbeError, Registry, Sink, corrupt, float, wanted,
};

/// Enough for most programs, so that the list does not grow while a run goes on.
const MEMBERS_AT_FIRST: usize = 64;

/// Each takes three files, a hundredth of a millisecond: 0.05 % of a processor for all.
const PROCESSES_PER_SECOND: u32 = 50;

struct Tree {
    processes: Processes,
    /// Parents before their children, this process first.
    members: Vec<Member>,
    /// When they are read again.
    follow_turn: Turn,
    find: Find,
    find_turn: Turn,
    /// Whether the last sample failed, so that there is nothing to compare this one with.
    failed: bool,
    processors: Option<Processors>,
    spread: Spread,
    keys: Keys,
}

struct Keys {
    cpu: Option<Key>,
    rss: Option<Key>,
    processes: Option<Key>,
    threads: Option<Key>,
    own_read: Option<Key>,
    own_write: Option<Key>,
    read: Option<Key>,
    write: Option<Key>,
}

pub(super) fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    wanted(registry, &metrics::TREE_RSS)?;
    let own = Pseudo::open(machine.proc.join("self/stat"))?.head().map(Stat::parse)?;
    let own = own.ok_or_else(|| corrupt("/proc/self/stat has an unknown form"))?;
    let directory = Numbered::open(machine.proc.clone())?;
    let mut processes = Processes { directory, buffer: Vec::new(), with_io: true };
    let io = processes.io(own.id);
    // A kernel may keep no such account, or not show it.
    processes.with_io = io.is_ok_and(|io| io.is_some());
    let processors = there(Processors::open(machine))?;
    let mut with_io = |metric| processes.with_io.then(|| registry.metric(metric)).flatten();
    let [own_read, own_write] = [&metrics::PROCESS_READ_RATE, &metrics::PROCESS_WRITE_RATE].map(&mut with_io);
    let [read, write] = [&metrics::TREE_READ_RATE, &metrics::TREE_WRITE_RATE].map(&mut with_io);
    let keys = Keys {
        cpu: processors.as_ref().and_then(|_| registry.metric(&metrics::TREE_CPU)),
        rss: registry.metric(&metrics::TREE_RSS),
        processes: registry.metric(&metrics::TREE_PROCESSES),
        threads: registry.metric(&metrics::TREE_THREADS),
        own_read,
        own_write,
        read,
        write,
    };
    let find = Find::new(&processes.directory, own.id)?;
    let mut members = Vec::with_capacity(MEMBERS_AT_FIRST);
    members.push(Member::new(own));
    Ok(Box::new(Tree {
        processes,
        members,
        follow_turn: Turn::new(PROCESSES_PER_SECOND),
        find,
        find_turn: Turn::new(FILES_PER_SECOND),
        failed: true,
        processors,
        spread: Spread::default(),
        keys,
    }))
}

impl Probe for Tree {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let outcome = self.read(sink);
        self.failed = outcome.is_err();
        outcome
    }
}

impl Tree {
    fn read(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let since_last = match self.follow_turn.due(sink.since_last().filter(|_| !self.failed)) {
            Due::NotYet => return Ok(()),
            Due::Anew => None,
            Due::After(time) => Some(time),
        };
        let mut used = self.follow()?;
        let own = self.members.first().map(|own| own.used_now).unwrap_or_default();
        if self.find_turn.due(since_last) != Due::NotYet {
            let read = self.find.find(&mut self.processes, &mut self.members)?;
            self.find_turn.done(read.files);
            used = used.and(read.used);
        }
        self.follow_turn.done(self.members.len());
        self.put_state(sink)?;
        if let Some(processors) = &mut self.processors {
            let secs = float(used.ticks) / ticks_per_second();
            let percentage = self.spread.percentage(secs, processors.count()?, since_last);
            sink.put(self.keys.cpu, percentage.unwrap_or(f64::NAN));
        }
        if let Some(secs) = since_last.map(|time| time.as_secs_f64()) {
            for (key, bytes) in [
                (self.keys.own_read, own.read_bytes),
                (self.keys.own_write, own.written_bytes),
                (self.keys.read, used.read_bytes),
                (self.keys.write, used.written_bytes),
            ] {
                sink.put(key, float(bytes) / MEGABYTE / secs);
            }
        }
        Ok(())
    }

    /// Reads the known processes again: what they have used since. Those that ended or left are forgotten.
    fn follow(&mut self) -> Result<Used, ProbeError> {
        let own = self.members.first().map(|own| own.id);
        for place in 0..self.members.len() {
            let Some(member) = self.members.get_mut(place) else { break };
            match self.processes.stat(member.id)?.filter(|stat| stat.began == member.began) {
                None => member.fate = Fate::Gone,
                Some(stat) => member.see(stat, self.processes.io(member.id)?),
            }
        }
        member::settle(&mut self.members);
        if self.members.first().map(|first| first.id) != own {
            return Err(corrupt("/proc does not list this process any more"));
        }
        Ok(self.members.iter().fold(Used::default(), |all, member| all.and(member.used_now)))
    }

    /// How much and how many there are at the moment.
    fn put_state(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let (mut processes, mut threads, mut pages) = (0, 0, 0_u64);
        for member in self.members.iter().filter(|member| !member.ended) {
            processes += 1;
            threads += member.threads;
            pages = pages.saturating_add(self.processes.resident_pages(member.id)?.unwrap_or(0));
        }
        sink.put(self.keys.processes, float(processes));
        sink.put(self.keys.threads, float(threads));
        sink.put(self.keys.rss, float(pages) * page_bytes() / MEGABYTE);
        Ok(())
    }
}

/// `/proc`, to read processes from.
struct Processes {
    directory: Numbered,
    buffer: Vec<u8>,
    /// Whether the kernel tells what processes read and write.
    with_io: bool,
}

impl Processes {
    /// `None` of a process that is gone.
    fn stat(&mut self, id: u32) -> Result<Option<Stat>, ProbeError> {
        let Some(stat) = self.directory.read(format_args!("{id}/stat"), &mut self.buffer)? else {
            return Ok(None);
        };
        Stat::parse(stat).map(Some).ok_or_else(|| corrupt("a process's account has an unknown form"))
    }

    fn resident_pages(&mut self, id: u32) -> Result<Option<u64>, ProbeError> {
        let Some(statm) = self.directory.read(format_args!("{id}/statm"), &mut self.buffer)? else {
            return Ok(None);
        };
        resident_pages(statm).map(Some).ok_or_else(|| corrupt("a process's memory has an unknown form"))
    }

    /// Bytes read and written; `None` too where they are kept from us, as those of a process of another user.
    fn io(&mut self, id: u32) -> Result<Option<(u64, u64)>, ProbeError> {
        if !self.with_io {
            return Ok(None);
        }
        let Some(io) = self.directory.read(format_args!("{id}/io"), &mut self.buffer)? else {
            return Ok(None);
        };
        disk_bytes(io).map(Some).ok_or_else(|| corrupt("a process's reads and writes have an unknown form"))
    }
}

#[cfg(test)]
mod tests;
