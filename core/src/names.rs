//! Names for runs that were given none: `brave-otter-317`.
//!
//! No word has more than seven letters, so no name is longer than MLflow's twenty characters. The seed comes from the
//! system: `fastrand`'s own is the time and the thread, which the ranks of one job can share.

/// The greatest number at the end of a name.
const NUMBER_MAX: u32 = 1000;

/// A name `<adjective>-<noun>-<0..=1000>` for a run or a model.
pub(crate) fn run_name() -> String {
    let mut rng = fastrand::Rng::with_seed(crate::id::random_u64());
    let adjective = rng.choice(ADJECTIVES).unwrap_or(&"calm");
    let noun = rng.choice(NOUNS).unwrap_or(&"otter");
    format!("{adjective}-{noun}-{}", rng.u32(0..=NUMBER_MAX))
}

#[rustfmt::skip]
const ADJECTIVES: &[&str] = &[
    "able", "agile", "airy", "alert", "amber", "ample", "apt", "autumn", "azure", "blithe", "bold", "brave", "breezy",
    "bright", "brisk", "bronze", "calm", "candid", "caring", "cheery", "civil", "classy", "clear", "clever", "coral",
    "cosmic", "cosy", "crisp", "curious", "daring", "dapper", "deft", "dewy", "eager", "early", "earnest", "easy",
    "elegant", "fair", "fine", "fleet", "fluent", "frank", "free", "fresh", "gentle", "gifted", "glad", "golden",
    "grand", "happy", "hardy", "honest", "humble", "ideal", "jolly", "jovial", "joyful", "keen", "kind", "lively",
    "loyal", "lucid", "lucky", "lunar", "mellow", "merry", "mild", "modest", "neat", "nimble", "noble", "open",
    "patient", "placid", "plucky", "polite", "proud", "prudent", "quick", "quiet", "radiant", "rapid", "ready",
    "robust", "rosy", "serene", "sharp", "silver", "smooth", "snug", "solar", "solid", "spry", "stellar", "sturdy",
    "sunny", "swift", "tactful", "tidy", "upbeat", "vivid", "warm", "willing", "winsome", "wise", "witty", "zesty",
];

#[rustfmt::skip]
const NOUNS: &[&str] = &[
    "acacia", "acorn", "alder", "alpaca", "anchor", "aspen", "aurora", "badger", "bamboo", "barley", "basil", "beacon",
    "beaver", "birch", "bison", "bonsai", "breeze", "brook", "canoe", "canyon", "cedar", "cello", "cherry", "clover",
    "comet", "compass", "condor", "cove", "coyote", "crane", "cricket", "cypress", "dahlia", "delta", "dolphin", "dove",
    "dune", "egret", "elm", "falcon", "fern", "ferret", "finch", "fjord", "forest", "fox", "garnet", "gecko", "geyser",
    "ginger", "glacier", "grove", "gull", "harbour", "hare", "harp", "hazel", "heron", "ibex", "iris", "island",
    "jasmine", "juniper", "kestrel", "kite", "koala", "lagoon", "lantern", "lark", "laurel", "lemur", "lilac", "linden",
    "lotus", "lynx", "magpie", "maple", "marten", "meadow", "meteor", "mint", "moose", "nebula", "oasis", "opal",
    "orchid", "osprey", "otter", "owl", "panda", "pebble", "pelican", "pine", "plover", "poppy", "prairie", "puffin",
    "quail", "quartz", "rabbit", "raven", "reef", "river", "robin", "salmon", "seal", "sparrow", "spruce", "stork",
    "summit", "swallow", "tapir", "thistle", "tulip", "turtle", "valley", "violet", "walnut", "willow", "wren", "yak",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_has_mlflows_shape_and_length() {
        for _ in 0..2000 {
            let name = run_name();
            let parts: Vec<_> = name.split('-').collect();
            assert!(
                matches!(parts[..], [a, n, _] if ADJECTIVES.contains(&a) && NOUNS.contains(&n)),
                "{name}"
            );
            assert!(parts[2].parse::<u32>().unwrap() <= NUMBER_MAX, "{name}");
            assert!(name.len() <= 20, "{name}");
        }
    }

    #[test]
    fn no_word_can_make_a_name_too_long_or_stands_twice() {
        for words in [ADJECTIVES, NOUNS] {
            assert!(words.len() >= 100);
            assert!(words.iter().all(|w| w.len() <= 7 && w.chars().all(|c| c.is_ascii_lowercase())));
            assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
        }
    }

    #[test]
    fn names_differ() {
        let names: BTreeSet<_> = (0..200).map(|_| run_name()).collect();
        assert!(names.len() > 190, "{}", names.len());
    }
}
