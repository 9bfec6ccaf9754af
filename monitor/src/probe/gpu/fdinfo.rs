//! One descriptor's account of its client on a graphics card: the lines `drm-*` of `/proc/<pid>/fdinfo/<fd>`.
//!
//! Invariant: a line that we need and cannot read is an error, never a number; lines that we do not know are passed over.
//!
//! Source: Documentation/gpu/drm-usage-stats.rst. Engines that run kernels are called `gfx` and `compute` by amdgpu,
//! `render` and `compute` by i915, `rcs` and `ccs` by xe. A card's own memories are `vram` (amdgpu), `vram0` and on (xe),
//! `local0` and on (i915); `drm-memory-` is the older word for `drm-resident-`.

use super::card::Address;
use crate::probe::pseudo::{lines, number, words};
use crate::probe::{ProbeError, corrupt};

/// The kinds of engines that run kernels, by the names that drivers give them.
const KINDS: [&[&[u8]]; 2] = [&[b"gfx", b"render", b"rcs"], &[b"compute", b"ccs"]];

/// What one client has done and holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::probe) struct Account {
    pub(in crate::probe) address: Address,
    /// Unique on its card.
    pub(in crate::probe) client: u64,
    /// Render and compute.
    pub(in crate::probe) engines: [Engine; KINDS.len()],
    /// Memory of the card; `None` where it has none of its own.
    pub(in crate::probe) memory_bytes: Option<u64>,
}

/// What one client has done on the engines of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::probe) struct Engine {
    /// Nanoseconds at work, all engines of the kind together.
    pub(in crate::probe) nanos: Option<u64>,
    /// The same in the card's own clock.
    pub(in crate::probe) cycles: Option<u64>,
    /// What that clock says now.
    pub(in crate::probe) total_cycles: Option<u64>,
    /// Engines of the kind; `None` is one.
    pub(in crate::probe) capacity: Option<u64>,
}

/// Reads a file of fdinfo; `None` if it is not that of a card on PCI.
///
/// # Errors
/// A line that should hold a number and does not.
pub(in crate::probe) fn parse(text: &[u8]) -> Result<Option<Account>, ProbeError> {
    let (mut address, mut client) = (None, None);
    let mut engines = [Engine::default(); KINDS.len()];
    let (mut resident, mut older) = (None, None);
    for line in lines(text) {
        let Some((key, value)) = entry(line) else { continue };
        if key == b"drm-pdev" {
            address = Some(Address::parse(value).ok_or_else(bad)?);
        } else if key == b"drm-client-id" {
            client = Some(number(value).ok_or_else(bad)?);
        } else if key.strip_prefix(b"drm-resident-").is_some_and(is_own) {
            add(&mut resident, bytes(value))?;
        } else if key.strip_prefix(b"drm-memory-").is_some_and(is_own) {
            add(&mut older, bytes(value))?;
        } else if let Some(slot) = slot(key, &mut engines) {
            *slot = Some(words(value).next().and_then(number).ok_or_else(bad)?);
        }
    }
    if engines.iter().any(|engine| engine.capacity == Some(0)) {
        return Err(bad());
    }
    let memory_bytes = resident.or(older);
    Ok(address.zip(client).map(|(address, client)| Account { address, client, engines, memory_bytes }))
}

fn bad() -> ProbeError {
    corrupt("the kernel's account of a client of a GPU cannot be read")
}

/// The key of a line and what it is.
fn entry(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, value) = line.split_at_checked(line.iter().position(|byte| *byte == b':')?)?;
    Some((key, value.get(1..)?.trim_ascii()))
}

/// Whether a memory is on the card.
fn is_own(region: &[u8]) -> bool {
    let number = region.strip_prefix(b"vram").or_else(|| region.strip_prefix(b"local"));
    number.is_some_and(|number| number.iter().all(u8::is_ascii_digit))
}

fn bytes(value: &[u8]) -> Option<u64> {
    let mut words = words(value);
    let count = words.next().and_then(number)?;
    match words.next() {
        None => Some(count),
        Some(b"KiB") => count.checked_mul(1 << 10),
        Some(b"MiB") => count.checked_mul(1 << 20),
        Some(_) => None,
    }
}

fn add(sum: &mut Option<u64>, more: Option<u64>) -> Result<(), ProbeError> {
    let all = more.and_then(|more| sum.unwrap_or(0).checked_add(more));
    *sum = Some(all.ok_or_else(bad)?);
    Ok(())
}

