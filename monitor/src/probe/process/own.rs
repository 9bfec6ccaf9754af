//! This process: processor time, memory, threads, file descriptors (the formats: `proc_pid_stat(5)`,
//! `proc_pid_statm(5)`, `proc_pid_status(5)`, `proc_pid_fd(5)`).
//!
//! Invariant: percentages are of the processors that the process may use, not of all that the machine has; what cannot
//! be read keeps nothing else back.

use rustix::fs::{PROC_SUPER_MAGIC, fstat, fstatfs};

use super::numbered::Numbered;
use super::processors::Processors;
use super::spread::Spread;
use super::stat::{Stat, resident_pages};
use super::threads::Threads;
use crate::counter::Counter;
use crate::metrics;
use crate::probe::pseudo::{Pseudo, value};
use crate::probe::{
    Key, MEGABYTE, Machine, Opened, Probe, ProbeError, Registry, Sink, corrupt, float, wanted,
};

struct Process {
    stat: Pseudo,
    processors: Option<Processors>,
    ticks: Counter,
    spread: Spread,
    major_faults: Counter,
    ticks_per_second: f64,
    statm: Pseudo,
    page_bytes: f64,
    /// `status`, where it tells the highest memory so far.
    status: Option<Pseudo>,
    files: Option<Files>,
    threads: Option<Threads>,
    keys: Keys,
}

struct Keys {
    cpu: Option<Key>,
    rss: Option<Key>,
    threads: Option<Key>,
    files: Option<Key>,
    busiest: Option<Key>,
    major_faults: Option<Key>,
    peak: Option<Key>,
}

pub(super) fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    wanted(registry, &metrics::PROCESS_RSS)?;
    let own = machine.proc.join("self");
    let mut stat = Pseudo::open(own.join("stat"))?;
    parse(&mut stat)?;
    let mut statm = Pseudo::open(own.join("statm"))?;
    pages(&mut statm)?;
    let mut status = there(Pseudo::open(own.join("status")))?;
    if let Some(file) = &mut status
        && value(file.whole()?, PEAK).is_none()
    {
        status = None;
    }
    let processors = there(Processors::open(machine))?;
    let files = there(Files::open(machine))?;
    let threads = there(Threads::open(machine))?;
    let keys = Keys {
        cpu: processors.as_ref().and_then(|_| registry.metric(&metrics::PROCESS_CPU)),
        rss: registry.metric(&metrics::PROCESS_RSS),
        threads: registry.metric(&metrics::PROCESS_THREADS),
        files: files.as_ref().and_then(|_| registry.metric(&metrics::PROCESS_FILES)),
        busiest: threads.as_ref().and_then(|_| registry.metric(&metrics::BUSIEST_THREAD)),
        major_faults: registry.metric(&metrics::MAJOR_FAULTS),
        peak: status.as_ref().and_then(|_| registry.metric(&metrics::PROCESS_RSS_PEAK)),
    };
    Ok(Box::new(Process {
        stat,
        processors,
        ticks: Counter::default(),
        spread: Spread::default(),
        major_faults: Counter::default(),
        ticks_per_second: ticks_per_second(),
        statm,
        page_bytes: page_bytes(),
        status,
        files,
        threads,
        keys,
    }))
}

/// What there is, and `None` for what the system does not have.
pub(super) fn there<T>(opened: Result<T, ProbeError>) -> Result<Option<T>, ProbeError> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(ProbeError::Absent(_)) => Ok(None),
        Err(failed) => Err(failed),
    }
}

impl Probe for Process {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let stat = self.put_stat(sink);
        if stat.is_err() {
            // The time of the next sample does not reach back to the last one that could be read.
            self.ticks.rebase();
            self.major_faults.rebase();
        }
        let memory = self.put_memory(sink);
        let files = self.put_files(sink);
        stat.and(memory).and(files).and(self.put_busiest(sink))
    }
}

impl Process {
    fn put_stat(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let stat = parse(&mut self.stat)?;
        sink.put(self.keys.threads, float(stat.threads));
        sink.put_rate(self.keys.major_faults, self.major_faults.advance(stat.major_faults).map(float));
        let ticks = self.ticks.advance(stat.ticks);
        if let Some(processors) = &mut self.processors {
            let since_last = sink.since_last().filter(|_| ticks.is_some());
            let secs = float(ticks.unwrap_or(0)) / self.ticks_per_second;
            let percentage = self.spread.percentage(secs, processors.count()?, since_last);
            sink.put(self.keys.cpu, percentage.unwrap_or(f64::NAN));
        }
        Ok(())
    }

    fn put_memory(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let pages = pages(&mut self.statm)?;
        sink.put(self.keys.rss, float(pages) * self.page_bytes / MEGABYTE);
        if let Some(status) = &mut self.status {
            let kibibytes = value(status.whole()?, PEAK)
                .ok_or_else(|| corrupt("/proc/self/status does not say the highest memory any more"))?;
            sink.put(self.keys.peak, float(kibibytes) * 1024.0 / MEGABYTE);
        }
        Ok(())
    }

    fn put_files(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        if let Some(files) = &self.files {
            sink.put(self.keys.files, float(files.count()?));
        }
        Ok(())
    }

    fn put_busiest(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        if let Some(threads) = &mut self.threads
            && let Some(busiest) = threads.busiest(sink.since_last())?
        {
            let share = float(busiest.ticks) / self.ticks_per_second / busiest.over.as_secs_f64();
            // The end of a tick of the kernel's clock may fall into a time that is shorter than the tick.
            sink.put(self.keys.busiest, share.min(1.0) * 100.0);
        }
        Ok(())
    }
}

/// The line of `status` with the highest memory in RAM so far.
const PEAK: &[u8] = b"VmHWM:";

fn parse(stat: &mut Pseudo) -> Result<Stat, ProbeError> {
    Stat::parse(stat.head()?).ok_or_else(|| corrupt("/proc/self/stat has an unknown form"))
}

fn pages(statm: &mut Pseudo) -> Result<u64, ProbeError> {
    resident_pages(statm.head()?).ok_or_else(|| corrupt("/proc/self/statm has an unknown form"))
}

/// The ticks in which `/proc` counts processor time.
pub(super) fn ticks_per_second() -> f64 {
    float(rustix::param::clock_ticks_per_second())
}

pub(super) fn page_bytes() -> f64 {
    float(u64::try_from(rustix::param::page_size()).unwrap_or(u64::MAX))
}

/// The open file descriptors, those of the monitor itself among them.
struct Files {
    directory: Numbered,
    /// Since Linux 6.2 the size of `/proc/self/fd` is their number; before it is 0.
    counted: bool,
}

impl Files {
    fn open(machine: &Machine) -> Result<Self, ProbeError> {
        let directory = Numbered::open(machine.proc.join("self/fd"))?;
        let of_proc = fstatfs(directory.descriptor()).is_ok_and(|system| system.f_type == PROC_SUPER_MAGIC);
        let sized = fstat(directory.descriptor()).is_ok_and(|stat| stat.st_size > 0);
        Ok(Self { directory, counted: of_proc && sized })
    }

    fn count(&self) -> Result<u64, ProbeError> {
        if self.counted
            && let Ok(stat) = fstat(self.directory.descriptor())
        {
            return Ok(u64::try_from(stat.st_size).unwrap_or(0));
        }
        let mut count = 0;
        self.directory.list(|_| count += 1)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
