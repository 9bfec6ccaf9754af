//! `process_*` from sysinfo: the training process itself.
//!
//! Invariant: processor time is the difference of two readings of all that the process has used, never sysinfo's own
//! percentage, which depends on what else was read and when.
//!
//! What sysinfo tells of one process alone costs little; what the descendants do would take a look at every process of
//! the machine and is left out. Threads it counts on Linux only. A process's open files are its descriptors on macOS; on
//! Windows they would be handles of every kind, which is another number.

use std::num::NonZero;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::failed;
use crate::counter::Counter;
use crate::metrics;
use crate::probe::{
    Driver, Key, MEGABYTE, Machine, Opened, Probe, ProbeError, Registry, Sink, absent, float,
};

pub(super) const DRIVER: Driver = Driver::built_in("process", open);

struct Process {
    system: System,
    pid: Pid,
    processors: f64,
    cpu_ms: Counter,
    read_bytes: Counter,
    written_bytes: Counter,
    cpu: Option<Key>,
    rss: Option<Key>,
    files: Option<Key>,
    read: Option<Key>,
    written: Option<Key>,
}

fn open(_: &Machine, registry: &mut Registry) -> Opened {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    Ok(Box::new(Process {
        system: System::new().map_err(failed)?,
        pid: sysinfo::get_current_pid().map_err(failed)?,
        processors: float(processors as u64),
        cpu_ms: Counter::default(),
        read_bytes: Counter::default(),
        written_bytes: Counter::default(),
        cpu: registry.metric(&metrics::PROCESS_CPU),
        rss: registry.metric(&metrics::PROCESS_RSS),
        files: if cfg!(windows) { None } else { registry.metric(&metrics::PROCESS_FILES) },
        read: registry.metric(&metrics::PROCESS_READ_RATE),
        written: registry.metric(&metrics::PROCESS_WRITE_RATE),
    }))
}

impl Probe for Process {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let wanted = ProcessRefreshKind::nothing().with_cpu().with_memory().with_disk_usage();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[self.pid]), true, wanted);
        let process = self.system.process(self.pid).ok_or(absent("sysinfo does not know this process"))?;
        let cpu_secs = self.cpu_ms.advance(process.accumulated_cpu_time()).map(|ms| float(ms) / 1e3);
        sink.put_rate(self.cpu, cpu_secs.map(|secs| secs / self.processors * 100.0));
        sink.put(self.rss, float(process.memory()) / MEGABYTE);
        if let Some(files) = self.files.and_then(|_| process.open_files()) {
            sink.put(self.files, float(files as u64));
        }
        let usage = process.disk_usage();
        let read = self.read_bytes.advance(usage.total_read_bytes);
        let written = self.written_bytes.advance(usage.total_written_bytes);
        sink.put_rate(self.read, read.map(|bytes| float(bytes) / MEGABYTE));
        sink.put_rate(self.written, written.map(|bytes| float(bytes) / MEGABYTE));
        Ok(())
    }
}
