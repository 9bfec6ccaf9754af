//! Counters and readings that the driver gives as numbered fields, all of a device in one call.
//!
//! Invariant: a field that a device does not know is asked for once; the others go on without it.
//!
//! Numbers and units are those of `nvml.h` (`NVML_FI_*`); counters began when the driver was loaded.

use std::fmt;

use nvml_wrapper::FieldIdScheme;
use nvml_wrapper_sys::bindings::field_id as id;

use super::fate::Ask;
use super::line::Line;
use super::raw::{self, ALL_LINKS, Number};

/// What is asked for by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// mJ.
    Energy,
    /// °C.
    MemoryTemperature,
    /// ns in which the power limit lowered clocks.
    PowerThrottled,
    /// ns in which heat lowered clocks, as older drivers count.
    ThermalThrottled,
    /// ns in which the driver lowered clocks for heat.
    SoftThermalSlowdown,
    /// ns in which the hardware did.
    HardThermalSlowdown,
    /// KiB over all links.
    LinkReceived,
    LinkSent,
    /// Bytes; see [`links`](super::links).
    PcieReceived,
    PcieSent,
    /// Errors since the driver was loaded.
    EccCorrected,
    EccUncorrected,
    PcieReplays,
    /// Rows, over the life of the board.
    RowsCorrected,
    RowsUncorrected,
    RowPending,
}

impl What {
    /// The number before driver 580.82, and the scope.
    fn field(self) -> (u32, u32) {
        match self {
            Self::Energy => (id::NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, 0),
            Self::MemoryTemperature => (id::NVML_FI_DEV_MEMORY_TEMP, 0),
            Self::PowerThrottled => (id::NVML_FI_DEV_PERF_POLICY_POWER, 0),
            Self::ThermalThrottled => (id::NVML_FI_DEV_PERF_POLICY_THERMAL, 0),
            Self::SoftThermalSlowdown => (id::NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN, 0),
            Self::HardThermalSlowdown => (id::NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN, 0),
            Self::LinkReceived => (id::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, ALL_LINKS),
            Self::LinkSent => (id::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, ALL_LINKS),
            Self::PcieReceived => (id::NVML_FI_DEV_PCIE_COUNT_RX_BYTES, 0),
            Self::PcieSent => (id::NVML_FI_DEV_PCIE_COUNT_TX_BYTES, 0),
            Self::EccCorrected => (id::NVML_FI_DEV_ECC_SBE_VOL_TOTAL, 0),
            Self::EccUncorrected => (id::NVML_FI_DEV_ECC_DBE_VOL_TOTAL, 0),
            Self::PcieReplays => (id::NVML_FI_DEV_PCIE_REPLAY_COUNTER, 0),
            Self::RowsCorrected => (id::NVML_FI_DEV_REMAPPED_COR, 0),
            Self::RowsUncorrected => (id::NVML_FI_DEV_REMAPPED_UNC, 0),
            Self::RowPending => (id::NVML_FI_DEV_REMAPPED_PENDING, 0),
        }
    }
}

#[derive(Debug)]
struct Wanted {
    what: What,
    ask: Ask,
    /// What this sample read.
    read: Option<Number>,
}

/// The fields of one device.
#[derive(Default)]
pub(super) struct Fields {
    wanted: Vec<Wanted>,
    call: Ask,
    /// What is sent to the driver, kept for its memory.
    sent: Vec<raw::Field>,
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.wanted).finish()
    }
}

impl Fields {
    /// Asks for `what` from now on.
    pub(super) fn want(&mut self, what: What) {
        if !self.wanted.iter().any(|wanted| wanted.what == what) {
            self.wanted.push(Wanted { what, ask: Ask::default(), read: None });
        }
    }

    /// Does not ask for `what` any more: it is known from elsewhere.
    pub(super) fn drop(&mut self, what: What) {
        self.wanted.retain(|wanted| wanted.what != what);
    }

    pub(super) fn read(&mut self, line: &mut Line, scheme: FieldIdScheme) {
        self.sent.clear();
        for wanted in &mut self.wanted {
            wanted.read = None;
            if wanted.ask.is_due(line.now()) {
                let (id, scope) = wanted.what.field();
                self.sent.push(raw::Field::new(id, scope, scheme));
            }
        }
        if self.sent.is_empty() {
            return;
        }
        let sent = &mut self.sent;
        if line.ask(&mut self.call, |device| raw::field_values(device, sent)).is_none() {
            return;
        }
        let now = line.now();
        let due = self.wanted.iter_mut().filter(|wanted| wanted.ask.is_due(now));
        for (wanted, field) in due.zip(&self.sent) {
            match field.answer() {
                Ok(number) => {
                    wanted.ask.worked();
                    wanted.read = Some(number);
                }
                Err(error) => line.fail(&mut wanted.ask, &error),
            }
        }
    }

    /// What this sample read.
    pub(super) fn get(&self, what: What) -> Option<u64> {
        self.number(what).map(|number| number.value)
    }

    pub(super) fn number(&self, what: What) -> Option<Number> {
        self.wanted.iter().find(|wanted| wanted.what == what)?.read
    }

    /// Whether the device may still give it, at whatever time.
    pub(super) fn is_possible(&self, what: What) -> bool {
        let asked = self.wanted.iter().any(|wanted| wanted.what == what && wanted.ask.is_possible());
        asked && self.call.is_possible()
    }
}
