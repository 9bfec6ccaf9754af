//! A dead process's journal to which damage was done, as a fuzzer's bytes say, and what may be read of it then.
//!
//! Invariant: whatever was done, reading it ends, in little memory and without a panic, and what comes out was logged: a
//! record is only made up where its checksum was made up with it.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a check panics where the journal is wrong"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::definitions::FILE as DEFINITIONS;
use super::memory::{BITMAP_AT, SLOTS_AT};
use super::owner::{FILE as OWNER, Owner};
use super::record::{Point, Record, Text};
use super::recovery::{Claim, LOCK, Taken};
use super::segment::{FILE_BYTES, FORMAT, MAGIC, SLOTS, SLOTS_LOG2};
use super::slot::{self, Kind, PAYLOAD_BYTES, WORDS};
use super::{Entry, Slot, index};
use crate::error::Error;

const ASIDE: &str = "aside-0123456789abcdef.json";
/// What damage is done to. The third segment is not there before.
const FILES: [&str; 7] = ["0.seg", "1.seg", "2.seg", DEFINITIONS, OWNER, ASIDE, LOCK];
/// Number and salt of the two segments.
const SEGMENTS: [(u64, u64); 2] = [(3, 0x1234_5678_9abc_def0), (4, 0x0fed_cba9_8765_4321)];
/// A file that is not the journal's, and what it says.
const OUTSIDE: (&str, &str) = ("outside.json", "nobody may read this");
/// Damage done to one journal.
const DEEDS_MAX: usize = 32;

/// Makes a journal in `dir`, does to it what `data` says, and checks what is read of it.
pub fn check(dir: &Path, data: &[u8]) {
    let outside = Text::Note { time: 0, status: crate::RunStatus::Failed, text: OUTSIDE.1.to_owned() };
    write(&dir.join(OUTSIDE.0), &serde_json::to_vec(&outside).unwrap_or_default());
    let mut journal = Damaged::make(&dir.join("journal"));
    let mut bytes = Bytes(data);
    for _ in 0..DEEDS_MAX {
        if bytes.0.is_empty() {
            break;
        }
        journal.suffer(&mut bytes);
    }
    // Refused, or gone.
    let Ok(Taken::Claim(claim)) = Claim::take(&journal.dir) else { return };
    let all: Vec<Entry> = claim.all().collect();
    for pair in all.windows(2) {
        assert!(pair[0].first + pair[0].slots <= pair[1].first, "slots are read twice: {pair:?}");
    }
    let says_so = data.windows(OUTSIDE.1.len()).any(|window| window == OUTSIDE.1.as_bytes());
    for entry in &all {
        assert!(says_so || entry.record != Record::Text(outside.clone()), "a file outside was read");
        journal.judge(entry);
    }
    let waiting: Vec<Entry> = claim.unacknowledged().collect();
    for entry in &waiting {
        assert!(all.iter().any(|known| known.first == entry.first), "a record waits that is not there");
    }
    let acknowledged = claim.walk::<Error>(|window| {
        for slot in window.slots() {
            if let Slot::Waiting(entry) = slot {
                window.acknowledge(&entry);
            }
        }
        Ok(())
    });
    assert!(acknowledged.is_ok(), "nothing here fails");
    assert!(claim.unacknowledged().next().is_none(), "what was acknowledged comes again");
    let definitions = claim.definitions();
    for (number, run) in definitions.runs() {
        assert_eq!(definitions.run_of(number).as_ref(), Some(&run));
    }
    for number in (0..).take_while(|number| definitions.key_name(*number).is_some()) {
        let name = definitions.key_name(number).unwrap_or_default();
        assert!(definitions.find_key(name).is_some());
    }
}

/// The journal, and what is known of it.
struct Damaged {
    dir: std::path::PathBuf,
    /// What was logged, by its first sequence.
    logged: BTreeMap<u64, Record>,
    /// Slots that are in use, of both segments.
    used: Vec<u64>,
    /// Checksums were made up.
    is_forged: bool,
    /// The large record's file, which has no checksum, was changed.
    aside_changed: bool,
}

