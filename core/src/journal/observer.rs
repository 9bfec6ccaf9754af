//! Whether the process that writes a journal still lives, as seen from this process.
//!
//! A file lock alone is not enough: a forked child keeps the lock of its parent alive, and on a file system that several
//! machines use, a lock may be one machine's alone. A process id alone is not enough: ids are reused, and a container or
//! another machine has other ones. So, on a disk of this machine, the owner is dead when its lock is free, *or* when that
//! process, told by its id, start time, boot and namespace, is gone. On a file system of several machines it is dead when
//! it was seen here and is gone, or when this machine has booted since, or when it has given no sign of life for long.
//!
//! Signs of life are the times of files, which the file system's server sets; so is the time that they are compared
//! with. The clocks of the machines need not agree.

use std::cell::OnceCell;
use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use super::owner::{self, Machine, Owner};
use crate::clock;
use crate::error::{Error, Result};
use crate::file_system;
use crate::sync::lock;

/// The file that a process on a file system of several machines writes to as long as it lives.
const ALIVE: &str = "alive";
/// How often it does.
const BEAT_EVERY: Duration = Duration::from_mins(1);
/// After so long without, it is dead for other machines.
const SILENCE_MAX: Duration = Duration::from_mins(10);
/// How a file is called that is made to ask a file system for its time.
pub(super) const NOW: &str = ".now-";

/// One who looks at the journals in a directory.
#[derive(Debug)]
pub(super) struct Observer {
    here: Machine,
    /// Whether a lock that is free here is free on every machine.
    is_local: bool,
    place: PathBuf,
    /// The file system's time, asked for once.
    now: OnceCell<Option<SystemTime>>,
}

/// What an observer sees of a journal.
#[derive(Debug)]
pub(super) enum Seen {
    /// Its process lives, as far as can be told; who it is, if that can be read.
    Living(Result<Owner>),
    /// Its process is gone.
    Dead(Owner),
    /// Nobody holds it, and whose it is cannot be read.
    Unreadable(Error),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lock {
    Free,
    Held,
    /// The file system has no locks.
    Unknown,
}

impl Observer {
    /// This process, looking at the journals in `place`.
    pub(super) fn of(place: &Path) -> Self {
        Self {
            here: Machine::here(),
            is_local: file_system::is_local(place),
            place: place.to_owned(),
            now: OnceCell::new(),
        }
    }

    /// Looks at the journal in `dir`.
    ///
    /// # Errors
    /// There is no journal any more (`NotFound`), or nothing of it can be read.
    pub(super) fn look(&self, dir: &Path) -> Result<Seen> {
        let file = Owner::open(dir)?;
        // Shared, so that two who look do not take one another for the owner.
        let lock = match file.try_lock_shared() {
            Ok(()) => Lock::Free,
            Err(TryLockError::WouldBlock) => Lock::Held,
            Err(TryLockError::Error(_)) => Lock::Unknown,
        };
        Ok(match Owner::read(&file, dir) {
            Err(error) if lock == Lock::Held => Seen::Living(Err(error)),
            Err(error) => Seen::Unreadable(error),
            Ok(owner) if self.is_dead(&owner, lock, dir) => Seen::Dead(owner),
            Ok(owner) => Seen::Living(Ok(owner)),
        })
    }

    fn is_dead(&self, owner: &Owner, lock: Lock, dir: &Path) -> bool {
        if owner.is_gone(&self.here) {
            return true;
        }
        if self.is_local {
            return lock == Lock::Free;
        }
        if lock == Lock::Held || owner.is_visible_from(&self.here) {
            return false;
        }
        let has_booted_since =
            !owner.machine.is_same_boot(&self.here) && owner.machine.is_same_machine(&self.here);
        has_booted_since || self.is_silent(dir)
    }

    /// Whether the process has given no sign of life for so long that it must be gone.
    fn is_silent(&self, dir: &Path) -> bool {
        // Opened: who opens a file of a network file system is told its time anew.
        let time = |name| File::open(dir.join(name)).and_then(|file| file.metadata()?.modified()).ok();
        self.is_past([owner::FILE, ALIVE].into_iter().filter_map(time).max())
    }

    /// Whether nothing was made or removed in `dir` for as long.
    pub(super) fn is_old(&self, dir: &Path) -> bool {
        self.is_past(dir.metadata().and_then(|found| found.modified()).ok())
    }

