//! What a run read and made: datasets and models.

use super::{Binding, RunHandle};
use crate::entity::{DatasetInput, LoggedModel};
use crate::error::Result;
use crate::journal::record::Text;
use crate::logged::Logged;
use crate::model::{self, ModelSpec};

impl RunHandle {
    /// Notes that the run reads a dataset.
    pub fn log_input(&self, input: DatasetInput) -> Logged {
        self.log_with("dataset", |Binding { engine, run }| {
            Ok(engine.log(*run, &Text::Input { run: *run, input: Box::new(input) }))
        })
    }

    /// Stores a fitted model: its files, its signature, and the link from this run.
    ///
    /// # Errors
    /// The store or the artifacts cannot be written; the model is marked as failed then.
    pub fn log_model(&self, spec: ModelSpec) -> Result<LoggedModel> {
        let binding = self.binding()?;
        model::log::log_model(&self.0.tracker, &binding.engine, &self.0.info, spec)
    }
}
