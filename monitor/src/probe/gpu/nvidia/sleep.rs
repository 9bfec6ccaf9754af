//! Which GPUs the system has put to sleep, so that nobody wakes them only to see that they do nothing.
//!
//! Invariant: what is asked here wakes no device.

#[cfg(target_os = "linux")]
pub(super) use linux::{Sleep, addresses};

#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::{Sleep, addresses};

#[cfg(target_os = "linux")]
mod linux {
    use std::path::PathBuf;

    use crate::probe::Machine;
    use crate::probe::gpu::card::{Address, NVIDIA, STATUS, bound_to, is_asleep};

    /// Where one device's state of sleep stands; `None` if its address is not known.
    #[derive(Debug)]
    pub(in crate::probe::gpu::nvidia) struct Sleep(Option<PathBuf>);

    impl Sleep {
        /// Of the device at this PCI address, as NVML writes it (`00000000:01:00.0`) or the system (`0000:01:00.0`).
        pub(in crate::probe::gpu::nvidia) fn of(machine: &Machine, address: &str) -> Self {
            let device = |address: Address| {
                machine.sys.join("bus/pci/drivers").join(NVIDIA).join(address.to_string()).join(STATUS)
            };
            Self(Address::parse(address.as_bytes()).map(device))
        }

        /// A device of which the system says nothing is awake.
        pub(in crate::probe::gpu::nvidia) fn is_asleep(&self) -> bool {
            self.0.as_ref().is_some_and(|status| is_asleep(status).unwrap_or(false))
        }
    }

    /// The PCI addresses of GPUs that NVIDIA's driver has, in its order, which is that of their addresses.
    pub(in crate::probe::gpu::nvidia) fn addresses(machine: &Machine) -> Vec<String> {
        let mut addresses: Vec<_> =
            bound_to(machine, NVIDIA).into_iter().map(|(address, _)| address).collect();
        addresses.sort();
        addresses.iter().map(Address::to_string).collect()
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

        #[expect(clippy::unused_self, reason = "as on Linux")]
        pub(in crate::probe::gpu::nvidia) fn is_asleep(&self) -> bool {
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
    use super::*;
    use crate::probe::testing::{empty, write};

    #[test]
    fn a_device_is_asleep_only_where_the_system_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        let status = machine.sys.join("bus/pci/drivers/nvidia/0000:0a:00.0/power/runtime_status");
        for (text, expected) in
            [("suspended\n", true), ("active\n", false), ("suspending\n", true), ("", false)]
        {
            write(&status, text);
            for address in ["00000000:0A:00.0", "0000:0a:00.0"] {
                assert_eq!(Sleep::of(&machine, address).is_asleep(), expected, "{address} {text:?}");
            }
        }
        for other in ["00000000:02:00.0", "", "0a"] {
            assert!(!Sleep::of(&machine, other).is_asleep(), "{other:?}");
        }
    }
}