    fn is_past(&self, last: Option<SystemTime>) -> bool {
        let now = *self.now.get_or_init(|| file_system_time(&self.place));
        match (now, last) {
            (Some(now), Some(last)) => now.duration_since(last).is_ok_and(|silence| silence > SILENCE_MAX),
            _ => false,
        }
    }
}

/// The time that the file system of `dir` gives to a file that is written now.
fn file_system_time(dir: &Path) -> Option<SystemTime> {
    let path = dir.join(format!("{NOW}{:016x}", crate::id::random_u64()));
    let file = File::options().write(true).create_new(true).open(&path).ok()?;
    let time = write_through(&file).and_then(|()| file.metadata()?.modified());
    std::fs::remove_file(&path).ok();
    time.ok()
}

/// Writes so that the server of the file system sees it, and sets the file's time.
fn write_through(mut file: &File) -> std::io::Result<()> {
    file.write_all(b"1")?;
    file.sync_all()
}

/// The signs of life that a process gives where other machines see its journal.
#[derive(Debug)]
pub(super) struct Heartbeat {
    dir: PathBuf,
    last: Mutex<Option<Instant>>,
}

impl Heartbeat {
    /// For the journal in `dir`; `None` where nobody needs it.
    pub(super) fn of(dir: &Path) -> Option<Self> {
        (!file_system::is_local(dir)).then(|| Self { dir: dir.to_owned(), last: Mutex::default() })
    }

    /// Gives a sign of life, if the last one is some time ago.
    pub(super) fn beat(&self) {
        let now = clock::instant();
        let mut last = lock(&self.last);
        if last.is_some_and(|last| now - last < BEAT_EVERY) {
            return;
        }
        *last = Some(now);
        let alive = File::options().create(true).write(true).truncate(true).open(self.dir.join(ALIVE));
        if let Err(cause) = alive.and_then(|file| write_through(&file)) {
            // The next one tries again, and ten may fail.
            tracing::debug!(target: "runlog::journal", %cause, "no sign of life");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Place, dead_journals};

    /// An observer here, told what kind of file system it looks at.
    fn observer(place: &Path, is_local: bool) -> Observer {
        Observer { is_local, ..Observer::of(place) }
    }

    fn is_dead(observer: &Observer, dir: &Path) -> bool {
        match observer.look(dir).unwrap() {
            Seen::Dead(_) => true,
            Seen::Living(_) => false,
            Seen::Unreadable(error) => panic!("{error}"),
        }
    }

    /// Drops the lock, and waits until no child that another test spawned at this moment holds a copy of it.
    fn release(lock: File, dir: &Path) {
        drop(lock);
        while Owner::open(dir).unwrap().try_lock_shared().is_err() {
            std::thread::yield_now();
        }
    }

    /// The journal of a process on another machine, whose lock is free as far as this one sees.
    fn from_elsewhere(dir: &Path) -> Owner {
        let machine = Machine {
            boot_id: Some("another boot".to_owned()),
            installation: Some("another machine".to_owned()),
            host_name: Some("gpu-3".to_owned()),
            ..Machine::here()
        };
        let owner = Owner { machine, ..Owner::this_process("s") };
        release(owner.write(dir).unwrap(), dir);
        owner
    }

    /// Sets the time of a file `ago` before that of the file system.
    fn age(dir: &Path, name: &str, ago: Duration) {
        let file = File::options().write(true).open(dir.join(name)).unwrap();
        file.set_modified(file_system_time(dir).unwrap() - ago).unwrap();
    }

    #[test]
    fn a_held_lock_means_alive_and_a_free_one_dead() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Owner::this_process("s").write(dir.path()).unwrap();
        assert!(!is_dead(&observer(dir.path(), true), dir.path()));
        release(lock, dir.path());
        assert!(is_dead(&observer(dir.path(), true), dir.path()));
    }

