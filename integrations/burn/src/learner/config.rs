//! The config that a program saves is what it trains with: `save` of this trait makes params of it.
//!
//! burn erases the settings of optimizers and models; its programs write their `Config` beside the training, though.

use std::cell::RefCell;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use burn::config::ConfigError;
use runlog_core::{fluent, notice};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::INTEGRATION;
use crate::params::{Params, params};

/// Configs that wait for a training in this thread; a program that only saves them keeps as many.
const WAITING_MAX: usize = 16;

thread_local! {
    /// Saved since the last training of this thread began, with their files.
    static WAITING: RefCell<Vec<(PathBuf, Params)>> = const { RefCell::new(Vec::new()) };
    /// The last training of this thread, if no config of it is known yet: its folder and its run.
    static LAST: RefCell<Option<(PathBuf, String)>> = const { RefCell::new(None) };
}

/// burn's `Config`, with a `save` that also records what is saved as the params of the training that this thread launches
/// next, or of the one whose folder it is saved in.
///
/// It is implemented for everything that burn's is; derive burn's, whose macro has the same name.
pub trait Config: Debug + Serialize + DeserializeOwned {
    /// Saves the config to a file, as JSON, and records it where autologging is on.
    ///
    /// # Errors
    /// The file cannot be written.
    fn save<P: AsRef<Path>>(&self, file: P) -> std::io::Result<()>;

    /// Loads the config from a file.
    ///
    /// # Errors
    /// The file is not there, or holds another config.
    fn load<P: AsRef<Path>>(file: P) -> Result<Self, ConfigError>;

    /// Loads the config from the bytes of a file.
    ///
    /// # Errors
    /// The bytes are of another config.
    fn load_binary(data: &[u8]) -> Result<Self, ConfigError>;
}

impl<C: burn::config::Config> Config for C {
    fn save<P: AsRef<Path>>(&self, file: P) -> std::io::Result<()> {
        if INTEGRATION.is_on() {
            note(self, file.as_ref());
        }
        burn::config::Config::save(self, file)
    }

    fn load<P: AsRef<Path>>(file: P) -> Result<Self, ConfigError> {
        burn::config::Config::load(file)
    }

    fn load_binary(data: &[u8]) -> Result<Self, ConfigError> {
        burn::config::Config::load_binary(data)
    }
}

/// What was saved for the training that begins now.
pub(super) fn take_waiting() -> Params {
    let waiting = WAITING.try_with(RefCell::take).unwrap_or_default();
    waiting.into_iter().flat_map(|(_, params)| params).collect()
}

/// The next config that is saved in `directory` is of the training with this run; of none, if there is no folder.
pub(super) fn expect_in(directory: Option<&Path>, run_id: &str) {
    let expected = directory.map(|directory| (absolute(directory), run_id.to_owned()));
    LAST.try_with(|last| *last.borrow_mut() = expected).ok();
}

fn note(config: &impl Serialize, file: &Path) {
    let noted = params(config).and_then(|params| {
        let file = absolute(file);
        let of_last = |last: &RefCell<Option<(PathBuf, String)>>| {
            last.borrow_mut().take_if(|(directory, _)| file.parent() == Some(directory))
        };
        if let Some((_, run_id)) = LAST.try_with(of_last).ok().flatten() {
            fluent::run_handle(&run_id)?.log_param_pairs(params);
        } else {
            WAITING.try_with(|waiting| keep(&mut waiting.borrow_mut(), file, params)).ok();
        }
        Ok(())
    });
    if let Err(error) = noted {
        notice::warn("autolog burn the config", format_args!("a config is not recorded: {error}"));
    }
}

fn keep(waiting: &mut Vec<(PathBuf, Params)>, file: PathBuf, params: Params) {
    waiting.retain(|(known, _)| *known != file);
    if waiting.len() == WAITING_MAX {
        waiting.remove(0);
    }
    waiting.push((file, params));
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
