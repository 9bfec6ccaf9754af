//! Real MLflow, at a pinned version, in a virtual environment under the target directory.
//!
//! It is made by the first test that needs it. Where it cannot be made, the tests fail and say what is missing: they
//! never pass by not looking.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The release that is tested with. MLflow itself does not bound `sqlalchemy`, whose 2.1 it does not work with yet. The
/// last two are what its system metrics read with.
const PACKAGES: [&str; 4] = ["mlflow==3.17.2", "sqlalchemy<2.1", "psutil==7.2.2", "nvidia-ml-py==13.590.48"];

pub(crate) static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mlflow-3.17.2");
    let python = environment.join("bin/python");
    let complete = environment.join("complete");
    let packages = PACKAGES.join("\n");
    if std::fs::read_to_string(&complete).ok().as_ref() != Some(&packages) {
        let remedy = "the interoperability tests need Python 3 with `venv` (on Debian: apt-get install python3-venv) and PyPI";
        let run = |program: &Path, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output();
            let output = output.unwrap_or_else(|error| panic!("{remedy}: {}: {error}", program.display()));
            assert!(
                output.status.success(),
                "{remedy}: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        };
        run(Path::new("python3"), &["-m", "venv", "--clear", environment.to_str().unwrap()]);
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run(&python, &[&install[..], &PACKAGES].concat());
        std::fs::write(complete, packages).unwrap();
    }
    python
});