    #[test]
    fn who_only_looks_is_not_taken_for_the_owner() {
        let dir = tempfile::tempdir().unwrap();
        release(Owner::this_process("s").write(dir.path()).unwrap(), dir.path());
        let another = Owner::open(dir.path()).unwrap();
        another.try_lock_shared().unwrap();
        assert!(is_dead(&observer(dir.path(), true), dir.path()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_is_gone_is_dead_though_its_lock_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        let owner = Owner { pid: gone.id(), start_time: Some(1), ..Owner::this_process("s") };
        gone.wait().unwrap();
        let _inherited_by_a_child = owner.write(dir.path()).unwrap();
        for is_local in [true, false] {
            let mut observer = observer(dir.path(), is_local);
            assert!(is_dead(&observer, dir.path()));
            // Of another container's processes this one sees nothing, nor does the next boot of those of this one.
            observer.here.pid_namespace = Some("another".to_owned());
            assert!(!is_dead(&observer, dir.path()));
            observer.here = Machine { boot_id: Some("another boot".to_owned()), ..Machine::here() };
            assert!(!is_dead(&observer, dir.path()));
        }
    }

    #[test]
    fn a_free_lock_says_nothing_about_another_machine_until_it_has_been_silent_for_long() {
        let dir = tempfile::tempdir().unwrap();
        from_elsewhere(dir.path());
        let looks_dead = || is_dead(&observer(dir.path(), false), dir.path());
        assert!(!looks_dead(), "it has just begun");
        age(dir.path(), owner::FILE, SILENCE_MAX * 2);
        assert!(looks_dead());
        let heart = Heartbeat { dir: dir.path().to_owned(), last: Mutex::default() };
        heart.beat();
        assert!(!looks_dead(), "a sign of life");
        age(dir.path(), ALIVE, SILENCE_MAX / 2);
        assert!(!looks_dead(), "some may be missing");
        age(dir.path(), ALIVE, SILENCE_MAX * 2);
        assert!(looks_dead());
        assert!(
            is_dead(&observer(dir.path(), true), dir.path()),
            "on a disk of this machine, the lock tells"
        );
        let names = dir.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.filter(|name| name.as_encoded_bytes().starts_with(NOW.as_bytes())).count(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_clocks_of_two_machines_need_not_agree() {
        let dir = tempfile::tempdir().unwrap();
        from_elsewhere(dir.path());
        age(dir.path(), owner::FILE, SILENCE_MAX * 2);
        let an_hour_behind = file_system_time(dir.path()).unwrap() - Duration::from_hours(1);
        let observer = observer(dir.path(), false);
        observer.now.set(Some(an_hour_behind)).unwrap();
        assert!(!is_dead(&observer, dir.path()), "only the file system's time counts");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_left_of_a_process_that_could_not_say_who_it_is_goes_after_a_while() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::Directory(dir.path().to_owned());
        let half_made = [".new-a", ".new-b"].map(|name| dir.path().join(name));
        for path in &half_made {
            std::fs::create_dir(path).unwrap();
        }
        std::fs::write(half_made[1].join(owner::FILE), r#"{"form"#).unwrap();
        dead_journals(&place);
        assert!(half_made.iter().all(|path| path.exists()), "somebody may be making them");
        for path in &half_made {
            let past = file_system_time(dir.path()).unwrap() - SILENCE_MAX * 2;
            File::open(path).unwrap().set_modified(past).unwrap();
        }
        dead_journals(&place);
        assert!(half_made.iter().all(|path| !path.exists()));
    }

    #[test]
    fn a_reboot_of_the_same_machine_ends_its_processes_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let before = from_elsewhere(dir.path()).machine;
        let mut observer = observer(dir.path(), false);
        observer.here = Machine { boot_id: Some("the next boot".to_owned()), ..before.clone() };
        assert!(is_dead(&observer, dir.path()));
        // Of a copied image of a machine, one of the two is the same.
        observer.here.host_name = Some("gpu-4".to_owned());
        assert!(!is_dead(&observer, dir.path()));
        observer.here = Machine { installation: None, ..before };
        observer.here.boot_id = Some("the next boot".to_owned());
        assert!(!is_dead(&observer, dir.path()));
    }

    #[test]
    fn another_container_on_this_machine_is_alive_by_its_lock_and_on_a_shared_disk_by_its_signs_of_life() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Owner::this_process("s").write(dir.path()).unwrap();
        let seen = |is_local| {
            let mut observer = observer(dir.path(), is_local);
            observer.here.pid_namespace = Some("another".to_owned());
            is_dead(&observer, dir.path())
        };
        assert!(!seen(true) && !seen(false));
        release(lock, dir.path());
        assert!(seen(true), "one kernel has one table of locks");
        assert!(!seen(false), "each container may have mounted it by itself");
        age(dir.path(), owner::FILE, SILENCE_MAX * 2);
        assert!(seen(false));
    }

    #[test]
    fn an_owner_of_another_version_lives_while_it_holds_its_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(owner::FILE);
        std::fs::write(&path, r#"{"format": 2}"#).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.lock().unwrap();
        let look = || observer(dir.path(), true).look(dir.path()).unwrap();
        assert!(matches!(look(), Seen::Living(Err(_))));
        release(file, dir.path());
        assert!(matches!(look(), Seen::Unreadable(_)));
    }
}
