//! The files that points are appended to, each point once.
//!
//! MLflow's file store keeps a point that comes twice twice. Here a point that is there is passed over, and that must
//! cost nothing while a run goes on: of each file this store remembers how long it was, and the greatest points in it.
//! A point greater than those is new. Only one that is older than what is remembered needs a look at the file; so
//! does a file that this store has not written yet, which is what a recovery meets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::disk::{self, Disk};
use super::guard;
use super::line::{Line, Parse};
use crate::error::{Error, Result};
use crate::notice;

/// Points of a file that are remembered: threads that log one metric are out of order by a few.
const REMEMBERED: usize = 64;
/// What a line takes, roughly.
const LINE_BYTES: usize = 40;
/// Files that are remembered; a run has tens or hundreds.
const FILES_MAX: usize = 16_384;

/// What is known of the files that this store appended to.
#[derive(Debug, Default)]
pub(super) struct Tails(BTreeMap<PathBuf, Tail>);

#[derive(Debug, Default)]
struct Tail {
    /// The length of the file up to which this holds; a line ends there.
    len: u64,
    /// Every point of the file from the smallest of these on, in order.
    greatest: VecDeque<Line>,
    /// Whether the file has others.
    has_more: bool,
}

/// What a tail says of a point.
enum Seen {
    Before,
    /// Never; it goes there among the greatest.
    Never(usize),
    /// It is older than what is remembered: only the file knows.
    Unknown,
}

impl Tail {
    fn look_for(&self, line: &Line) -> Seen {
        // Points that come in order cost no more than this.
        if self.greatest.back().is_some_and(|last| line > last) {
            return Seen::Never(self.greatest.len());
        }
        match self.greatest.binary_search(line) {
            Ok(_) => Seen::Before,
            Err(0) if self.has_more => Seen::Unknown,
            Err(place) => Seen::Never(place),
        }
    }

    fn add(&mut self, line: Line) {
        if let Seen::Never(place) = self.look_for(&line) {
            self.insert(place, line);
        }
    }

    fn insert(&mut self, place: usize, line: Line) {
        if place == self.greatest.len() {
            self.greatest.push_back(line);
        } else {
            self.greatest.insert(place, line);
        }
        if self.greatest.len() > REMEMBERED {
            self.greatest.pop_front();
            self.has_more = true;
        }
    }
}

/// What will be appended to a file.
#[derive(Debug)]
pub(super) struct Append {
    path: PathBuf,
    /// Where it goes; what the file has behind that is torn.
    at: u64,
    exists: bool,
    /// Whether this store has written to the file before.
    is_known: bool,
    end: End,
    text: Vec<u8>,
    tail: Tail,
}

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// In a line, or it is empty.
    Whole,
    /// In a line without its break.
    Open,
    /// In something that is no line.
    Torn,
}

impl Tails {
    /// Prepares to append `lines` to the file at `path`, without those that it has.
    pub(super) fn plan(
        &mut self,
        path: &Path,
        parse: Parse,
        mut lines: impl ExactSizeIterator<Item = Line> + Clone,
    ) -> Result<Append> {
        let failed = |cause| Error::io("read the metric", path, cause);
        let found = match fs::metadata(path) {
            Ok(found) => Some(found.len()),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
            Err(cause) => return Err(failed(cause)),
        };
        let len = found.unwrap_or(0);
        // Taken out: if the append fails, nothing is known of the file.
        let known = self.0.remove(path).filter(|tail| tail.len <= len);
        let is_known = known.is_some();
        let mut tail = known.unwrap_or_default();
        let mut append = Append {
            at: len,
            exists: found.is_some(),
            is_known: found.is_some() && is_known,
            end: End::Whole,
            text: Vec::new(),
            tail: Tail::default(),
            path: path.to_owned(),
        };
        if tail.len < len {
            let news = read_from(&append.path, tail.len).map_err(failed)?;
            let (whole, rest) = split_rest(&news);
            append.end = match rest {
                [] => End::Whole,
                _ if is_whole(whole, rest, parse) => End::Open,
                _ => End::Torn,
            };
            let mut sound = &*news;
            if append.end == End::Torn {
                append.at = tail.len + whole.len() as u64;
                sound = whole;
            }
            each(sound, &append.path, parse, |line| tail.add(line));
        }
        append.text.reserve(LINE_BYTES * lines.len());
        let mut old = None;
        while let Some(line) = lines.next() {
            let place = match tail.look_for(&line) {
                Seen::Before => continue,
                Seen::Never(place) => Some(place),
                Seen::Unknown => {
                    let old = match &mut old {
                        Some(old) => old,
                        none => {
                            let asked = std::iter::once(line.clone()).chain(lines.clone()).collect();
                            none.insert(append.those_of(&asked, parse).map_err(failed)?)
                        }
                    };
                    if old.contains(&line) {
                        continue;
                    }
                    None
                }
            };
            if append.end == End::Open && append.text.is_empty() {
                append.text.push(b'\n');
            }
            line.write(&mut append.text);
            if let Some(old) = &mut old {
                old.insert(line.clone());
            }
            if let Some(place) = place {
                tail.insert(place, line);
            }
        }
        tail.len = append.at + append.text.len() as u64;
        append.tail = tail;
        Ok(append)
    }

