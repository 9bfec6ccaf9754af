//! Records, plain enough to tell a whole one from a torn one.

use serde::Deserialize;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    Metric(Point),
    Text(Text),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point(pub(super) [u64; 6]);

impl Point {
    pub(super) fn from_words(words: [u64; 6]) -> Self {
        Self(words)
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Text(pub(super) String);
