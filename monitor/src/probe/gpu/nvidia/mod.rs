//! `gpu_<index>_*` of NVIDIA's GPUs, from the driver's management library (NVML; its reference is `nvml.h`).
//!
//! The index is the library's own, as in MLflow and `nvidia-smi`. Parts of a divided GPU (MIG) are devices of their own,
//! numbered after the last GPU of the machine, whoever made that one.
//!
//! Invariants: MLflow's five keys of every device are read before anything else of any; only what the tier wants is
//! asked of the driver; nothing sleeps, and the call that blocks is made only in the tier `full`.
//!
//! # What an error means
//!
//! Each reading of each device has its own fate (`fate.rs`): a call that the device does not know is made once, one
//! that failed for the moment is made again after 1 s and then ever more seldom up to 300 s, and a device that does not
//! answer is left alone for 30 s at a time, while `gpu_<index>_lost` is 1. The sample that finds a device lost for the
//! first time has all its readings and fails, so that it is warned of.
//!
//! # What is not known of a lost GPU
//!
//! Errors (XID) are asked for device by device, so that a lost one takes no other's with it. Its own are counted as far as
//! the driver hands them out, when it is lost, with each attempt to reach it and when it is back; those that the driver
//! keeps to itself, or hands out after the run, are missing.
//!
//! # What it allocates
//!
//! The wrapper answers with lists, so a sample allocates, unlike those of other probes: on a device of which everything is
//! there and that this process alone uses, 2 times in the tier `compat`, 13 in `standard` and 14 in `full`.
//!
//! # Not measured on hardware yet
//!
//! All of this is tested on a library that does what a script says. Not known of real devices are:
//!
//! - what a call costs; a sample in the tier `standard` makes 17 of each device where everything is there, and 19 with
//!   taking and giving back the memory of a GPM sample;
//! - how far the ring buffer of utilization looks back (it is believed to be 20 s, so an interval up to that loses
//!   nothing), and whether it goes on where the application holds the device;
//! - whether the errors that a GPU had when it was lost are handed out before the loss is, as `nvml.h` has it (an event
//!   that is there is delivered at once), or not at all;
//! - whether GPM's means are right over seconds: `nvml.h` says that samples must be 100 ms apart, and no longest time;
//! - how many bits the PCIe counters (fields 197 and 198) have: they are used only once they have passed 2³²;
//! - whether a laptop's GPU that somebody woke can fall asleep again while it is read every second. Most likely it
//!   cannot before the run ends.

mod counts;
mod events;
mod facts;
mod fate;
mod fields;
mod found;
mod gauges;
mod gpm;
mod gpu;
mod library;
mod line;
mod links;
mod memory;
mod power;
mod processes;
mod raw;
mod sleep;
mod tree;
mod utilization;
mod visible;

use std::path::PathBuf;
use std::time::Duration;

use nvml_wrapper::Nvml;
use runlog_core::autolog::Gpus;
use runlog_core::{Error, ErrorKind};

use self::found::{Found, State};
use self::gpu::{Gpu, RETRY_AFTER};
use self::sleep::Sleep;
use self::tree::Tree;
use self::visible::{Named, Variables};
use crate::probe::{Driver, Machine, Opened, Probe, ProbeError, Registry, Sink, absent};

pub(in crate::probe) const DRIVER: Driver = Driver::built_in("nvidia", open).may_block();

struct Nvidia {
    path: Option<PathBuf>,
    /// `None` as long as every GPU sleeps.
    nvml: Option<&'static Nvml>,
    /// When loading it may be tried again.
    retry_at: Duration,
    gpus: Vec<Gpu>,
    tree: Tree,
    /// Time since the probe was opened, as far as it was sampled.
    now: Duration,
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    let mut sleepers = sleepers(machine);
    let nvml = if !sleepers.is_empty() && sleepers.iter().all(|(_, asleep)| *asleep) {
        None
    } else {
        Some(library::load(machine.nvml.as_deref())?)
    };
    let found = match nvml {
        None => {
            sleepers.drain(..).zip(0..).map(|((address, _), index)| found::asleep(index, &address)).collect()
        }
        Some(nvml) => {
            let count = count(nvml)?;
            found::devices(nvml, count, first_part(machine, count), &sleepers)
        }
    };
    let found = chosen(found, machine, registry)?;
    if let Some(nvml) = nvml {
        facts::tell_driver(registry, nvml);
    }
    let gpus = register(found, machine, nvml, registry)?;
    Ok(Box::new(Nvidia {
        path: machine.nvml.clone(),
        nvml,
        retry_at: Duration::ZERO,
        gpus,
        tree: Tree {
            #[cfg(target_os = "linux")]
            proc: machine.proc.clone(),
            root: std::process::id(),
        },
        now: Duration::ZERO,
    }))
}

