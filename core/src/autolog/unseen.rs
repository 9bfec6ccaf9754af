//! The word to a user whose trainings were meant to be recorded and were not seen.
//!
//! It is said at the end of a run, when there is still somebody to tell it to: while a process exits nothing is said.

use super::integration::Integration;
use super::registry::integrations;
use crate::notice;

/// Says once in a process, when a run has ended well, that no training was seen, if some were to be.
///
/// Whether the program trained at all is not known, so this is a condition.
pub(crate) fn tell_if_nothing_was_seen() {
    if let Some(text) = text(&integrations()) {
        notice::warn("autolog-unseen", format_args!("{text}"));
    }
}

/// What to say; `None` if nothing is on or a training was seen, or those that are on are to be silent.
fn text(known: &[&Integration]) -> Option<String> {
    let on = || known.iter().filter(|integration| integration.is_on());
    if on().any(|integration| integration.has_seen_a_training()) {
        return None;
    }
    let told: Vec<_> = on().filter(|integration| !integration.configuration().options.silent).collect();
    let names = told.iter().map(|integration| integration.name()).collect::<Vec<_>>().join(", ");
    let causes = told.iter().map(|integration| match integration.likely_cause() {
        "" => format!(" {}: the call that trains must be runlog's.", integration.name()),
        cause => format!(" {}: {cause}.", integration.name()),
    });
    (!told.is_empty()).then(|| {
        format!(
            "autologging is on ({names}), but the run has ended and no training was seen so far. If there was one, \
             this may be why.{}",
            causes.collect::<String>()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::{AutologOptions, Training, configure};
    use super::*;
    use crate::fluent::with_tracker;
    use crate::tracker::Tracker;

    fn integration(name: &'static str, options: AutologOptions) -> &'static Integration {
        let integration = Box::leak(Box::new(Integration::new(name, "0").unseen("look at the import")));
        configure(integration, options, ());
        integration
    }

    fn train(integration: &'static Integration) {
        with_tracker(&Tracker::open("memory:").unwrap(), || drop(Training::start(integration)));
    }

    #[test]
    fn every_integration_that_is_on_and_not_silent_is_named_with_its_likely_cause() {
        let on = || AutologOptions::new();
        let (a, b) = (integration("unseen-a", on()), integration("unseen-b", on()));
        let off = integration("unseen-off", on().disable(true));
        let silent = integration("unseen-silent", on().silent(true));
        let said = text(&[a, b, off, silent]).unwrap();
        for part in ["(unseen-a, unseen-b)", " unseen-a: look at the import. unseen-b: look"] {
            assert!(said.contains(part), "{said}");
        }
        assert!(!said.contains("silent") && !said.contains("off"), "{said}");
        assert_eq!(text(&[off, silent]), None);
        assert_eq!(text(&[]), None);
    }

    #[test]
    fn a_training_that_one_of_them_saw_since_it_was_switched_on_is_enough() {
        let (seen, other) =
            (integration("unseen-c", AutologOptions::new()), integration("unseen-d", AutologOptions::new()));
        train(seen);
        assert_eq!(text(&[seen, other]), None);
        configure(seen, AutologOptions::new().log_models(false), ());
        assert_eq!(text(&[seen, other]), None, "it stayed on");
        configure(seen, AutologOptions::new().disable(true), ());
        assert!(text(&[seen, other]).unwrap().contains("(unseen-d)"));
        configure(seen, AutologOptions::new(), ());
        assert!(text(&[seen, other]).unwrap().contains("(unseen-c, unseen-d)"), "since it was switched on");
    }

    #[test]
    fn a_training_that_was_seen_and_not_recorded_was_seen() {
        let integration = integration("unseen-e", AutologOptions::new().exclusive(true).silent(false));
        let run = Tracker::open("memory:").unwrap().start_run("mine").unwrap();
        assert!(Training::start(integration).is_none());
        run.finish().unwrap();
        assert_eq!(text(&[integration]), None);
    }
}
