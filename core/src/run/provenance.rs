//! What the background tells of where a run comes from: files that are large, facts that take `git` long.
//!
//! Invariant: nothing here delays the start of a run or makes its end fail. The run's end waits for it, as for every
//! upload.

use std::path::Path;
use std::sync::Arc;

use super::{Binding, RunHandle};
use crate::artifact::{Artifacts, Lane};
use crate::context::{self, DIRTY};
use crate::current::Origin;
use crate::entity::Tag;
use crate::error::Result;
use crate::journal::record::Text;
use crate::notice;
use crate::options::RunOptions;
use crate::provenance::{self, FilesOfRuns};
use crate::store;

/// Where the files are among a run's artifacts.
const FOLDER: &str = "environment";
const DIFF_FILE: &str = "environment/git.diff";
/// The tags that say where the files are, which are the names of their kinds as well.
const ENVIRONMENT: &str = "runlog.environment";
const GIT_DIFF: &str = "runlog.git_diff";

impl RunHandle {
    /// Lets the background tell what a new run, which has these tags, does not say of its origin yet.
    pub(crate) fn tell_provenance(&self, options: &RunOptions, tags: &[Tag]) -> Result<()> {
        let config = self.0.tracker.config();
        if config.disabled {
            return Ok(());
        }
        // In memory a run has no reader who would not know the program.
        let by_itself =
            options.origin == Origin::Autologging && !store::is_in_memory(self.0.tracker.tracking_uri());
        let teller = |key| Teller::new(self, key);
        if options.log_environment.or(config.log_environment).unwrap_or(by_itself) {
            teller(ENVIRONMENT)?.tell_once("the program's environment", FOLDER, |artifacts, _| {
                for (name, content) in provenance::environment_files()? {
                    artifacts.write(&format!("{FOLDER}/{name}"), &mut &*content)?;
                }
                Ok(true)
            });
        }
        if options.log_git_diff.unwrap_or(config.log_git_diff) {
            teller(GIT_DIFF)?.tell_once("`git diff`", DIFF_FILE, |artifacts, dir| {
                let Some(diff) = context::diff(dir)? else { return Ok(false) };
                artifacts.write(DIFF_FILE, &mut &*diff)?;
                Ok(true)
            });
        }
        if tags.iter().all(|tag| tag.key != DIRTY) && context::may_be_changed(&config.working_dir) {
            teller(DIRTY)?.in_background("whether the repository is changed", |background, dir| {
                if let Some(changed) = context::is_changed(dir) {
                    background.tag(changed.to_string());
                }
                Ok(())
            });
        }
        Ok(())
    }
}

/// What is needed to tell one thing of a run, without the tracker: the last one to let go of that must not be a thread
/// that the tracker waits for.
struct Teller<'r> {
    run: &'r RunHandle,
    background: Background,
}

struct Background {
    artifacts: Box<dyn Artifacts>,
    binding: Binding,
    told: Arc<FilesOfRuns>,
    experiment_id: String,
    run_id: String,
    /// The tag that tells it.
    key: &'static str,
}

impl<'r> Teller<'r> {
    fn new(run: &'r RunHandle, key: &'static str) -> Result<Self> {
        let background = Background {
            artifacts: run.artifacts()?,
            binding: run.binding()?.into_owned(),
            told: run.0.tracker.files_of_runs(),
            experiment_id: run.info().experiment_id.clone(),
            run_id: run.run_id().to_owned(),
            key,
        };
        Ok(Self { run, background })
    }

    /// Lets `write` write files, unless a run of this process and experiment has them: the tag says where they are. Where
    /// `write` finds nothing to write, nothing is told.
    fn tell_once(
        self,
        what: &'static str,
        path: &'static str,
        write: impl FnOnce(&dyn Artifacts, &Path) -> Result<bool> + Send + 'static,
    ) {
        if let Some(first) = self.background.first() {
            return self.background.tag(format!("runs:/{first}/{path}"));
        }
        self.in_background(what, move |background, dir| {
            // What waited before this one may have written them.
            if background.first().is_none() {
                if !write(&*background.artifacts, dir)? {
                    return Ok(());
                }
                background.told.add(&background.experiment_id, background.key, &background.run_id);
            }
            let first = background.first().unwrap_or_default();
            background.tag(format!("runs:/{first}/{path}"));
            Ok(())
        });
    }

    fn in_background(
        self,
        what: &'static str,
        work: impl FnOnce(&Background, &Path) -> Result<()> + Send + 'static,
    ) {
        let Self { run, background } = self;
        let dir = run.0.tracker.config().working_dir.clone();
        let failed = move |error: &crate::Error| {
            notice::warn(
                &format!("provenance: {what}"),
                format_args!("the run does not tell {what}: {error}"),
            );
        };
        run.0.tracker.uploads().start(Lane::Files, run.run_id(), move |_| work(&background, &dir), failed);
    }
}

impl Background {
    fn first(&self) -> Option<String> {
        self.told.find(&self.experiment_id, self.key)
    }

    /// Sets the tag, in the order of what was logged; a refusal is counted as for every other tag.
    fn tag(&self, value: String) {
        let Binding { engine, run } = &self.binding;
        engine.log(*run, &Text::Tag { run: *run, key: self.key.to_owned(), value });
    }
}
