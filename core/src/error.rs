//! The one error of runlog: opaque, with a kind to act on.
//!
//! Third-party types never appear in it; what they said is in the source chain (`{:#}` prints it).

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;

/// `Result` with runlog's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as a caller can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument, a variable or a value is wrong; the message says what to write instead.
    InvalidInput,
    /// The experiment, run, model or file does not exist.
    NotFound,
    /// Something of that name exists already.
    AlreadyExists,
    /// The write contradicts what is stored, such as a param with another value.
    Conflict,
    /// The system does not let us: permissions, a read-only place.
    Denied,
    /// The store cannot be reached or is busy; the same call may work later.
    Unavailable,
    /// This build, store or platform cannot do that.
    Unsupported,
    /// What was read is not what it should be, such as a database that is not MLflow's.
    Corrupt,
    /// Something that was logged did not reach the store and will not; see [`Error::losses`].
    Lost,
    /// Everything else.
    Unexpected,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidInput => "invalid input",
            Self::NotFound => "not found",
            Self::AlreadyExists => "already exists",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::Unsupported => "unsupported",
            Self::Corrupt => "corrupt",
            Self::Lost => "lost",
            Self::Unexpected => "unexpected",
        })
    }
}

const REASONS_MAX: usize = 100;
const REASON_CHARS_MAX: usize = 300;

/// How many records did not reach the store, by reason.
///
/// Empty means: nothing was lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses(BTreeMap<String, u64>);

impl Losses {
    /// Adds `count` records lost for `reason`.
    ///
    /// Reasons name keys and values: long ones are cut, and after a hundred of them the rest is counted together.
    pub fn add(&mut self, reason: &str, count: u64) {
        let cut = reason.char_indices().nth(REASON_CHARS_MAX).map_or(reason.len(), |(end, _)| end);
        let known = self.0.contains_key(&reason[..cut]) || self.0.len() < REASONS_MAX;
        let reason = if known { &reason[..cut] } else { "other reasons" };
        if let Some(seen) = self.0.get_mut(reason) {
            *seen += count;
        } else {
            self.0.insert(reason.to_owned(), count);
        }
    }

    /// Every reason with its count, sorted by reason.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(reason, count)| (reason.as_str(), *count))
    }

    /// The number of records lost, whatever the reason.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Whether nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (reason, count)) in self.iter().enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            write!(f, "{separator}{count} × {reason}")?;
        }
        Ok(())
    }
}

/// The error of every fallible call of runlog.
///
/// It displays as one line that says what to do; `{:#}` adds the causes that the line does not have already.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    temporary: bool,
    message: String,
    context: Vec<(&'static str, String)>,
    losses: Losses,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind`, whose `message` says what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            temporary: kind == ErrorKind::Unavailable,
            message: message.into(),
            context: Vec::new(),
            losses: Losses::default(),
            source: None,
        }))
    }

    /// An [`ErrorKind::InvalidInput`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// An [`ErrorKind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// An [`ErrorKind::Lost`] that carries what was lost.
    pub fn lost(losses: Losses) -> Self {
        let mut error = Self::new(
            ErrorKind::Lost,
            format!("{} record(s) did not reach the store: {losses}", losses.total()),
        );
        error.0.losses = losses;
        error
    }

    /// An error from the file system about `path`, with the kind that the cause has.
    pub fn io(doing: &str, path: &std::path::Path, cause: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match cause.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::Denied,
            Io::AlreadyExists => ErrorKind::AlreadyExists,
            Io::StorageFull | Io::QuotaExceeded => ErrorKind::Unavailable,
            _ => ErrorKind::Unexpected,
        };
        Self::new(kind, format!("cannot {doing}: {cause}")).with("path", path.display()).because(cause)
    }

    /// Adds a fact to the message, such as the run or the path.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Keeps `source` as the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Marks whether the same call may work later.
    #[must_use]
    pub fn temporary(mut self, temporary: bool) -> Self {
        self.0.temporary = temporary;
        self
    }

    /// What a caller can act on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may work later.
    pub fn is_temporary(&self) -> bool {
        self.0.temporary
    }

    /// What was lost; empty unless the kind is [`ErrorKind::Lost`].
    pub fn losses(&self) -> &Losses {
        &self.0.losses
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (place, (key, value)) in self.0.context.iter().enumerate() {
            let opening = if place == 0 { " (" } else { ", " };
            write!(f, "{opening}{key}: {value}")?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        if f.alternate() {
            let mut cause = self.source();
            while let Some(source) = cause {
                let words = source.to_string();
                if !self.0.message.contains(&words) {
                    write!(f, ": {words}")?;
                }
                cause = source.source();
            }
        }
        Ok(())
    }
}

/// As it displays: `fn main() -> Result<()>` prints `Debug`, and a user should read a sentence there.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.0.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displays_one_line_with_context_last() {
        let error = Error::invalid("the key has a tab; use letters").with("key", "a\tb").with("run", "r");
        assert_eq!(error.to_string(), "the key has a tab; use letters (key: a\tb, run: r)");
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }

    #[test]
    fn the_alternate_form_adds_the_causes() {
        let error = Error::new(ErrorKind::Unavailable, "no store").because(Error::invalid("why"));
        assert_eq!(format!("{error:#}"), "no store: why");
        assert!(error.is_temporary());
        let cause = std::io::Error::other("the disk is gone");
        let error = Error::io("write", std::path::Path::new("/a"), cause);
        assert_eq!(format!("{error:#}"), "cannot write: the disk is gone (path: /a)");
    }

    #[test]
    fn losses_without_end_stay_bounded_and_counted() {
        let mut losses = Losses::default();
        for n in 0..10_000 {
            losses.add(&format!("{n} {}", "x".repeat(1000)), 1);
        }
        assert_eq!((losses.total(), losses.iter().count()), (10_000, 101));
        assert!(losses.to_string().len() < 50_000);
    }

    #[test]
    fn losses_are_told_by_reason() {
        let mut losses = Losses::default();
        losses.add("queue full", 2);
        losses.add("queue full", 1);
        losses.add("bad key", 1);
        let error = Error::lost(losses);
        assert_eq!(error.losses().total(), 4);
        assert_eq!(error.to_string(), "4 record(s) did not reach the store: 1 × bad key; 3 × queue full");
    }
}
