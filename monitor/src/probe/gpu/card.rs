//! Cards of AMD and Intel: which there are, the number each has, and whether it may be read now.
//!
//! Invariant: a card is read only while it is awake, since a reading would wake it.
//!
//! What is inside a processor: amdgpu gives the voltage of the northbridge (`in1_label` is `vddnb`) for these alone, the
//! MI300A aside, which is an accelerator; Intel's stands at `00:02.0` always.
//!
//! Where only visible GPUs are asked for, `ROCR_VISIBLE_DEVICES` and then `HIP_VISIBLE_DEVICES`, or without that
//! `CUDA_VISIBLE_DEVICES`, choose among AMD's, and the others keep their numbers. Entries are read as `ROCm` reads them: ordinals in the order of PCI addresses, or
//! `GPU-<unique_id>`, up to the first that names no device (its documentation, "GPU isolation techniques"). Intel's
//! ordinals follow no order that can be known from outside, so its cards are all read.
//!
//! # Sleep
//!
//! Reading whether a card sleeps wakes nothing, reading a sensor does. A card that is awake may be kept so by being read.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use runlog_core::autolog::Gpus;

use super::numbers::{Rank, numbered};
use crate::metrics;
use crate::probe::{Key, Machine, Registry, Sink};

/// The kernel's driver of NVIDIA's cards.
pub(super) const NVIDIA: &str = "nvidia";
/// In the directory of a device: whether it sleeps.
pub(super) const STATUS: &str = "power/runtime_status";
/// Where Intel puts the GPU of a processor.
const INTEL_INTEGRATED: (u8, u8) = (0, 2);

/// The kernel's driver of a card, by its name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::probe) enum Kernel {
    Amdgpu,
    I915,
    Xe,
}

impl Kernel {
    const ALL: [Self; 3] = [Self::Amdgpu, Self::I915, Self::Xe];

    pub(in crate::probe) fn name(self) -> &'static str {
        match self {
            Self::Amdgpu => "amdgpu",
            Self::I915 => "i915",
            Self::Xe => "xe",
        }
    }
}

/// A PCI address, `0000:03:00.0`: domain, bus, device, function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::probe) struct Address(u32, u8, u8, u8);

impl Address {
    pub(in crate::probe) fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        let (domain, rest) = text.split_once(':')?;
        let (bus, rest) = rest.split_once(':')?;
        let (device, function) = rest.split_once('.')?;
        let byte = |text: &str| hexadecimal(text).and_then(|value| u8::try_from(value).ok());
        Some(Self(hexadecimal(domain)?, byte(bus)?, byte(device)?, byte(function)?))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(domain, bus, device, function) = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
    }
}

/// Digits alone: Rust's own parser takes a sign too.
fn hexadecimal(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(text, 16).ok())?
}

/// A card that is to be read.
#[derive(Debug)]
pub(in crate::probe) struct Card {
    /// The `<i>` of `gpu_<i>_`.
    pub(in crate::probe) index: u32,
    pub(in crate::probe) address: Address,
    pub(in crate::probe) kernel: Kernel,
    /// Its directory in `/sys`, which is gone when the card is.
    pub(in crate::probe) dir: PathBuf,
    status: PathBuf,
    /// The directory of its sensors.
    pub(in crate::probe) hwmon: Option<PathBuf>,
    /// Its directory of the graphics part of the kernel.
    pub(in crate::probe) node: Option<PathBuf>,
    lost: Option<Key>,
    gone: bool,
    /// How often it came back.
    pub(in crate::probe) returns: u32,
}

/// Whether a card may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::probe) enum Presence {
    Awake,
    Asleep,
    Gone,
}

/// Whether the device with this file of its state sleeps or is about to (Documentation/ABI/testing/sysfs-devices-power).
///
/// # Errors
/// The system does not say, which one without power management never does.
pub(super) fn is_asleep(status: &Path) -> io::Result<bool> {
    let mut text = [0; 16];
    let length = File::open(status)?.read(&mut text)?;
    Ok(matches!(text.get(..length).unwrap_or_default().trim_ascii(), b"suspended" | b"suspending"))
}

