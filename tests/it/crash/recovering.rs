//! Recovery too is killed, again and again, until one gets through.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use fastrand::Rng;

use super::{SMALL, UNMAPPED, check, killed, rounds};
use crate::support::Place;

#[test]
fn kills_of_those_who_recover_lose_and_double_nothing() {
    rounds(20, |rng| {
        let place = if rng.bool() { Place::new() } else { Place::of_files() };
        let vars = if rng.u8(..4) == 0 { &[SMALL, UNMAPPED][..] } else { &[SMALL] };
        let records = rng.u64(1000..30_000);
        let logged = killed(&place, rng, vars, 0, records);
        let [left] = &place.journals()[..] else { panic!("one journal") };
        // Longer and longer, so that one gets through in the end.
        let mut longest = Duration::from_millis(20);
        while !gets_through(&place, left, rng, longest) {
            longest += longest / 3;
        }
        check(&place, &logged);
    });
}

/// Lets one or two programs recover, kills each at a random moment, and says whether one had got through before.
fn gets_through(place: &Place, left: &Path, rng: &mut Rng, longest: Duration) -> bool {
    let recovering: Vec<_> = (0..rng.u8(1..=2))
        .map(|_| {
            let child = place.start(&["recover", left.to_str().unwrap()]);
            (child, longest.mul_f64(rng.f64()))
        })
        .collect();
    let outcomes = recovering.into_iter().map(|(child, after)| ended_before(child, after));
    // All of them: the next ones begin when none is left.
    outcomes.fold(false, |one, other| one | other)
}

/// Kills `child` after that time, and says whether it had ended.
fn ended_before(mut child: Child, after: Duration) -> bool {
    const LOOK: Duration = Duration::from_millis(1);
    let mut waited = Duration::ZERO;
    while waited < after {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "a recovery that nobody kills delivers everything: {status}");
            return true;
        }
        std::thread::park_timeout(LOOK);
        waited += LOOK;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    false
}
