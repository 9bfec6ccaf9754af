//! What a program that will be killed logs: a function of thread and number, which the test that reads it knows too.

/// Threads that log at once.
pub(crate) const THREADS: u64 = 4;

/// Where each thread counts its records, beside the others: how many a kill surely leaves, as it was said of none yet
/// that it will lose records.
pub(crate) const SAFE: u64 = THREADS;
/// What the test sets when the threads are to stop.
pub(crate) const STOP: u64 = 2 * THREADS;

/// What most records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    /// Points, and short texts now and then.
    Points,
    /// Many texts that fill a segment of the journal with every few thousand records.
    Texts,
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A point through a handle, of the metric `handle.<thread>`.
    Handle,
    /// A point by its key, `key.<thread>`.
    Key,
    /// The param `param.<thread>.<number>`.
    Param,
    /// The tag `tag.<thread>`.
    Tag,
}

impl Mix {
    /// `points` or `texts`.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "points" => Self::Points,
            "texts" => Self::Texts,
            _ => panic!("no mix {name:?}"),
        }
    }

    /// What record `number` of a thread is.
    pub(crate) fn kind(self, number: u64) -> Kind {
        let tag_every = if self == Self::Texts { 8 } else { 32 };
        match number % 256 {
            9 => Kind::Param,
            place if place % tag_every == 5 => Kind::Tag,
            place if place % 8 == 7 => Kind::Key,
            _ => Kind::Handle,
        }
    }

    /// The value of a param or tag.
    pub(crate) fn text(self, number: u64) -> String {
        let width = if self == Self::Texts { 4000 } else { 1 };
        format!("{number:->width$}")
    }
}
