//! What a run read: datasets and models.

use super::{Binding, RunHandle};
use crate::data;
use crate::entity::DatasetInput;
use crate::journal::record::Text;
use crate::logged::Logged;
use crate::validate;

impl RunHandle {
    /// Notes that the run reads a dataset: `dataset`, `(dataset, "train")`, or a [`DatasetInput`] with tags.
    ///
    /// [`data`] describes data as a dataset. The first note of a dataset stays: tags of a later one with
    /// the same name and digest are dropped, as in MLflow.
    ///
    /// ```
    /// use runlog_core::{Tracker, data::Arrays};
    ///
    /// # let tracker = Tracker::open("memory:")?;
    /// # let run = tracker.start_run(())?;
    /// let blobs = Arrays::new("blobs").features([0.5, 1.5, 2.5, 3.5], &[2, 2]).targets([0, 1], &[2]).dataset()?;
    /// run.log_input((blobs, "train"));
    /// # run.finish()?;
    /// # Ok::<(), runlog_core::Error>(())
    /// ```
    pub fn log_input(&self, input: impl Into<DatasetInput>) -> Logged {
        let DatasetInput { dataset, tags } = input.into();
        self.log_with("dataset", |Binding { engine, run }| {
            let dataset = data::with_code_tags(dataset, self.0.tracker.config())?;
            let input = Box::new(DatasetInput { dataset, tags });
            validate::dataset_input(&input)?;
            Ok(engine.log(*run, &Text::Input { run: *run, input }))
        })
    }

    /// Notes that the run reads these datasets, and uses the logged models of these ids.
    pub fn log_inputs(&self, datasets: impl IntoIterator<Item = DatasetInput>, model_ids: &[&str]) -> Logged {
        let logged =
            datasets.into_iter().fold(Logged::nothing(), |logged, input| logged.and(self.log_input(input)));
        let link = |logged: Logged, model_id: &&str| logged.and(self.log_model_input((*model_id).to_owned()));
        model_ids.iter().fold(logged, link)
    }
}
