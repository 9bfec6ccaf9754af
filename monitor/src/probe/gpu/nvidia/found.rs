//! Which devices there are: GPUs in the driver's order, then the parts that they are divided into (MIG).
//!
//! Invariants: a GPU keeps the driver's index as its number, whatever became of the others; parts have numbers that no
//! GPU of the machine has; a GPU that sleeps is not opened.

use nvml_wrapper::{Device, Nvml};

use super::fate::{Fate, fate};
use super::gpu::Place;
use super::visible::Named;

/// A device, or a place where one should be.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) number: u32,
    pub(super) place: Place,
    pub(super) named: Named,
    /// On the PCI bus; empty where it is not known.
    pub(super) address: String,
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) enum State {
    Open(Device<'static>),
    Asleep,
    /// It may be there another time.
    Lost,
    /// It will not be, and why.
    Closed(String),
}

/// All devices of `nvml`, parts with numbers from `first_part` on; `sleepers` are the addresses of all GPUs, as far as the
/// system knows them, with whether each sleeps.
pub(super) fn devices(
    nvml: &'static Nvml,
    count: u32,
    first_part: u32,
    sleepers: &[(String, bool)],
) -> Vec<Found> {
    // Only if the system counts as the driver does is the nth the nth.
    let knows_all = u32::try_from(sleepers.len()) == Ok(count);
    let gpu = |index: u32| {
        let known = usize::try_from(index).ok().and_then(|place| sleepers.get(place)).filter(|_| knows_all);
        match known {
            Some((address, true)) => asleep(index, address),
            _ => open(nvml, index),
        }
    };
    let mut found: Vec<_> = (0..count).map(gpu).collect();
    let parts: Vec<_> = found.iter().enumerate().flat_map(|(place, gpu)| parts(place, gpu)).collect();
    found.extend(parts.into_iter().zip(first_part..).map(|(part, number)| Found { number, ..part }));
    found
}

/// A GPU that is not to be opened now.
pub(super) fn asleep(index: u32, address: &str) -> Found {
    Found {
        number: index,
        place: Place::Gpu(index),
        named: Named::default(),
        address: address.to_owned(),
        state: State::Asleep,
    }
}

fn open(nvml: &'static Nvml, index: u32) -> Found {
    let place = Place::Gpu(index);
    let (named, address, state) = match place.find(nvml) {
        Ok(device) => {
            let address = device.pci_info().map(|pci| pci.bus_id).unwrap_or_default();
            (named(&device, None), address, State::Open(device))
        }
        Err(error) if fate(&error) == Fate::Never => {
            (Named::default(), String::new(), State::Closed(error.to_string()))
        }
        Err(_) => (Named::default(), String::new(), State::Lost),
    };
    Found { number: index, place, named, address, state }
}

/// The parts of the GPU at `place`, not yet numbered.
fn parts(place: usize, gpu: &Found) -> Vec<Found> {
    let (State::Open(device), Place::Gpu(index)) = (&gpu.state, gpu.place) else { return Vec::new() };
    if !device.mig_mode().is_ok_and(|mode| mode.current == 1) {
        return Vec::new();
    }
    // Not every place for a part has one.
    let part = |part| {
        let device = device.mig_device_by_index(part).ok()?;
        Some(Found {
            number: 0,
            place: Place::Instance { gpu: index, index: part },
            named: named(&device, Some(place)),
            address: gpu.address.clone(),
            state: State::Open(device),
        })
    };
    (0..device.mig_device_count().unwrap_or(0)).filter_map(part).collect()
}

fn named(device: &Device<'static>, instance_of: Option<usize>) -> Named {
    Named { uuid: device.uuid().unwrap_or_default(), name: device.name().unwrap_or_default(), instance_of }
}
