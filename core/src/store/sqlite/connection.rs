//! The two connections of a store: one writes, one reads, so that a read never waits for a long write. The one that
//! reads is opened by the first read: each connection parses the whole schema, and many processes only write.
//!
//! The database file itself is only ever opened by SQLite. On Unix a process that closes any other descriptor of a file
//! loses all its locks on it, and SQLite's with them.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::failure::Outcome;
use super::schema::{self, Readiness};
use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::file_system;
use crate::forking::{self, PutAway};
use crate::sync::lock;

/// How long a statement waits for other processes, as MLflow does.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

/// How often an incomplete schema is looked at again.
const PROBE_INTERVAL: Duration = Duration::from_millis(20);

/// More than the store has statements, so that each is parsed once per connection.
const STATEMENTS_MAX: usize = 128;

/// Page cache in KiB (SQLite counts those as negative). The indexes of metrics are written all over; the 2 MiB that
/// SQLite takes by itself hold those of some 10,000 points.
const CACHE_KIB: i64 = -16_384;

/// Pages in the write-ahead log at which a commit moves it into the database: 16 MiB. Each time both files are synced,
/// and pages that are written again and again, as those of an index are, are moved once instead of several times.
const LOG_PAGES: i64 = 4096;

pub(super) struct Connections {
    writer: Lazy,
    /// `None` for a database in memory, which only its one connection sees.
    reader: Option<Lazy>,
    /// The write-ahead log next to the database, if there may be one.
    pub(super) wal: Option<PathBuf>,
    /// Whether the directory entry of the log is known to be on disk.
    wal_entry_synced: AtomicBool,
}

/// A connection that is opened when it is needed: the one that reads by the first read, both again after a fork, before
/// which they are put away.
struct Lazy {
    /// Without symbolic links: another file must not be found when it is opened.
    path: PathBuf,
    open: Mutex<Option<Connection>>,
}

impl Lazy {
    fn of(path: &Path, open: Option<Connection>) -> Self {
        Self { path: path.to_owned(), open: Mutex::new(open) }
    }

    fn with<T>(&self, job: impl FnOnce(&mut Connection) -> Outcome<T>) -> Outcome<T> {
        let _pass = forking::enter();
        match &mut *lock(&self.open) {
            Some(open) => job(open),
            absent => {
                let open = connect(&self.path, OpenFlags::empty())?;
                tune(&open)?;
                job(absent.insert(open))
            }
        }
    }
}

impl PutAway for Connections {
    fn put_away(&self) {
        for connection in self.reader.iter().chain([&self.writer]) {
            // One that cannot be closed is dropped, which closes it later.
            drop(lock(&connection.open).take().map(Connection::close));
        }
        // Closing removed the log; the next one is a new entry.
        self.wal_entry_synced.store(false, Ordering::Relaxed);
    }
}

