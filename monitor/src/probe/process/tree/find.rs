//! Finds descendants: by each thread's list of the children that it made (`/proc/<pid>/task/<tid>/children`, where the
//! kernel has it: `CONFIG_PROC_CHILDREN`), else by the parents of all processes that there are.
//!
//! Invariant: only adds; a process that the system's list misses for once, as the list may, is found the next time.

use super::super::numbered::Numbered;
use super::super::stat::id;
use super::member::{Member, Used};
use super::{ProbeError, Processes, corrupt};
use crate::probe::pseudo::words;

/// Enough for most programs, so that lists do not grow while a run goes on.
const IDS_AT_FIRST: usize = 256;

/// What is kept between looks so that they do not allocate.
#[derive(Debug)]
pub(super) struct Find {
    /// Whether the kernel lists children.
    by_children: bool,
    ids: Vec<u32>,
    children: Vec<u8>,
    found: Vec<u32>,
    others: Vec<Member>,
}

/// What a look has found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// What the new processes have used so far.
    pub(super) used: Used,
    /// How many files it took.
    pub(super) files: usize,
}

impl Find {
    pub(super) fn new(processes: &Numbered, own: u32) -> Result<Self, ProbeError> {
        let mut find = Self {
            by_children: false,
            ids: Vec::with_capacity(IDS_AT_FIRST),
            children: Vec::new(),
            found: Vec::with_capacity(IDS_AT_FIRST),
            others: Vec::new(),
        };
        let ids = &mut find.ids;
        processes.list_below(format_args!("{own}/task"), |id| ids.push(id))?;
        for thread in ids {
            let path = format_args!("{own}/task/{thread}/children");
            find.by_children |= processes.read(path, &mut find.children)?.is_some();
        }
        Ok(find)
    }

    /// Adds those that are not among `members` yet.
    pub(super) fn find(
        &mut self,
        processes: &mut Processes,
        members: &mut Vec<Member>,
    ) -> Result<Found, ProbeError> {
        if self.by_children { self.walk(processes, members) } else { self.sift(processes, members) }
    }

    fn walk(&mut self, processes: &mut Processes, members: &mut Vec<Member>) -> Result<Found, ProbeError> {
        let mut outcome = Found::default();
        let mut place = 0;
        while let Some(parent) = members.get(place).map(|member| member.id) {
            place += 1;
            self.ids.clear();
            self.found.clear();
            processes.directory.list_below(format_args!("{parent}/task"), |id| self.ids.push(id))?;
            outcome.files += self.ids.len();
            for thread in &self.ids {
                let path = format_args!("{parent}/task/{thread}/children");
                let Some(children) = processes.directory.read(path, &mut self.children)? else { continue };
                for child in words(children) {
                    let child = id(child).ok_or_else(|| corrupt("a list of children has an unknown form"))?;
                    self.found.push(child);
                }
            }
            for child in &self.found {
                if members.iter().any(|member| member.id == *child) {
                    continue;
                }
                // It may have ended since, and its number be another's.
                if let Some(stat) = processes.stat(*child)?.filter(|stat| stat.parent == parent) {
                    let member = Member::new(stat).with_io(processes.io(*child)?);
                    outcome.files += 1;
                    outcome.used = outcome.used.and(member.used_now);
                    members.push(member);
                }
            }
        }
        Ok(outcome)
    }

    fn sift(&mut self, processes: &mut Processes, members: &mut Vec<Member>) -> Result<Found, ProbeError> {
        let mut outcome = Found::default();
        self.ids.clear();
        processes.directory.list(|id| self.ids.push(id))?;
        self.others.clear();
        for id in &self.ids {
            if members.iter().any(|member| member.id == *id) {
                continue;
            }
            outcome.files += 1;
            self.others.extend(processes.stat(*id)?.map(Member::new));
        }
        // A grandchild may be listed before its parent.
        while let Some(place) =
            self.others.iter().position(|other| members.iter().any(|member| member.id == other.parent))
        {
            let other = self.others.swap_remove(place);
            let member = other.with_io(processes.io(other.id)?);
            outcome.used = outcome.used.and(member.used_now);
            members.push(member);
        }
        Ok(outcome)
    }
}
