//! Which GPUs the training process may use, by `CUDA_VISIBLE_DEVICES`, `CUDA_DEVICE_ORDER` and `NVIDIA_VISIBLE_DEVICES`.
//!
//! Invariant: the list is read as CUDA reads it (CUDA C++ Programming Guide, "CUDA Environment Variables"): the first
//! entry that names no device ends it.

/// The variables, each `None` where it is not set; an empty one says something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Variables<'a> {
    pub(super) cuda: Option<&'a str>,
    pub(super) order: Option<&'a str>,
    /// Set by container runtimes. Only its unique names are listened to: its numbers are those outside the container.
    pub(super) container: Option<&'a str>,
}

/// A device as the variables may name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// `GPU-…` or `MIG-…`; empty while the device sleeps.
    pub(super) uuid: String,
    pub(super) name: String,
    /// The place of the GPU that this is an instance of.
    pub(super) instance_of: Option<usize>,
}

/// The places of the visible devices, in order of `devices`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Visible {
    pub(super) places: Vec<usize>,
    /// Whether CUDA's numbers are surely those of the driver. Without `CUDA_DEVICE_ORDER=PCI_BUS_ID` CUDA puts the
    /// fastest of unlike cards first.
    pub(super) is_certain: bool,
}

/// Which of `devices`, GPUs first and in the driver's order, are visible.
pub(super) fn visible(variables: Variables<'_>, devices: &[Named]) -> Visible {
    let mut is_certain = true;
    let mut places: Vec<usize> = match variables.cuda {
        None => (0..devices.len()).collect(),
        Some(list) => {
            let (places, by_number) = named(list, devices);
            is_certain = !by_number || variables.order == Some("PCI_BUS_ID") || are_alike(devices);
            places
        }
    };
    if let Some(allowed) = variables.container.and_then(|list| allowed(list, devices)) {
        places.retain(|place| allowed.contains(place));
    }
    places.sort_unstable();
    Visible { places, is_certain }
}

/// The places that the list names, and whether by number.
fn named(list: &str, devices: &[Named]) -> (Vec<usize>, bool) {
    let (mut places, mut by_number) = (Vec::new(), false);
    for entry in list.split(',').map(str::trim) {
        let place = if entry.starts_with("GPU-") || entry.starts_with("MIG-") {
            by_uuid(entry, devices)
        } else {
            by_number = true;
            let gpus = devices.iter().filter(|device| device.instance_of.is_none()).count();
            entry.parse().ok().filter(|place| *place < gpus)
        };
        let Some(place) = place else { break };
        places.extend(
            with_instances(place, devices).filter(|place| !places.contains(place)).collect::<Vec<_>>(),
        );
    }
    (places, by_number)
}

/// A unique name may be shortened as long as it is one device's only.
fn by_uuid(start: &str, devices: &[Named]) -> Option<usize> {
    let mut matching = devices
        .iter()
        .enumerate()
        .filter(|(_, device)| device.uuid.starts_with(start))
        .map(|(place, _)| place);
    matching.next().filter(|_| matching.next().is_none())
}

/// A GPU is visible with the instances that it is divided into.
fn with_instances(place: usize, devices: &[Named]) -> impl Iterator<Item = usize> {
    let instances = devices.iter().enumerate().filter(move |(_, device)| device.instance_of == Some(place));
    std::iter::once(place).chain(instances.map(|(place, _)| place))
}

/// The places that a container's runtime allows by unique name; `None` if it names none.
fn allowed(list: &str, devices: &[Named]) -> Option<Vec<usize>> {
    let entries =
        list.split(',').map(str::trim).filter(|entry| entry.starts_with("GPU-") || entry.starts_with("MIG-"));
    let places: Vec<_> = entries.filter_map(|entry| by_uuid(entry, devices)).collect();
    let places: Vec<_> = places.into_iter().flat_map(|place| with_instances(place, devices)).collect();
    (!places.is_empty()).then_some(places)
}

