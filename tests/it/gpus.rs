//! System metrics of NVIDIA's GPUs, read by programs from a library that does what a script says.

use std::collections::BTreeMap;

use fake_nvml::FakeNvml;
use runlog::Run;

use crate::python::answer;
use crate::support::{Place, text};

/// Numbers that rounding changes, an H100 with room for others, and a card of which NVML knows little.
const TWO_GPUS: &str = "device 0 h100\n\
    set 0 utilization.gpu 73\nset 0 memory.used 20_123_456_789\nset 0 power.usage 345_678\nset 0 power.limit 651_234\n\
    device 1 gtx1080\n\
    set 1 utilization.gpu 7\nset 1 memory.used 987_654_321\nset 1 power.usage 48_049\n";

/// What a program logs that runs `system-metrics` on the GPUs of a script.
fn logged(fake: &FakeNvml, script: &str, place: &Place) -> Run {
    let mut program = place.scenario(&["system-metrics"]);
    let output = program.envs(fake.environment(script).unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    place.runs().into_iter().find(|run| run.info.run_name == "system-metrics").unwrap()
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
    let run = logged(&fake, TWO_GPUS, &place);
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
        let run = logged(&fake, script, &place);
        assert_eq!(of_gpus(&run), BTreeMap::new(), "{script}");
        assert!(run.metric("system/cpu_utilization_percentage").is_some(), "{script}");
    }
}