/// Every card that is read, by number.
pub(in crate::probe) fn cards(machine: &Machine) -> Vec<Card> {
    let cards = all(machine).filter_map(|(index, card)| Some(Card { index, ..card? }));
    let visible = (machine.gpus == Gpus::Visible).then(|| visible(machine));
    let is_visible = |card: &Card| {
        let listed = visible.as_ref().is_none_or(|visible| visible.contains(&card.address));
        card.kernel != Kernel::Amdgpu || listed
    };
    cards.filter(is_visible).collect()
}

/// The first number that no GPU has, read or not.
#[cfg(feature = "nvidia")]
pub(super) fn first_free(machine: &Machine) -> u32 {
    all(machine).last().map_or(0, |(last, _)| last + 1)
}

/// Every GPU that has a number; of NVIDIA's nothing else.
fn all(machine: &Machine) -> impl Iterator<Item = (u32, Option<Card>)> {
    let nvidia = bound_to(machine, NVIDIA).into_iter().map(|(address, _)| (Rank::Nvidia, address, None));
    let others = Kernel::ALL.into_iter().flat_map(|kernel| {
        let cards = bound_to(machine, kernel.name()).into_iter();
        cards.map(move |(address, dir)| Card::new(address, kernel, dir))
    });
    let others = others.map(|card| {
        let rank = if card.is_integrated() { Rank::Integrated } else { Rank::Card };
        (rank, card.address, Some(card))
    });
    numbered(nvidia.chain(others).collect()).map(|(index, _, card)| (index, card))
}

/// Those of AMD's devices that the process may use.
fn visible(machine: &Machine) -> Vec<Address> {
    let mut devices = bound_to(machine, Kernel::Amdgpu.name());
    devices.sort();
    let config = &machine.config;
    let of_hip = config.hip_visible_devices.as_ref().or(config.cuda_visible_devices.as_ref());
    let chosen = config.rocr_visible_devices.iter().chain(of_hip);
    let devices = chosen.fold(devices, |devices, list| choose(list, &devices));
    devices.into_iter().map(|(address, _)| address).collect()
}

/// The devices that a list names.
fn choose(list: &str, devices: &[(Address, PathBuf)]) -> Vec<(Address, PathBuf)> {
    let named = |entry: &str| {
        let place = match entry.strip_prefix("GPU-") {
            Some(id) => {
                devices.iter().position(|(_, dir)| line(&dir.join("unique_id")).as_deref() == Some(id))
            }
            None => entry.parse().ok(),
        };
        devices.get(place?).cloned()
    };
    list.split(',').map(str::trim).map_while(named).collect()
}

/// The devices that a driver of the kernel has, with their directories.
pub(super) fn bound_to(machine: &Machine, driver: &str) -> Vec<(Address, PathBuf)> {
    let entries = fs::read_dir(machine.sys.join("bus/pci/drivers").join(driver));
    let entries = entries.into_iter().flatten().flatten();
    let device = |entry: fs::DirEntry| {
        Address::parse(entry.file_name().as_encoded_bytes()).map(|address| (address, entry.path()))
    };
    entries.filter_map(device).collect()
}

/// The sensors of a card itself: i915 has a directory for each of its tiles too.
fn hwmon(dir: &Path, kernel: Kernel) -> Option<PathBuf> {
    let mut dirs: Vec<_> =
        fs::read_dir(dir.join("hwmon")).ok()?.flatten().map(|entry| entry.path()).collect();
    dirs.sort();
    dirs.into_iter().find(|dir| line(&dir.join("name")).as_deref() == Some(kernel.name()))
}

/// What the graphics part of the kernel keeps of a card: `drm/card0`, whatever its number.
fn node(dir: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(dir.join("drm")).ok()?.flatten();
    entries.map(|entry| entry.path()).find(|path| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        name.strip_prefix(b"card").is_some_and(|number| number.iter().all(u8::is_ascii_digit))
    })
}

