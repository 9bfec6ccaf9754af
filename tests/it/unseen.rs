//! Who switched autologging on and was not seen training is told, once, and not when it is too late to listen.

use crate::support::{Place, text};

/// What a program told that switched autologging on and ended so.
fn told(how: &str) -> String {
    let output = Place::new().play(&["unseen", how]);
    assert!(output.status.success(), "{how}: {}", text(&output.stderr));
    text(&output.stderr)
}

#[test]
fn a_run_that_ends_well_without_a_training_is_told_once_with_the_likely_cause() {
    let told = told("finished");
    let lines: Vec<_> = told.lines().filter(|line| line.contains("no training was seen")).collect();
    let [line] = lines[..] else { panic!("{told}") };
    assert!(line.contains(" scenario: the scenario must be asked for a training."), "{line}");
    assert!(line.contains(" linfa: "), "{line}");
}

#[test]
fn nothing_is_told_of_what_was_seen_is_silent_goes_on_failed_or_exits() {
    for how in ["trained", "silent", "nested", "failed", "alive", "opened"] {
        let told = told(how);
        assert!(!told.contains("no training was seen"), "{how}: {told}");
    }
}
