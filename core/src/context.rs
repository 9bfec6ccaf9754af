//! What a new run says about where it comes from: MLflow's default tags.
//!
//! Everything here is a courtesy: what cannot be found out is left out, and nothing delays or fails the start of a
//! run. Asking `git` takes milliseconds, so [`prefetch`] lets it work while the store opens.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;
use crate::config::Config;
use crate::entity::Tag;
use crate::error::{Error, ErrorKind, Result};
use crate::notice;
use crate::sync::lock;
use crate::userinfo::without_userinfo;
use crate::validate;

/// How long a start waits for `git`, which can hang on a network file system; past it the tags are left out.
const GIT_WAIT_MAX: Duration = Duration::from_secs(1);
/// How long after the question a start still waits to hear whether the tree is changed: `git` looks at every file for
/// that, and in a large repository the tag follows when the run has begun. A store takes as long to open.
const CHANGES_WAIT_MAX: Duration = Duration::from_millis(10);
/// How long after the question the background still waits to hear it, and with that the end of a run.
const CHANGES_FOUND_MAX: Duration = Duration::from_secs(10);
/// How long the background, and with that the end of a run, waits for `git diff`.
const DIFF_WAIT_MAX: Duration = Duration::from_secs(30);
/// The largest `git diff` that is kept, in bytes.
const DIFF_BYTES_MAX: u64 = 10 << 20;

/// Whether files that `git` tracks differ from the commit, as MLflow writes it: `true` or `false`.
pub(crate) const DIRTY: &str = "mlflow.source.git.dirty";

/// The user when nothing tells who it is, as MLflow writes it.
const UNKNOWN_USER: &str = "unknown";

/// The tags that every new run starts with, sorted by key.
pub(crate) fn default_tags(config: &Config) -> Vec<Tag> {
    let program = config.program.as_deref().filter(|program| !program.is_empty());
    let mut tags = BTreeMap::from([
        ("mlflow.user".to_owned(), user(config)),
        ("mlflow.source.name".to_owned(), program.unwrap_or("<console>").to_owned()),
        ("mlflow.source.type".to_owned(), "LOCAL".to_owned()),
    ]);
    let lookup = Lookup::of(&config.working_dir);
    if let Some(facts) = lookup.facts() {
        let git = [("commit", Some(facts.commit)), ("branch", facts.branch), ("repoURL", facts.repo_url)];
        for (key, value) in git {
            tags.extend(value.map(|value| (format!("mlflow.source.git.{key}"), value)));
        }
        let changed = lookup.is_changed(CHANGES_WAIT_MAX);
        tags.extend(changed.map(|changed| (DIRTY.to_owned(), changed.to_string())));
    }
    tags.extend(config.run_context.as_deref().map(run_context).unwrap_or_default());
    tags.into_iter().map(|(key, value)| Tag::new(key, value)).collect()
}

/// Who starts the run: the tracking server's user, else the login, else the name of the process's user.
pub(crate) fn user(config: &Config) -> String {
    let named = config.username.clone().or_else(|| config.login.clone());
    named.or_else(system_user).unwrap_or_else(|| UNKNOWN_USER.to_owned())
}

/// The name of the process's user; containers often set no login variable.
///
/// `getpwuid` would need unsafe code and also ask directory services over the network, so only the local file is read.
#[cfg(unix)]
fn system_user() -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    user_in(&users, rustix::process::getuid().as_raw())
}

#[cfg(not(unix))]
fn system_user() -> Option<String> {
    None
}

#[cfg(unix)]
fn user_in(passwd: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid && !name.is_empty()).then(|| name.to_owned())
    })
}

/// The tags of `MLFLOW_RUN_CONTEXT`; what cannot be a tag is left out with a warning.
fn run_context(json: &str) -> BTreeMap<String, String> {
    let Ok(context) = serde_json::from_str::<BTreeMap<String, serde_json::Value>>(json) else {
        notice::warn(
            "run-context",
            format_args!("MLFLOW_RUN_CONTEXT is ignored: it must be a JSON object of tags"),
        );
        return BTreeMap::new();
    };
    let text = |(key, value)| match value {
        serde_json::Value::String(text) => (key, text),
        other => (key, other.to_string()),
    };
    let usable = |(key, _): &(String, String)| match validate::key(key) {
        Ok(()) => true,
        Err(error) => {
            notice::warn("run-context-tag", format_args!("a tag of MLFLOW_RUN_CONTEXT is ignored: {error}"));
            false
        }
    };
    context.into_iter().map(text).filter(usable).collect()
}

/// What `git` says about a working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GitFacts {
    /// 40 hex digits.
    pub(crate) commit: String,
    /// `None` when the head is detached.
    pub(crate) branch: Option<String>,
    /// Of the first remote, without user and password.
    pub(crate) repo_url: Option<String>,
}

