//! What goes wrong, where and when: faults, slow calls and calls that hang.

use crate::clock::Millis;
use crate::codes::Code;
use crate::device::Target;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Effect {
    Fault(Code),
    Slow(Millis),
    Hang,
}

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) effect: Effect,
    /// `None`: whichever, or none.
    pub(crate) device: Option<Target>,
    /// `None`: every call on a handle.
    pub(crate) symbol: Option<String>,
    pub(crate) from: Millis,
    /// The first moment that it does not meet any more.
    pub(crate) to: Millis,
    pub(crate) from_call: u64,
    pub(crate) to_call: u64,
    /// Calls that it met, or would have met but for their number.
    pub(crate) met: u64,
}

/// How much is known of a call when rules are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its name, and its device if it is a call on a handle.
    Entry,
    /// Which device a call on something else, such as a sample, is about.
    About,
    /// Which device a search has found.
    Search,
}

impl Rule {
    /// Whether it meets a call, which counts as one more.
    fn meets(&mut self, stage: Stage, symbol: &str, device: Option<Target>, now: Millis) -> bool {
        if stage != Stage::Entry && self.device.is_none() && self.symbol.is_some() {
            return false; // asked at the entry
        }
        let named = match &self.symbol {
            Some(name) => name == symbol,
            None => device.is_some() && stage != Stage::Search,
        };
        let placed = self.device.is_none() || self.device == device;
        if !named || !placed || now < self.from || now >= self.to {
            return false;
        }
        self.met += 1;
        self.from_call <= self.met && self.met <= self.to_call
    }
}

/// What all rules together do to a call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) fault: Option<Code>,
    pub(crate) slow: Millis,
    pub(crate) hang: bool,
}

/// The first fault holds; delays add up.
pub(crate) fn judge(
    rules: &mut [Rule],
    stage: Stage,
    symbol: &str,
    device: Option<Target>,
    now: Millis,
) -> Verdict {
    let mut verdict = Verdict::default();
    for rule in rules {
        if !rule.meets(stage, symbol, device, now) {
            continue;
        }
        match rule.effect {
            Effect::Fault(code) => verdict.fault = verdict.fault.or(Some(code)),
            Effect::Slow(time) => verdict.slow += time,
            Effect::Hang => verdict.hang = true,
        }
    }
    verdict
}
