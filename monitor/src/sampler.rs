//! One thread's work for all runs that it watches: it reads the probes when a run wants a sample, and gives the sample to
//! every run.
//!
//! Invariants: a run that comes has its opening at once and one that goes its last window; a probe that does not answer
//! costs its own readings only, and a stop waits [`Patience::stop`] for it at most; a metric belongs to the group that
//! registered it first; a tick of healthy probes allocates nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::group::{Found, Group, warn};
use crate::inbox::Inbox;
use crate::pace::{Pace, Wake};
use crate::readings::Readings;
use crate::registry::Kind;
use crate::session::{Due, Session};
use crate::slow::{HANGS, Slow};

/// How long the sampling waits for probes that block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For their part of a window that closes.
    pub(crate) window: Duration,
    /// For their part of a run's last window.
    pub(crate) stop: Duration,
}

impl Patience {
    /// A sample of eight GPUs may take some tens of milliseconds; the end of a run is to take less than ten, of which the
    /// scheduler has its part.
    pub(crate) const DEFAULT: Self =
        Self { window: Duration::from_millis(100), stop: Duration::from_millis(4) };
}

/// The probes of one thread, those that have threads of their own, and the runs.
pub(crate) struct Sampler {
    host: Group,
    slow: Vec<Slow>,
    /// What each group has found, the host's first; `None` while it is being looked for.
    known: Vec<Option<Known>>,
    /// The metrics of all groups.
    names: BTreeSet<String>,
    runs: Vec<Watched>,
    inbox: Arc<Inbox>,
    patience: Patience,
}

/// What a group has found.
struct Known {
    found: Found,
    /// Which of its metrics another group had before.
    taken: Vec<bool>,
    kinds: Vec<Kind>,
}

/// A run, and what it wants in this turn.
struct Watched {
    session: Box<Session>,
    due: Option<Due>,
    /// It has just come.
    comes: bool,
    /// It is to end.
    goes: bool,
    /// It is to end with one more window.
    last: bool,
    /// What its end lacks.
    lacks: Option<String>,
}

/// What all runs together want in this turn.
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own; any of them may come together")]
#[derive(Clone, Copy, Default)]
struct Wanted {
    /// A sample of the host.
    sample: bool,
    /// A sample of what blocks.
    slow: bool,
    /// That the sample of what blocks is waited for.
    closes: bool,
    /// That it is not waited for long.
    stops: bool,
    /// That no rate is averaged over the time before.
    gap: bool,
}

impl Sampler {
    /// The group of probes that do not block, with what it has found, and those that may.
    pub(crate) fn new(
        (host, found): (Group, Found),
        slow: Vec<Slow>,
        inbox: Arc<Inbox>,
        patience: Patience,
    ) -> Self {
        let known = (0..=slow.len()).map(|_| None).collect();
        let mut sampler =
            Self { host, slow, known, names: BTreeSet::new(), runs: Vec::new(), inbox, patience };
        sampler.know(0, found);
        sampler
    }

    /// Samples until the last run has gone.
    pub(crate) fn run(mut self, pace: &mut impl Pace) {
        loop {
            if !self.inbox.has_news() {
                pace.wait_until(self.deadline());
            }
            self.turn(pace);
            if self.end_runs() {
                return;
            }
        }
    }

    fn deadline(&self) -> Duration {
        self.runs.iter().map(|run| run.session.deadline()).min().unwrap_or(Duration::MAX)
    }

    /// Does what is to be done now.
    fn turn(&mut self, pace: &mut impl Pace) {
        // Points have the time of their sample, not that of an answer that was waited for.
        let (now, now_ms) = (pace.elapsed(), pace.now_ms());
        let (coming, going) = self.inbox.take();
        let mut wanted = self.look_at_runs(now, &going);
        for session in coming {
            self.admit(session, now);
            (wanted.sample, wanted.slow) = (true, true);
        }
        // After a run has come: what was opened for it may have answered already.
        if self.hear() {
            self.log_openings(now_ms);
        }
        // Who comes and goes in one turn has an opening first.
        for run in self.runs.iter().filter(|run| run.comes && going.contains(&run.session.id)) {
            self.inbox.leave(run.session.id);
        }
        if wanted.sample {
            self.sample(now, wanted, pace);
            // Who answered before anybody waited has not been heard.
            self.hear();
        }
        if wanted.stops {
            self.take_parts();
        }
        self.log(now, now_ms, pace.elapsed());
    }

