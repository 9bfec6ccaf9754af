//! Apple silicon through `macmon`: the GPU's activity, power, clock and temperature, and the processor's power.
//!
//! Invariants: every value but a temperature is the mean since the sample before, from counters that the system keeps
//! (`IOReport`, as `powermetrics` reads them, without root); macmon's 0 for what a machine does not have is no reading.
//!
//! Memory is the machine's, so the GPU has no metric of it. A reading may wait, and macmon's sampler may not leave the
//! thread that made it: it stays in that thread's own storage. Where macmon cannot start, sysinfo tells how busy the GPU
//! is.

use std::cell::RefCell;

use macmon::{Metrics, Sampler};
use runlog_core::{Error, ErrorKind};

use crate::metrics;
use crate::probe::portable::gpu;
use crate::probe::{Driver, Key, Machine, Opened, Probe, ProbeError, Registry, Sink};

pub(in crate::probe) const DRIVER: Driver = Driver::built_in("apple", open).may_block();

/// The least time between two readings of the counters, in milliseconds: macmon waits for the rest of it, and takes in
/// all the time since the reading before.
const WINDOW_MS: u32 = 10;

thread_local! {
    static SAMPLER: RefCell<Option<Sampler>> = const { RefCell::new(None) };
}

struct Apple {
    keys: Keys,
    gpu_joules: f64,
    cpu_joules: f64,
}

struct Keys {
    gpu_busy: Option<Key>,
    gpu_clock: Option<Key>,
    gpu_power: Option<Key>,
    gpu_energy: Option<Key>,
    gpu_temperature: Option<Key>,
    cpu_power: Option<Key>,
    cpu_energy: Option<Key>,
    cpu_temperature: Option<Key>,
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    let Some(sampler) = Sampler::new().ok().filter(|sampler| !sampler.get_soc_info().vm) else {
        return gpu::DRIVER.open(machine, registry);
    };
    let soc = sampler.get_soc_info();
    registry.fact("gpu.0.name", format!("{} GPU", soc.chip_name));
    registry.fact("gpu.0.cores", soc.gpu_cores);
    let has_states = soc.gpu_freqs.iter().any(|megahertz| *megahertz > 0);
    let mut of_gpu = |metric, is_told: bool| is_told.then(|| registry.metric_of("gpu", 0, metric))?;
    let keys = Keys {
        gpu_busy: of_gpu(&metrics::GPU_UTILIZATION, has_states),
        gpu_clock: of_gpu(&metrics::GPU_SM_CLOCK, has_states),
        gpu_power: of_gpu(&metrics::GPU_POWER, true),
        gpu_energy: of_gpu(&metrics::GPU_ENERGY, true),
        gpu_temperature: of_gpu(&metrics::GPU_TEMPERATURE, true),
        cpu_power: registry.metric(&metrics::CPU_POWER),
        cpu_energy: registry.metric(&metrics::CPU_ENERGY),
        cpu_temperature: registry.metric(&metrics::CPU_TEMPERATURE),
    };
    if keys.gpu_energy.is_some() {
        registry.fact("gpu.0.energy_source", "power");
    }
    SAMPLER.set(Some(sampler));
    read()?;
    Ok(Box::new(Apple { keys, gpu_joules: 0.0, cpu_joules: 0.0 }))
}

/// What was since the reading before on this thread.
fn read() -> Result<Metrics, ProbeError> {
    let failed = |cause: Box<dyn std::error::Error>| {
        Error::new(ErrorKind::Unexpected, format!("macmon cannot read this machine: {cause}")).into()
    };
    SAMPLER.with_borrow_mut(|slot| {
        let sampler = match slot.take() {
            Some(sampler) => slot.insert(sampler),
            None => slot.insert(Sampler::new().map_err(failed)?),
        };
        sampler.get_metrics(WINDOW_MS).map_err(failed)
    })
}

impl Probe for Apple {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let read = read()?;
        let Self { keys, gpu_joules, cpu_joules } = self;
        if let Some(celsius) = read.temp.gpu_temp_avg {
            sink.put(keys.gpu_temperature, f64::from(celsius));
        }
        if let Some(celsius) = read.temp.cpu_temp_avg {
            sink.put(keys.cpu_temperature, f64::from(celsius));
        }
        // The rest is a mean over the time since the last sample, and says nothing where that is not known.
        if let Some(since_last) = sink.since_last() {
            let (gpu_watts, cpu_watts) = (f64::from(read.gpu_power), f64::from(read.cpu_power));
            *gpu_joules += gpu_watts * since_last.as_secs_f64();
            *cpu_joules += cpu_watts * since_last.as_secs_f64();
            sink.put(keys.gpu_busy, f64::from(read.gpu_active_ratio) * 100.0);
            sink.put(keys.gpu_clock, f64::from(read.gpu_freq_mhz));
            sink.put(keys.gpu_power, gpu_watts);
            sink.put(keys.cpu_power, cpu_watts);
        }
        sink.put(keys.gpu_energy, *gpu_joules);
        sink.put(keys.cpu_energy, *cpu_joules);
        Ok(())
    }
}
