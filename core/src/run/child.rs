//! What a child process is told, so that it finds its parent's run.

use super::RunHandle;
use crate::error::Result;
use crate::store;
use crate::tracker::Tracker;

impl RunHandle {
    /// The environment of a child process that works on this run: its store, its experiment and its id.
    ///
    /// Nothing is written to this process's environment. In the child, the first `start_run` *resumes* the run, here as
    /// in Python, and so also ends it: meant for a child that does the run's work while this process waits. A child that
    /// only adds to the run logs through [`run_handle`](crate::fluent::run_handle) with the id in `MLFLOW_RUN_ID`, which
    /// ends nothing.
    ///
    /// A store in memory cannot be shared; the child is told of no run then.
    ///
    /// ```no_run
    /// use std::process::Command;
    ///
    /// # let tracker = runlog_core::Tracker::open("sqlite:///mlflow.db")?;
    /// let run = tracker.start_run("both")?;
    /// Command::new("python").arg("evaluate.py").envs(run.child_env()?).status()?;
    /// run.finish()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn child_env(&self) -> Result<Vec<(&'static str, String)>> {
        self.tracker().child_env_of(Some(&self.info().experiment_id), Some(self.run_id()))
    }
}

impl Tracker {
    /// The environment of a child process that uses the same store and experiment.
    pub(crate) fn child_env_of(
        &self,
        experiment_id: Option<&str>,
        run_id: Option<&str>,
    ) -> Result<Vec<(&'static str, String)>> {
        let config = self.config();
        let mut env =
            vec![("MLFLOW_TRACKING_URI", store::from_anywhere(self.tracking_uri(), &config.working_dir))];
        if config.disabled || store::is_in_memory(self.tracking_uri()) {
            return Ok(env);
        }
        if let Some(experiment_id) = experiment_id {
            env.push(("MLFLOW_EXPERIMENT_ID", experiment_id.to_owned()));
            // The child inherits this one, and refuses two that do not agree.
            if config.experiment_name.is_some() {
                env.push(("MLFLOW_EXPERIMENT_NAME", self.get_experiment(experiment_id)?.name));
            }
        }
        env.extend(run_id.map(|run_id| ("MLFLOW_RUN_ID", run_id.to_owned())));
        Ok(env)
    }
}