    fn look_at_runs(&mut self, now: Duration, going: &[u64]) -> Wanted {
        let mut wanted = Wanted::default();
        let answers = |group: usize| group == 0 || self.slow[group - 1].may_answer();
        for Watched { session, due, comes, goes, last, .. } in &mut self.runs {
            *comes = false;
            *due = session.arrive(now);
            *goes = session.is_broken() || going.contains(&session.id);
            *last = *goes && !session.is_broken() && session.wants_last(now, answers);
            let Due { gap, slow, closes } = due.unwrap_or_default();
            wanted.gap |= gap;
            wanted.sample |= due.is_some() || *last;
            wanted.slow |= slow || *last;
            wanted.closes |= closes || *last;
            wanted.stops |= *goes;
        }
        wanted
    }

    fn admit(&mut self, mut session: Box<Session>, now: Duration) {
        session.begin(now);
        for (group, known) in self.known.iter().enumerate() {
            if let Some(Known { found, taken, .. }) = known {
                session.know(group, found, taken);
            }
        }
        self.runs.push(Watched { session, due: None, comes: true, goes: false, last: false, lacks: None });
        self.tell_what_is_there();
    }

    /// Takes one sample for all runs.
    fn sample(&mut self, now: Duration, wanted: Wanted, pace: &mut impl Pace) {
        for slow in &mut self.slow {
            if wanted.slow {
                slow.ask(now, wanted.gap);
            } else if wanted.gap {
                slow.note_gap();
            }
        }
        self.host.sample(now, wanted.gap, &|_| ());
        if self.runs.iter().any(|run| run.session.is_far_behind(pace.elapsed())) {
            // The process was stopped in the middle of it.
            self.host.forget_past();
        }
        give(&mut self.runs, 0, &self.host.kinds, &self.host.readings, now);
        let patience = match wanted {
            Wanted { closes: false, .. } => return,
            Wanted { stops: true, .. } => self.patience.stop,
            // The next sample is not to be late for it.
            _ => self.patience.window.min(self.deadline().saturating_sub(now) / 2),
        };
        let mut until = now.saturating_add(patience);
        while self.slow.iter().any(|slow| slow.is_awaited(now)) {
            let wake = pace.wait_until(until);
            self.hear();
            match wake {
                Wake::Due if wanted.stops => return,
                Wake::Due => self.slow.iter_mut().for_each(Slow::give_up),
                Wake::Rung if !wanted.stops && self.inbox.someone_goes() => {
                    // Its last window may be the one that closes here.
                    until = until.min(pace.elapsed().saturating_add(self.patience.stop));
                }
                Wake::Rung => {}
            }
        }
    }

    /// Gives the runs that end what there is of answers that they do not wait for.
    fn take_parts(&mut self) {
        for (place, slow) in self.slow.iter().enumerate() {
            let group = place + 1;
            if let Some(known) = &self.known[group] {
                for run in self.runs.iter_mut().filter(|run| run.last) {
                    slow.show(|readings, at| run.session.take(group, &known.kinds, readings, at));
                }
            }
        }
    }

    /// Logs what the sample at `now` completes.
    fn log(&mut self, now: Duration, now_ms: i64, waited_until: Duration) {
        let (slow, known) = (&self.slow, &self.known);
        for Watched { session, due, comes, goes, last, lacks } in &mut self.runs {
            if *goes {
                *lacks = missing(slow, known, session, *last, waited_until);
            }
            if *last {
                session.log_window(now, now_ms);
            }
            match due {
                _ if *goes => session.log_summary(now, now_ms),
                Some(Due { closes: true, .. }) => session.log_window(now, now_ms),
                Some(_) => session.log_opening(now_ms),
                None if *comes => session.log_opening(now_ms),
                None => {}
            }
        }
    }

