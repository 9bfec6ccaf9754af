//! Which GPUs the system has put to sleep, so that nobody wakes them only to see that they do nothing.
//!
//! Invariant: what is asked here wakes no device (`runtime_status`: Documentation/ABI/testing/sysfs-devices-power).

#[cfg(target_os = "linux")]
pub(super) use linux::{Sleep, addresses};

#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::{Sleep, addresses};

#[cfg(target_os = "linux")]
mod linux {
    use std::path::{Path, PathBuf};

    use crate::probe::Machine;
    use crate::probe::pseudo::Pseudo;

    const VENDOR: &str = "0x10de";
    /// The PCI classes of display controllers begin so.
    const DISPLAY: &str = "0x03";

    /// One device's state of sleep.
    #[derive(Debug)]
    pub(in crate::probe::gpu::nvidia) struct Sleep {
        status: Option<Pseudo>,
    }

    impl Sleep {
        /// Of the device at this PCI address, as NVML writes it (`00000000:01:00.0`) or the system (`0000:01:00.0`).
        pub(in crate::probe::gpu::nvidia) fn of(machine: &Machine, address: &str) -> Self {
            let device = normal(address).map(|address| devices(machine).join(address));
            let status = device.and_then(|device| Pseudo::open(device.join("power/runtime_status")).ok());
            Self { status }
        }

        /// A device of which the system says nothing is awake.
        pub(in crate::probe::gpu::nvidia) fn is_asleep(&mut self) -> bool {
            let status = self.status.as_mut().map(Pseudo::head);
            matches!(status, Some(Ok(text)) if text.starts_with(b"suspended"))
        }
    }

    fn devices(machine: &Machine) -> PathBuf {
        machine.sys.join("bus/pci/devices")
    }

    /// The PCI addresses of GPUs that NVIDIA's driver has, in its order, which is that of their addresses.
    pub(in crate::probe::gpu::nvidia) fn addresses(machine: &Machine) -> Vec<String> {
        let entries = std::fs::read_dir(devices(machine)).into_iter().flatten().flatten();
        let gpus = entries.filter(|entry| is_gpu(&entry.path()));
        let mut addresses: Vec<_> = gpus.filter_map(|gpu| gpu.file_name().into_string().ok()).collect();
        addresses.sort_by_key(|address| (address.len(), address.clone()));
        addresses
    }

    fn is_gpu(device: &Path) -> bool {
        let says = |file: &str, start: &str| {
            std::fs::read_to_string(device.join(file)).is_ok_and(|text| text.starts_with(start))
        };
        let driver = std::fs::read_link(device.join("driver"));
        says("vendor", VENDOR)
            && says("class", DISPLAY)
            && driver.is_ok_and(|driver| driver.file_name().is_some_and(|name| name == "nvidia"))
    }

    /// The address as the system writes it: NVML gives the domain eight digits.
    pub(super) fn normal(address: &str) -> Option<String> {
        let (domain, rest) = address.split_once(':')?;
        let domain = u32::from_str_radix(domain, 16).ok()?;
        Some(format!("{domain:04x}:{}", rest.to_ascii_lowercase()))
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use crate::probe::Machine;

    /// Elsewhere the system does not tell.
    #[derive(Debug)]
    pub(in crate::probe::gpu::nvidia) struct Sleep;

    impl Sleep {
        pub(in crate::probe::gpu::nvidia) fn of(_: &Machine, _: &str) -> Self {
            Self
        }

        #[expect(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "as on Linux")]
        pub(in crate::probe::gpu::nvidia) fn is_asleep(&mut self) -> bool {
            false
        }
    }

    pub(in crate::probe::gpu::nvidia) fn addresses(_: &Machine) -> Vec<String> {
        Vec::new()
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::linux::normal;
    use super::*;
    use crate::probe::testing::{empty, write};

    #[test]
    fn addresses_are_written_as_the_system_writes_them() {
        assert_eq!(normal("00000000:0A:00.0").as_deref(), Some("0000:0a:00.0"));
        assert_eq!(normal("0000:01:00.0").as_deref(), Some("0000:01:00.0"));
        assert_eq!(normal("00010000:01:00.0").as_deref(), Some("10000:01:00.0"));
        assert_eq!([normal(""), normal("x:1"), normal("1")], [None, None, None]);
    }

    #[test]
    fn a_device_is_asleep_only_where_the_system_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        let status = machine.sys.join("bus/pci/devices/0000:01:00.0/power/runtime_status");
        for (text, expected) in
            [("suspended\n", true), ("active\n", false), ("suspending\n", false), ("", false)]
        {
            write(&status, text);
            assert_eq!(Sleep::of(&machine, "00000000:01:00.0").is_asleep(), expected, "{text:?}");
        }
        assert!(!Sleep::of(&machine, "00000000:02:00.0").is_asleep());
    }
}
