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
    /// What MLflow answers about this place's database.
    pub(crate) fn mlflow(&self, arguments: &[&str]) -> Value {
        self.mlflow_with("client.py", arguments)
    }

    /// What one of the scripts in `tests/it/mlflow` answers about this place's database.
    pub(crate) fn mlflow_with(&self, script: &str, arguments: &[&str]) -> Value {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/mlflow").join(script);
        let [command, arguments @ ..] = arguments else { panic!("no command") };
        let mut python = self.command(&*PYTHON);
        python
            .arg(script)
            .args([command, &*format!("sqlite:///{}", self.database().display())])
            .args(arguments);
        python.env("MLFLOW_DISABLE_TELEMETRY", "true").env("MLFLOW_LOGGING_LEVEL", "ERROR");
        let output = python.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", text(&output.stdout)))
    }
}
