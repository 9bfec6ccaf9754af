//! Readings of the moment that are one call and one number each, and the reasons for lowered clocks, which are one call
//! and three.

use nvml_wrapper::Device;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, PcieUtilCounter, TemperatureSensor};
use nvml_wrapper::error::NvmlError;

use super::fate::Ask;
use super::line::Line;
use super::raw::{self, is_unknown};
use crate::metrics::{self, Metric};
use crate::probe::{Key, Registry, Sink};

type Call = fn(&Device<'static>) -> Result<f64, NvmlError>;

/// In the order in which they are asked for.
const GAUGES: &[(&Metric, Call)] = &[
    (&metrics::GPU_TEMPERATURE, temperature),
    (&metrics::GPU_SM_CLOCK, |device| device.clock_info(Clock::SM).map(f64::from)),
    (&metrics::GPU_MEMORY_CLOCK, |device| device.clock_info(Clock::Memory).map(f64::from)),
    (&metrics::GPU_GRAPHICS_CLOCK, |device| device.clock_info(Clock::Graphics).map(f64::from)),
    (&metrics::GPU_ENCODER, |device| percentage(device.encoder_utilization()?.utilization)),
    (&metrics::GPU_DECODER, |device| percentage(device.decoder_utilization()?.utilization)),
    (&metrics::GPU_FAN, fastest_fan),
    (&metrics::GPU_PERFORMANCE_STATE, performance_state),
    (&metrics::GPU_PCIE_GENERATION, |device| device.current_pcie_link_gen().map(f64::from)),
    (&metrics::GPU_PCIE_WIDTH, |device| device.current_pcie_link_width().map(f64::from)),
];

/// The reasons that count as each metric (`nvmlClocksEventReasons` in `nvml.h`).
const REASONS: &[(&Metric, ThrottleReasons)] = &[
    (&metrics::GPU_POWER_LIMITED, ThrottleReasons::SW_POWER_CAP),
    (
        &metrics::GPU_THERMAL_LIMITED,
        ThrottleReasons::SW_THERMAL_SLOWDOWN.union(ThrottleReasons::HW_THERMAL_SLOWDOWN),
    ),
    (&metrics::GPU_HARDWARE_SLOWDOWN, ThrottleReasons::HW_SLOWDOWN),
];

/// The new call where the driver has it: the old one is to go.
fn temperature(device: &Device<'static>) -> Result<f64, NvmlError> {
    match raw::temperature(device) {
        Err(error) if is_unknown(&error) => device.temperature(TemperatureSensor::Gpu).map(f64::from),
        celsius => celsius.map(f64::from),
    }
}

fn reasons(device: &Device<'static>) -> Result<ThrottleReasons, NvmlError> {
    match raw::clock_event_reasons(device) {
        Err(error) if is_unknown(&error) => device.current_throttle_reasons(),
        bits => bits.map(ThrottleReasons::from_bits_truncate),
    }
}

fn fastest_fan(device: &Device<'static>) -> Result<f64, NvmlError> {
    let mut fastest = None;
    for fan in 0..device.num_fans()? {
        fastest = fastest.max(Some(device.fan_speed(fan)?));
    }
    fastest.map(f64::from).ok_or(NvmlError::NotSupported)
}

fn performance_state(device: &Device<'static>) -> Result<f64, NvmlError> {
    let state = device.performance_state()?.as_c();
    if state > 15 { Err(NvmlError::NoData) } else { Ok(f64::from(state)) }
}

/// A share of time. What is none is no reading.
fn percentage(share: u32) -> Result<f64, NvmlError> {
    if share > 100 { Err(NvmlError::NoData) } else { Ok(f64::from(share)) }
}

/// Those of one device that the tier wants.
#[derive(Debug)]
pub(super) struct Gauges {
    single: Vec<(Key, Call, Ask)>,
    reasons: Vec<(Key, ThrottleReasons)>,
    ask_reasons: Ask,
}

impl Gauges {
    pub(super) fn register(registry: &mut Registry, number: u32) -> Self {
        let mut key = |metric: &Metric| registry.metric_of("gpu", number, metric);
        let gauge = |(metric, call): &(&Metric, Call)| Some((key(metric)?, *call, Ask::default()));
        let single = GAUGES.iter().filter_map(gauge).collect();
        let reason = |(metric, bits): &(&Metric, ThrottleReasons)| Some((key(metric)?, *bits));
        Self { single, reasons: REASONS.iter().filter_map(reason).collect(), ask_reasons: Ask::default() }
    }

    pub(super) fn read(&mut self, line: &mut Line, sink: &mut Sink<'_>) {
        for (key, call, ask) in &mut self.single {
            if let Some(value) = line.ask(ask, *call) {
                sink.put(*key, value);
            }
        }
        if self.reasons.is_empty() {
            return;
        }
        if let Some(now) = line.ask(&mut self.ask_reasons, reasons) {
            for (key, bits) in &self.reasons {
                sink.put(*key, if now.intersects(*bits) { 100.0 } else { 0.0 });
            }
        }
    }
}

/// What the driver has just seen pass over PCIe, in kilobytes a second. Blocks 20 ms a call (`nvml.h`).
pub(super) fn pcie_throughput(device: &Device<'static>) -> Result<[f64; 2], NvmlError> {
    let received = device.pcie_throughput(PcieUtilCounter::Receive)?;
    let sent = device.pcie_throughput(PcieUtilCounter::Send)?;
    Ok([f64::from(received), f64::from(sent)])
}