fn are_alike(devices: &[Named]) -> bool {
    let mut gpus = devices.iter().filter(|device| device.instance_of.is_none());
    let first = gpus.next();
    gpus.all(|gpu| Some(&gpu.name) == first.map(|first| &first.name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gpu(uuid: &str, name: &str) -> Named {
        Named { uuid: uuid.to_owned(), name: name.to_owned(), instance_of: None }
    }

    fn four() -> Vec<Named> {
        ["GPU-aa11", "GPU-aa22", "GPU-bb33", "GPU-cc44"].map(|uuid| gpu(uuid, "H100")).to_vec()
    }

    fn places(list: &str) -> Vec<usize> {
        visible(Variables { cuda: Some(list), ..Variables::default() }, &four()).places
    }

    #[test]
    fn the_list_is_read_as_cuda_reads_it() {
        for (list, expected) in [
            ("0,1,2,3", &[0, 1, 2, 3][..]),
            ("2", &[2]),
            ("3,1", &[1, 3]),
            (" 1 , 2 ", &[1, 2]),
            ("1,1", &[1]),
            ("", &[]),
            ("-1", &[]),
            ("1,-1,2", &[1]),
            ("1,x,2", &[1]),
            ("0,4,1", &[0]),
            ("GPU-bb", &[2]),
            ("GPU-cc44,0", &[0, 3]),
            ("GPU-aa", &[]),
            ("GPU-dd,0", &[]),
            ("0,GPU-aa,1", &[0]),
            ("NoDevFiles", &[]),
        ] {
            assert_eq!(places(list), expected, "{list:?}");
        }
        assert_eq!(visible(Variables::default(), &four()).places, [0, 1, 2, 3]);
    }

    #[test]
    fn numbers_are_certain_where_no_card_can_be_faster_or_the_order_is_said() {
        let unlike = [gpu("GPU-a", "T4"), gpu("GPU-b", "H100")];
        let certain = |cuda, order, devices: &[Named]| {
            visible(Variables { cuda: Some(cuda), order, container: None }, devices).is_certain
        };
        assert!(certain("0", None, &four()));
        assert!(certain("GPU-b", None, &unlike));
        assert!(certain("0", Some("PCI_BUS_ID"), &unlike));
        assert!(!certain("0", None, &unlike));
        assert!(!certain("0", Some("FASTEST_FIRST"), &unlike));
    }

    #[test]
    fn a_gpu_brings_its_instances_and_an_instance_comes_alone() {
        let instance = |uuid: &str, of| Named { instance_of: Some(of), ..gpu(uuid, "1g.5gb") };
        let devices =
            [gpu("GPU-a", "A100"), gpu("GPU-b", "A100"), instance("MIG-x", 0), instance("MIG-y", 0)];
        let places = |list| visible(Variables { cuda: Some(list), ..Variables::default() }, &devices).places;
        assert_eq!(places("0"), [0, 2, 3]);
        assert_eq!(places("1"), [1]);
        assert_eq!(places("MIG-y"), [3]);
        assert_eq!(places("2"), [0; 0], "instances have no numbers");
    }

    #[test]
    fn a_container_allows_by_unique_name_only() {
        let places = |cuda, container| {
            visible(Variables { cuda, order: None, container: Some(container) }, &four()).places
        };
        assert_eq!(places(None, "GPU-bb33,GPU-cc44"), [2, 3]);
        assert_eq!(places(Some("0,2"), "GPU-bb33,GPU-cc44"), [2]);
        for says_nothing in ["all", "2,3", "void", "", "GPU-other"] {
            assert_eq!(places(None, says_nothing), [0, 1, 2, 3], "{says_nothing:?}");
        }
    }

    proptest! {
        #[test]
        fn any_list_names_devices_that_there_are(list in "[-0-9a-zA-Z, ]{0,40}", container: Option<String>) {
            let variables = Variables { cuda: Some(&list), order: None, container: container.as_deref() };
            let visible = visible(variables, &four());
            prop_assert!(visible.places.iter().all(|place| *place < 4));
            prop_assert!(visible.places.is_sorted());
        }
    }
}
