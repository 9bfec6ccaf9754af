//! The figures that runlog promises, each beside its limit or its peer of the same run:
//! `cargo bench --bench figures` prints one table in Markdown (Linux; eight minutes), `-- hot ingest` some of its
//! sections, `-- --quick` few repetitions, which only show that everything runs.
//!
//! Wall time on a shared machine is noise. What is compared is measured in turns, and the ratio is the median of the
//! pairs' ratios, with the smallest and the largest in brackets. The peers in Rust are built from `benches/peers` when
//! they are first asked; MLflow is found where the tests against it install it (`cargo test --test it mlflow`).
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that cannot start has nothing to measure"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is what it is for")]
#![expect(clippy::disallowed_methods, reason = "a program reads its arguments, and waits")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and times, far from the limits of their types"
)]

#[path = "../tests/it/counting.rs"]
mod counting;
#[path = "figures/floor.rs"]
mod floor;
#[path = "figures/hot.rs"]
mod hot;
#[path = "figures/ingest.rs"]
mod ingest;
#[expect(dead_code, reason = "the tail of the quantiles is what counts here")]
#[path = "measure.rs"]
mod measure;
#[path = "figures/mlflow.rs"]
mod mlflow;
#[path = "figures/null_server.rs"]
mod null_server;
#[path = "figures/paced.rs"]
mod paced;
#[path = "figures/peers.rs"]
mod peers;
#[path = "figures/place.rs"]
mod place;
#[path = "figures/process.rs"]
mod process;
#[path = "figures/raw.rs"]
mod raw;
#[path = "figures/table.rs"]
mod table;
#[expect(dead_code, reason = "other programs ask more")]
#[path = "usage.rs"]
mod usage;

use table::Table;

/// Measures, and adds its rows.
type Section = fn(&mut Table, Size);

/// The sections, in the order of the table.
const SECTIONS: [(&str, Section); 5] = [
    ("hot", hot::measure),
    ("peers", peers::measure),
    ("paced", paced::measure),
    ("ingest", ingest::measure),
    ("process", process::measure),
];

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Full,
    /// Enough to see that everything runs.
    Quick,
}

impl Size {
    fn pick<T>(self, full: T, quick: T) -> T {
        if self == Self::Full { full } else { quick }
    }
}

fn main() {
    // What Cargo adds.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|first| first == process::CHILD) {
        return process::child(&arguments[1..]);
    }
    let size = if arguments.iter().any(|argument| argument == "--quick") { Size::Quick } else { Size::Full };
    let wanted: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with("--")).collect();
    if let Some(unknown) = wanted.iter().find(|name| SECTIONS.iter().all(|(known, _)| known != *name)) {
        panic!("no section is called {unknown}: there are {:?}", SECTIONS.map(|(name, _)| name));
    }
    let mut table = Table::default();
    for (name, measure) in SECTIONS {
        if wanted.is_empty() || wanted.contains(&name) {
            eprintln!("measuring: {name}");
            measure(&mut table, size);
        }
    }
    println!("{table}");
}
