//! One process of the tree, and what it has used since it was last seen.
//!
//! Invariant: see [`Member::count`]: nothing is counted twice, except what a process used whose end and its parent's
//! reading of it cannot be told apart, and nothing is ever taken back.

use super::super::stat::Stat;

/// Processor time and input and output of a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) ticks: u64,
    pub(super) read_bytes: u64,
    pub(super) written_bytes: u64,
}

impl Used {
    pub(super) fn and(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    fn less(self, other: Self) -> Self {
        self.with(other, u64::saturating_sub)
    }

    fn with(self, other: Self, each: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            ticks: each(self.ticks, other.ticks),
            read_bytes: each(self.read_bytes, other.read_bytes),
            written_bytes: each(self.written_bytes, other.written_bytes),
        }
    }
}

/// What became of a process since the last sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Stays,
    /// Its parent has waited for it, so that it is not there any more.
    Gone,
    /// Its parent ended, and another process took it over.
    Moved,
    /// That process is none of these.
    Left,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) id: u32,
    pub(super) began: u64,
    pub(super) parent: u32,
    /// A zombie.
    pub(super) ended: bool,
    pub(super) threads: u64,
    pub(super) fate: Fate,
    /// What this sample counts for it.
    pub(super) used_now: Used,
    own_ticks: u64,
    /// All that its account says: its own, and that of children it has waited for.
    account: Used,
    /// What its account has grown by in this sample for children, or may have: processor time of children stands apart,
    /// input and output do not.
    grown: Used,
    /// What children of it that are gone had been counted with, in this sample and in the one before.
    counted: Used,
    counted_before: Used,
}

impl Member {
    /// A process that was not seen before.
    pub(super) fn new(stat: Stat) -> Self {
        let account = Used { ticks: stat.ticks.saturating_add(stat.reaped_ticks), ..Used::default() };
        Self {
            id: stat.id,
            began: stat.began,
            parent: stat.parent,
            ended: stat.ended,
            threads: stat.threads,
            fate: Fate::Stays,
            used_now: account,
            own_ticks: stat.ticks,
            account,
            grown: Used::default(),
            counted: Used::default(),
            counted_before: Used::default(),
        }
    }

    /// Takes what it read and wrote so far, which a new process counts with.
    pub(super) fn with_io(mut self, io: Option<(u64, u64)>) -> Self {
        if let Some((read_bytes, written_bytes)) = io {
            self.account = Used { read_bytes, written_bytes, ..self.account };
            self.used_now = self.account;
        }
        self
    }

    /// Takes what the system says of it now.
    pub(super) fn see(&mut self, stat: Stat, io: Option<(u64, u64)>) {
        let before = self.account;
        let (read_bytes, written_bytes) = io.unwrap_or((before.read_bytes, before.written_bytes));
        let reaped_before = before.ticks.saturating_sub(self.own_ticks);
        self.account =
            Used { ticks: stat.ticks.saturating_add(stat.reaped_ticks), read_bytes, written_bytes };
        let own = Used { ticks: stat.ticks.saturating_sub(self.own_ticks), ..Used::default() };
        self.grown = self.account.less(before);
        self.grown.ticks = stat.reaped_ticks.saturating_sub(reaped_before);
        self.used_now = own;
        self.own_ticks = stat.ticks;
        self.fate = if self.parent == stat.parent { Fate::Stays } else { Fate::Moved };
        self.parent = stat.parent;
        self.ended = stat.ended;
        self.threads = stat.threads;
    }

    /// Counts what its account has grown by, less what its gone children had been counted with while they lived. A
    /// child may end between the reading of its parent and its own; then its parent's account grows in the next sample
    /// only, and the same is taken off there.
    fn count(&mut self) {
        let off = self.counted_before.and(self.counted);
        self.used_now = self.used_now.and(self.grown.less(off));
        // What was taken off is first of all what is oldest.
        self.counted_before = self.counted.less(self.grown.less(self.counted_before));
        self.counted = Used::default();
        self.grown = Used::default();
    }
}

/// Ends a sample in which all were seen: counts, and forgets those that are gone or left, with the descendants of those
/// that left.
pub(super) fn settle(members: &mut Vec<Member>) {
    // Children come after their parents, so that backwards a parent that is gone too has its children's part.
    for place in (0..members.len()).rev() {
        let Some(gone) = members.get(place).copied().filter(|member| member.fate == Fate::Gone) else {
            continue;
        };
        if let Some(parent) = members.iter_mut().find(|member| member.id == gone.parent) {
            parent.counted = parent.counted.and(gone.account).and(gone.counted);
        }
    }
    // The first one is this process, whose parent is none of these.
    if members.iter().skip(1).any(|member| member.fate == Fate::Moved) {
        for place in 1..members.len() {
            let Some(parent) = members.get(place).map(|member| member.parent) else { break };
            let parent = members.iter().find(|member| member.id == parent);
            let left = parent.is_none_or(|parent| parent.fate == Fate::Left);
            if let Some(member) = members.get_mut(place).filter(|member| left && member.fate != Fate::Gone) {
                member.fate = Fate::Left;
            }
        }
    }
    members.retain(|member| !matches!(member.fate, Fate::Gone | Fate::Left));
    for member in members {
        member.count();
    }
}
