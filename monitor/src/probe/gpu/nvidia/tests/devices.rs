//! Which devices there are, under which numbers, and which of them are wanted.

use super::*;
use crate::probe::gpu::card::testing::plug;

/// The numbers of the devices that were read.
fn numbers(values: &Values) -> Vec<u32> {
    let number =
        |name: &String| name.strip_prefix("gpu_")?.split_once("_memory_usage_megabytes")?.0.parse().ok();
    let mut numbers: Vec<_> = values.keys().filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

fn eight() -> String {
    let device = |index| {
        let power = (index + 1) * 1000;
        format!("device {index} h100 uuid=GPU-{index}x\nset {index} power.usage {power}\n")
    };
    (0..8).map(device).collect::<Vec<_>>().concat()
}

#[test]
fn eight_gpus_have_their_own_readings() {
    let mut running = Running::of(&eight());
    let values = running.after(1000);
    assert_eq!(numbers(&values), [0, 1, 2, 3, 4, 5, 6, 7]);
    for index in 0..8_u32 {
        assert_close(&values, &format!("gpu_{index}_power_usage_watts"), f64::from(index + 1));
    }
    assert_eq!(running.fact("gpu.count").as_deref(), Some("8"));
}

#[test]
fn a_gpu_that_may_not_be_opened_leaves_the_others_their_numbers() {
    let mut running =
        Rig::new(&format!("{}fault 3 nvmlDeviceGetHandleByIndex_v2 NO_PERMISSION", eight())).open();
    assert_eq!(numbers(&running.first()), [0, 1, 2, 4, 5, 6, 7]);
    let state = running.fact("gpu.3.state").unwrap();
    assert!(state.contains("permission"), "{state}");
    assert_eq!(running.fact("gpu.count").as_deref(), Some("7"));
}

#[test]
fn a_machine_whose_gpus_may_not_be_opened_has_none() {
    let reason = Rig::new("device 0 h100\nfault 0 nvmlDeviceGetHandleByIndex_v2 NO_PERMISSION").absence();
    assert!(reason.contains("opens none") && reason.contains("permission"), "{reason}");
}

#[test]
fn only_visible_gpus_are_read_and_keep_the_drivers_numbers() {
    for (variables, expected) in [
        (&[][..], &[0, 1, 2, 3, 4, 5, 6, 7][..]),
        (&[("CUDA_VISIBLE_DEVICES", "5,2")], &[2, 5]),
        (&[("CUDA_VISIBLE_DEVICES", "GPU-6")], &[6]),
        (&[("CUDA_VISIBLE_DEVICES", "1,9,2")], &[1]),
        (&[("NVIDIA_VISIBLE_DEVICES", "GPU-3x,GPU-4x"), ("CUDA_VISIBLE_DEVICES", "0,4")], &[4]),
    ] {
        let mut running = Rig::new(&eight()).visible(variables).open();
        assert_eq!(numbers(&running.first()), expected, "{variables:?}");
        let read: Vec<_> = (0..8)
            .filter(|index| running.fake().calls(&format!("nvmlDeviceGetPowerUsage@{index}")) > 0)
            .collect();
        assert_eq!(read, expected, "only these are asked");
    }
}

#[test]
fn no_visible_gpu_is_absence_and_an_unset_variable_is_not() {
    for none in ["", "-1", "NoDevFiles"] {
        let reason = Rig::new(&eight()).visible(&[("CUDA_VISIBLE_DEVICES", none)]).absence();
        assert!(reason.contains("CUDA_VISIBLE_DEVICES"), "{reason}");
    }
}

#[test]
fn every_gpu_is_read_unless_the_run_wants_the_visible_ones() {
    let mut rig = Rig::new(&eight()).visible(&[("CUDA_VISIBLE_DEVICES", "0")]);
    rig.machine.gpus = Gpus::All;
    assert_eq!(numbers(&rig.open().first()).len(), 8);
}

#[test]
fn unlike_cards_without_an_order_are_said_to_be_uncertain() {
    let script = "device 0 gtx1080\ndevice 1 h100";
    let running = Rig::new(script).visible(&[("CUDA_VISIBLE_DEVICES", "0")]).open();
    assert!(running.fact("gpu.visible").is_some());
    let order = ("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
    let running = Rig::new(script).visible(&[("CUDA_VISIBLE_DEVICES", "0"), order]).open();
    assert_eq!(running.fact("gpu.visible"), None);
}

const DIVIDED: &str = "device 0 h100\ndevice 1 h100\nmig 0.0 gi=3 uuid=MIG-a name=\"H100 MIG 1g.10gb\"
    mig 0.1 gi=5 uuid=MIG-b\nset 0.0 memory.total 10e9\nset 0.0 memory.reserved 0\nset 0.0 memory.used 1e9
    set 0.1 memory.total 10e9\nset 0.1 memory.reserved 0\nset 0.1 memory.used 2e9
    set 0.1 gpm.graphics 70\nset 0.1 gpm.sm 60\nprocess 0.1 self memory=1e9";

#[test]
fn parts_have_the_numbers_after_every_vendors_cards() {
    let rig = Rig::new(DIVIDED);
    for (driver, address) in [("nvidia", "81"), ("nvidia", "82"), ("amdgpu", "03"), ("xe", "04")] {
        plug(&rig.machine, driver, &format!("0000:{address}:00.0"), &[]);
    }
    assert_eq!(numbers(&rig.open().first()), [0, 1, 4, 5], "2 and 3 are AMD's and Intel's");
    // Inside a container NVIDIA's library may know fewer than the system does.
    let rig = Rig::new(DIVIDED);
    for address in ["81", "82", "83", "84"] {
        plug(&rig.machine, "nvidia", &format!("0000:{address}:00.0"), &[]);
    }
    plug(&rig.machine, "amdgpu", "0000:03:00.0", &[]);
    assert_eq!(numbers(&rig.open().first()), [0, 1, 5, 6], "4 is AMD's");
}

#[test]
fn parts_of_a_gpu_are_devices_of_their_own_after_the_last_gpu() {
    let mut running = Running::of(DIVIDED);
    let values = running.after(1000);
    assert_eq!(numbers(&values), [0, 1, 2, 3]);
    assert_close(&values, "gpu_2_memory_usage_megabytes", 1000.0);
    assert_close(&values, "gpu_3_memory_usage_percentage", 20.0);
    assert_close(&values, "gpu_3_process_memory_megabytes", 1000.0);
    for (name, expected) in [
        ("gpu.count", "2"),
        ("gpu.2.instance_of", "0"),
        ("gpu.2.uuid", "MIG-a"),
        ("gpu.2.name", "H100 MIG 1g.10gb"),
        ("gpu.3.instance_of", "0"),
    ] {
        assert_eq!(running.fact(name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(running.fact("gpu.2.energy_source"), None, "a part has no power of its own");
}

#[test]
fn a_parts_utilization_comes_from_gpm_and_a_divided_gpu_has_none() {
    let mut running = Running::of(DIVIDED);
    let values = running.after(1000);
    assert_close(&values, "gpu_3_utilization_percentage", 70.0);
    assert_close(&values, "gpu_3_sm_active_percentage", 60.0);
    assert_eq!(values.get("gpu_0_utilization_percentage"), None, "never a made-up 100");
    assert_eq!(values.get("gpu_2_power_usage_watts"), None);
}

#[test]
fn a_visible_part_comes_without_its_gpu() {
    let mut running = Rig::new(DIVIDED).visible(&[("CUDA_VISIBLE_DEVICES", "MIG-b")]).open();
    assert_eq!(numbers(&running.first()), [3]);
}
