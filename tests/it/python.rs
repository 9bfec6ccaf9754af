//! Real MLflow, at a pinned version, in a virtual environment under the target directory.
//!
//! It is made by the first test that needs it. Where it cannot be made, the tests fail and say what is missing: they
//! never pass by not looking.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use crate::support::{Place, text};

/// The release that is tested with. MLflow itself does not bound `sqlalchemy`, whose 2.1 it does not work with yet.
const PACKAGES: [&str; 2] = ["mlflow==3.17.2", "sqlalchemy<2.1"];

static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mlflow-3.17.2");
    let python = environment.join("bin/python");
    let complete = environment.join("complete");
    if !complete.exists() {
        let remedy = "the interoperability tests need Python 3 with `venv` (on Debian: apt-get install python3-venv) and PyPI";
        let run = |program: &Path, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output();
            let output = output.unwrap_or_else(|error| panic!("{remedy}: {}: {error}", program.display()));
            assert!(output.status.success(), "{remedy}: {}{}", text(&output.stdout), text(&output.stderr));
        };
        run(Path::new("python3"), &["-m", "venv", "--clear", environment.to_str().unwrap()]);
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run(&python, &[&install[..], &PACKAGES].concat());
        std::fs::write(complete, PACKAGES.join("\n")).unwrap();
    }
    python
});

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
