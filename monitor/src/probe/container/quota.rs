//! Quotas of processor time (the formats: the kernel's `admin-guide/cgroup-v2.rst`, `scheduler/sched-bwc.rst`).
//!
//! Invariant: a quota that cannot be read is a failure, not the absence of a quota.

use super::cgroup::{Level, Version};
use crate::probe::pseudo::{Pseudo, number, words};
use crate::probe::{ProbeError, corrupt, float};

/// The processor time that a cgroup may use in a time: `cpu.max` of v2, `cpu.cfs_quota_us` and
/// `cpu.cfs_period_us` of v1.
#[derive(Debug)]
pub(in crate::probe) struct Quota {
    quota: Pseudo,
    /// In v2 the other file has it.
    period: Option<Pseudo>,
}

impl Quota {
    /// The quota of `level`; `None` if it has none.
    pub(in crate::probe) fn open(version: Version, level: &Level) -> Result<Option<Self>, ProbeError> {
        let mut quota = match version {
            Version::One => {
                let [quota, period] = ["cpu.cfs_quota_us", "cpu.cfs_period_us"].map(|file| level.open(file));
                match (quota?, period?) {
                    (Some(quota), Some(period)) => Self { quota, period: Some(period) },
                    _ => return Ok(None),
                }
            }
            Version::Two => match level.open("cpu.max")? {
                Some(quota) => Self { quota, period: None },
                None => return Ok(None),
            },
        };
        Ok(quota.processors()?.is_some().then_some(quota))
    }

    /// As a number of processors; `None` where it was lifted.
    pub(in crate::probe) fn processors(&mut self) -> Result<Option<f64>, ProbeError> {
        let mut fields = words(self.quota.head()?);
        let (quota, period) = (fields.next(), fields.next());
        if matches!(quota, Some(b"max" | b"-1")) {
            return Ok(None);
        }
        let quota = quota.and_then(number);
        let period = match &mut self.period {
            Some(period) => words(period.head()?).next().and_then(number),
            None => period.and_then(number),
        };
        match (quota, period) {
            (Some(quota @ 1..), Some(period @ 1..)) => Ok(Some(float(quota) / float(period))),
            _ => Err(corrupt("a cgroup's quota of processor time has an unknown form")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::testing::write;

    fn quota(version: Version, files: &[(&str, &str)]) -> Result<Option<f64>, ProbeError> {
        let dir = tempfile::tempdir().unwrap();
        for (file, content) in files {
            write(&dir.path().join(file), content);
        }
        let level = Level { path: dir.path().to_owned(), name: "".into() };
        Quota::open(version, &level)?.map_or(Ok(None), |mut quota| quota.processors())
    }

    #[test]
    fn a_quota_is_a_number_of_processors() {
        let two = |content| quota(Version::Two, &[("cpu.max", content)]);
        assert_eq!(two("150000 100000\n").unwrap(), Some(1.5));
        assert_eq!(two("max 100000\n").unwrap(), None);
        let one = |quota_us, period_us| {
            quota(Version::One, &[("cpu.cfs_quota_us", quota_us), ("cpu.cfs_period_us", period_us)])
        };
        assert_eq!(one("50000\n", "100000\n").unwrap(), Some(0.5));
        assert_eq!(one("-1\n", "100000\n").unwrap(), None);
        assert_eq!(quota(Version::One, &[]).unwrap(), None);
        assert_eq!(quota(Version::Two, &[]).unwrap(), None);
        for bad in ["", "x 100000", "100000", "100000 0", "0 100000", "-2 100000"] {
            assert!(matches!(two(bad), Err(ProbeError::Failed(_))), "{bad:?}");
        }
        assert!(matches!(one("50000", "0"), Err(ProbeError::Failed(_))));
    }
}
