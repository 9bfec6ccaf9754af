//! Files of a card, which its driver writes anew whenever they are read, and what becomes of a reading.
//!
//! Invariants: a file that never has anything is found out when it is opened and left out; one that has nothing at the
//! moment (the card is being reset, falls asleep or is gone) gives nothing; everything else is an error, never a number.

use std::error::Error;

use rustix::io::Errno;

use super::card::{Card, Presence};
use crate::probe::pseudo::{Pseudo, number};
use crate::probe::{ProbeError, corrupt, float};

/// What a file says whose device is gone.
const GONE: [Errno; 2] = [Errno::NODEV, Errno::NXIO];
/// What a file says that the driver has for this kind of card and cannot fill for this one.
const NEVER: [Errno; 4] = [Errno::OPNOTSUPP, Errno::INVAL, Errno::NOSYS, Errno::NODATA];
/// What a file says during a reset, or while the card falls asleep.
const NOT_NOW: [Errno; 4] = [Errno::BUSY, Errno::PERM, Errno::AGAIN, Errno::ACCESS];

/// Reads all of them, and says what went wrong first: one bad file takes nothing from the others.
pub(in crate::probe) fn every(
    outcomes: impl IntoIterator<Item = Result<(), ProbeError>>,
) -> Result<(), ProbeError> {
    let mut first = Ok(());
    for outcome in outcomes {
        first = first.and(outcome);
    }
    first
}

/// Where a file of a card stands.
#[derive(Clone, Debug)]
pub(in crate::probe) enum Place {
    /// In its directory.
    Device(String),
    /// Among its sensors, in a directory whose number may be another when the card comes back.
    Sensor(String),
    /// In its directory of the graphics part of the kernel, likewise.
    Node(String),
}

/// One file of a card.
#[derive(Debug)]
pub(in crate::probe) struct CardFile {
    place: Place,
    file: Option<Pseudo>,
    /// The card's returns when the file was opened: one that comes back has new files.
    returns: u32,
}

/// Why a file has nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The card is gone, and this file for ever.
    Gone,
    NotNow,
    Never,
    Failed,
}

impl CardFile {
    /// `None` if the card has no such file, or the driver says of it that it never has anything. A card that sleeps is not
    /// asked.
    pub(in crate::probe) fn of(card: &Card, place: Place) -> Option<Self> {
        let mut card_file = Self { place, file: None, returns: card.returns };
        let file = card_file.open(card)?;
        let never =
            card.presence() == Presence::Awake && file.head().is_err_and(|error| fate(&error) == Fate::Never);
        (!never).then_some(card_file)
    }

    /// What `parse` makes of its content; `None` where there is nothing at the moment.
    pub(in crate::probe) fn read<T>(
        &mut self,
        card: &Card,
        parse: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, ProbeError> {
        let Some(file) = self.open(card) else { return Ok(None) };
        let error = match file.head() {
            Ok(text) => {
                return parse(text)
                    .map(Some)
                    .ok_or_else(|| corrupt("a file of a GPU holds something else than it should"));
            }
            Err(error) => error,
        };
        self.unread(error).map(|()| None)
    }

    /// Judges why it could not be read. A file that is gone with its card is opened anew at the next reading.
    fn unread(&mut self, error: ProbeError) -> Result<(), ProbeError> {
        match fate(&error) {
            Fate::Gone => self.file = None,
            Fate::NotNow | Fate::Never => {}
            Fate::Failed => return Err(error),
        }
        Ok(())
    }

    fn open(&mut self, card: &Card) -> Option<&mut Pseudo> {
        if self.file.is_none() || self.returns != card.returns {
            self.returns = card.returns;
            let (dir, name) = match &self.place {
                Place::Device(name) => (Some(&card.dir), name),
                Place::Sensor(name) => (card.hwmon.as_ref(), name),
                Place::Node(name) => (card.node.as_ref(), name),
            };
            self.file = dir.and_then(|dir| Pseudo::of_number(dir.join(name)).ok());
        }
        self.file.as_mut()
    }
}

fn fate(error: &ProbeError) -> Fate {
    let errno = match error {
        ProbeError::Failed(error) => {
            error.source().and_then(|cause| Errno::from_io_error(cause.downcast_ref()?))
        }
        ProbeError::Absent(_) => None,
    };
    match errno {
        Some(errno) if GONE.contains(&errno) => Fate::Gone,
        Some(errno) if NOT_NOW.contains(&errno) => Fate::NotNow,
        Some(errno) if NEVER.contains(&errno) => Fate::Never,
        _ => Fate::Failed,
    }
}

/// A file of one number.
#[derive(Debug)]
pub(in crate::probe) struct Value {
    file: CardFile,
    /// What one of the file's units is in ours.
    scale: f64,
}

impl Value {
    /// `None` if the card has no such number.
    pub(in crate::probe) fn of(card: &Card, place: Place, scale: f64) -> Option<Self> {
        CardFile::of(card, place).map(|file| Self { file, scale })
    }

