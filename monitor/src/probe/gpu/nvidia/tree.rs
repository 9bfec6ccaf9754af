//! Whether a process is this one or one of its descendants.

#[cfg(target_os = "linux")]
use std::path::PathBuf;

/// No line of descent is longer; a loop, which a process that dies while we look can make, must end.
#[cfg(target_os = "linux")]
const GENERATIONS_MAX: u32 = 64;

/// This process and its descendants, as `/proc` has them now.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    #[cfg(target_os = "linux")]
    pub(super) proc: PathBuf,
    pub(super) root: u32,
}

impl Tree {
    /// Whether `pid` is of this tree. Only processes that use a GPU are asked about, so their parents are looked up
    /// rather than all descendants listed.
    #[cfg(target_os = "linux")]
    pub(super) fn contains(&self, pid: u32) -> bool {
        let mut pid = pid;
        for _ in 0..GENERATIONS_MAX {
            match pid {
                _ if pid == self.root => return true,
                0 | 1 => return false,
                _ => {}
            }
            let stat = std::fs::read(self.proc.join(pid.to_string()).join("stat"));
            let Some(parent) = stat.ok().and_then(|stat| crate::probe::process::parent(&stat)) else {
                return false;
            };
            pid = parent;
        }
        false
    }

    /// Whether `pid` is this process.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn contains(&self, pid: u32) -> bool {
        pid == self.root
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::probe::testing::write;

    #[test]
    fn descendants_are_found_through_their_parents_and_strangers_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree { proc: dir.path().to_owned(), root: 100 };
        for (pid, name, parent) in [
            (100, "train", 1),
            (101, "a) (b", 100),
            (102, "worker", 101),
            (7, "other", 1),
            (8, "loop", 9),
            (9, "loop", 8),
        ] {
            write(
                &dir.path().join(format!("{pid}/stat")),
                &format!("{pid} ({name}) S {parent} {}\n", "0 ".repeat(20)),
            );
        }
        for (pid, expected) in [
            (100, true),
            (101, true),
            (102, true),
            (7, false),
            (8, false),
            (1, false),
            (0, false),
            (4711, false),
        ] {
            assert_eq!(tree.contains(pid), expected, "{pid}");
        }
    }
}
