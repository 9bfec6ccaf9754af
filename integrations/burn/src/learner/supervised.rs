//! `SupervisedTraining`, recorded: burn's builder with the same methods.

use std::fmt;

use burn::train::{Learner, LearnerModel, LearningResult};

use crate::Autolog;

/// burn's `SupervisedTraining`, recorded: the same name, the same methods, the same result.
#[must_use = "a training does nothing until it is launched"]
pub struct SupervisedTraining<M: LearnerModel> {
    burn: burn::train::SupervisedTraining<M>,
}

impl<M: LearnerModel> SupervisedTraining<M> {
    /// Launches this training, and records it where autologging is on.
    pub fn launch(self, learner: Learner<M>) -> LearningResult<M> {
        self.burn.launch(learner)
    }
}

impl<M: LearnerModel> Autolog for burn::train::SupervisedTraining<M> {
    type Observed = SupervisedTraining<M>;

    fn autolog(self) -> Self::Observed {
        SupervisedTraining { burn: self }
    }
}

impl<M: LearnerModel> fmt::Debug for SupervisedTraining<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisedTraining").finish_non_exhaustive()
    }
}
