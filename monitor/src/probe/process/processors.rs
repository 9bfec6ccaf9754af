//! How many processors this process may use: what percentages of its processor time are of.
//!
//! It is the number of processors on which some thread of it may run, or the tightest quota of its cgroup and of those
//! above it where that is less. Threads are looked at when a run begins; quotas, which may be changed, at every sample.
//!
//! Invariant: never 0; a quota that cannot be read is a failure, not the absence of a quota.

use super::numbered::Numbered;
use crate::probe::container::{Cgroups, Quota};
use crate::probe::pseudo::{Pseudo, lines};
use crate::probe::{Machine, ProbeError, absent, corrupt, float};

/// Of this process.
#[derive(Debug)]
pub(super) struct Processors {
    allowed: f64,
    quotas: Vec<Quota>,
}

impl Processors {
    pub(super) fn open(machine: &Machine) -> Result<Self, ProbeError> {
        let mut quotas = Vec::new();
        if let Some(chain) = Cgroups::find(machine)?.chain("cpu") {
            for level in &chain.levels {
                quotas.extend(Quota::open(chain.version, level)?);
            }
        }
        Ok(Self { allowed: float(allowed(machine)?), quotas })
    }

    /// How many they are at the moment, in whole or part.
    pub(super) fn count(&mut self) -> Result<f64, ProbeError> {
        let mut count = self.allowed;
        for quota in &mut self.quotas {
            count = quota.processors()?.map_or(count, |processors| count.min(processors));
        }
        Ok(count)
    }
}

/// How many processors some thread of this process may run on; a library that binds each of its threads to one
/// processor binds the first thread too, so that one alone does not tell.
pub(in crate::probe) fn allowed(machine: &Machine) -> Result<u64, ProbeError> {
    let threads = Numbered::open(machine.proc.join("self/task"))?;
    let (mut ids, mut buffer) = (Vec::new(), Vec::new());
    threads.list(|id| ids.push(id))?;
    let mut masks = Masks::default();
    for id in ids {
        if let Some(status) = threads.read(format_args!("{id}/status"), &mut buffer)? {
            masks.add(status)?;
        }
    }
    let count = match masks.count() {
        0 => listed(Pseudo::open(machine.proc.join("stat"))?.whole()?),
        count => count,
    };
    if count == 0 {
        return Err(absent("the system does not say which processors this process may use"));
    }
    Ok(count)
}

/// The processors of the machine, from `/proc/stat`: for systems that say nothing of a single process.
fn listed(stat: &[u8]) -> u64 {
    let is_one = |line: &&[u8]| line.strip_prefix(b"cpu").is_some_and(|rest| rest.first() != Some(&b' '));
    u64::try_from(lines(stat).filter(is_one).count()).unwrap_or(u64::MAX)
}

/// The processors of several threads, from the last group of 32 to the first, as `Cpus_allowed` of
/// `/proc/<pid>/status` has them.
#[derive(Debug, Default)]
struct Masks(Vec<u32>);

impl Masks {
    fn add(&mut self, status: &[u8]) -> Result<(), ProbeError> {
        let Some(mask) = lines(status).find_map(|line| line.strip_prefix(b"Cpus_allowed:")) else {
            return Ok(());
        };
        for (place, group) in mask.trim_ascii().rsplit(|byte| *byte == b',').enumerate() {
            let group = str::from_utf8(group).ok().and_then(|group| u32::from_str_radix(group, 16).ok());
            let group = group.ok_or_else(|| corrupt("/proc/<pid>/status has an unknown form"))?;
            match self.0.get_mut(place) {
                Some(all) => *all |= group,
                None => self.0.push(group),
            }
        }
        Ok(())
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|group| u64::from(group.count_ones())).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::probe::testing::{empty, write};

    /// A machine with these masks of threads.
    fn threads(dir: &std::path::Path, masks: &[&str]) -> Machine {
        let machine = empty(dir);
        std::fs::create_dir_all(machine.proc.join("self/task")).unwrap();
        for (id, mask) in masks.iter().enumerate() {
            let status = format!("Name:\tx\nCpus_allowed:\t{mask}\nCpus_allowed_list:\t0-99\n");
            write(&machine.proc.join(format!("self/task/{}/status", id + 1)), &status);
        }
        write(&machine.proc.join("stat"), "cpu  1 1 1 1\ncpu0 1 1 1 1\ncpu1 1 1 1 1\nintr 5\n");
        machine
    }

    #[test]
    fn processors_are_those_of_all_threads() {
        for (masks, expected) in [
            (&["f"] as &[&str], 4),
            (&["1", "2", "4", "8"], 4),
            (&["00000001,00000000", "3"], 3),
            (&["ffffffff,ffffffff,ffffffff,ffffffff"], 128),
            (&["0"], 2),
            (&[], 2),
        ] {
            let dir = tempfile::tempdir().unwrap();
            assert_eq!(allowed(&threads(dir.path(), masks)).unwrap(), expected, "{masks:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(allowed(&threads(dir.path(), &["x"])), Err(ProbeError::Failed(_))));
    }

    #[test]
    fn a_system_that_says_nothing_of_processors_has_no_percentage_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let machine = threads(dir.path(), &[]);
        write(&machine.proc.join("stat"), "intr 5\n");
        assert!(matches!(allowed(&machine), Err(ProbeError::Absent(_))));
    }

    #[test]
    fn this_process_may_use_what_the_system_says() {
        let allowed = allowed(&Machine::default()).unwrap();
        let ours = std::thread::available_parallelism().unwrap().get();
        assert!(allowed >= ours as u64 && allowed <= 1 << 16, "{allowed}, {ours}");
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_do_not(bytes: Vec<u8>) {
            let _outcome = Masks::default().add(&[b"Cpus_allowed:\t", &bytes[..]].concat());
            let _listed = listed(&bytes);
        }
    }
}