/// Starts to ask `git` about the working directory, on a thread of its own.
pub(crate) fn prefetch(config: &Config) {
    Lookup::of(&config.working_dir);
}

/// What `git` says about a working directory: nothing without `git`, without a repository, or without a commit.
///
/// The first answer for a directory holds for the whole process: the program that runs was built before it started,
/// and a commit made since is not the one that it runs.
#[derive(Debug)]
pub(crate) struct Lookup {
    asked: Instant,
    answer: Mutex<Answer>,
    answered: Condvar,
}

/// What is known so far.
#[derive(Debug, Default)]
struct Answer {
    facts: Known<GitFacts>,
    is_changed: Known<bool>,
}

#[derive(Clone, Debug, Default, PartialEq)]
enum Known<T> {
    #[default]
    Awaited,
    Given(Option<T>),
}

impl Lookup {
    /// The lookup for `dir`, started now if it is the first.
    pub(crate) fn of(dir: &Path) -> Arc<Self> {
        static LOOKUPS: Mutex<BTreeMap<PathBuf, Arc<Lookup>>> = Mutex::new(BTreeMap::new());
        let mut lookups = lock(&LOOKUPS);
        if let Some(lookup) = lookups.get(dir) {
            return Arc::clone(lookup);
        }
        let (answer, answered) = (Mutex::default(), Condvar::new());
        let lookup = Arc::new(Self { asked: clock::instant(), answer, answered });
        lookups.insert(dir.to_owned(), Arc::clone(&lookup));
        drop(lookups);
        let (asked, dir) = (Arc::clone(&lookup), dir.to_owned());
        let thread = std::thread::Builder::new().name("runlog-git".to_owned());
        if thread.spawn(move || asked.ask(&dir)).is_err() {
            lookup.set(Answer { facts: Known::Given(None), is_changed: Known::Given(None) });
        }
        lookup
    }

    fn ask(&self, dir: &Path) {
        // They work side by side; the first two are quick, whatever the size of the repository.
        let status = git(dir, &["status", "--porcelain", "--untracked-files=no"]);
        let facts = ask_git(dir);
        let is_repository = facts.is_some();
        let is_changed = if is_repository { Known::Awaited } else { Known::Given(None) };
        self.set(Answer { facts: Known::Given(facts.clone()), is_changed });
        let is_changed = status.and_then(output).map(|changes| !changes.is_empty());
        let is_changed = Known::Given(is_changed.filter(|_| is_repository));
        self.set(Answer { facts: Known::Given(facts), is_changed });
    }

    fn set(&self, answer: Answer) {
        *lock(&self.answer) = answer;
        self.answered.notify_all();
    }

    /// What `git` says, if it says so in time.
    pub(crate) fn facts(&self) -> Option<GitFacts> {
        self.wait(GIT_WAIT_MAX, |answer| &answer.facts)
    }

    /// Whether a tracked file differs from the commit, if `git` says so within this time after it was asked.
    fn is_changed(&self, within: Duration) -> Option<bool> {
        let passed = clock::instant().saturating_duration_since(self.asked);
        self.wait(within.saturating_sub(passed), |answer| &answer.is_changed)
    }

    fn wait<T: Clone>(&self, patience: Duration, of: impl Fn(&Answer) -> &Known<T>) -> Option<T> {
        let answer = lock(&self.answer);
        let (answer, _) = self
            .answered
            .wait_timeout_while(answer, patience, |answer| matches!(of(answer), Known::Awaited))
            .unwrap_or_else(PoisonError::into_inner);
        match of(&answer) {
            Known::Given(given) => given.clone(),
            Known::Awaited => None,
        }
    }
}

/// Whether `git` knows, or is still to know, whether the tree is changed.
pub(crate) fn may_be_changed(dir: &Path) -> bool {
    lock(&Lookup::of(dir).answer).is_changed != Known::Given(None)
}

/// Whether the tree is changed, for the background, which may wait longer than a start.
pub(crate) fn is_changed(dir: &Path) -> Option<bool> {
    Lookup::of(dir).is_changed(CHANGES_FOUND_MAX)
}

/// What `git diff` says of the tracked files against the commit, to be applied by `git apply`; `None` if they are as
/// committed, or there is no repository.
///
/// # Errors
/// It is too large to keep, or `git` takes too long or does not end well.
pub(crate) fn diff(dir: &Path) -> Result<Option<Vec<u8>>> {
    let dir = dir.to_owned();
    within(DIFF_WAIT_MAX, move || ask_diff(&dir)).unwrap_or_else(|| {
        let text = format!("`git diff` takes more than {} s", DIFF_WAIT_MAX.as_secs());
        Err(Error::new(ErrorKind::Unavailable, text))
    })
}

