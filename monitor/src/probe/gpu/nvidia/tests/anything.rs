//! Whatever the driver answers, in whatever order.

use proptest::prelude::*;

use super::*;
use crate::registry::Kind;

const CALLS: &[&str] = &[
    "*",
    "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetHandleByUUID",
    "nvmlDeviceGetSamples",
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetEnforcedPowerLimit",
    "nvmlDeviceGetTemperatureV",
    "nvmlDeviceGetFieldValues",
    "nvmlDeviceGetFieldValues/83",
    "nvmlDeviceGetFieldValues/139",
    "nvmlGpmQueryDeviceSupport",
    "nvmlGpmSampleGet",
    "nvmlGpmMetricsGet",
    "nvmlGpmMetricsGet/2",
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetProcessUtilization",
    "nvmlDeviceRegisterEvents",
    "nvmlEventSetWait_v2",
];
const CODES: &[&str] = &[
    "UNINITIALIZED",
    "NOT_SUPPORTED",
    "NOT_FOUND",
    "TIMEOUT",
    "GPU_IS_LOST",
    "NO_DATA",
    "UNKNOWN",
    "25",
    "28",
    "77",
];
const COUNTERS: &[&str] =
    &["energy", "throttled.power", "throttled.hw_thermal", "ecc.corrected", "nvlink.rx", "pcie.rx"];
const LEVELS: &[&str] = &[
    "utilization.gpu",
    "memory.used",
    "memory.total",
    "power.usage",
    "power.limit",
    "gpm.sm",
    "temperature.memory",
];

/// Faults that come and go, counters that jump, levels of any height.
fn script() -> impl Strategy<Value = String> {
    let word = |words: &'static [&str]| proptest::sample::select(words);
    let fault = (0..2_u8, word(CALLS), word(CODES), 0..60_000_u32, 1..60_000_u32).prop_map(
        |(gpu, call, code, from, length)| {
            format!("fault {gpu} {call} {code} from_ms={from} to_ms={}", from + length)
        },
    );
    let jump = (word(COUNTERS), 0..60_000_u32, 0.0..1e15_f64)
        .prop_map(|(counter, at, value)| format!("step 0 {counter} 0=1e14 {at}={value:.0}"));
    let level = (word(LEVELS), 0.0..1e12_f64).prop_map(|(level, value)| format!("set 0 {level} {value:.0}"));
    let lines = proptest::collection::vec(prop_oneof![4 => fault, 2 => jump, 1 => level], 0..12);
    lines.prop_map(|lines| {
        format!("device 0 h100\ndevice 1 h100\nprocess 0 self memory=1e9 sm=5\n{}", lines.join("\n"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_answer_of_the_driver_makes_a_total_shrink_or_the_probe_panic(
        script in script(),
        steps in proptest::collection::vec(proptest::option::of(1..20_000_u64), 1..30),
    ) {
        let rig = Rig::new(&script);
        let Ok(bench) = Bench::open(&DRIVER, &rig.machine) else { return Ok(()) };
        let mut running = Running { rig, bench, losses: Vec::new() };
        let mut totals: BTreeMap<String, f64> = BTreeMap::new();
        for step in steps {
            let values = match step {
                Some(millis) => running.after(millis),
                None => running.first(),
            };
            for (name, value) in values {
                prop_assert!(value.is_finite() && value >= 0.0, "{} {}", name, value);
                let entry = running.bench.registry.entries().iter().find(|entry| *entry.name == *name).unwrap();
                if entry.kind == Kind::Total {
                    let before = totals.insert(name.clone(), value).unwrap_or(0.0);
                    prop_assert!(value >= before, "{} fell from {} to {}", name, before, value);
                }
                if name.ends_with("utilization_percentage") || name.ends_with("process_sm_percentage") {
                    prop_assert!(value <= 100.0, "{} {}", name, value);
                }
            }
        }
        prop_assert!(running.fake().gpm_samples() <= 2);
        prop_assert!(running.fake().event_sets() <= 2);
    }
}
