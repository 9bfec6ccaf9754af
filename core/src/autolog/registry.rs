//! Which integrations are linked, and how each is configured.
//!
//! As in MLflow a call of an integration's own `autolog_with` replaces that integration's configuration whenever it is
//! made, and the global call leaves such an integration alone, even if it is made later.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::options::AutologOptions;
use crate::notice;
use crate::sync::lock;

/// A framework adapter, as its crate registers it with [`inventory::submit!`].
///
/// Linking is not enough: an adapter that no path in the program mentions is not linked at all. The facade `runlog`
/// mentions each one under its feature.
#[derive(Debug)]
pub struct Integration {
    /// The name in options and tags, such as `linfa`.
    pub name: &'static str,
    /// The framework's version that the adapter is built for, such as `0.8`. Another one does not compile with it.
    pub framework_version: &'static str,
    /// Whether trainings are observed; it belongs to the registry.
    pub switch: &'static AtomicBool,
}

inventory::collect!(&'static Integration);

impl Integration {
    /// Whether trainings are observed: one atomic load.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.switch.load(Ordering::Acquire)
    }

    /// The configuration in force.
    pub(super) fn options(&self) -> Arc<AutologOptions> {
        lock(&CONFIGURATIONS)
            .get(self.name)
            .map(|configured| Arc::clone(&configured.options))
            .unwrap_or_default()
    }
}

struct Configured {
    options: Arc<AutologOptions>,
    /// By the global call, which may replace it again.
    globally: bool,
}

static CONFIGURATIONS: Mutex<BTreeMap<&'static str, Configured>> = Mutex::new(BTreeMap::new());

/// Every linked integration, by name.
pub fn integrations() -> Vec<&'static Integration> {
    let mut linked: Vec<&'static Integration> = inventory::iter::<&'static Integration>().copied().collect();
    linked.sort_by_key(|integration| integration.name);
    linked
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
    let options = Arc::new(options);
    let mut configurations = lock(&CONFIGURATIONS);
    for integration in linked {
        let own = configurations.get(integration.name).is_some_and(|configured| !configured.globally);
        if own || options.exclude.iter().any(|name| name == integration.name) {
            continue;
        }
        integration.switch.store(!options.disable, Ordering::Release);
        configurations.insert(integration.name, Configured { options: Arc::clone(&options), globally: true });
    }
}

/// Configures one integration; what its `autolog_with` calls. It wins over the global call, whenever that is made.
pub fn configure(integration: &'static Integration, options: AutologOptions) {
    let mut configurations = lock(&CONFIGURATIONS);
    integration.switch.store(!options.disable, Ordering::Release);
    configurations.insert(integration.name, Configured { options: Arc::new(options), globally: false });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integration(name: &'static str) -> &'static Integration {
        let switch = Box::leak(Box::new(AtomicBool::new(false)));
        Box::leak(Box::new(Integration { name, framework_version: "0", switch }))
    }

    #[test]
    fn an_own_call_replaces_the_whole_configuration() {
        let integration = integration("own");
        configure(integration, AutologOptions::new().log_models(false).exclusive(true));
        assert!(integration.is_on() && !integration.options().log_models);
        configure(integration, AutologOptions::new().log_datasets(false));
        assert!(integration.options().log_models && !integration.options().exclusive);
        configure(integration, AutologOptions::new().disable(true));
        assert!(!integration.is_on());
    }
}