/// The first line of a file that stays as it is.
fn line(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

impl Card {
    fn new(address: Address, kernel: Kernel, dir: PathBuf) -> Self {
        Self {
            index: 0,
            address,
            kernel,
            status: dir.join(STATUS),
            hwmon: hwmon(&dir, kernel),
            node: node(&dir),
            dir,
            lost: None,
            gone: false,
            returns: 0,
        }
    }

    fn is_integrated(&self) -> bool {
        match self.kernel {
            Kernel::Amdgpu => self.label("in1_label").as_deref() == Some("vddnb"),
            Kernel::I915 | Kernel::Xe => (self.address.1, self.address.2) == INTEL_INTEGRATED,
        }
    }

    /// Registers what every vendor's card has, and says what it is.
    pub(in crate::probe) fn register(&mut self, registry: &mut Registry, vendor: &str) {
        self.lost = registry.metric_of("gpu", self.index, &metrics::GPU_LOST);
        let id = |file| self.text(file).map(|id| id.trim_start_matches("0x").to_owned());
        let unnamed = || {
            let (vendor_id, device_id) = id("vendor").zip(id("device"))?;
            Some(format!("{vendor} GPU {vendor_id}:{device_id}"))
        };
        let name = self.text("product_name").or_else(unnamed).unwrap_or_else(|| format!("{vendor} GPU"));
        let driver = match line(&self.dir.join("driver/module/version")) {
            Some(version) => format!("{} {version}", self.kernel.name()),
            None => self.kernel.name().to_owned(),
        };
        registry.fact(format!("gpu.{}.name", self.index), name);
        registry.fact(format!("gpu.{}.driver", self.index), driver);
    }

    /// Registers one of its metrics.
    pub(in crate::probe) fn metric(&self, registry: &mut Registry, metric: &metrics::Metric) -> Option<Key> {
        registry.metric_of("gpu", self.index, metric)
    }

    /// A line of its directory that stays as it is.
    pub(in crate::probe) fn text(&self, file: &str) -> Option<String> {
        line(&self.dir.join(file))
    }

    /// A line of its directory of the graphics part of the kernel that stays as it is.
    pub(in crate::probe) fn node_text(&self, file: &str) -> Option<String> {
        line(&self.node.as_ref()?.join(file))
    }

    /// Whether a node below `/dev/dri` is its.
    pub(in crate::probe) fn has_node(&self, node: &Path) -> bool {
        node.file_name().is_some_and(|name| self.dir.join("drm").join(name).exists())
    }

    /// A line among its sensors that stays as it is.
    pub(in crate::probe) fn label(&self, file: &str) -> Option<String> {
        line(&self.hwmon.as_ref()?.join(file))
    }

    /// Whether it may be read now. A card that is gone is said to be lost, until it is back.
    pub(in crate::probe) fn look(&mut self, sink: &mut Sink<'_>) -> Presence {
        let presence = self.presence();
        let gone = presence == Presence::Gone;
        if gone || self.gone {
            sink.put(self.lost, f64::from(u8::from(gone)));
        }
        // One that went and came back between two looks shows it by the new numbers of its directories.
        let has_moved = || [&self.hwmon, &self.node].into_iter().flatten().any(|dir| !dir.exists());
        if !gone && (self.gone || has_moved()) {
            self.returns += 1;
            self.hwmon = hwmon(&self.dir, self.kernel);
            self.node = node(&self.dir);
        }
        self.gone = gone;
        presence
    }

    /// Whether it may be read now.
    pub(in crate::probe) fn presence(&self) -> Presence {
        match is_asleep(&self.status) {
            Ok(true) => Presence::Asleep,
            Ok(false) => Presence::Awake,
            Err(_) if self.dir.exists() => Presence::Awake,
            Err(_) => Presence::Gone,
        }
    }
}

#[cfg(test)]
pub(in crate::probe) mod testing {
    //! Cards made of files.

    use super::*;
    use crate::probe::testing::write;

    /// Puts a card into the machine, as the kernel shows it: a link from its driver to its directory.
    pub(in crate::probe) fn plug(machine: &Machine, driver: &str, address: &str, files: &[(&str, &str)]) {
        let device = machine.sys.join("devices/pci0000:00").join(address);
        for (file, content) in files {
            write(&device.join(file), content);
        }
        fs::create_dir_all(&device).unwrap();
        let driver = machine.sys.join("bus/pci/drivers").join(driver);
        fs::create_dir_all(&driver).unwrap();
        // What stands beside the cards there.
        write(&driver.join("new_id"), "");
        std::os::unix::fs::symlink(device, driver.join(address)).unwrap();
    }

    /// Takes a card out again.
    pub(in crate::probe) fn unplug(machine: &Machine, driver: &str, address: &str) {
        fs::remove_file(machine.sys.join("bus/pci/drivers").join(driver).join(address)).unwrap();
        fs::remove_dir_all(machine.sys.join("devices/pci0000:00").join(address)).unwrap();
    }

    /// Changes a file of a card.
    pub(in crate::probe) fn set(machine: &Machine, address: &str, file: &str, content: &str) {
        write(&machine.sys.join("devices/pci0000:00").join(address).join(file), content);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::testing::{plug, set, unplug};
    use super::*;
    use crate::probe::testing::empty;

    /// The numbers, kernel drivers and buses of the machine's cards.
    fn numbered(machine: &Machine) -> Vec<(u32, Kernel, u8)> {
        cards(machine).iter().map(|card| (card.index, card.kernel, card.address.1)).collect()
    }

    #[test]
    fn cards_are_numbered_by_pci_address_whoever_drives_them() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        assert_eq!(numbered(&machine), []);
        plug(&machine, "xe", "0000:7f:00.0", &[]);
        plug(&machine, "amdgpu", "10000:01:00.0", &[]);
        plug(&machine, "amdgpu", "0000:c3:00.0", &[]);
        plug(&machine, "i915", "0000:0a:00.0", &[]);
        let expected = [
            (0, Kernel::I915, 0x0a),
            (1, Kernel::Xe, 0x7f),
            (2, Kernel::Amdgpu, 0xc3),
            (3, Kernel::Amdgpu, 1),
        ];
        assert_eq!(numbered(&machine), expected);
    }

    #[test]
    fn nvidias_cards_have_the_first_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        plug(&machine, "nvidia", "0000:81:00.0", &[]);
        plug(&machine, "nvidia", "0000:82:00.0", &[]);
        plug(&machine, "amdgpu", "0000:03:00.0", &[]);
        assert_eq!(numbered(&machine), [(2, Kernel::Amdgpu, 3)]);
    }

    #[test]
    fn a_gpu_inside_a_processor_is_read_only_where_it_is_the_only_kind() {
        const VDDNB: &[(&str, &str)] =
            &[("hwmon/hwmon4/name", "amdgpu\n"), ("hwmon/hwmon4/in1_label", "vddnb\n")];
        for (integrated, address, files) in
            [("amdgpu", "0000:e5:00.0", VDDNB), ("i915", "0000:00:02.0", &[]), ("xe", "0000:00:02.0", &[])]
        {
            for card in ["nvidia", "amdgpu", "xe"] {
                let dir = tempfile::tempdir().unwrap();
                let machine = empty(dir.path());
                plug(&machine, integrated, address, files);
                assert_eq!(numbered(&machine).len(), 1, "{integrated} alone");
                assert_eq!(numbered(&machine)[0].0, 0);
                plug(&machine, card, "0000:03:00.0", &[]);
                let buses: Vec<_> = numbered(&machine).iter().map(|(_, _, bus)| *bus).collect();
                assert_eq!(
                    buses,
                    if card == "nvidia" { vec![] } else { vec![3] },
                    "{integrated} beside {card}"
                );
            }
        }
    }

    #[test]
    fn only_visible_cards_are_read_if_asked_and_keep_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = empty(dir.path());
        for (bus, id) in [("03", "beef"), ("04", "cafe"), ("05", "f00d")] {
            plug(&machine, "amdgpu", &format!("0000:{bus}:00.0"), &[("unique_id", id)]);
        }
        plug(&machine, "xe", "0000:02:00.0", &[]);
        let mut read = |gpus, rocr: Option<&str>, hip: Option<&str>| -> Vec<u32> {
            machine.gpus = gpus;
            machine.config.rocr_visible_devices = rocr.map(str::to_owned);
            machine.config.hip_visible_devices = hip.map(str::to_owned);
            cards(&machine).iter().map(|card| card.index).collect()
        };
        assert_eq!(read(Gpus::All, Some("1"), Some("")), [0, 1, 2, 3]);
        for (rocr, hip, expected) in [
            (None, None, vec![0, 1, 2, 3]),
            (Some("1"), None, vec![0, 2]),
            (Some("2, 0"), None, vec![0, 1, 3]),
            (Some("2,0"), Some("0"), vec![0, 3]),
            (None, Some("1,2"), vec![0, 2, 3]),
            (Some("GPU-cafe,GPU-dead,0"), None, vec![0, 2]),
            (Some("0,7,1"), None, vec![0, 1]),
            (Some("-1"), None, vec![0]),
            (Some(""), None, vec![0]),
            (None, Some(""), vec![0]),
        ] {
            assert_eq!(read(Gpus::Visible, rocr, hip), expected, "{rocr:?} {hip:?}");
        }
        machine.config.cuda_visible_devices = Some("1".to_owned());
        for (hip, expected) in [(None, [0, 2]), (Some("0"), [0, 1])] {
            machine.config.rocr_visible_devices = None;
            machine.config.hip_visible_devices = hip.map(str::to_owned);
            assert!(
                cards(&machine).iter().map(|card| card.index).eq(expected),
                "CUDA's variable is HIP's too"
            );
        }
    }

    #[test]
    fn a_card_is_awake_unless_it_says_that_it_sleeps_or_is_not_there() {
        const ADDRESS: &str = "0000:03:00.0";
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        plug(&machine, "amdgpu", ADDRESS, &[]);
        let card = cards(&machine).remove(0);
        assert_eq!(card.presence(), Presence::Awake, "a kernel that does not say");
        for (status, presence) in [
            ("active\n", Presence::Awake),
            ("unsupported\n", Presence::Awake),
            ("suspended\n", Presence::Asleep),
            ("suspending\n", Presence::Asleep),
        ] {
            set(&machine, ADDRESS, "power/runtime_status", status);
            assert_eq!(card.presence(), presence, "{status}");
        }
        unplug(&machine, "amdgpu", ADDRESS);
        assert_eq!(card.presence(), Presence::Gone);
    }

    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        assert_eq!(Address::parse(b"0000:c3:1f.7"), Some(Address(0, 0xc3, 0x1f, 7)));
        for other in
            ["", "bind", "new_id", "0000:c3:1f", "0000:c3.7", "0000:1c3:00.0", "0000:c3:00.", "+0:+c:0.0"]
        {
            assert_eq!(Address::parse(other.as_bytes()), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_address_or_not(bytes: Vec<u8>) {
            let _address = Address::parse(&bytes);
        }

        #[test]
        fn addresses_have_an_order_of_their_numbers(one: (u16, u8, u8), other: (u16, u8, u8)) {
            let address = |(domain, bus, device): (u16, u8, u8)| {
                Address::parse(format!("{domain:04x}:{bus:02x}:{device:02x}.0").as_bytes()).unwrap()
            };
            prop_assert_eq!(address(one).cmp(&address(other)), one.cmp(&other));
        }
    }
}
