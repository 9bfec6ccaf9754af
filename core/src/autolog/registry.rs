//! Which integrations are known, and how each is configured.
//!
//! As in MLflow a call of an integration's own `autolog_with` replaces that integration's configuration whenever it is
//! made, and the global call leaves such an integration alone, even if it is made later.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use super::integration::Integration;
use super::options::AutologOptions;
use crate::notice;
use crate::sync::lock;

/// How an integration is configured.
#[derive(Default)]
pub(super) struct Configuration {
    pub(super) options: AutologOptions,
    /// The options that only this integration has.
    pub(super) own: Option<Arc<dyn Any + Send + Sync>>,
    /// By the global call, which may replace it again.
    globally: bool,
}

struct Registry {
    /// Those that could not register themselves.
    registered: Vec<&'static Integration>,
    /// What the global call said last, for those that become known later.
    global: Option<Arc<Configuration>>,
    configurations: BTreeMap<&'static str, Arc<Configuration>>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry::new());

/// What is to be said to the user; not before the registry is unlocked, since whoever listens may call us.
type Warnings = Vec<String>;

impl Registry {
    const fn new() -> Self {
        Self { registered: Vec::new(), global: None, configurations: BTreeMap::new() }
    }

    fn known(&self) -> Vec<&'static Integration> {
        let linked = inventory::iter::<&'static Integration>().copied();
        let mut known: Vec<&'static Integration> = linked.chain(self.registered.iter().copied()).collect();
        known.sort_by_key(|integration| integration.name());
        known.dedup_by_key(|integration| integration.name());
        known
    }

    fn register(&mut self, integration: &'static Integration) -> Warnings {
        let mut warnings = Warnings::new();
        if self.known().iter().any(|known| known.name() == integration.name()) {
            return warnings;
        }
        self.registered.push(integration);
        if let Some(global) = self.global.clone() {
            self.put_globally(integration, &global, &mut warnings);
        }
        warnings
    }

    fn configure_all(&mut self, mut options: AutologOptions) -> Warnings {
        let mut warnings = Warnings::new();
        warnings.extend(options.drop_reserved_tags());
        let known = self.known();
        if known.is_empty() {
            warnings.push(
                "autolog() has no framework to record: enable the feature of yours in Cargo.toml, such as \
                 `runlog = { version = \"0.1\", features = [\"linfa\"] }`"
                    .to_owned(),
            );
        }
        let is_unknown = |name: &&String| !known.iter().any(|integration| integration.name() == *name);
        warnings.extend(options.exclude.iter().filter(is_unknown).map(|name| {
            format!("autologging was told to leave out `{name}`, but no integration has that name")
        }));
        let global = Arc::new(Configuration { options, own: None, globally: true });
        self.global = Some(Arc::clone(&global));
        for integration in known {
            self.put_globally(integration, &global, &mut warnings);
        }
        if global.options.silent { Warnings::new() } else { warnings }
    }

    fn configure(&mut self, integration: &'static Integration, mut configuration: Configuration) -> Warnings {
        let mut warnings = Warnings::new();
        warnings.extend(configuration.options.drop_reserved_tags());
        self.put(integration, Arc::new(configuration), &mut warnings);
        warnings
    }

    /// Puts the configuration of the global call in force, unless the integration has its own or is excluded.
    fn put_globally(
        &mut self,
        integration: &'static Integration,
        global: &Arc<Configuration>,
        warnings: &mut Warnings,
    ) {
        let name = integration.name();
        let own = self.configurations.get(name).is_some_and(|configured| !configured.globally);
        if !own && !global.options.exclude.iter().any(|excluded| excluded == name) {
            self.put(integration, Arc::clone(global), warnings);
        }
    }

