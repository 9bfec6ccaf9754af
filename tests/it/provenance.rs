//! Where runs come from: the repository that is changed, however long `git` looks, and the lock of the build, wherever
//! Cargo puts what it builds.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use runlog::ExperimentOptions;

use crate::support::{Place, text};

const DIRTY: &str = "mlflow.source.git.dirty";

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// A place in a repository with one committed file.
fn repository() -> Place {
    let place = Place::new();
    fs::write(place.path().join("train.rs"), "lr = 1\n").unwrap();
    for arguments in [&["init"][..], &["add", "train.rs"], &["commit", "-m", "first"]] {
        let mut git = place.command("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@b.c"]).args(arguments);
        succeed(&mut git);
    }
    place
}

#[test]
fn a_changed_repository_is_told_and_the_change_itself_only_when_asked_for() {
    let place = repository();
    assert!(place.play(&["finish"]).status.success());
    assert_eq!(place.run().tag(DIRTY), Some("false"), "the store and the journal are not tracked");
    fs::write(place.path().join("train.rs"), "lr = 2\n").unwrap();
    assert!(place.play(&["finish"]).status.success());
    assert!(place.scenario(&["finish"]).env("RUNLOG_LOG_GIT_DIFF", "true").status().unwrap().success());

    let [asked, unasked, clean] = &place.runs()[..] else { panic!("{:?}", place.runs()) };
    assert_eq!(
        [clean, unasked, asked].map(|run| run.tag(DIRTY)),
        [Some("false"), Some("true"), Some("true")]
    );
    assert_eq!(unasked.tag("runlog.git_diff"), None);
    let uri = asked.tag("runlog.git_diff").unwrap();
    assert_eq!(uri, format!("runs:/{}/environment/git.diff", asked.info.run_id));
    let diff = place.tracker().load_text(uri).unwrap();
    assert!(diff.contains("-lr = 1\n+lr = 2\n"), "{diff}");
}

#[cfg(unix)]
#[test]
fn a_run_does_not_wait_for_a_git_that_looks_for_long_and_its_end_has_what_it_found() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = repository();
    fs::write(place.path().join("train.rs"), "lr = 2\n").unwrap();
    // A `git` whose status waits for this test.
    let (bin, gate) = (place.path().join("bin"), place.path().join("gate"));
    succeed(place.command("mkfifo").arg(&gate));
    fs::create_dir(&bin).unwrap();
    let slow = format!(
        "#!/bin/sh\nPATH='{}'\n[ \"$1\" = status ] && cat '{}'\nexec git \"$@\"\n",
        env!("PATH"),
        gate.display()
    );
    fs::write(bin.join("git"), slow).unwrap();
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).unwrap();

    // Nor does it matter that no file can be kept where the run's would be.
    let nowhere = ExperimentOptions::new("nowhere").artifact_location("s3://nowhere");
    place.tracker().create_experiment(nowhere).unwrap();
    let mut command = place.scenario(&["log-many"]);
    command.env("MLFLOW_EXPERIMENT_NAME", "nowhere").env("RUNLOG_LOG_ENVIRONMENT", "true");
    command.env("PATH", format!("{}:{}", bin.display(), env!("PATH")));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    let begun = place.run();
    assert!(begun.tag("mlflow.source.git.commit").is_some());
    assert_eq!(begun.tag(DIRTY), None);
    // Whoever opens it to write lets the reader see its end.
    drop(fs::File::options().write(true).open(&gate).unwrap());
    child.stdin.take().unwrap().write_all(b"go").unwrap();
    assert!(child.wait().unwrap().success());
    let ended = place.run();
    assert_eq!((ended.tag(DIRTY), ended.tag("runlog.environment")), (Some("true"), None));
}

/// A workspace whose program prints what the build script of the core found, and builds of it.
struct Workspace {
    dir: PathBuf,
}