/// Where the number of a line about an engine belongs.
fn slot<'a>(key: &[u8], engines: &'a mut [Engine; KINDS.len()]) -> Option<&'a mut Option<u64>> {
    let of = |prefix: &[u8]| {
        let name = key.strip_prefix(prefix)?;
        KINDS.iter().position(|names| names.contains(&name))
    };
    // The longer key first: `drm-engine-` begins it too.
    if let Some(kind) = of(b"drm-engine-capacity-") {
        Some(&mut engines.get_mut(kind)?.capacity)
    } else if let Some(kind) = of(b"drm-engine-") {
        Some(&mut engines.get_mut(kind)?.nanos)
    } else if let Some(kind) = of(b"drm-cycles-") {
        Some(&mut engines.get_mut(kind)?.cycles)
    } else {
        Some(&mut engines.get_mut(of(b"drm-total-cycles-")?)?.total_cycles)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn account(text: &str) -> Account {
        parse(text.as_bytes()).unwrap().unwrap()
    }

    const XE: &str = "pos:\t0\nflags:\t0100002\nmnt_id:\t26\nino:\t685\ndrm-driver:\txe\ndrm-client-id:\t3\n\
        drm-pdev:\t0000:03:00.0\ndrm-total-system:\t0\ndrm-resident-gtt:\t192 KiB\n\
        drm-total-vram0:\t23992 KiB\ndrm-resident-vram0:\t20 MiB\ndrm-resident-vram1:\t1 KiB\n\
        drm-cycles-rcs:\t28257900\ndrm-total-cycles-rcs:\t7655183225\ndrm-cycles-bcs:\t7\n\
        drm-cycles-ccs:\t5\ndrm-total-cycles-ccs:\t7655183225\ndrm-engine-capacity-ccs:\t4\n";

    #[test]
    fn an_account_of_xe() {
        let account = account(XE);
        assert_eq!(account.address, Address::parse(b"0000:03:00.0").unwrap());
        assert_eq!((account.client, account.memory_bytes), (3, Some((20 << 20) + 1024)));
        let engine = |cycles, capacity| Engine {
            nanos: None,
            cycles: Some(cycles),
            total_cycles: Some(7_655_183_225),
            capacity,
        };
        assert_eq!(account.engines, [engine(28_257_900, None), engine(5, Some(4))]);
    }

    #[test]
    fn an_account_of_amdgpu_may_have_its_memory_under_both_words() {
        let account = account(
            "drm-driver:\tamdgpu\ndrm-client-id:\t12\ndrm-pdev:\t0000:0a:00.0\npasid:\t32771\n\
             drm-memory-vram:\t768 KiB\ndrm-resident-vram:\t512 KiB\ndrm-memory-gtt:\t99 KiB\n\
             drm-engine-gfx:\t1000 ns\ndrm-engine-compute:\t2000 ns\ndrm-engine-dec:\t4 ns\n",
        );
        assert_eq!(account.memory_bytes, Some(512 << 10));
        assert_eq!(account.engines.map(|engine| engine.nanos), [Some(1000), Some(2000)]);
    }

    #[test]
    fn a_gpu_without_memory_of_its_own_has_no_account_of_it() {
        let account = account(
            "drm-driver: i915\ndrm-pdev: 0000:00:02.0\ndrm-client-id: 7\ndrm-resident-system0: 4 MiB\n\
             drm-engine-render: 9 ns\ndrm-engine-capacity-video: 2\n",
        );
        assert_eq!((account.memory_bytes, account.engines[0].nanos), (None, Some(9)));
    }

    #[test]
    fn other_files_have_no_account_and_garbage_is_an_error() {
        for other in ["", "pos:\t0\nflags:\t02\n", "drm-driver:\tv3d\ndrm-client-id:\t1\n", "drm-pdev", ":"] {
            assert_eq!(parse(other.as_bytes()).unwrap(), None, "{other:?}");
        }
        for bad in [
            "drm-pdev: 0000:00",
            "drm-client-id: -1",
            "drm-engine-gfx: x ns",
            "drm-cycles-rcs:",
            "drm-resident-vram0: 5 parsecs",
            "drm-resident-vram0: 99999999999999999999",
            "drm-memory-vram: 18446744073709551615 MiB",
            "drm-resident-local0: 18446744073709551615\ndrm-resident-local1: 1",
            "drm-engine-capacity-ccs: 0",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_do_not(bytes: Vec<u8>) {
            let _parsed = parse(&bytes);
        }

        #[test]
        fn one_changed_byte_is_another_account_or_an_error(place in 0..XE.len(), byte: u8) {
            let mut text = XE.as_bytes().to_vec();
            text[place] = byte;
            if let Ok(Some(account)) = parse(&text) {
                prop_assert!(account.engines.iter().all(|engine| engine.capacity != Some(0)));
            }
        }
    }
}
