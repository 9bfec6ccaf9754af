//! One device: what is read of it, and what happens while it sleeps or does not answer.
//!
//! Invariants: a device that is asleep or lost is not called, but for one attempt every 30 s to reach a lost one; when it
//! is back, every counter begins anew, so that nothing is invented for the time between.

use std::time::Duration;

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use runlog_core::{Error, ErrorKind};

use super::counts::Counts;
use super::events::Errors;
use super::fields::{Fields, What};
use super::gauges::Gauges;
use super::gpm::{Gpm, Instance};
use super::line::Line;
use super::links::Links;
use super::memory::Memory;
use super::power::{Energy, Power};
use super::processes::Processes;
use super::raw;
use super::sleep::Sleep;
use super::tree::Tree;
use super::utilization::Busy;
use crate::metrics;
use crate::probe::{Key, Registry, Sink};

/// How long a lost device is left alone.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Where a device is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A GPU, by the driver's index.
    Gpu(u32),
    /// A part of one (MIG), by its index there.
    Instance { gpu: u32, index: u32 },
}

impl Place {
    pub(super) fn find(self, nvml: &'static Nvml) -> Result<Device<'static>, NvmlError> {
        match self {
            Self::Gpu(index) => nvml.device_by_index(index),
            Self::Instance { gpu, index } => nvml.device_by_index(gpu)?.mig_device_by_index(index),
        }
    }

    pub(super) fn is_instance(self) -> bool {
        matches!(self, Self::Instance { .. })
    }
}

#[derive(Debug)]
pub(super) struct Gpu {
    number: u32,
    place: Place,
    /// The unique name, by which a lost device is found again.
    uuid: String,
    sleep: Sleep,
    is_asleep: bool,
    /// It came or went since its errors were last read.
    has_changed: bool,
    line: Line,
    loss: Loss,
    computing: Busy,
    memory: Memory,
    power: Power,
    moving_memory: Busy,
    gauges: Gauges,
    fields: Fields,
    energy: Energy,
    counts: Counts,
    links: Links,
    gpm: Gpm,
    processes: Processes,
    errors_key: Option<Key>,
    errors: Errors,
}

#[derive(Debug)]
struct Loss {
    key: Option<Key>,
    /// When the next attempt is due, while the device is lost.
    retry_at: Option<Duration>,
    has_been: bool,
    /// It was not said yet.
    is_news: bool,
}

impl Gpu {
    /// Registers everything that the tier wants of the device `number`.
    pub(super) fn register(
        registry: &mut Registry,
        number: u32,
        place: Place,
        uuid: String,
        sleep: Sleep,
    ) -> Self {
        let key = |registry: &mut Registry, metric| registry.metric_of("gpu", number, metric);
        let mut fields = Fields::default();
        Self {
            number,
            place,
            uuid,
            sleep,
            is_asleep: false,
            has_changed: false,
            line: Line::default(),
            computing: Busy::computing(key(registry, &metrics::GPU_UTILIZATION)),
            memory: Memory::register(registry, number),
            power: Power::register(registry, number),
            moving_memory: Busy::moving_memory(key(registry, &metrics::GPU_MEMORY_BUSY)),
            gauges: Gauges::register(registry, number),
            energy: Energy::register(registry, number, &mut fields),
            counts: Counts::register(registry, number, &mut fields),
            links: Links::register(registry, number, &mut fields),
            gpm: Gpm::register(registry, number, place.is_instance()),
            processes: Processes::register(registry, number),
            errors_key: key(registry, &metrics::GPU_XID_EVENTS),
            errors: Errors::default(),
            loss: Loss {
                key: key(registry, &metrics::GPU_LOST),
                retry_at: None,
                has_been: false,
                is_news: false,
            },
            fields,
        }
    }

    pub(super) fn connect(&mut self, device: Device<'static>) {
        if self.place.is_instance() {
            let instance = device.mig_parent_device().and_then(|parent| {
                let id = raw::gpu_instance(&device)?;
                Ok(Instance { parent, id })
            });
            self.gpm.of_instance(instance.ok());
        }
        self.loss.retry_at = None;
        self.has_changed = true;
        self.line.connect(device);
    }

