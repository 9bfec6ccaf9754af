//! What an adapter tells of itself, and whether its framework is the one that it was tested with.

use std::sync::atomic::{AtomicBool, Ordering};

use semver::Version;

use crate::build;

/// A framework adapter, as its crate registers it with [`inventory::submit!`].
///
/// ```
/// use runlog_core::autolog::Integration;
///
/// static INTEGRATION: Integration = Integration::new("linfa", "0.8").tested("0.8.0", "0.8.1");
/// # let _ = &INTEGRATION;
/// ```
///
/// Linking is not enough: an adapter that no path in the program mentions is not linked at all. The facade `runlog`
/// mentions each one under its feature.
#[derive(Debug)]
pub struct Integration {
    name: &'static str,
    framework_version: &'static str,
    tested: Option<(&'static str, &'static str)>,
    unseen: &'static str,
    /// Whether trainings are observed.
    switch: AtomicBool,
    /// Whether one was, since that was switched on.
    saw: AtomicBool,
}

inventory::collect!(&'static Integration);

impl Integration {
    /// An adapter called as its framework, such as `linfa`, for a version of it such as `0.8`. Another one does not
    /// compile with it.
    pub const fn new(name: &'static str, framework_version: &'static str) -> Self {
        Self {
            name,
            framework_version,
            tested: None,
            unseen: "",
            switch: AtomicBool::new(false),
            saw: AtomicBool::new(false),
        }
    }

    /// The oldest and the newest release of the framework that the adapter is tested with.
    #[must_use]
    pub const fn tested(self, oldest: &'static str, newest: &'static str) -> Self {
        Self { tested: Some((oldest, newest)), ..self }
    }

    /// What to look at if a program trains and nothing is seen of it: a sentence without its full stop.
    #[must_use]
    pub const fn unseen(self, likely_cause: &'static str) -> Self {
        Self { unseen: likely_cause, ..self }
    }

    /// The name in options and tags, such as `linfa`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The framework's version that the adapter is built for, such as `0.8`.
    pub fn framework_version(&self) -> &'static str {
        self.framework_version
    }

    /// Whether trainings are observed: one atomic load.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.switch.load(Ordering::Acquire)
    }

    pub(super) fn switch(&self, on: bool) {
        if on && !self.is_on() {
            self.saw.store(false, Ordering::Relaxed);
        }
        self.switch.store(on, Ordering::Release);
    }

    pub(super) fn saw_a_training(&self) {
        self.saw.store(true, Ordering::Relaxed);
    }

    /// Whether a training was seen since this was switched on.
    pub(super) fn has_seen_a_training(&self) -> bool {
        self.saw.load(Ordering::Relaxed)
    }

    pub(super) fn likely_cause(&self) -> &'static str {
        self.unseen
    }

    /// The oldest and the newest release of the framework that the adapter is tested with, if it says so.
    pub fn tested_versions(&self) -> Option<(&'static str, &'static str)> {
        self.tested
    }

    /// The framework's exact version in this program; `None` where that is not certain.
    pub fn linked_version(&self) -> Option<&'static str> {
        // candle is several crates of one version.
        build::version_of(self.name).or_else(|| build::version_of(&format!("{}-core", self.name)))
    }

    /// What to say if this program has a version of the framework that the adapter is not tested with; `None` if it
    /// has a tested one, or which one it has is not known.
    pub fn untested(&self) -> Option<String> {
        self.untested_with(self.linked_version()?)
    }

    fn untested_with(&self, version: &str) -> Option<String> {
        let (oldest, newest) = self.tested?;
        let [oldest_tested, newest_tested, here] =
            [oldest, newest, version].map(|version| Version::parse(version).ok());
        let (oldest_tested, newest_tested, here) = (oldest_tested?, newest_tested?, here?);
        let is_tested =
            here.cmp_precedence(&oldest_tested).is_ge() && here.cmp_precedence(&newest_tested).is_le();
        let tested = if oldest == newest { oldest.to_owned() } else { format!("{oldest} to {newest}") };
        (!is_tested).then(|| {
            format!(
                "autologging is tested with {name} {tested}, and this program has {version}",
                name = self.name
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_tested_if_it_lies_in_the_range_as_semver_orders_versions() {
        let integration = Integration::new("linfa", "0.8").tested("0.8.0", "0.8.10");
        for tested in ["0.8.0", "0.8.2", "0.8.10", "0.8.10-rc.1", "0.8.10+local", "0.8.0+x"] {
            assert_eq!(integration.untested_with(tested), None, "{tested}");
        }
        for untested in ["0.8.0-rc.1", "0.7.9", "0.8.11", "0.9.0", "1.0.0"] {
            let why = integration.untested_with(untested).unwrap();
            assert!(why.contains("0.8.0 to 0.8.10") && why.contains(untested), "{why}");
        }
        assert_eq!(integration.untested_with("not a version"), None);
        assert_eq!(Integration::new("linfa", "0.8").untested_with("9.0.0"), None, "it says nothing of tests");
        let one =
            Integration::new("burn", "0.22").tested("0.22.1", "0.22.1").untested_with("0.22.2").unwrap();
        assert!(one.contains("tested with burn 0.22.1, and"), "{one}");
    }

    #[test]
    fn the_version_is_the_one_that_is_linked() {
        let linked = build::version_of("semver").unwrap();
        assert_eq!(Integration::new("semver", "1").tested("1.0.0", linked).untested(), None);
        assert!(Integration::new("semver", "1").tested("0.1.0", "0.2.0").untested().is_some());
        assert_eq!(Integration::new("no-such-crate", "1").tested("0.1.0", "0.2.0").untested(), None);
    }
}