impl Damaged {
    fn make(dir: &Path) -> Self {
        fs::create_dir_all(dir).expect("the directory is ours");
        let mut made = Self {
            dir: dir.to_owned(),
            logged: BTreeMap::new(),
            used: Vec::new(),
            is_forged: false,
            aside_changed: false,
        };
        let tag = |value: &str| Text::Tag { run: 0, key: "k".to_owned(), value: value.to_owned() };
        write(&dir.join(LOCK), b"");
        write(
            &dir.join(DEFINITIONS),
            b"\n{\"Key\":{\"id\":0,\"name\":\"loss\"}}\n{\"Key\":{\"id\":1,\"name\":\"acc\"}}\
              \n{\"Run\":{\"id\":0,\"run\":{\"run_id\":\"r\",\"owned\":true}}}\n{\"CreatesRunIn\":{\"experiment_id\":\"0\"}}",
        );
        write(&dir.join(OWNER), &serde_json::to_vec(&Owner::this_process("store")).unwrap_or_default());
        write(&dir.join(ASIDE), &serde_json::to_vec(&tag("large")).unwrap_or_default());
        for (place, (number, salt)) in SEGMENTS.into_iter().enumerate() {
            let path = dir.join(FILES[place]);
            write(&path, b"");
            set_len(&path, FILE_BYTES as u64);
            // One that may be mapped, one that may not.
            for (word, value) in
                [MAGIC, FORMAT, number + 1, salt, (place as u64 + 1) % 2].into_iter().enumerate()
            {
                write_at(&path, word as u64 * 8, &value.to_le_bytes());
            }
        }
        let first = SEGMENTS[0].0 << SLOTS_LOG2;
        for step in 0..4_u32 {
            let sequence = first + u64::from(step);
            let point = Point {
                run: 0,
                key: step % 2,
                value: 0.5,
                timestamp: 1_700_000_000_000,
                step: i64::from(step),
            };
            made.put(sequence, Kind::Metric, 0, point.to_words());
            made.logged.insert(sequence, Record::Metric(point));
        }
        made.log(first + 4, tag("short"));
        let aside = serde_json::to_vec(&Text::Aside { file: ASIDE.to_owned() }).unwrap_or_default();
        made.put_text(first + 5, &aside);
        made.logged.insert(first + 5, Record::Text(tag("large")));
        // From one segment into the next.
        made.log(first + SLOTS as u64 - 3, tag(&"long ".repeat(40)));
        // The first two are acknowledged.
        write_at(&dir.join(FILES[0]), BITMAP_AT as u64, &3_u64.to_le_bytes());
        made
    }

    fn log(&mut self, first: u64, text: Text) {
        self.put_text(first, &serde_json::to_vec(&text).unwrap_or_default());
        self.logged.insert(first, Record::Text(text));
    }

    fn put_text(&mut self, first: u64, bytes: &[u8]) {
        for (place, chunk) in bytes.chunks(PAYLOAD_BYTES).enumerate() {
            let (kind, extent) =
                if place == 0 { (Kind::Text, bytes.len()) } else { (Kind::Continuation, place) };
            self.put(first + place as u64, kind, extent, slot::pack(chunk));
        }
    }

    fn put(&mut self, sequence: u64, kind: Kind, extent: usize, payload: [u64; WORDS - 2]) {
        let place = SEGMENTS.iter().position(|(number, _)| *number == sequence >> SLOTS_LOG2);
        let Some(place) = place else { return };
        let words = slot::seal(kind, extent, sequence, payload, SEGMENTS[place].1);
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        write_at(&self.dir.join(FILES[place]), slot_at(sequence), &bytes);
        self.used.push(sequence);
    }