    /// Looks once where the energy will come from: the counter, or the power over time.
    pub(super) fn energy_source(&mut self, nvml: &'static Nvml) -> Option<&'static str> {
        if !self.energy.is_wanted() {
            return None;
        }
        self.fields.read(&mut self.line, nvml.field_id_scheme());
        if self.line.is_connected() && self.fields.is_possible(What::Energy) {
            return Some("counter");
        }
        self.power.is_readable(&mut self.line).then_some("power")
    }

    /// Whether the system has put it to sleep, asked anew.
    pub(super) fn is_asleep(&mut self) -> bool {
        let was_asleep = std::mem::replace(&mut self.is_asleep, self.sleep.is_asleep());
        if self.is_asleep && !was_asleep {
            self.rebase();
        }
        self.has_changed |= was_asleep != self.is_asleep;
        self.is_asleep
    }

    /// Whether it is a part of a GPU.
    pub(super) fn is_instance(&self) -> bool {
        self.place.is_instance()
    }

    /// Begins a sample. `nvml` is there if any device is awake.
    pub(super) fn begin(&mut self, nvml: Option<&'static Nvml>, now: Duration, is_gap: bool) {
        self.line.at(now);
        if is_gap {
            self.gap();
        }
        if self.is_asleep || self.line.is_connected() || self.loss.retry_at.is_some_and(|at| now < at) {
            return;
        }
        let device = nvml.and_then(|nvml| {
            let by_name = (!self.uuid.is_empty()).then(|| nvml.device_by_uuid(self.uuid.as_str()).ok());
            by_name.unwrap_or_else(|| self.place.find(nvml).ok())
        });
        match device {
            Some(device) => self.connect(device),
            None => self.lose(),
        }
    }

    /// MLflow's five.
    pub(super) fn read_basics(&mut self, sink: &mut Sink<'_>) {
        self.guarded(|gpu| {
            gpu.computing.read(&mut gpu.line, sink);
            gpu.memory.read(&mut gpu.line, sink);
            gpu.power.read(&mut gpu.line, sink);
        });
    }

    /// The rest of what the tier wants.
    pub(super) fn read_rest(&mut self, nvml: &'static Nvml, tree: &Tree, sink: &mut Sink<'_>) {
        self.guarded(|gpu| {
            gpu.moving_memory.read(&mut gpu.line, sink);
            gpu.gauges.read(&mut gpu.line, sink);
            gpu.fields.read(&mut gpu.line, nvml.field_id_scheme());
            gpu.counts.put(&gpu.fields, sink);
            gpu.energy.put(&gpu.fields, gpu.power.of_this_sample(), sink);
            gpu.gpm.read(&gpu.fields, &mut gpu.line, sink);
            gpu.links.put(gpu.gpm.gives_pcie(), &mut gpu.fields, &mut gpu.line, sink);
            gpu.processes.read(tree, &mut gpu.line, sink);
        });
    }

    /// Says what has to be said of a device that may not be there.
    pub(super) fn end(&mut self, sink: &mut Sink<'_>) {
        if self.loss.has_been && !self.is_asleep {
            sink.put(self.loss.key, if self.loss.retry_at.is_some() { 1.0 } else { 0.0 });
        }
        if let Some(count) = self.errors.count() {
            sink.put(self.errors_key, crate::probe::float(count));
        }
    }

    /// Takes the errors that the driver has reported. A lost device's are looked for when it is lost, with each attempt to
    /// reach it and when it is back, and otherwise it is left alone.
    pub(super) fn read_errors(&mut self, nvml: &'static Nvml) {
        let has_changed = std::mem::take(&mut self.has_changed);
        if self.errors_key.is_none() || self.place.is_instance() {
            return;
        }
        match self.line.device() {
            _ if self.is_asleep => self.errors.leave(),
            Some(device) if has_changed => self.errors.watch(nvml, device),
            Some(_) => self.errors.take(),
            None if has_changed => self.errors.take(),
            None => {}
        }
    }

    /// Fails in the sample that finds the device lost for the first time.
    pub(super) fn tell_loss(&mut self) -> Result<(), Error> {
        if !std::mem::take(&mut self.loss.is_news) {
            return Ok(());
        }
        let number = self.number;
        let name = if self.uuid.is_empty() { String::new() } else { format!(" ({})", self.uuid) };
        let what = format!(
            "GPU {number}{name} is lost: it does not answer, and is asked again every {} s; `gpu_{number}_lost` is 1 \
             until it does",
            RETRY_AFTER.as_secs()
        );
        Err(Error::new(ErrorKind::Unavailable, what).temporary(true))
    }

    /// Reads, and notices if the device was lost by it.
    fn guarded(&mut self, read: impl FnOnce(&mut Self)) {
        if self.is_asleep || !self.line.is_connected() {
            return;
        }
        read(self);
        if !self.line.is_connected() {
            self.lose();
        }
    }

    fn lose(&mut self) {
        self.line.disconnect();
        self.loss.retry_at = Some(self.line.now() + RETRY_AFTER);
        self.loss.is_news |= !self.loss.has_been;
        self.loss.has_been = true;
        self.has_changed = true;
        self.rebase();
    }

    fn rebase(&mut self) {
        self.gap();
        self.power.rebase();
        self.energy.rebase();
        self.counts.rebase();
    }

    fn gap(&mut self) {
        self.computing.rebase();
        self.moving_memory.rebase();
        self.energy.gap();
        self.links.rebase();
        self.gpm.rebase();
        self.processes.rebase();
    }
}