    /// Remembers what was written, and that the file has this length now.
    pub(super) fn written(&mut self, append: Append, len: u64) {
        if self.0.len() >= FILES_MAX {
            self.0.clear();
        }
        // Where MLflow wrote in between, nobody knows what the file holds.
        let ends_well = !append.is_empty() || append.end == End::Whole;
        if append.tail.len == len && ends_well {
            self.0.insert(append.path, append.tail);
        }
    }
}

impl Append {
    /// Which of these points the file will have, as far as it is planned.
    fn those_of(&self, asked: &BTreeSet<Line>, parse: Parse) -> io::Result<BTreeSet<Line>> {
        let mut found = BTreeSet::new();
        let mut there = read_from(&self.path, 0)?;
        there.truncate(usize::try_from(self.at).unwrap_or(usize::MAX));
        for bytes in [&there, &self.text] {
            each(bytes, &self.path, parse, |line| {
                if asked.contains(&line) {
                    found.insert(line);
                }
            });
        }
        Ok(found)
    }

    /// Whether every point is there already.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Writes it and returns the length of the file.
    pub(super) fn write(&self, disk: &Disk) -> Result<u64> {
        if self.is_empty() {
            return Ok(self.at);
        }
        let write = || {
            if !self.exists
                && let Some(parent) = self.path.parent()
            {
                fs::create_dir_all(parent)?;
            }
            let mut file = OpenOptions::new().append(true).create(true).open(&self.path)?;
            if self.end == End::Torn {
                file.set_len(self.at)?;
            }
            file.write_all(&self.text)?;
            Ok(file.metadata()?.len())
        };
        let len = write().map_err(|cause| disk::failed("append to the metric", &self.path, cause))?;
        if self.is_known {
            disk.appended(&self.path);
        } else {
            disk.wrote(&self.path);
        }
        Ok(len)
    }

    /// Takes back what was written, or a part of it.
    pub(super) fn undo(&self) {
        if self.is_empty() {
            return;
        }
        // It is done as well as the file system does it; a point that stays is passed over when it comes again.
        if self.exists {
            OpenOptions::new().write(true).open(&self.path).and_then(|file| file.set_len(self.at)).ok();
        } else if self.path.exists() {
            fs::remove_file(&self.path).ok();
        }
    }
}

/// Gives every point of the file `name` in `dir` to `visit`, in the order of the file, those that are there twice too.
pub(super) fn read(dir: &Path, name: &str, parse: Parse, visit: impl FnMut(Line)) -> Result<()> {
    let path = dir.join(name);
    let content = || match read_from(&path, 0) {
        Err(cause)
            if matches!(
                cause.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
            ) =>
        {
            Ok(Vec::new())
        }
        outcome => outcome.map_err(|cause| Error::io("read the metric", &path, cause)),
    };
    let mut bytes = content()?;
    // A last line without its line break is whole, unless somebody is writing it or died writing it. The file is
    // read again after the look, in case it was finished between the two.
    loop {
        let (whole, rest) = split_rest(&bytes);
        if rest.is_empty() {
            break;
        }
        if guard::is_appending(dir, name) || !is_whole(whole, rest, parse) {
            let whole = whole.len();
            bytes.truncate(whole);
            break;
        }
        let again = content()?;
        if again.len() == bytes.len() {
            break;
        }
        bytes = again;
    }
    each(&bytes, &path, parse, visit);
    Ok(())
}

/// Gives every line that can be read to `visit`.
fn each(bytes: &[u8], path: &Path, parse: Parse, mut visit: impl FnMut(Line)) {
    for text in bytes.split(|byte| *byte == b'\n') {
        match std::str::from_utf8(text).ok().and_then(parse) {
            Some(line) => visit(line),
            None if text.trim_ascii().is_empty() => {}
            None => notice::warn(
                &format!("malformed {}", path.display()),
                format_args!(
                    "a line of the metric in {} is not one of MLflow's and is passed over",
                    path.display()
                ),
            ),
        }
    }
}

/// The whole lines and what follows the last line break.
fn split_rest(bytes: &[u8]) -> (&[u8], &[u8]) {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    bytes.split_at(whole)
}

/// Whether `rest`, a last line without its break, is all of it: no less than the line before it has.
fn is_whole(whole: &[u8], rest: &[u8], parse: Parse) -> bool {
    let fields = |line: &[u8]| line.split(|byte| *byte == b' ').count();
    let before = whole.strip_suffix(b"\n").and_then(|whole| whole.rsplit(|byte| *byte == b'\n').next());
    std::str::from_utf8(rest).ok().and_then(parse).is_some()
        && before.is_none_or(|before| fields(before) <= fields(rest))
}

fn read_from(path: &Path, start: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    if start > 0 {
        file.seek(SeekFrom::Start(start))?;
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