    /// One deed of damage.
    fn suffer(&mut self, bytes: &mut Bytes<'_>) {
        let (deed, name) = (bytes.byte() % 13, bytes.of(&FILES));
        let path = self.dir.join(name);
        self.aside_changed |= name == ASIDE;
        match deed {
            0 => {
                let at = bytes.number(3);
                write_at(&path, at, bytes.some());
            }
            1 => {
                let sequence = bytes.of(&self.used);
                let (at, bit) = (slot_at(sequence) + u64::from(bytes.byte() % 64), bytes.byte() % 8);
                let whole = read(&self.file_of(sequence));
                let old = usize::try_from(at).ok().and_then(|at| whole.get(at)).copied().unwrap_or_default();
                write_at(&self.file_of(sequence), at, &[old ^ 1 << bit]);
            }
            2 => {
                let (from, to) = (bytes.of(&self.used), bytes.of(&self.used) + u64::from(bytes.byte()));
                let whole = read(&self.file_of(from));
                let at = usize::try_from(slot_at(from)).unwrap_or_default();
                if let Some(slot) = whole.get(at..at + slot::BYTES) {
                    write_at(&self.file_of(to), slot_at(to), slot);
                }
            }
            3 => {
                let word = u64::from(bytes.byte() % 8);
                write_at(&path, word * 8, &bytes.number(8).to_le_bytes());
            }
            4 => set_len(&path, bytes.number(3)),
            5 => write(&path, &read(&self.dir.join(bytes.of(&FILES)))),
            6 => drop(fs::remove_file(&path)),
            7 => write(&path, bytes.some()),
            8 => {
                if let Ok(mut file) = fs::File::options().append(true).open(&path) {
                    file.write_all(bytes.some()).ok();
                }
            }
            9 => {
                self.is_forged = true;
                let kind = bytes.of(&[Kind::Metric, Kind::Text, Kind::Continuation]);
                let extent = usize::try_from(bytes.number(3)).unwrap_or_default();
                let sequence = bytes.of(&self.used) + u64::from(bytes.byte());
                self.put(sequence, kind, extent, slot::pack(bytes.some()));
            }
            10 => {
                self.is_forged = true;
                let sequence = bytes.of(&self.used) + u64::from(bytes.byte());
                let text = bytes.some();
                self.put_text(sequence, text);
            }
            11 => {
                fs::remove_file(&path).ok();
                #[cfg(unix)]
                {
                    let targets = ["../outside.json", "0.seg", "/dev/zero", ".", "nothing"];
                    std::os::unix::fs::symlink(bytes.of(&targets), &path).ok();
                }
            }
            _ => {
                fs::remove_file(&path).ok();
                fs::create_dir(&path).ok();
            }
        }
    }

    fn file_of(&self, sequence: u64) -> std::path::PathBuf {
        self.dir.join(FILES[usize::from(sequence >> SLOTS_LOG2 != SEGMENTS[0].0)])
    }

    /// Whether this may come out.
    fn judge(&self, entry: &Entry) {
        if self.is_forged {
            return;
        }
        let logged = self.logged.get(&entry.first);
        let is_aside = matches!(logged, Some(Record::Text(Text::Tag { value, .. })) if value == "large");
        assert!(
            logged == Some(&entry.record) || is_aside && self.aside_changed,
            "{entry:?} was not logged, but {logged:?}"
        );
    }
}

/// The bytes that say what is done.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn number(&mut self, bytes: usize) -> u64 {
        (0..bytes).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    fn of<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[usize::from(self.byte()) % choice.len()]
    }

    /// A length, and as many bytes.
    fn some(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (some, rest) = self.0.split_at(length);
        self.0 = rest;
        some
    }
}

fn slot_at(sequence: u64) -> u64 {
    (SLOTS_AT + index(sequence) * slot::BYTES) as u64
}

// Damage may have made these files anything, or taken them away; then nothing more is done to them.

fn read(path: &Path) -> Vec<u8> {
    // A link may lead to something without an end.
    if path.metadata().is_ok_and(|metadata| metadata.is_file()) {
        fs::read(path).unwrap_or_default()
    } else {
        Vec::new()
    }
}

fn write(path: &Path, bytes: &[u8]) {
    if !path.is_symlink() {
        fs::write(path, bytes).ok();
    }
}

fn write_at(path: &Path, at: u64, bytes: &[u8]) {
    if let Ok(mut file) = fs::File::options().write(true).open(path)
        && file.metadata().is_ok_and(|metadata| metadata.is_file())
        && file.seek(SeekFrom::Start(at)).is_ok()
    {
        file.write_all(bytes).ok();
    }
}

fn set_len(path: &Path, length: u64) {
    if let Ok(file) = fs::File::options().write(true).open(path)
        && file.metadata().is_ok_and(|metadata| metadata.is_file())
    {
        file.set_len(length).ok();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_in_own_dir(data: &[u8]) {
        check(tempfile::tempdir().unwrap().path(), data);
    }

    #[test]
    fn an_undamaged_journal_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Damaged::make(&dir.path().join("journal"));
        let Taken::Claim(claim) = Claim::take(&journal.dir).unwrap() else { panic!("its process is gone") };
        let read: BTreeMap<_, _> = claim.all().map(|entry| (entry.first, entry.record)).collect();
        assert_eq!(read, journal.logged);
        assert_eq!(claim.unacknowledged().count(), journal.logged.len() - 2);
    }

    #[test]
    fn what_once_went_wrong_stays_mended() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/journal");
        let seeds: Vec<_> = fs::read_dir(seeds).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(seeds.len() > 5);
        for seed in seeds {
            check_in_own_dir(&fs::read(seed).unwrap());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn damage_makes_no_record(data in proptest::collection::vec(any::<u8>(), 1..400)) {
            check_in_own_dir(&data);
        }
    }
}