    /// The number in our unit; `None` where there is none at the moment.
    pub(in crate::probe) fn get(&mut self, card: &Card) -> Result<Option<f64>, ProbeError> {
        let value = self.file.read(card, integer)?;
        Ok(value.map(|value| {
            let size = float(value.unsigned_abs()) * self.scale;
            if value < 0 { -size } else { size }
        }))
    }

    /// The number as a count in the file's own unit; `None` where there is none at the moment.
    pub(in crate::probe) fn count(&mut self, card: &Card) -> Result<Option<u64>, ProbeError> {
        self.file.read(card, |text| integer(text).and_then(|value| u64::try_from(value).ok()))
    }
}

fn integer(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    // Rust's parser takes a plus sign, the kernel writes none.
    let size =
        number(digits).filter(|_| !digits.starts_with(b"+")).and_then(|size| i64::try_from(size).ok())?;
    Some(if digits.len() < text.len() { -size } else { size })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::probe::gpu::card::cards;
    use crate::probe::gpu::card::testing::{plug, set};
    use crate::probe::testing::empty;

    fn failed(errno: Errno) -> ProbeError {
        runlog_core::Error::io("read", "/sys/x".as_ref(), errno.into()).into()
    }

    #[test]
    fn a_file_that_went_with_its_card_is_opened_anew_and_no_other() {
        const ADDRESS: &str = "0000:03:00.0";
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        plug(&machine, "amdgpu", ADDRESS, &[("gpu_busy_percent", "5\n")]);
        let card = cards(&machine).remove(0);
        let mut busy = Value::of(&card, Place::Device("gpu_busy_percent".to_owned()), 1.0).unwrap();
        // The file that is open stays what it is, and another one is where it was.
        std::fs::remove_file(card.dir.join("gpu_busy_percent")).unwrap();
        set(&machine, ADDRESS, "gpu_busy_percent", "70\n");
        for (errno, expected) in [(Errno::BUSY, 5.0), (Errno::NODATA, 5.0), (Errno::NODEV, 70.0)] {
            busy.file.unread(failed(errno)).unwrap();
            assert_eq!(busy.get(&card).unwrap(), Some(expected), "{errno}");
        }
        assert!(busy.file.unread(failed(Errno::IO)).is_err());
        busy.file.unread(failed(Errno::NODEV)).unwrap();
        std::fs::remove_file(card.dir.join("gpu_busy_percent")).unwrap();
        assert_eq!(busy.get(&card).unwrap(), None, "the card is not back yet");
        set(&machine, ADDRESS, "gpu_busy_percent", "8\n");
        assert_eq!(busy.get(&card).unwrap(), Some(8.0));
    }

    #[test]
    fn what_the_kernel_says_decides_what_becomes_of_a_file() {
        for (errno, expected) in [
            (Errno::NODEV, Fate::Gone),
            (Errno::BUSY, Fate::NotNow),
            (Errno::PERM, Fate::NotNow),
            (Errno::OPNOTSUPP, Fate::Never),
            (Errno::INVAL, Fate::Never),
            (Errno::IO, Fate::Failed),
            (Errno::TIMEDOUT, Fate::Failed),
        ] {
            assert_eq!(fate(&failed(errno)), expected, "{errno}");
        }
        assert_eq!(fate(&corrupt("garbage")), Fate::Failed);
    }

    #[test]
    fn only_what_the_kernel_would_write_is_a_number() {
        for bad in ["", "-", "+5", "-+5", "5 5", "0x5", "--5", "9223372036854775808"] {
            assert_eq!(integer(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(integer(b" -5\n"), Some(-5));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_number_or_not(bytes: Vec<u8>) {
            let _number = integer(&bytes);
        }

        #[test]
        fn numbers_are_read_as_they_are_written(number: i64) {
            let expected = (number != i64::MIN).then_some(number);
            prop_assert_eq!(integer(format!("{number}\n").as_bytes()), expected);
        }
    }
}