    fn put(
        &mut self,
        integration: &'static Integration,
        configuration: Arc<Configuration>,
        warnings: &mut Warnings,
    ) {
        let options = &configuration.options;
        let untested = (!options.disable).then(|| integration.untested()).flatten();
        let off = options.disable || (untested.is_some() && options.disable_for_unsupported_versions);
        if let Some(untested) = untested.filter(|_| !options.silent) {
            let so = if off {
                "it is off, as `disable_for_unsupported_versions` asks"
            } else {
                "it is on, and may miss something"
            };
            warnings.push(format!("{untested}: {so}"));
        }
        self.configurations.insert(integration.name(), configuration);
        integration.switch(!off);
    }
}

impl Integration {
    /// The configuration in force.
    pub(super) fn configuration(&self) -> Arc<Configuration> {
        lock(&REGISTRY).configurations.get(self.name()).cloned().unwrap_or_default()
    }

    /// Says that less is recorded than could be, once per `kind` in a process; nothing if this integration is to be
    /// silent. For what is seen outside of any training: a [`Recorder`](super::Recorder) says the rest.
    pub fn warn(&self, kind: &str, message: fmt::Arguments<'_>) {
        notice::silenced(self.configuration().options.silent, || notice::warn(kind, message));
    }
}

/// Makes an integration known where linking does not, as in some static libraries.
///
/// One that is known already stays known once. One that becomes known after [`autolog`] was called is configured as
/// that call said.
pub fn register(integration: &'static Integration) {
    let warnings = lock(&REGISTRY).register(integration);
    tell(warnings);
}

/// Every known integration, by name.
pub fn integrations() -> Vec<&'static Integration> {
    lock(&REGISTRY).known()
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
    let warnings = lock(&REGISTRY).configure_all(options);
    tell(warnings);
}

/// Configures one integration, with the options that all share and those that only it has; what its `autolog_with`
/// calls. It wins over the global call, whenever that is made.
pub fn configure<O: Any + Send + Sync>(integration: &'static Integration, options: AutologOptions, own: O) {
    let configuration = Configuration { options, own: Some(Arc::new(own)), globally: false };
    // It may hold something of the user's, whose end must not come while the registry is locked.
    let _replaced = integration.configuration();
    let warnings = lock(&REGISTRY).configure(integration, configuration);
    tell(warnings);
}