/// The addresses of all GPUs, with whether each sleeps.
fn sleepers(machine: &Machine) -> Vec<(String, bool)> {
    let addresses = sleep::addresses(machine);
    addresses
        .into_iter()
        .map(|address| {
            let is_asleep = Sleep::of(machine, &address).is_asleep();
            (address, is_asleep)
        })
        .collect()
}

/// The number of the first part of a GPU, after those of all GPUs that are one piece.
#[cfg(target_os = "linux")]
fn first_part(machine: &Machine, count: u32) -> u32 {
    count.max(super::card::first_free(machine))
}

/// The driver divides GPUs on Linux only.
#[cfg(not(target_os = "linux"))]
fn first_part(_: &Machine, count: u32) -> u32 {
    count
}

fn count(nvml: &Nvml) -> Result<u32, ProbeError> {
    match nvml.device_count() {
        Ok(0) => Err(absent("NVIDIA's driver has no GPU")),
        Ok(count) => Ok(count),
        Err(error) => {
            let failed =
                Error::new(ErrorKind::Unavailable, "NVIDIA's driver does not say how many GPUs there are");
            Err(failed.because(error).into())
        }
    }
}

/// Those that the run wants: all, or the visible ones.
fn chosen(found: Vec<Found>, machine: &Machine, registry: &mut Registry) -> Result<Vec<Found>, ProbeError> {
    if machine.gpus != Gpus::Visible {
        return Ok(found);
    }
    let variables = Variables {
        cuda: machine.config.cuda_visible_devices.as_deref(),
        order: machine.config.cuda_device_order.as_deref(),
        container: machine.config.nvidia_visible_devices.as_deref(),
    };
    let named: Vec<Named> = found.iter().map(|found| found.named.clone()).collect();
    let visible = visible::visible(variables, &named);
    if visible.places.is_empty() {
        return Err(absent("CUDA_VISIBLE_DEVICES leaves no GPU of NVIDIA's to this process"));
    }
    if !visible.is_certain {
        registry
            .fact("gpu.visible", "by PCI order; CUDA may order unlike cards otherwise (CUDA_DEVICE_ORDER)");
    }
    let is_visible = |(place, _): &(usize, Found)| visible.places.contains(place);
    Ok(found.into_iter().enumerate().filter(is_visible).map(|(_, found)| found).collect())
}

fn register(
    found: Vec<Found>,
    machine: &Machine,
    nvml: Option<&'static Nvml>,
    registry: &mut Registry,
) -> Result<Vec<Gpu>, ProbeError> {
    let mut gpus = Vec::new();
    let mut closed = None;
    for found in found {
        facts::tell_device(registry, &found);
        let Found { number, place, named, address, state } = found;
        if let State::Closed(why) = state {
            closed = Some(why);
            continue;
        }
        let sleep = Sleep::of(machine, &address);
        let mut gpu = Gpu::register(registry, number, place, named.uuid, sleep);
        if let (State::Open(device), Some(nvml)) = (state, nvml) {
            gpu.connect(device);
            if let Some(source) = gpu.energy_source(nvml) {
                registry.fact(format!("gpu.{number}.energy_source"), source);
            }
        }
        gpus.push(gpu);
    }
    if gpus.is_empty() {
        let why = closed.unwrap_or_default();
        return Err(ProbeError::Absent(format!("NVIDIA's driver opens none of its GPUs: {why}").into()));
    }
    registry.fact("gpu.count", gpus.iter().filter(|gpu| !gpu.is_instance()).count());
    Ok(gpus)
}

impl Probe for Nvidia {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        // After a gap nobody knows how long it was: whatever waits has waited long enough.
        self.now += sink.since_last().unwrap_or(RETRY_AFTER);
        let mut is_awake = false;
        for gpu in &mut self.gpus {
            is_awake |= !gpu.is_asleep();
        }
        if self.nvml.is_none() && is_awake {
            if self.now < self.retry_at {
                return Ok(());
            }
            self.retry_at = self.now + RETRY_AFTER;
            self.nvml = Some(library::load(self.path.as_deref())?);
        }
        for gpu in &mut self.gpus {
            gpu.begin(self.nvml, self.now, sink.since_last().is_none());
        }
        for gpu in &mut self.gpus {
            gpu.read_basics(sink);
        }
        sink.hand_over();
        if let Some(nvml) = self.nvml.filter(|_| is_awake) {
            for gpu in &mut self.gpus {
                gpu.read_rest(nvml, &self.tree, sink);
                gpu.read_errors(nvml);
            }
        }
        let mut outcome = Ok(());
        for gpu in &mut self.gpus {
            gpu.end(sink);
            outcome = outcome.and(gpu.tell_loss());
        }
        Ok(outcome?)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
