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
        // Where no files can be kept, only what has files is not told.
        let artifacts = self.run.artifacts();
        self.in_background(what, move |background, dir| {
            // What waited before this one may have written them.
            if background.first().is_none() {
                if !write(&*artifacts?, dir)? {
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::autolog::{AutologOptions, Integration, Training, configure};
    use crate::build;
    use crate::config::Config;
    use crate::entity::Run;
    use crate::fluent::with_tracker;
    use crate::store::RunQuery;
    use crate::tracker::Tracker;

    /// A directory with a store, in no repository.
    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn config(&self) -> Config {
            let dir = self.0.path().to_owned();
            Config {
                journal_dir: Some(dir.join("journal")),
                working_dir: dir,
                quiet: true,
                ..Config::default()
            }
        }

        fn tracker(&self, uri: &str) -> Tracker {
            tracker(uri, self.config())
        }
    }

    fn tracker(uri: &str, config: Config) -> Tracker {
        Tracker::with_config(Some(uri), config).unwrap()
    }

    /// Starts a run, ends it, and gives it as it is then, with the names of its files.
    fn run(tracker: &Tracker, options: RunOptions) -> (Run, Vec<String>) {
        let run = tracker.start_run(options.silent(true)).unwrap();
        let run_id = run.run_id().to_owned();
        run.finish().unwrap();
        let mut files: Vec<_> = ["", FOLDER]
            .iter()
            .flat_map(|dir| tracker.list_artifacts(&run_id, dir).unwrap())
            .map(|file| file.path)
            .collect();
        files.sort();
        (tracker.get_run(&run_id).unwrap(), files)
    }

    const FILES: [&str; 3] = ["environment", "environment/Cargo.lock", "environment/rust_env.yaml"];

    #[test]
    fn a_run_by_hand_says_its_build_in_tags_and_has_no_files_that_nobody_asked_for() {
        for uri in ["./mlruns", "memory:"] {
            let place = Place::new();
            let (told, files) = run(&place.tracker(uri), RunOptions::new());
            assert_eq!(told.tag("runlog.build.rustc"), Some(build::RUSTC));
            assert_eq!(told.tag("runlog.build.target"), Some(build::TARGET));
            assert_eq!(told.tag("runlog.build.profile"), Some(build::PROFILE));
            assert_eq!(told.tag("runlog.build.id"), build::id());
            let lock = build::lock().map(build::Lock::sha256);
            assert_eq!(told.tag("runlog.build.cargo_lock_sha256"), lock);
            assert_eq!((told.tag(ENVIRONMENT), files), (None, Vec::new()));
            let (own, _) = run(&place.tracker(uri), RunOptions::new().tag("runlog.build.profile", "mine"));
            assert_eq!(own.tag("runlog.build.profile"), Some("mine"), "a user's tag wins");
        }
    }

    #[test]
    fn the_files_are_stored_once_for_a_process_and_an_experiment_and_found_from_every_run() {
        let place = Place::new();
        let tracker = tracker("./mlruns", Config { log_environment: Some(true), ..place.config() });
        let (first, files) = run(&tracker, RunOptions::new());
        assert_eq!(files, FILES);
        let place_of_first = format!("runs:/{}/environment", first.info.run_id);
        assert_eq!(first.tag(ENVIRONMENT), Some(&*place_of_first));
        let (second, files) = run(&tracker, RunOptions::new());
        assert_eq!((second.tag(ENVIRONMENT), files), (Some(&*place_of_first), Vec::new()));
        let lock = tracker.load_text(&format!("{place_of_first}/Cargo.lock")).unwrap();
        assert_eq!(lock, build::lock().unwrap().text());

        let elsewhere = tracker.create_experiment("elsewhere").unwrap();
        let (other, files) = run(&tracker, RunOptions::new().experiment_id(elsewhere));
        assert_eq!(files, FILES);
        assert_ne!(other.tag(ENVIRONMENT), Some(&*place_of_first));
        let (without, files) = run(&tracker, RunOptions::new().log_environment(false));
        assert_eq!((without.tag(ENVIRONMENT), files), (None, Vec::new()));
    }

    #[test]
    fn what_autologging_starts_has_the_files_unless_it_is_told_not_to_or_nothing_is_kept() {
        let integration: &_ = Box::leak(Box::new(Integration::new("provenance", "0")));
        configure(integration, AutologOptions::new().silent(true), ());
        let train = |tracker: &Tracker| {
            with_tracker(tracker, || Training::start(integration).unwrap().finish());
            let runs = tracker.search_runs(RunQuery::new().all_experiments()).unwrap();
            runs.first().and_then(|run| run.tag(ENVIRONMENT).map(str::to_owned))
        };
        let place = Place::new();
        assert!(train(&place.tracker("./mlruns")).is_some());
        let place = Place::new();
        let off = Config { log_environment: Some(false), ..place.config() };
        assert_eq!(train(&tracker("./mlruns", off)), None);
        assert_eq!(train(&place.tracker("memory:")), None);
        let disabled = Config { disabled: true, log_environment: Some(true), ..place.config() };
        assert_eq!(train(&tracker("./disabled", disabled)), None);
        assert!(!place.0.path().join("disabled").exists());
    }

    #[test]
    fn files_that_cannot_be_written_cost_a_warning_and_the_next_run_tries_again() {
        let place = Place::new();
        let asked = Config { log_environment: Some(true), ..place.config() };
        let tracker = tracker("sqlite:///mlflow.db", asked);
        // A file is where the directory of the artifacts would be.
        let mlruns: PathBuf = place.0.path().join("mlruns");
        std::fs::write(&mlruns, "").unwrap();
        let failed = tracker.start_run(RunOptions::new().silent(true)).unwrap();
        let failed_id = failed.run_id().to_owned();
        failed.finish().unwrap();
        assert_eq!(tracker.get_run(&failed_id).unwrap().tag(ENVIRONMENT), None);
        std::fs::remove_file(&mlruns).unwrap();
        assert_eq!(run(&tracker, RunOptions::new()).1, FILES);
    }

    #[test]
    fn a_resumed_run_keeps_saying_what_it_said() {
        let place = Place::new();
        let tracker = place.tracker("./mlruns");
        let (first, _) = run(&tracker, RunOptions::new().tag("runlog.build.profile", "before"));
        let again = RunOptions::new().run_id(&first.info.run_id).log_environment(true);
        let (again, files) = run(&tracker, again);
        assert_eq!((again.tag("runlog.build.profile"), files), (Some("before"), Vec::new()));
    }
}
