//! What autologging may log, in MLflow's terms.

/// The tag of a run that autologging started by itself: the integration's name.
pub(super) const AUTOLOGGING: &str = "mlflow.autologging";

/// What autologging logs, and when. The defaults are MLflow's.
///
/// ```
/// use runlog_core::autolog::{AutologOptions, autolog_with};
///
/// autolog_with(AutologOptions::new().log_models(false).extra_tag("team", "vision"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "options change nothing; give them to `autolog_with`"]
#[expect(clippy::struct_excessive_bools, reason = "these are MLflow's switches, under MLflow's names")]
pub struct AutologOptions {
    pub(super) log_models: bool,
    pub(super) log_model_signatures: bool,
    pub(super) log_input_examples: bool,
    pub(super) log_datasets: bool,
    pub(super) exclusive: bool,
    pub(super) disable: bool,
    pub(super) silent: bool,
    pub(super) disable_for_unsupported_versions: bool,
    pub(super) extra_tags: Vec<(String, String)>,
    pub(super) exclude: Vec<String>,
    pub(super) every_n_steps: usize,
    pub(super) every_n_epochs: usize,
}

impl Default for AutologOptions {
    fn default() -> Self {
        Self {
            log_models: true,
            log_model_signatures: true,
            log_input_examples: false,
            log_datasets: true,
            exclusive: false,
            disable: false,
            silent: false,
            disable_for_unsupported_versions: false,
            extra_tags: Vec::new(),
            exclude: Vec::new(),
            every_n_steps: 1,
            every_n_epochs: 1,
        }
    }
}

/// What users set.
impl AutologOptions {
    /// MLflow's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether fitted models are stored (default: yes).
    pub fn log_models(mut self, log: bool) -> Self {
        self.log_models = log;
        self
    }

    /// Whether stored models say what goes in and comes out (default: yes).
    pub fn log_model_signatures(mut self, log: bool) -> Self {
        self.log_model_signatures = log;
        self
    }

    /// Whether stored models bring the first rows of the training data (default: no).
    pub fn log_input_examples(mut self, log: bool) -> Self {
        self.log_input_examples = log;
        self
    }

    /// Whether training data is noted as the run's input (default: yes).
    pub fn log_datasets(mut self, log: bool) -> Self {
        self.log_datasets = log;
        self
    }

    /// Whether nothing is logged while a run of the user's own is active (default: no).
    pub fn exclusive(mut self, exclusive: bool) -> Self {
        self.exclusive = exclusive;
        self
    }

    /// Whether autologging is off (default: no).
    pub fn disable(mut self, disable: bool) -> Self {
        self.disable = disable;
        self
    }

    /// Whether autologging says nothing of its own (default: no).
    pub fn silent(mut self, silent: bool) -> Self {
        self.silent = silent;
        self
    }

    /// Whether a framework version that the integration was not tested with switches it off (default: no).
    ///
    /// Which version a program has is read from the `Cargo.lock` it was built with; where that is not known, the version
    /// counts as supported.
    pub fn disable_for_unsupported_versions(mut self, disable: bool) -> Self {
        self.disable_for_unsupported_versions = disable;
        self
    }

    /// Logs what belongs to an optimizer step only for every `n`-th one (default: every one; 0: for none).
    ///
    /// As in MLflow the first one of a training that is logged is its `n`-th, and the last one has no privilege.
    pub fn every_n_steps(mut self, n: usize) -> Self {
        self.every_n_steps = n;
        self
    }

    /// Logs what belongs to an epoch only for every `n`-th one, as [`every_n_steps`](Self::every_n_steps) (default: every
    /// one; 0: for none).
    pub fn every_n_epochs(mut self, n: usize) -> Self {
        self.every_n_epochs = n;
        self
    }

    /// A tag for every run that autologging starts itself; `mlflow.autologging` is not to be chosen.
    pub fn extra_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.extra_tags.push((key.into(), value.into()));
        self
    }

    /// An integration that [`autolog_with`](super::autolog_with) leaves alone, such as `linfa`.
    pub fn exclude(mut self, integration: impl Into<String>) -> Self {
        self.exclude.push(integration.into());
        self
    }
}

impl AutologOptions {
    /// Leaves out the tag that says who started a run; what to say about it.
    pub(super) fn drop_reserved_tags(&mut self) -> Option<String> {
        let given = self.extra_tags.len();
        self.extra_tags.retain(|(key, _)| key != AUTOLOGGING);
        (self.extra_tags.len() < given && !self.silent)
            .then(|| format!("the extra tag `{AUTOLOGGING}` is left out: autologging sets it itself"))
    }
}

/// What adapters ask.
impl AutologOptions {
    /// Whether fitted models are stored.
    pub fn logs_models(&self) -> bool {
        self.log_models
    }

    /// Whether stored models have a signature.
    pub fn logs_model_signatures(&self) -> bool {
        self.log_model_signatures
    }

    /// Whether stored models bring the first rows of the training data.
    pub fn logs_input_examples(&self) -> bool {
        self.log_input_examples
    }

    /// Whether training data is noted as the run's input.
    pub fn logs_datasets(&self) -> bool {
        self.log_datasets
    }

    /// Whether autologging says nothing of its own.
    pub fn is_silent(&self) -> bool {
        self.silent
    }
}

/// Gives the options of one framework the setters that all share: `$common` is its field of [`AutologOptions`].
#[doc(hidden)]
#[macro_export]
macro_rules! shared_autolog_options {
    ($options:ty, $common:ident: $($setter:ident($($arg:ident: $type:ty),*);)*) => {
        impl $options {
            $(
                #[doc = concat!(
                    "As [`AutologOptions::", stringify!($setter), "`](runlog_core::autolog::AutologOptions::",
                    stringify!($setter), ")."
                )]
                pub fn $setter(mut self, $($arg: $type),*) -> Self {
                    self.$common = self.$common.$setter($($arg),*);
                    self
                }
            )*
        }
    };
    ($options:ty, $common:ident) => {
        $crate::shared_autolog_options! { $options, $common:
            log_models(log: bool);
            log_model_signatures(log: bool);
            log_input_examples(log: bool);
            log_datasets(log: bool);
            exclusive(exclusive: bool);
            disable(disable: bool);
            silent(silent: bool);
            disable_for_unsupported_versions(disable: bool);
            every_n_steps(n: usize);
            every_n_epochs(n: usize);
            extra_tag(key: impl Into<String>, value: impl Into<String>);
        }
    };
}