/// What `work` gives on a thread of its own; `None` if that takes longer, and then it is left alone.
fn within<T: Send + 'static>(patience: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (tell, told) = sync_channel(1);
    let thread = std::thread::Builder::new().name("runlog-git".to_owned());
    thread.spawn(move || tell.send(work())).ok()?;
    told.recv_timeout(patience).ok()
}

fn ask_diff(dir: &Path) -> Result<Option<Vec<u8>>> {
    if Lookup::of(dir).wait(DIFF_WAIT_MAX, |answer| &answer.facts).is_none() {
        return Ok(None);
    }
    // Whatever the user's settings make of a diff for people.
    let arguments = ["diff", "--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--no-relative"];
    let format = ["--unified=3", "--submodule=short", "--src-prefix=a/", "--dst-prefix=b/", "HEAD"];
    let failed = || Error::new(ErrorKind::Unexpected, "`git diff` failed");
    let mut child = git(dir, &[&arguments[..], &format].concat()).ok_or_else(failed)?;
    let mut diff = Vec::new();
    let read = child.stdout.take().map(|out| out.take(DIFF_BYTES_MAX + 1).read_to_end(&mut diff));
    let is_too_large = diff.len() as u64 > DIFF_BYTES_MAX;
    if is_too_large {
        child.kill().ok();
    }
    let ended_well = child.wait().is_ok_and(|status| status.success());
    if is_too_large {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "what `git diff` says is more than 10 MiB, which is not kept",
        ));
    }
    if !ended_well || !matches!(read, Some(Ok(_))) {
        return Err(failed());
    }
    Ok(Some(diff).filter(|diff| !diff.is_empty()))
}

fn ask_git(dir: &Path) -> Option<GitFacts> {
    let head = git(dir, &["rev-parse", "HEAD", "--abbrev-ref", "HEAD"])?;
    let remotes = git(dir, &["config", "--local", "--get-regexp", r"^remote\..*\.url$"]);
    let (head, remotes) = (output(head), remotes.and_then(output));
    let head = head?;
    let mut lines = head.lines();
    let commit = lines.next()?.to_owned();
    let branch = lines.next().filter(|branch| *branch != "HEAD").map(str::to_owned);
    let remote = remotes.as_deref().and_then(|remotes| remotes.lines().next());
    // A line is `remote.<name>.url <address>`; a remote's name has no space.
    let repo_url = remote.and_then(|line| line.split_once(' ')).map(|(_, url)| without_userinfo(url));
    Some(GitFacts { commit, branch, repo_url })
}

fn git(dir: &Path, arguments: &[&str]) -> Option<Child> {
    let mut command = Command::new("git");
    // Without optional locks, because someone may be committing in there.
    command.args(arguments).current_dir(dir).env("GIT_OPTIONAL_LOCKS", "0");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()
}