impl Workspace {
    fn new(dir: &Path, name: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let dir = dir.join(name);
        let core = dir.join("core");
        fs::create_dir_all(core.join("src")).unwrap();
        fs::create_dir_all(dir.join("src")).unwrap();
        for file in ["build.rs", "src/userinfo.rs"] {
            fs::copy(root.join("core").join(file), core.join(file)).unwrap();
        }
        let manifest = |name: &str, rest: &str| {
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{rest}")
        };
        let needs = "[build-dependencies]\nsha2 = { version = \"0.10\", default-features = false }\n";
        fs::write(core.join("Cargo.toml"), manifest("runlog-core", needs)).unwrap();
        let told = |name: &str| format!("concat!(\"{name}=\", env!(\"RUNLOG_BUILD_{name}\"), \"\\n\")");
        let facts = ["PROFILE", "LOCK_FROM", "LOCK_SHA256", "OPT_LEVEL"].map(told).join(", ");
        let lock = "include_str!(concat!(env!(\"OUT_DIR\"), \"/Cargo.lock\"))";
        fs::write(core.join("src/lib.rs"), format!("pub const TOLD: &str = concat!({facts}, {lock});\n"))
            .unwrap();
        let needs = "[dependencies]\nrunlog-core = { path = \"core\" }\n[workspace]\n[profile.bench-like]\ninherits = \"release\"\n";
        fs::write(dir.join("Cargo.toml"), manifest(name, needs)).unwrap();
        fs::write(dir.join("src/main.rs"), "fn main() { print!(\"{}\", runlog_core::TOLD) }\n").unwrap();
        // The versions that this build has, so that nothing is looked up.
        fs::copy(root.join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
        Self { dir }
    }

    /// What Cargo says of a build, started in `from` with these arguments.
    fn build(&self, from: &Path, arguments: &[&str]) -> String {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--offline", "--verbose", "--manifest-path"]).arg(self.dir.join("Cargo.toml"));
        cargo
            .args(arguments)
            .current_dir(from)
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("CARGO_BUILD_TARGET");
        let output = cargo.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr)
    }

    fn lock(&self) -> String {
        fs::read_to_string(self.dir.join("Cargo.lock")).unwrap()
    }
}

/// What the program at `path` prints: profile and origin of the lock, then the lock.
fn told(path: &Path) -> (String, String, String) {
    let out = succeed(&mut Command::new(path));
    let mut lines = out.splitn(5, '\n');
    let mut value = || lines.next().unwrap().split_once('=').unwrap().1.to_owned();
    let (profile, from, _sha256, _opt_level) = (value(), value(), value(), value());
    (profile, from, lines.next().unwrap().to_owned())
}

#[test]
fn the_lock_of_the_build_is_found_where_cargo_puts_things_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let one = Workspace::new(dir.path(), "one");
    let log = one.build(&one.dir, &["--profile", "bench-like"]);
    assert!(log.contains("Running `") && log.contains("build-script-build"), "{log}");
    let program = one.dir.join("target/bench-like/one");
    assert_eq!(told(&program), ("bench-like".to_owned(), "workspace".to_owned(), one.lock()));
    let again = one.build(&one.dir, &["--profile", "bench-like"]);
    assert!(again.contains("Fresh runlog-core") && !again.contains("Dirty"), "nothing has changed: {again}");

    // Another lock: a package of the workspace has another version.
    let manifest = fs::read_to_string(one.dir.join("Cargo.toml")).unwrap();
    let changed = manifest.replacen("version = \"0.1.0\"", "version = \"0.2.0\"", 1);
    fs::write(one.dir.join("Cargo.toml"), changed).unwrap();
    one.build(&one.dir, &["--profile", "bench-like"]);
    let (_, _, lock) = told(&program);
    assert!(lock == one.lock() && lock.contains("name = \"one\"\nversion = \"0.2.0\""), "{lock}");

    // A target directory elsewhere: only where Cargo was started can be looked.
    let shared = dir.path().join("shared");
    let target = ["--target-dir", shared.to_str().unwrap()];
    one.build(&one.dir.join("src"), &target);
    assert_eq!(told(&shared.join("debug/one")), ("debug".to_owned(), "directory".to_owned(), one.lock()));
    let fresh = one.build(&one.dir, &target);
    assert!(!fresh.contains("Dirty"), "another directory of the same workspace changes nothing: {fresh}");

    let foreign = dir.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("Cargo.toml"), "[workspace]\n").unwrap();
    fs::write(foreign.join("Cargo.lock"), "version = 4\n").unwrap();
    for (from, target) in [(dir.path(), "nowhere"), (&foreign, "other")] {
        let target = dir.path().join(target);
        one.build(from, &["--target-dir", target.to_str().unwrap()]);
        assert_eq!(told(&target.join("debug/one")), ("debug".to_owned(), String::new(), String::new()));
    }
}