impl Connections {
    /// Opens the database at `path`; creates the schema if it holds nothing.
    ///
    /// Waits up to `patience` for tables that are missing: MLflow creates and migrates in many small transactions, and a
    /// training is often started in the same moment as the server that shows it.
    pub(super) fn open(path: &Path, artifact_root: &str, patience: Duration) -> Outcome<Arc<Self>> {
        let pass = forking::enter();
        let mut writer = connect(path, OpenFlags::SQLITE_OPEN_CREATE)?;
        if writer.is_readonly(rusqlite::MAIN_DB)? {
            return Err(denied("the database file is read-only", "the file").into());
        }
        let is_empty = schema::is_empty(&writer)?;
        // The file is there now. SQLite puts the log next to what a symbolic link names.
        let resolved = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if is_empty && file_system::is_local(&resolved) {
            // Before the first table, so that no process sees a database that changes its mode. If another one got in
            // between, the mode stays as that one left it.
            let _mode: Result<String, _> =
                writer.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0));
        }
        let deadline = clock::instant() + patience;
        loop {
            match schema::ensure(&mut writer, artifact_root)? {
                Readiness::Ready => break,
                Readiness::Missing(missing) if clock::instant() >= deadline => {
                    return Err(schema::incomplete(&missing).into());
                }
                Readiness::Missing(_) => thread::park_timeout(PROBE_INTERVAL),
            }
        }
        tune(&writer)?;
        let (writer, reader) = (Lazy::of(&resolved, Some(writer)), Lazy::of(&resolved, None));
        let mut wal = resolved.into_os_string();
        wal.push("-wal");
        let connections = Arc::new(Self {
            writer,
            reader: Some(reader),
            wal: Some(wal.into()),
            wal_entry_synced: AtomicBool::new(false),
        });
        drop(pass);
        forking::put_away_before_forks(&connections);
        Ok(connections)
    }

    /// A new database in memory.
    pub(super) fn in_memory(artifact_root: &str) -> Outcome<Arc<Self>> {
        let mut writer = Connection::open_in_memory()?;
        configure(&writer)?;
        schema::ensure(&mut writer, artifact_root)?;
        Ok(Arc::new(Self {
            writer: Lazy::of(Path::new(""), Some(writer)),
            reader: None,
            wal: None,
            wal_entry_synced: AtomicBool::new(true),
        }))
    }

    /// Runs `job` on one snapshot of the database.
    pub(super) fn read<T>(&self, job: impl FnOnce(&Connection) -> Outcome<T>) -> Outcome<T> {
        self.reader.as_ref().unwrap_or(&self.writer).with(|connection| read_on(connection, job))
    }

    /// Runs `job` in one transaction, which is kept if `job` succeeds.
    pub(super) fn write<T>(&self, job: impl FnOnce(&Connection) -> Outcome<T>) -> Outcome<T> {
        self.writer.with(|connection| {
            // Immediate: a transaction that begins by reading could not wait for another writer, only fail.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = job(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
    }

    /// Closes both connections. The last one of a database moves the log into it and removes the log.
    pub(super) fn close(&self) -> Outcome<()> {
        for connection in self.reader.iter().chain([&self.writer]) {
            let _pass = forking::enter();
            // What is asked for later finds a database without tables.
            let nowhere = Connection::open_in_memory()?;
            let open = lock(&connection.open).replace(nowhere);
            open.map_or(Ok(()), Connection::close).map_err(|(_still_open, cause)| cause)?;
        }
        Ok(())
    }

    /// Puts on disk what WAL mode with `synchronous=NORMAL` has only handed to the kernel.
    ///
    /// What is not in the log any more was synced when it was moved into the database. A checkpoint would do as well,
    /// but it rewrites pages each time, and skips the sync while a reader holds an old snapshot.
    pub(super) fn sync(&self) -> Result<()> {
        let Some(wal) = &self.wal else { return Ok(()) };
        // Writable, because Windows flushes only what it may write.
        let log = match OpenOptions::new().write(true).open(wal) {
            Ok(log) => log,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(cause) => return Err(Error::io("open the write-ahead log", wal, cause)),
        };
        log.sync_data().map_err(|cause| Error::io("sync the write-ahead log", wal, cause))?;
        if cfg!(unix) && !self.wal_entry_synced.load(Ordering::Relaxed) {
            let directory = wal.parent().unwrap_or(Path::new("."));
            fs::File::open(directory)
                .and_then(|opened| opened.sync_all())
                .map_err(|cause| Error::io("sync the database's directory", directory, cause))?;
            self.wal_entry_synced.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Runs `job` on one snapshot of the database.
fn read_on<T>(connection: &mut Connection, job: impl FnOnce(&Connection) -> Outcome<T>) -> Outcome<T> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let found = job(&transaction)?;
    transaction.commit()?;
    Ok(found)
}

/// Creates the directory of the database, and refuses early what could only fail later.
pub(super) fn prepare_place(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Err(Error::invalid(
            "the database's path is a directory; name a file in it, such as mlflow.db",
        ));
    }
    let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
        return Ok(());
    };
    fs::create_dir_all(directory).map_err(|cause| {
        let message = format!(
            "the database's directory cannot be created ({cause}); create it, or use a path that this user may write"
        );
        Error::new(ErrorKind::Denied, message).because(cause)
    })?;
    #[cfg(unix)]
    if rustix::fs::access(directory, rustix::fs::Access::WRITE_OK).is_err() {
        return Err(denied("the database's directory is read-only", "it (SQLite keeps its log there)"));
    }
    Ok(())
}

fn denied(what: &str, on: &str) -> Error {
    Error::new(
        ErrorKind::Denied,
        format!("{what}; give this user write permission on {on}, or use another path"),
    )
}

fn connect(path: &Path, more: OpenFlags) -> Outcome<Connection> {
    // Without SQLITE_OPEN_URI: a file may be called `file:x?mode=ro`. Without SQLite's own mutex: ours is around it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags | more)?;
    configure(&connection)?;
    Ok(connection)
}

fn configure(connection: &Connection) -> Outcome<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(())
}

/// Under WAL a commit need not wait for the disk: [`Connections::sync`] does. A rollback journal must.
fn tune(connection: &Connection) -> Outcome<()> {
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    let synchronous = if mode.eq_ignore_ascii_case("wal") { "NORMAL" } else { "FULL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", LOG_PAGES, |_| Ok(()))?;
    Ok(())
}