fn output(child: Child) -> Option<String> {
    let output = child.wait_with_output().ok()?;
    if output.status.success() { String::from_utf8(output.stdout).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `git` in `dir` with an identity and no configuration of this machine.
    fn run_git(dir: &Path, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=trunk"]);
        command.args(arguments).current_dir(dir).env("GIT_CONFIG_GLOBAL", "").env("GIT_CONFIG_NOSYSTEM", "1");
        assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    }

    fn repository() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        run_git(dir.path(), &["init"]);
        run_git(dir.path(), &["commit", "--allow-empty", "-m", "first"]);
        dir
    }

    fn config(dir: &Path) -> Config {
        Config { working_dir: dir.to_owned(), login: Some("ada".to_owned()), ..Config::default() }
    }

    fn lines(tags: &[Tag]) -> String {
        tags.iter().flat_map(|tag| [&tag.key, "=", &tag.value, "\n"]).collect()
    }

    #[test]
    fn without_a_repository_there_are_three_tags() {
        let dir = tempfile::tempdir().unwrap();
        let tags = default_tags(&config(dir.path()));
        assert_eq!(lines(&tags), "mlflow.source.name=<console>\nmlflow.source.type=LOCAL\nmlflow.user=ada\n");
    }

    #[test]
    fn a_repository_gives_commit_branch_and_address_without_secrets() {
        let dir = repository();
        run_git(dir.path(), &["remote", "add", "zeta", "https://ada:secret@example.org/team/model.git"]);
        run_git(dir.path(), &["remote", "add", "alpha", "https://example.org/fork.git"]);
        let facts = ask_git(dir.path()).unwrap();
        assert_eq!(facts.commit.len(), 40);
        assert_eq!(facts.branch.as_deref(), Some("trunk"));
        assert_eq!(facts.repo_url.as_deref(), Some("https://example.org/team/model.git"));

        assert_eq!(is_changed(dir.path()), Some(false));
        let tags = default_tags(&config(dir.path()));
        assert!(lines(&tags).contains("mlflow.source.git.dirty=false\n"));
        assert!(lines(&tags).contains(&format!("mlflow.source.git.commit={}\n", facts.commit)));
        assert!(tags.is_sorted());
    }

    #[test]
    fn a_detached_head_has_no_branch_and_an_unborn_one_no_facts() {
        let dir = repository();
        run_git(dir.path(), &["checkout", "--detach"]);
        assert_eq!(ask_git(dir.path()).unwrap().branch, None);

        let empty = tempfile::tempdir().unwrap();
        run_git(empty.path(), &["init"]);
        assert_eq!(ask_git(empty.path()), None);
        assert_eq!(ask_git(Path::new("/no such place")), None);
    }

    #[test]
    fn the_first_answer_holds_for_the_process() {
        let dir = repository();
        prefetch(&config(dir.path()));
        let first = Lookup::of(dir.path()).facts().unwrap();
        run_git(dir.path(), &["commit", "--allow-empty", "-m", "second"]);
        assert_eq!(Lookup::of(dir.path()).facts().unwrap(), first);
        assert_ne!(ask_git(dir.path()).unwrap().commit, first.commit);
    }

    #[test]
    fn only_tracked_files_make_a_tree_dirty_and_are_in_the_diff() {
        let dir = repository();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("train.rs", "one\nlr = 1\nthree\n");
        run_git(dir.path(), &["add", "train.rs"]);
        run_git(dir.path(), &["commit", "-m", "code"]);
        write("secret.env", "token\n");
        let asked = |dir: &Path| {
            let lookup =
                Lookup { asked: clock::instant(), answer: Mutex::default(), answered: Condvar::new() };
            lookup.ask(dir);
            lookup.is_changed(Duration::ZERO)
        };
        assert_eq!((asked(dir.path()), diff(dir.path()).unwrap()), (Some(false), None));

        write("train.rs", "one\nlr = 2\nthree\n");
        write("staged.bin", "\0\u{1}");
        run_git(dir.path(), &["add", "staged.bin"]);
        // Settings that make a diff unfit for `git apply`.
        run_git(dir.path(), &["config", "diff.noprefix", "true"]);
        run_git(dir.path(), &["config", "color.diff", "always"]);
        run_git(dir.path(), &["config", "diff.context", "0"]);
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        let below = dir.path().join("sub");
        assert_eq!(asked(&below), Some(true));
        let patch = diff(&below).unwrap().unwrap();
        assert!(!String::from_utf8_lossy(&patch).contains("token"));
        run_git(dir.path(), &["stash"]);
        write("patch", std::str::from_utf8(&patch).unwrap());
        run_git(dir.path(), &["apply", "patch"]);
        assert_eq!(std::fs::read(dir.path().join("train.rs")).unwrap(), b"one\nlr = 2\nthree\n");
        assert_eq!(std::fs::read(dir.path().join("staged.bin")).unwrap(), b"\0\x01");

        let nowhere = tempfile::tempdir().unwrap();
        assert_eq!((asked(nowhere.path()), diff(nowhere.path()).unwrap()), (None, None));
    }

    #[test]
    fn nobody_waits_for_a_git_that_does_not_end() {
        let (go, gate) = sync_channel::<()>(1);
        let wait = move || gate.recv().is_ok();
        assert_eq!(within(Duration::from_millis(1), wait), None);
        go.send(()).ok();
        assert_eq!(within(Duration::MAX, || 42), Some(42));
    }

    #[test]
    fn a_diff_that_is_too_large_is_refused() {
        let dir = repository();
        let large = "a line of some length\n".repeat(usize::try_from(DIFF_BYTES_MAX).unwrap() / 20);
        std::fs::write(dir.path().join("large.csv"), large).unwrap();
        run_git(dir.path(), &["add", "large.csv"]);
        assert!(diff(dir.path()).unwrap_err().to_string().contains("10 MiB"));
    }

    #[test]
    fn the_run_context_overrides_and_nonsense_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        config.run_context = Some(r#"{"mlflow.user": "eve", "team": 7, "bad*key": "x"}"#.to_owned());
        let tags = lines(&default_tags(&config));
        assert!(tags.contains("mlflow.user=eve\n") && tags.contains("team=7\n"), "{tags}");
        assert!(!tags.contains("bad*key"), "{tags}");
        assert!(run_context("not json").is_empty() && run_context("[1]").is_empty());
    }

    #[test]
    fn the_user_is_the_servers_then_the_login_then_the_systems() {
        let mut config = Config {
            username: Some("server".to_owned()),
            login: Some("login".to_owned()),
            ..Config::default()
        };
        assert_eq!(user(&config), "server");
        config.username = None;
        assert_eq!(user(&config), "login");
        config.login = None;
        assert!(!user(&config).is_empty());
        let users = "admin:x:0:0:admin:/:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!(user_in(users, 1000).as_deref(), Some("ada"));
        assert_eq!(user_in(users, 7), None);
    }
}
