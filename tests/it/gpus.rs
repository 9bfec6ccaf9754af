//! System metrics of NVIDIA's GPUs, read by programs from a library that does what a script says.

use std::collections::BTreeMap;

use fake_nvml::FakeNvml;
use runlog::{Run, RunStatus};

use crate::python::answer;
use crate::support::{Place, text};

/// Numbers that rounding changes, an H100 with room for others, and a card of which NVML knows little.
const TWO_GPUS: &str = "device 0 h100\n\
    set 0 utilization.gpu 73\nset 0 memory.used 20_123_456_789\nset 0 power.usage 345_678\nset 0 power.limit 651_234\n\
    device 1 gtx1080\n\
    set 1 utilization.gpu 7\nset 1 memory.used 987_654_321\nset 1 power.usage 48_049\n";

/// What a machine without GPUs tells too.
const CPU: &str = "cpu_utilization_percentage";

/// What a program logs on the GPUs of a script, until it has all of these metrics (without `system/`).
fn logged(fake: &FakeNvml, script: &str, place: &Place, until: &[&str]) -> Run {
    let keys: Vec<String> = until.iter().map(|key| format!("system/{key}")).collect();
    let mut program = place.scenario(&["system-metrics-until"]);
    let output = program.args(keys).envs(fake.environment(script).unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    place.run()
}

/// Its last values of GPUs, without `system/`.
fn of_gpus(run: &Run) -> BTreeMap<&str, f64> {
    let named = run.data.metrics.iter().map(|metric| (metric.key.as_str(), metric.value));
    let named = named.filter_map(|(key, value)| Some((key.strip_prefix("system/")?, value)));
    named.filter(|(key, _)| key.starts_with("gpu_")).collect()
}

#[test]
fn mlflows_monitor_and_ours_agree_on_the_same_gpus() {
    let (place, fake) = (Place::new(), FakeNvml::new(TWO_GPUS).unwrap());
    let theirs = answer(place.python("mlflow/gpus.py").envs(fake.environment(TWO_GPUS).unwrap()));
    let theirs = theirs.as_object().unwrap();
    assert_eq!(theirs.len(), 10, "five of each: {theirs:?}");
    let keys: Vec<&str> = theirs.keys().map(String::as_str).collect();
    let run = logged(&fake, TWO_GPUS, &place, &keys);
    let ours = of_gpus(&run);
    for (key, value) in theirs {
        let ours = ours.get(key.as_str()).unwrap_or_else(|| panic!("no {key} in {ours:?}"));
        let difference = (value.as_f64().unwrap() - ours).abs();
        assert!(difference <= 0.05 + 1e-9, "{key}: MLflow says {value}, we say {ours}");
    }
}

#[test]
fn without_a_driver_a_run_has_no_gpus_and_all_the_rest() {
    for script in ["init DRIVER_NOT_LOADED", "init LIB_RM_VERSION_MISMATCH", ""] {
        let (place, fake) = (Place::new(), FakeNvml::new("").unwrap());
        let run = logged(&fake, script, &place, &[CPU]);
        assert_eq!(of_gpus(&run), BTreeMap::new(), "{script}");
        assert!(run.metric(&format!("system/{CPU}")).is_some(), "{script}");
    }
}

#[test]
fn a_driver_that_hangs_for_ever_holds_no_run() {
    for hang in ["hang * nvmlInit_v2", "hang * nvmlDeviceGetHandleByIndex_v2", "hang 0 *"] {
        let (place, fake) = (Place::new(), FakeNvml::new("").unwrap());
        let run = logged(&fake, &format!("device 0 h100\n{hang}"), &place, &[CPU]);
        assert_eq!(run.info.status, RunStatus::Finished, "{hang}");
        assert!(run.metric(&format!("system/{CPU}")).is_some(), "{hang}");
    }
}

#[test]
fn a_run_tells_which_gpus_there_were_and_what_it_held_of_each() {
    let mut script = "driver 580.95.05\ncuda 13.0\n".to_owned();
    let mut until = Vec::new();
    for gpu in 0..8 {
        script.extend([format!(
            "device {gpu} h100 uuid=GPU-{gpu}\nset {gpu} utilization.gpu {gpu}\n\
             process {gpu} self memory={gpu}e9\nprocess {gpu} 1 memory=5e9\n"
        )]);
        until.extend([
            format!("gpu_{gpu}_utilization_percentage"),
            format!("gpu_{gpu}_process_memory_megabytes"),
        ]);
    }
    let until: Vec<&str> = until.iter().map(String::as_str).collect();
    let (place, fake) = (Place::new(), FakeNvml::new("").unwrap());
    let run = logged(&fake, &script, &place, &until);
    let (values, tag) = (of_gpus(&run), |name: &str| run.tag(&format!("runlog.gpu.{name}")));
    assert_eq!((tag("count"), tag("driver"), tag("cuda")), (Some("8"), Some("580.95.05"), Some("13.0")));
    for gpu in 0..8 {
        assert_eq!(tag(&format!("{gpu}.name")), Some("NVIDIA H100 80GB HBM3"));
        assert_eq!(tag(&format!("{gpu}.uuid")), Some(&*format!("GPU-{gpu}")));
        for (name, unit) in [("utilization_percentage", 1.0), ("process_memory_megabytes", 1000.0)] {
            let value = values.get(&*format!("gpu_{gpu}_{name}"));
            let expected = f64::from(gpu) * unit;
            assert!(value.is_some_and(|value| (value - expected).abs() < 1e-6), "{gpu} {name}: {value:?}");
        }
    }
}
