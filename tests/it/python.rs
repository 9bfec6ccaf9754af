//! Real MLflow, asked about the store of a test.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use self::environment::PYTHON;
use crate::support::{Place, text};

#[path = "mlflow/environment.rs"]
mod environment;

impl Place {
    /// One of the scripts beside the tests, with MLflow, in this place.
    pub(crate) fn python(&self, script: &str) -> Command {
        let mut python = self.command(&*PYTHON);
        python.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(script));
        python.env("MLFLOW_DISABLE_TELEMETRY", "true").env("MLFLOW_LOGGING_LEVEL", "ERROR");
        // MLflow reads and writes its file store only where that is asked for.
        python.env("MLFLOW_ALLOW_FILE_STORE", "true");
        python
    }

    /// MLflow, told to do something with this place's store.
    pub(crate) fn mlflow_command(&self, arguments: &[&str]) -> Command {
        let [command, arguments @ ..] = arguments else { panic!("no command") };
        let mut python = self.python("mlflow/client.py");
        python.args([command, &*self.uri()]).args(arguments);
        python
    }

    /// What MLflow answers about this place's store.
    pub(crate) fn mlflow(&self, arguments: &[&str]) -> Value {
        answer(&mut self.mlflow_command(arguments))
    }

    /// This place's store, as MLflow names it.
    pub(crate) fn uri(&self) -> String {
        match self.store {
            "sqlite:///mlflow.db" => format!("sqlite:///{}", self.database().display()),
            other => other.to_owned(),
        }
    }

    /// What a script in `tests/it/mlflow` prints, which is JSON.
    pub(crate) fn ask(&self, script: &str, arguments: &[&str]) -> Value {
        answer(self.python(&format!("mlflow/{script}")).args(arguments))
    }
}

/// What a script prints, which is JSON.
pub(crate) fn answer(python: &mut Command) -> Value {
    let output = python.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stdout)))
}
