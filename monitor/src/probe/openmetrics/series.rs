//! What a series of another program is called here.
//!
//! Invariants: the same series has the same name in every scrape and every run; a name is one that MLflow takes.

use std::fmt::Write as _;

use super::exposition::Sample;
use crate::registry::NAME_CHARS_MAX;

/// What tells series apart: the name and all labels.
pub(super) fn identity(sample: &Sample<'_>, identity: &mut String) {
    identity.clear();
    identity.push_str(sample.name);
    for (label, value) in &sample.labels {
        // Neither can be part of a label's name.
        identity.extend(['\0', '=']);
        identity.push_str(label);
        identity.push('=');
        identity.push_str(value);
    }
}

/// The name of a series below `prefix`: `queue_length node.3 kind.train`. Of the labels only those named in `labels`, or
/// all if there is no such list.
pub(super) fn name(prefix: &str, sample: &Sample<'_>, labels: Option<&[String]>) -> String {
    let mut name = format!("{prefix}{}", sample.name);
    if cfg!(windows) {
        // No colon can be in a file's name there, and so in no key of MLflow's.
        name = name.replace(':', "_");
    }
    for (label, value) in &sample.labels {
        if labels.is_none_or(|labels| labels.iter().any(|wanted| wanted == label)) {
            name.extend([' ']);
            name.push_str(label);
            name.push('.');
            name.extend(value.chars().map(|c| if plain(c) { c } else { '_' }));
        }
    }
    if name.len() <= NAME_CHARS_MAX { name } else { shortened(&name, sample) }
}

/// A name that another series has already, made its own by a digest of the labels.
pub(super) fn shortened(name: &str, sample: &Sample<'_>) -> String {
    let mut digested = String::new();
    identity(sample, &mut digested);
    let mut ending = String::new();
    write!(ending, " {:08x}", fnv1a(digested.as_bytes())).unwrap_or_default();
    // Cut between characters; a prefix may have any letter.
    let room = NAME_CHARS_MAX - ending.len();
    let end = (0..=room.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    format!("{}{ending}", name.get(..end).unwrap_or_default())
}

fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// FNV-1a of 32 bits (Fowler, Noll, Vo): a few hundred names need no better digest, and this one never changes.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use runlog_core::validate;

    use super::*;
    use crate::probe::openmetrics::exposition::Shape;

    fn sample<'a>(name: &'a str, labels: &[(&'a str, &'a str)]) -> Sample<'a> {
        let labels: BTreeMap<_, _> =
            labels.iter().map(|(name, value)| (*name, Cow::Borrowed(*value))).collect();
        Sample { name, labels, value: 1.0, shape: Shape::Gauge }
    }

    #[test]
    fn labels_stand_in_the_name_in_mlflows_alphabet() {
        let gpu = sample(
            "DCGM_FI_DEV_GPU_UTIL",
            &[("gpu", "0"), ("modelName", "NVIDIA H100 80GB"), ("pci", "0:1.0")],
        );
        assert_eq!(
            name("dcgm/", &gpu, None),
            "dcgm/DCGM_FI_DEV_GPU_UTIL gpu.0 modelName.NVIDIA_H100_80GB pci.0_1.0"
        );
        assert_eq!(name("", &gpu, Some(&["gpu".to_owned()])), "DCGM_FI_DEV_GPU_UTIL gpu.0");
        assert_eq!(name("", &gpu, Some(&[])), "DCGM_FI_DEV_GPU_UTIL");
    }

    #[test]
    fn a_digest_is_the_one_that_is_published() {
        assert_eq!([fnv1a(b""), fnv1a(b"a"), fnv1a(b"foobar")], [0x811c_9dc5, 0xe40c_292c, 0xbf9c_f968]);
    }

    proptest! {
        #[test]
        fn a_name_is_always_one_that_mlflow_takes(
            prefix in "[a-zäß]{0,30}/?",
            of in "[a-zA-Z_][a-zA-Z0-9_]{0,150}",
            labels in proptest::collection::vec(("[a-z_]{1,9}", "\\PC{0,60}"), 0..5),
        ) {
            let prefix = if prefix == "/" { "" } else { &*prefix };
            let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let sample = sample(&of, &labels);
            for name in [name(prefix, &sample, None), shortened(&name(prefix, &sample, None), &sample)] {
                prop_assert!(name.len() <= NAME_CHARS_MAX, "{name}");
                prop_assert!(validate::key(&name).is_ok(), "{name}");
            }
        }
    }
}