fn tell(warnings: Warnings) {
    for warning in warnings {
        notice::warn(&warning, format_args!("{warning}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integration(name: &'static str) -> &'static Integration {
        Box::leak(Box::new(Integration::new(name, "0")))
    }

    /// One that is tested with another version of this crate's dependency than it has.
    fn untested() -> &'static Integration {
        Box::leak(Box::new(Integration::new("semver", "0").tested("0.1.0", "0.1.0")))
    }

    fn own(options: AutologOptions) -> Configuration {
        Configuration { options, own: Some(Arc::new(())), globally: false }
    }

    fn options() -> AutologOptions {
        AutologOptions::new()
    }

    /// A registry that knows these.
    fn registry(integrations: &[&'static Integration]) -> Registry {
        let mut registry = Registry::new();
        for integration in integrations {
            assert_eq!(registry.register(integration), [""; 0]);
        }
        registry
    }

    fn in_force<'r>(registry: &'r Registry, integration: &Integration) -> &'r AutologOptions {
        &registry.configurations[integration.name()].options
    }

    #[test]
    fn an_own_call_replaces_the_whole_configuration() {
        let integration = integration("own");
        let mut registry = registry(&[]);
        registry.configure(integration, own(options().log_models(false).exclusive(true)));
        assert!(integration.is_on() && !in_force(&registry, integration).log_models);
        registry.configure(integration, own(options().log_datasets(false)));
        assert_eq!(*in_force(&registry, integration), options().log_datasets(false));
        registry.configure(integration, own(options().disable(true)));
        assert!(!integration.is_on());
    }

    #[test]
    fn the_global_call_configures_all_but_those_that_have_their_own() {
        let (one, other) = (integration("one"), integration("other"));
        let mut registry = registry(&[one, other]);
        registry.configure(one, own(options().log_models(false)));
        registry.configure_all(options().log_datasets(false));
        assert_eq!(
            *in_force(&registry, one),
            options().log_models(false),
            "its own, though that was earlier"
        );
        assert_eq!(*in_force(&registry, other), options().log_datasets(false));
        registry.configure_all(options().disable(true));
        assert!(one.is_on() && !other.is_on());
        registry.configure_all(options());
        assert!(other.is_on(), "what the global call said it may say otherwise");
        registry.configure(other, own(options().exclusive(true)));
        assert_eq!(*in_force(&registry, other), options().exclusive(true), "its own replaces the global one");
        registry.configure(one, own(options().disable(true)));
        registry.configure_all(options());
        assert!(!one.is_on(), "one that was switched off by its own call stays off");
    }

    #[test]
    fn what_is_excluded_stays_as_it_is() {
        let (one, other) = (integration("one"), integration("other"));
        let mut registry = registry(&[one, other]);
        registry.configure_all(options().exclude("other"));
        assert!(one.is_on() && !other.is_on());
        registry.configure_all(options());
        registry.configure_all(options().disable(true).exclude("other"));
        assert!(!one.is_on() && other.is_on());
        let warnings = registry.configure_all(options().exclude("keras"));
        assert!(matches!(&warnings[..], [unknown] if unknown.contains("`keras`")), "{warnings:?}");
    }

    #[test]
    fn what_is_registered_late_is_configured_as_the_last_global_call_said() {
        let late = integration("late");
        let mut registry = registry(&[]);
        let warnings = registry.configure_all(options().log_models(false));
        assert!(warnings[0].contains("no framework"), "{warnings:?}");
        registry.register(late);
        assert!(late.is_on() && !in_force(&registry, late).log_models);
        registry.configure(late, own(options()));
        registry.register(late);
        assert_eq!(registry.known().len(), 1, "it stays known once");
        assert_eq!(*in_force(&registry, late), options(), "and as it is configured");
    }

    #[test]
    fn an_untested_version_is_told_and_switched_off_only_on_request() {
        let integration = untested();
        let mut registry = registry(&[integration]);
        let on = registry.configure_all(options());
        assert!(matches!(&on[..], [on] if on.contains("0.1.0") && on.contains("it is on")), "{on:?}");
        assert!(integration.is_on());
        let off = registry.configure(integration, own(options().disable_for_unsupported_versions(true)));
        assert!(matches!(&off[..], [off] if off.contains("it is off")), "{off:?}");
        assert!(!integration.is_on());
        let off = registry.configure(integration, own(options().disable(true)));
        assert_eq!(off, [""; 0], "there is nothing to say of what is not wanted");
    }

    #[test]
    fn a_replaced_configuration_may_ask_the_registry_while_it_ends() {
        struct Asks;
        impl Drop for Asks {
            fn drop(&mut self) {
                drop(integrations());
            }
        }
        let integration = integration("asks");
        configure(integration, options(), Asks);
        configure(integration, options().disable(true), ());
        assert!(!integration.is_on());
    }

    #[test]
    fn silent_means_that_nothing_is_said() {
        let mut registry = registry(&[]);
        let options = || options().silent(true).extra_tag("mlflow.autologging", "x").exclude("keras");
        assert_eq!(registry.configure_all(options()), [""; 0]);
        assert_eq!(registry.register(untested()), [""; 0]);
        assert_eq!(registry.configure(untested(), own(options())), [""; 0]);
    }

    #[test]
    fn the_tag_that_says_who_started_a_run_is_not_the_users_to_choose() {
        let integration = integration("tags");
        let mut registry = registry(&[integration]);
        let options = || options().extra_tag("mlflow.autologging", "x").extra_tag("team", "vision");
        for warnings in [registry.configure_all(options()), registry.configure(integration, own(options()))] {
            assert!(matches!(&warnings[..], [left_out] if left_out.contains("is left out")), "{warnings:?}");
        }
        let expected = [("team".to_owned(), "vision".to_owned())];
        assert_eq!(in_force(&registry, integration).extra_tags, expected);
    }
}
