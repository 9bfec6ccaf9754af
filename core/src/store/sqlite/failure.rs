//! What can go wrong below a statement, and what it means to a caller.
//!
//! SQLite's errors stop here: they become an [`Error`] with a kind to act on, and stay in its source chain.

use rusqlite::ErrorCode;

use crate::error::{Error, ErrorKind};

/// Either SQLite's error or one of ours; statements return it so that `?` works for both.
pub(super) enum Failure {
    /// From SQLite, not yet interpreted.
    Sql(rusqlite::Error),
    /// Said by us.
    Ours(Error),
}

/// The result of everything that runs statements.
pub(super) type Outcome<T> = Result<T, Failure>;

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl Failure {
    /// SQLite's code, if the failure came from there.
    pub(super) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sql(
                rusqlite::Error::SqliteFailure(error, _) | rusqlite::Error::SqlInputError { error, .. },
            ) => Some(error.code),
            _ => None,
        }
    }

    /// The failure as callers see it, without the place.
    pub(super) fn into_error(self) -> Error {
        let code = self.code();
        let cause = match self {
            Self::Ours(error) => return error,
            Self::Sql(cause) => cause,
        };
        let (kind, message) = match code {
            Some(code) => meaning(code, &cause),
            None if is_foreign_row(&cause) => (
                ErrorKind::Corrupt,
                "a row of the database is not as MLflow writes it; look at it with the sqlite3 command",
            ),
            None => (ErrorKind::Unexpected, "the database refused a statement; please report this"),
        };
        Error::new(kind, message).because(cause)
    }
}

fn meaning(code: ErrorCode, cause: &rusqlite::Error) -> (ErrorKind, &'static str) {
    match code {
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::SchemaChanged
        | ErrorCode::OperationInterrupted
        | ErrorCode::OperationAborted => {
            (ErrorKind::Unavailable, "the database is locked by another process; try again when it is done")
        }
        ErrorCode::DiskFull => (ErrorKind::Unavailable, "the disk is full; free some space"),
        ErrorCode::OutOfMemory => (ErrorKind::Unavailable, "SQLite ran out of memory; free some"),
        ErrorCode::SystemIoFailure => (
            ErrorKind::Unavailable,
            "reading or writing the database failed; look at the disk, its quota and the system log",
        ),
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => (
            ErrorKind::Denied,
            "the database cannot be written; give this user write permission on the file and its directory, or use \
             another path",
        ),
        ErrorCode::CannotOpen => (
            ErrorKind::Denied,
            "the database cannot be opened or created; give this user write permission on its directory, or use \
             another path",
        ),
        ErrorCode::NotADatabase => (
            ErrorKind::Corrupt,
            "the file is not a SQLite database; name MLflow's database, or a path where none is yet",
        ),
        ErrorCode::DatabaseCorrupt => (
            ErrorKind::Corrupt,
            "the database is damaged; restore a backup, or save what is readable with `sqlite3 <file> .recover`",
        ),
        ErrorCode::ConstraintViolation => match cause.sqlite_extended_error_code() {
            Some(rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => {
                (ErrorKind::AlreadyExists, "something of that name or id exists already; use another one")
            }
            Some(rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => {
                (ErrorKind::NotFound, "what this belongs to does not exist; create it first")
            }
            _ => (ErrorKind::InvalidInput, "the database does not accept this value; change it"),
        },
        ErrorCode::TooBig => {
            (ErrorKind::InvalidInput, "a text is larger than SQLite holds; log it as an artifact")
        }
        _ => (ErrorKind::Unexpected, "the database refused a statement; please report this"),
    }
}

/// Whether a stored value has a type or form that MLflow never writes.
fn is_foreign_row(cause: &rusqlite::Error) -> bool {
    matches!(
        cause,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::InvalidColumnType(..)
    )
}
