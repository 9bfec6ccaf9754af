//! What a script can set of a device.

macro_rules! keys {
    ($($key:ident = $name:literal;)+) => {
        /// A value of a device, in NVML's own unit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Key { $($key),+ }

        const KEYS: &[(&str, Key)] = &[$(($name, Key::$key)),+];
    };
}

keys! {
    UtilizationGpu = "utilization.gpu";
    UtilizationMemory = "utilization.memory";
    Encoder = "utilization.encoder";
    Decoder = "utilization.decoder";
    Jpeg = "utilization.jpeg";
    Ofa = "utilization.ofa";
    MemoryTotal = "memory.total";
    MemoryReserved = "memory.reserved";
    MemoryUsed = "memory.used";
    Bar1Total = "bar1.total";
    Bar1Used = "bar1.used";
    PowerUsage = "power.usage";
    PowerInstant = "power.instant";
    PowerLimit = "power.limit";
    PowerManagementLimit = "power.management_limit";
    PowerDefaultLimit = "power.default_limit";
    PowerMinLimit = "power.min_limit";
    PowerMaxLimit = "power.max_limit";
    Energy = "energy";
    Temperature = "temperature.gpu";
    MemoryTemperature = "temperature.memory";
    ClockGraphics = "clock.graphics";
    ClockSm = "clock.sm";
    ClockMemory = "clock.memory";
    ClockVideo = "clock.video";
    MaxClockGraphics = "clock.graphics.max";
    MaxClockSm = "clock.sm.max";
    MaxClockMemory = "clock.memory.max";
    MaxClockVideo = "clock.video.max";
    PerformanceState = "pstate";
    ThrottleReasons = "throttle.reasons";
    ThrottledPower = "throttled.power";
    ThrottledThermal = "throttled.thermal";
    ThrottledSyncBoost = "throttled.sync_boost";
    ThrottledBoard = "throttled.board_limit";
    ThrottledSoftwareThermal = "throttled.sw_thermal";
    ThrottledHardwareThermal = "throttled.hw_thermal";
    ThrottledPowerBrake = "throttled.hw_power_brake";
    PcieReceived = "pcie.rx";
    PcieSent = "pcie.tx";
    PcieCounterBits = "pcie.counter_bits";
    PcieGeneration = "pcie.generation";
    PcieWidth = "pcie.width";
    PcieMaxGeneration = "pcie.generation.max";
    PcieMaxWidth = "pcie.width.max";
    PcieReplays = "pcie.replays";
    Links = "nvlink.links";
    LinkReceived = "nvlink.rx";
    LinkSent = "nvlink.tx";
    EccMode = "ecc.mode";
    EccCorrected = "ecc.corrected";
    EccUncorrected = "ecc.uncorrected";
    EccCorrectedEver = "ecc.corrected.aggregate";
    EccUncorrectedEver = "ecc.uncorrected.aggregate";
    RowsCorrected = "rows.corrected";
    RowsUncorrected = "rows.uncorrected";
    RowsPending = "rows.pending";
    RowsFailure = "rows.failure";
    PagesPending = "pages.pending";
    Fan0 = "fan.0";
    Fan1 = "fan.1";
    Fan2 = "fan.2";
    FanRpm0 = "fan.0.rpm";
    FanRpm1 = "fan.1.rpm";
    FanRpm2 = "fan.2.rpm";
    MigMode = "mig.mode";
    MigCapacity = "mig.capacity";
    PersistenceMode = "persistence";
    MemoryBusWidth = "memory.bus_width";
    Multiprocessors = "multiprocessors";
    GpmGraphics = "gpm.graphics";
    GpmSm = "gpm.sm";
    GpmOccupancy = "gpm.occupancy";
    GpmInteger = "gpm.integer";
    GpmTensor = "gpm.tensor";
    GpmDfma = "gpm.tensor.dfma";
    GpmHmma = "gpm.tensor.hmma";
    GpmImma = "gpm.tensor.imma";
    GpmDram = "gpm.dram";
    GpmFp64 = "gpm.fp64";
    GpmFp32 = "gpm.fp32";
    GpmFp16 = "gpm.fp16";
}

impl Key {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        KEYS.iter().find(|(known, _)| *known == name).map(|(_, key)| *key)
    }

    /// What a GPU does not tell while MIG is on.
    pub(crate) fn is_unknown_under_mig(self) -> bool {
        use Key::{Decoder, Encoder, Jpeg, Ofa, UtilizationGpu, UtilizationMemory};
        matches!(self, UtilizationGpu | UtilizationMemory | Encoder | Decoder | Jpeg | Ofa)
    }
}

/// The names of everything that a script can `set`, in NVML's units: percent, bytes, milliwatts, millijoules, °C, MHz,
/// nanoseconds (`throttled.*`), counts. `pcie.rx`, `pcie.tx`, `nvlink.rx` and `nvlink.tx` count bytes; the links share
/// theirs evenly. `pcie.counter_bits` is after how many bits the counters of `pcie.*` wrap.
pub fn key_names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|(name, _)| *name)
}
