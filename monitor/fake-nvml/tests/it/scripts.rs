//! Scripts that have a mistake, and programs that are told of theirs by the environment.

use fake_nvml::{FakeNvml, key_names};

fn refused(script: &str) -> String {
    FakeNvml::new(script).unwrap_err().to_string()
}

#[test]
fn a_mistake_is_told_with_its_line() {
    for (script, why) in [
        ("device 0\n\nsett 0 energy 1", "line 3: no statement is called `sett`"),
        ("device 1", "line 1: the next device is 0"),
        ("device 0 h200", "line 1: no preset is called `h200`"),
        ("device 0 h100 colour=green", "line 1: `colour=green` does not belong here"),
        ("device 0 h100 name=\"NVIDIA", "line 1: a quotation mark is missing"),
        ("device 0\nset 0 powr 5", "line 2: nothing is called `powr`; see key_names"),
        ("device 0\nset 1 energy 5", "line 2: there is no device 1"),
        ("device 0\nset 0.0 energy 5", "line 2: there is no device 0.0"),
        ("device 0\nset 0 energy much", "line 2: `much` is no number from 0 on"),
        ("device 0\nset 0 energy -5", "line 2: `-5` is no number from 0 on"),
        ("device 0\nset 0 energy 5 6", "line 2: `6` does not belong here"),
        ("device 0\nstep 0 energy 5=1 5=2", "line 2: 5 ms stands after a later time"),
        ("device 0\nstep 0 energy soon=1", "line 2: `soon` is no time in milliseconds"),
        ("device 0\ncycle 0 energy 0 0=1", "line 2: a period is at least a millisecond"),
        ("device 0\nmig 0.1 gi=1", "line 2: the next instance is 0.0"),
        ("device 0\nfault 0 GetPower UNKNOWN", "line 2: `GetPower` is no call of NVML"),
        ("device 0\nfault 0 nvmlDeviceGetName OOPS", "line 2: no result code is called `OOPS`"),
        ("device 0\nfault 0 nvmlDeviceGetName UNKNOWN from=3", "line 2: `from=3` does not belong here"),
        ("device 0\nprocess 0 init", "line 2: `init` is no pid"),
        ("clock slow", "line 1: `slow` is not real or manual"),
        ("cuda twelve", "line 1: `twelve` is no version of CUDA"),
        ("slow * nvmlInit_v2 long", "line 1: `long` is not milliseconds"),
        ("xid", "line 1: a device is missing"),
    ] {
        assert_eq!(refused(script), why, "{script}");
    }
}

#[test]
fn comments_blanks_and_quotes() {
    let fake = FakeNvml::new("# a comment\n\n  device 0 name=\"a # b\"   # another\n").unwrap();
    let nvml = super::open(&fake);
    assert_eq!(nvml.device_by_index(0).unwrap().name().unwrap(), "a # b");
}

#[test]
fn a_change_that_is_refused_changes_nothing() {
    let fake = FakeNvml::new("clock manual\ndevice 0 h100").unwrap();
    let nvml = super::open(&fake);
    let error = fake.change("set 0 power.usage 5\nset 0 power.usage five").unwrap_err();
    assert_eq!(error.to_string(), "line 2: `five` is no number from 0 on");
    assert_eq!(
        fake.change("clock real").unwrap_err().to_string(),
        "the clock is chosen by the script, not by a change of it"
    );
    assert_eq!(nvml.device_by_index(0).unwrap().power_usage().unwrap(), 70_000);
}

#[test]
fn every_key_can_be_set_and_unset() {
    let mut script = "device 0\n".to_owned();
    for key in key_names() {
        script.extend([format!("set 0 {key} 1\n"), format!("unset 0 {key}\n"), format!("set 0 {key} 1\n")]);
    }
    FakeNvml::new(&script).unwrap();
}
