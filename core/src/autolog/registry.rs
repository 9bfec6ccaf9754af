//! Which integrations are linked, and how each is configured.
//!
//! As in MLflow a call of an integration's own `autolog_with` replaces that integration's configuration whenever it is
//! made, and the global call leaves such an integration alone, even if it is made later.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::options::AutologOptions;
use crate::notice;
use crate::sync::lock;

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
    /// Whether one was, ever.
    saw: AtomicBool,
}

inventory::collect!(&'static Integration);

impl Integration {
    /// An adapter called as its framework's main crate, such as `linfa`, for a version of it such as `0.8`. Another one
    /// does not compile with it.
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

    /// What to look at if a program trains and nothing is seen of it: the end of a sentence.
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

    pub(super) fn saw_a_training(&self) {
        self.saw.store(true, Ordering::Relaxed);
    }

    /// The configuration in force.
    pub(super) fn configuration(&self) -> Arc<Configuration> {
        lock(&CONFIGURATIONS).get(self.name).cloned().unwrap_or_default()
    }
}

/// How an integration is configured.
#[derive(Default)]
pub(super) struct Configuration {
    pub(super) options: AutologOptions,
    /// The options that only this integration has.
    pub(super) own: Option<Arc<dyn Any + Send + Sync>>,
    /// By the global call, which may replace it again.
    globally: bool,
}

static CONFIGURATIONS: Mutex<BTreeMap<&'static str, Arc<Configuration>>> = Mutex::new(BTreeMap::new());

/// Those that could not register themselves.
static REGISTERED: Mutex<Vec<&'static Integration>> = Mutex::new(Vec::new());

/// Makes an integration known where linking does not, as in some static libraries; call it before [`autolog`].
///
/// An integration that is known already stays known once.
pub fn register(integration: &'static Integration) {
    lock(&REGISTERED).push(integration);
}

/// Every known integration, by name.
pub fn integrations() -> Vec<&'static Integration> {
    let linked = inventory::iter::<&'static Integration>().copied();
    let mut known: Vec<&'static Integration> = linked.chain(lock(&REGISTERED).iter().copied()).collect();
    known.sort_by_key(|integration| integration.name);
    known.dedup_by_key(|integration| integration.name);
    known
}

/// Lets every linked framework record its trainings by itself, with MLflow's defaults.
///
/// Call it once, at startup.
pub fn autolog() {
    autolog_with(AutologOptions::new());
}

/// Lets every linked framework record its trainings by itself, as `options` say.
///
/// An integration that was configured by its own `autolog_with` is left alone.
pub fn autolog_with(options: AutologOptions) {
    let linked = integrations();
    if linked.is_empty() && !options.silent {
        notice::warn(
            "no-integrations",
            format_args!(
                "autolog() has no framework to record: enable the feature of yours in Cargo.toml, such as \
                 `runlog = {{ version = \"0.1\", features = [\"linfa\"] }}`"
            ),
        );
    }
    for name in &options.exclude {
        if !linked.iter().any(|integration| integration.name == name) && !options.silent {
            notice::warn(
                &format!("exclude: {name}"),
                format_args!("autologging was told to leave out `{name}`, but no integration has that name"),
            );
        }
    }
    let configuration = Arc::new(Configuration { options, own: None, globally: true });
    let mut configurations = lock(&CONFIGURATIONS);
    for integration in linked {
        let own = configurations.get(integration.name).is_some_and(|configured| !configured.globally);
        if own || configuration.options.exclude.iter().any(|name| name == integration.name) {
            continue;
        }
        integration.switch.store(!configuration.options.disable, Ordering::Release);
        configurations.insert(integration.name, Arc::clone(&configuration));
    }
}

/// Configures one integration, with the options that all share and those that only it has; what its `autolog_with`
/// calls. It wins over the global call, whenever that is made.
pub fn configure<O: Any + Send + Sync>(integration: &'static Integration, options: AutologOptions, own: O) {
    let mut configurations = lock(&CONFIGURATIONS);
    integration.switch.store(!options.disable, Ordering::Release);
    let configuration = Configuration { options, own: Some(Arc::new(own)), globally: false };
    configurations.insert(integration.name, Arc::new(configuration));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integration(name: &'static str) -> &'static Integration {
        Box::leak(Box::new(Integration::new(name, "0")))
    }

    #[test]
    fn an_own_call_replaces_the_whole_configuration() {
        let integration = integration("own");
        configure(integration, AutologOptions::new().log_models(false).exclusive(true), ());
        assert!(integration.is_on() && !integration.configuration().options.log_models);
        configure(integration, AutologOptions::new().log_datasets(false), ());
        assert!(
            integration.configuration().options.log_models && !integration.configuration().options.exclusive
        );
        configure(integration, AutologOptions::new().disable(true), ());
        assert!(!integration.is_on());
    }
}
