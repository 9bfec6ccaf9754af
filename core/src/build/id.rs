//! The build id in an ELF file: a note that linkers write, a hash of what they linked.
//!
//! It is read from the file's first pages, in microseconds, where a hash of a debug build would take seconds.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::hex;

/// The type of the note, and its owner.
const NT_GNU_BUILD_ID: u32 = 3;
const GNU: &[u8] = b"GNU\0";
const PT_NOTE: u32 = 4;
/// A program has a dozen headers and a few short notes; what claims more is not read.
const BYTES_MAX: usize = 64 * 1024;

/// The build id of the program in `file`, as hex digits.
pub(super) fn of(file: &Path) -> Option<String> {
    let mut file = File::open(file).ok()?;
    let header = at(&mut file, 0, 64)?;
    // 64 bits, and the byte order of this machine: it runs the program.
    let native = if cfg!(target_endian = "little") { 1 } else { 2 };
    if !header.starts_with(&[0x7f, b'E', b'L', b'F', 2, native]) {
        return None;
    }
    let (size, count) = (usize::from(u16_at(&header, 54)?), usize::from(u16_at(&header, 56)?));
    let table = at(&mut file, u64_at(&header, 32)?, size.checked_mul(count)?)?;
    table.chunks_exact(size.max(1)).find_map(|segment| {
        if u32_at(segment, 0)? != PT_NOTE {
            return None;
        }
        let notes = at(&mut file, u64_at(segment, 8)?, usize::try_from(u64_at(segment, 32)?).ok()?)?;
        id_in(&notes)
    })
}

/// The id among notes: each has three words (the lengths of its owner and its content, its type), then both, padded.
fn id_in(mut notes: &[u8]) -> Option<String> {
    loop {
        let (owner, content) = (u32_at(notes, 0)?, u32_at(notes, 4)?);
        let kind = u32_at(notes, 8)?;
        let (owner, content) = (usize::try_from(owner).ok()?, usize::try_from(content).ok()?);
        let content_at = 12 + owner.checked_next_multiple_of(4)?;
        let id = notes.get(content_at..content_at.checked_add(content)?)?;
        if kind == NT_GNU_BUILD_ID && notes.get(12..12 + owner) == Some(GNU) && !id.is_empty() {
            return Some(hex(id));
        }
        notes = notes.get(content_at + content.checked_next_multiple_of(4)?..)?;
    }
}

fn at(file: &mut File, offset: u64, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; Some(len).filter(|len| *len <= BYTES_MAX)?];
    file.seek(SeekFrom::Start(offset)).ok()?;
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(owner: &[u8], kind: u32, content: &[u8]) -> Vec<u8> {
        let lengths = [owner.len(), content.len()].map(|len| u32::try_from(len).unwrap());
        let mut note: Vec<u8> =
            [lengths[0], lengths[1], kind].iter().flat_map(|word| word.to_ne_bytes()).collect();
        for part in [owner, content] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    #[test]
    fn the_id_is_found_among_other_notes() {
        let notes =
            [note(b"GNU\0", 1, &[0; 16]), note(b"x\0", 3, b"abc"), note(b"GNU\0", 3, &[0xab, 0xcd, 1])];
        assert_eq!(id_in(&notes.concat()).as_deref(), Some("abcd01"));
        assert_eq!(id_in(&notes[..2].concat()), None);
        assert_eq!(id_in(&[0xff; 40]), None, "lengths that lead nowhere");
    }

    #[test]
    fn what_is_no_program_has_no_id() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        for content in [&b""[..], b"#!/bin/sh\n", &[0x7f, b'E', b'L', b'F', 2, 1, 0, 0], &[0; 64]] {
            std::fs::write(&file, content).unwrap();
            assert_eq!(of(&file), None);
        }
        assert_eq!(of(dir.path()), None);
    }

    #[test]
    fn the_notes_are_where_the_programs_headers_say() {
        let notes = note(b"GNU\0", 3, &[0xab, 0xcd]);
        let mut program = vec![0; 64 + 2 * 56];
        program[..6].copy_from_slice(&[
            0x7f,
            b'E',
            b'L',
            b'F',
            2,
            if cfg!(target_endian = "little") { 1 } else { 2 },
        ]);
        program[32..40].copy_from_slice(&64_u64.to_ne_bytes());
        program[54..56].copy_from_slice(&56_u16.to_ne_bytes());
        program[56..58].copy_from_slice(&2_u16.to_ne_bytes());
        // The first segment holds code, the second one notes.
        program[64] = 1;
        program[120..124].copy_from_slice(&PT_NOTE.to_ne_bytes());
        program[128..136].copy_from_slice(&176_u64.to_ne_bytes());
        program[152..160].copy_from_slice(&(notes.len() as u64).to_ne_bytes());
        program.extend(notes);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("program");
        std::fs::write(&file, &program).unwrap();
        assert_eq!(of(&file).as_deref(), Some("abcd"));
        program[4] = 1;
        std::fs::write(&file, &program).unwrap();
        assert_eq!(of(&file), None, "32 bits");
    }
}