    /// Lets go of the runs that are to end, and says whether none is left.
    fn end_runs(&mut self) -> bool {
        let ending: Vec<_> = self.runs.extract_if(.., |run| run.goes).collect();
        // Before the last one hears of it: what starts after that is to find the machine anew.
        let over = self.runs.is_empty() && self.inbox.close_if_empty();
        for Watched { mut session, lacks, .. } in ending {
            session.tell(|| self.report());
            session.end(lacks);
        }
        over
    }

    /// Takes what probes with threads of their own have found and read, and says whether there was anything.
    fn hear(&mut self) -> bool {
        let mut heard = false;
        for place in 0..self.slow.len() {
            let group = place + 1;
            if let Some(found) = self.slow[place].found() {
                self.know(group, found);
            }
            if let Some(known) = &self.known[group] {
                let runs = &mut self.runs;
                heard |=
                    self.slow[place].collect(|readings, at| give(runs, group, &known.kinds, readings, at));
            }
        }
        heard
    }

    /// Takes note of what a group has found.
    fn know(&mut self, group: usize, found: Found) {
        let mut taken = Vec::with_capacity(found.registry.entries().len());
        for entry in found.registry.entries() {
            let names: Vec<_> = entry.names().collect();
            let clash = names.iter().any(|name| self.names.contains(name));
            if clash {
                let probe = found.tried.first().map_or("", |(name, _)| name);
                warn(
                    probe,
                    format_args!(
                        "reads `{}`, which another probe does already; its own is left out",
                        entry.name
                    ),
                );
            } else {
                self.names.extend(names);
            }
            taken.push(clash);
        }
        for run in &mut self.runs {
            run.session.know(group, &found, &taken);
        }
        let kinds = found.registry.kinds();
        self.known[group] = Some(Known { found, taken, kinds });
        self.tell_what_is_there();
    }

    fn log_openings(&mut self, now_ms: i64) {
        for run in &mut self.runs {
            run.session.log_opening(now_ms);
        }
    }

    /// Tells every run what was looked for, once that is known.
    fn tell_what_is_there(&mut self) {
        if self.known.iter().all(Option::is_some) {
            let report = self.report();
            for run in &mut self.runs {
                run.session.tell(|| report.clone());
            }
        }
    }

    /// What there is to read, and why the rest is not.
    fn report(&self) -> String {
        let mut there = Vec::new();
        let mut missing = Vec::new();
        for (group, known) in self.known.iter().enumerate() {
            let Some(Known { found, .. }) = known else {
                missing.push(format!("{} (has not answered yet)", self.slow[group - 1].name));
                continue;
            };
            for (name, reason) in &found.tried {
                match reason {
                    None => there.push(&**name),
                    Some(reason) => missing.push(format!("{name} ({reason})")),
                }
            }
        }
        let there = if there.is_empty() { "nothing".to_owned() } else { there.join(", ") };
        if missing.is_empty() { there } else { format!("{there}; without {}", missing.join(", ")) }
    }
}

/// What is missing of a run that ends: the readings of a probe that hangs, or that has none in a window, be it the `last`.
/// Of one that is still being opened nobody knows whether there is anything to read.
fn missing(
    slow: &[Slow],
    known: &[Option<Known>],
    session: &Session,
    last: bool,
    now: Duration,
) -> Option<String> {
    slow.iter().enumerate().find_map(|(place, slow)| {
        let (group, silent) = (place + 1, slow.silent_for(now)?);
        let owes = || known[group].is_some() && (slow.is_late() || last && !session.has_reading(group));
        let lacks = silent >= HANGS || owes();
        lacks.then(|| format!("the probe `{}` has not answered for {} ms", slow.name, silent.as_millis()))
    })
}

/// Gives a sample of a group, taken `at` this time, to every run.
fn give(runs: &mut [Watched], group: usize, kinds: &[Kind], readings: &Readings, at: Duration) {
    for run in runs {
        run.session.take(group, kinds, readings, at);
    }
}

#[cfg(test)]
mod tests;
