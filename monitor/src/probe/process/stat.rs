//! `/proc/<pid>/stat` and `/proc/<pid>/task/<tid>/stat`, `…/statm` and `…/io` (the formats: `proc_pid_stat(5)`,
//! `proc_pid_statm(5)`, `proc_pid_io(5)`).
//!
//! Invariant: what is not the kernel's form is `None`, never a number.

use crate::probe::pseudo::{number, value, words};

/// What a process or thread has used, in ticks of the system's clock where it is time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) id: u32,
    /// Ended, and only waited for by its parent.
    pub(super) ended: bool,
    pub(super) parent: u32,
    /// Page faults that read a disk.
    pub(super) major_faults: u64,
    /// Processor time of its own.
    pub(super) ticks: u64,
    /// Processor time of the children that it has waited for, and of theirs.
    pub(super) reaped_ticks: u64,
    pub(super) threads: u64,
    /// When it began, in ticks since the machine did: tells it from another one of the same number.
    pub(super) began: u64,
}

impl Stat {
    pub(super) fn parse(stat: &[u8]) -> Option<Self> {
        let id = id(words(stat).next()?)?;
        // The name stands in brackets and may itself contain brackets and spaces.
        let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
        let mut fields = words(stat.get(after_name..)?);
        let ended = matches!(fields.next()?, b"Z" | b"X" | b"x");
        let parent = self::id(fields.next()?)?;
        let mut count = |skipped: usize| fields.nth(skipped).and_then(number);
        let major_faults = count(7)?;
        let ticks = count(1)?.checked_add(count(0)?)?;
        let reaped_ticks = count(0)?.checked_add(count(0)?)?;
        let threads = count(2)?;
        let began = count(1)?;
        Some(Self { id, ended, parent, major_faults, ticks, reaped_ticks, threads, began })
    }
}

/// A number of a process or thread.
pub(super) fn id(word: &[u8]) -> Option<u32> {
    number(word).and_then(|id| u32::try_from(id).ok())
}

/// The pages in RAM, from `statm`.
pub(super) fn resident_pages(statm: &[u8]) -> Option<u64> {
    words(statm).nth(1).and_then(number)
}

/// Bytes read from and written to disks, from `io`.
pub(super) fn disk_bytes(io: &[u8]) -> Option<(u64, u64)> {
    Some((value(io, b"read_bytes:")?, value(io, b"write_bytes:")?))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;

    const STAT: &str = "4242 (a) b (c) S 17 4242 4242 -1 -1 4194304 900 10 7 3 250 50 20 5 20 0 9 0 123456 1000000 \
                        2000 18446744073709551615 0 0 0 0\n";

    #[test]
    fn the_fields_are_the_kernels() {
        let expected = Stat {
            id: 4242,
            ended: false,
            parent: 17,
            major_faults: 7,
            ticks: 300,
            reaped_ticks: 25,
            threads: 9,
            began: 123_456,
        };
        assert_eq!(Stat::parse(STAT.as_bytes()), Some(expected));
        let zombie = STAT.replace(" S ", " Z ");
        assert_eq!(Stat::parse(zombie.as_bytes()), Some(Stat { ended: true, ..expected }));
    }

    #[test]
    fn the_machines_own_can_be_read() {
        let stat = Stat::parse(&fs::read("/proc/self/stat").unwrap()).unwrap();
        assert_eq!(stat.id, std::process::id());
        assert_eq!(stat.parent, std::os::unix::process::parent_id());
        assert!(resident_pages(&fs::read("/proc/self/statm").unwrap()).unwrap() > 0);
    }

    #[test]
    fn an_independent_reader_agrees_to_the_last_digit() {
        // It has used some processor time and read a file, and then it waits and changes no more.
        let script = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; echo; read line";
        let mut child = Command::new("sh");
        child.arg("-c").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = child.spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let file = |name: &str| fs::read(format!("/proc/{}/{name}", child.id())).unwrap();
        while !file("stat").windows(4).any(|part| part == b") S ") {
            std::thread::yield_now();
        }

        let mut system = sysinfo::System::new().unwrap();
        let pid = sysinfo::Pid::from_u32(child.id());
        system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[pid]), true);
        let theirs = system.process(pid).unwrap();
        let ours = Stat::parse(&file("stat")).unwrap();
        assert_eq!(Some(ours.parent), theirs.parent().map(sysinfo::Pid::as_u32));
        let millis = ours.ticks * 1000 / rustix::param::clock_ticks_per_second();
        assert_eq!(millis, theirs.accumulated_cpu_time());
        let page_bytes = rustix::param::page_size() as u64;
        assert_eq!(resident_pages(&file("statm")).unwrap() * page_bytes, theirs.memory());
        let (read, written) = disk_bytes(&file("io")).unwrap();
        let theirs = theirs.disk_usage();
        assert_eq!((read, written), (theirs.total_read_bytes, theirs.total_written_bytes));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn amounts_are_found_by_their_whole_name() {
        let io = "rchar: 1\nwchar: 2\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 5\n";
        assert_eq!(disk_bytes(io.as_bytes()), Some((4096, 8192)));
        assert_eq!(disk_bytes(b"read_bytes: 1\ncancelled_write_bytes: 5\n"), None);
        assert_eq!(disk_bytes(b"read_bytes: x\nwrite_bytes: 5\n"), None);
        assert_eq!(resident_pages(b"100 25 9 1 0 50 0\n"), Some(25));
        assert_eq!([&b""[..], b"100", b"100 x"].map(resident_pages), [None; 3]);
    }

    #[test]
    fn a_torn_or_foreign_line_is_refused() {
        let whole = Stat::parse(STAT.as_bytes());
        let last_field = STAT.find(" 1000000").unwrap();
        for length in 0..last_field - 5 {
            assert_ne!(Stat::parse(&STAT.as_bytes()[..length]), whole, "{length} bytes");
        }
        let huge = STAT.replace(" 250 ", " 18446744073709551615 ");
        for bad in ["", "garbage", "1 (x", "1 x) S 2", "x (y) S 1", &STAT.replace(" 7 ", " -7 "), &huge] {
            assert_eq!(Stat::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_do_not(bytes: Vec<u8>) {
            let _parsed = Stat::parse(&bytes);
            let _parsed = Stat::parse(&[b"1 (x) S ", &bytes[..]].concat());
            let _parsed = resident_pages(&bytes);
            let _parsed = disk_bytes(&[b"read_bytes: ", &bytes[..], b"\nwrite_bytes:", &bytes[..]].concat());
        }

        #[test]
        fn any_name_of_a_process_leaves_the_fields_in_place(name in "\\PC{0,15}") {
            let stat = STAT.replace("a) b (c", &name);
            prop_assert_eq!(Stat::parse(stat.as_bytes()), Stat::parse(STAT.as_bytes()));
        }
    }
}
