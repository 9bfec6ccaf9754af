//! What runs, experiments and models have under the names that filters and orders use.

use super::clause::{DatasetField, Number};
use super::evaluate::{Searched, Value};
use crate::entity::{Experiment, LoggedModel, Metric, Run, Tag};
use crate::store::RUN_NAME_TAG;

impl Searched for Run {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        let info = &self.info;
        Some(match name {
            "run_id" => Value::Text(&info.run_id),
            "run_name" => Value::Text(&info.run_name),
            "status" => Value::Text(info.status.as_str()),
            "user_id" => Value::Text(&info.user_id),
            "artifact_uri" => Value::Text(&info.artifact_uri),
            "start_time" => integer(info.start_time),
            "end_time" => integer(info.end_time?),
            _ => return None,
        })
    }

    fn filtered(&self, name: &str) -> Option<Value<'_>> {
        match name {
            "run_name" => self.tag(RUN_NAME_TAG).map(Value::Text),
            _ => self.attribute(name),
        }
    }

    fn any_metric(&self, key: &str, passes: impl Fn(f64) -> bool) -> bool {
        Self::metric(self, key).is_some_and(passes)
    }

    fn metric(&self, key: &str) -> Option<f64> {
        Self::metric(self, key)
    }

    fn param(&self, key: &str) -> Option<&str> {
        Self::param(self, key)
    }

    fn tag(&self, key: &str) -> Option<&str> {
        Self::tag(self, key)
    }

    fn any_dataset(&self, field: DatasetField, passes: impl Fn(&str) -> bool) -> bool {
        self.inputs.datasets.iter().any(|input| match field {
            DatasetField::Name => passes(&input.dataset.name),
            DatasetField::Digest => passes(&input.dataset.digest),
            DatasetField::Context => input.context().is_some_and(&passes),
        })
    }
}

impl Searched for Experiment {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        Some(match name {
            "name" => Value::Text(&self.name),
            "experiment_id" => id(&self.experiment_id),
            "creation_time" => integer(self.creation_time),
            "last_update_time" => integer(self.last_update_time),
            _ => return None,
        })
    }

    fn tag(&self, key: &str) -> Option<&str> {
        tag_of(&self.tags, key)
    }
}

/// A model, of whose metrics only those count in a filter that were measured on certain datasets, if any are named.
pub(super) struct Measured<'q> {
    pub(super) model: LoggedModel,
    pub(super) datasets: &'q [(String, Option<String>)],
}

impl Measured<'_> {
    /// The metrics that a filter looks at.
    pub(super) fn metrics(&self) -> impl Iterator<Item = &Metric> {
        self.model.metrics.iter().filter(|metric| {
            let on = |(name, digest): &(String, Option<String>)| {
                metric.dataset_name.as_ref() == Some(name)
                    && (digest.is_none() || metric.dataset_digest == *digest)
            };
            self.datasets.is_empty() || self.datasets.iter().any(on)
        })
    }
}

impl Searched for Measured<'_> {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        let model = &self.model;
        Some(match name {
            "name" => Value::Text(&model.name),
            "model_id" => Value::Text(&model.model_id),
            "model_type" => Value::Text(model.model_type.as_deref()?),
            "source_run_id" => Value::Text(model.source_run_id.as_deref()?),
            "artifact_location" => Value::Text(&model.artifact_location),
            "lifecycle_stage" => Value::Text(model.lifecycle_stage.as_str()),
            "experiment_id" => id(&model.experiment_id),
            "status" => integer(model.status.code()),
            "creation_timestamp_ms" => integer(model.creation_timestamp),
            "last_updated_timestamp_ms" => integer(model.last_updated_timestamp),
            _ => return None,
        })
    }

    fn any_metric(&self, key: &str, passes: impl Fn(f64) -> bool) -> bool {
        self.metrics().any(|metric| metric.key == key && passes(metric.value))
    }

    /// Of the newest point, on whatever dataset.
    fn metric(&self, key: &str) -> Option<f64> {
        let points = self.model.metrics.iter().filter(|metric| metric.key == key);
        let newest = points.max_by(|left, right| {
            (left.timestamp, left.step, &right.run_id).cmp(&(right.timestamp, right.step, &left.run_id))
        });
        newest.map(|metric| metric.value)
    }

    fn param(&self, key: &str) -> Option<&str> {
        self.model.params.iter().find(|param| param.key == key).map(|param| param.value.as_str())
    }

    fn tag(&self, key: &str) -> Option<&str> {
        tag_of(&self.model.tags, key)
    }
}

fn integer(number: i64) -> Value<'static> {
    Value::Number(Number::Integer(number))
}

/// An id that stores count, or one that they do not.
fn id(id: &str) -> Value<'_> {
    id.parse().map_or(Value::Text(id), |number| Value::Number(Number::Integer(number)))
}

fn tag_of<'e>(tags: &'e [Tag], key: &str) -> Option<&'e str> {
    tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.as_str())
}
