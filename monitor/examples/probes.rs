//! What each probe of this machine costs a tick, and all of them together.
//!
//! `cargo run --release -p runlog-monitor --example probes`

use std::path::Path;
use std::time::Duration;

use runlog_core::autolog::Tier;
use runlog_core::clock;
use runlog_monitor::readers::Readers;

const ROUNDS: u32 = 50;
const TICKS: u32 = 100;

/// Microseconds a tick: the median of rounds.
fn micros(readers: &mut Readers) -> f64 {
    readers.read(None);
    let mut rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let begun = clock::instant();
            for _ in 0..TICKS {
                readers.read(Some(Duration::from_secs(1)));
            }
            begun.elapsed()
        })
        .collect();
    rounds.sort_unstable();
    rounds[rounds.len() / 2].as_secs_f64() * 1e6 / f64::from(TICKS)
}

#[expect(clippy::print_stdout, reason = "an example shows its figures")]
fn main() {
    let root = Path::new("/");
    for tier in [Tier::Compat, Tier::Standard, Tier::Full] {
        println!("{tier:?}");
        for driver in Readers::drivers() {
            let mut readers = Readers::open_only(root, tier, |name| name == driver);
            if readers.count() > 0 {
                println!("  {driver:<16}{:7.1} µs", micros(&mut readers));
            }
        }
        let begun = clock::instant();
        let mut all = Readers::open(root, tier);
        let opening = begun.elapsed().as_secs_f64() * 1e6;
        println!("  {:<16}{:7.1} µs, once {opening:.0} µs to open them", "all", micros(&mut all));
    }
}
