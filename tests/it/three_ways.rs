//! `docs/three-ways.md` shows code that compiles: each of its diffs stands in the files that it names, and has as many new
//! lines as it says.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether the lines stand in `source` in this order, with others between them.
fn stand_in(source: &str, lines: &[&str]) -> Result<(), String> {
    let mut rest = source.lines().map(str::trim);
    lines.iter().try_for_each(|line| {
        rest.any(|other| other == line.trim()).then_some(()).ok_or_else(|| (*line).to_owned())
    })
}

#[test]
fn every_block_of_code_stands_in_a_file_that_compiles() {
    let text = read("docs/three-ways.md");
    let mut blocks = 0;
    let mut before = text.as_str();
    while let Some((prose, rest)) = before.split_once("```diff\n") {
        let (block, after) = rest.split_once("```").unwrap();
        let sentence = prose.trim_end().rsplit("\n\n").next().unwrap();
        let is_source = |part: &&str| Path::new(part).extension().is_some_and(|end| end == "rs");
        let files: Vec<_> = sentence.split('`').filter(is_source).collect();
        let (old, new) = (files[0], *files.last().unwrap());
        let lines = |sign| -> Vec<&str> {
            block.lines().filter(|line| line.starts_with([' ', sign])).map(|line| &line[1..]).collect()
        };
        assert_eq!(stand_in(&read(old), &lines('-')), Ok(()), "{old}");
        assert_eq!(stand_in(&read(new), &lines('+')), Ok(()), "{new}");
        let added = block.lines().filter(|line| line.starts_with('+')).count();
        let said = sentence.split_once(" lines:").and_then(|(words, _)| words.rsplit([' ', '\n']).next());
        assert_eq!(said, Some(added.to_string().as_str()), "{sentence}");
        blocks += 1;
        before = after;
    }
    assert_eq!(blocks, 4);
}

/// The diffs in `text`.
fn diffs(text: &str) -> Vec<Vec<&str>> {
    let blocks = text.split("```diff\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(|block| block.lines().collect()).collect()
}

#[test]
fn the_readme_shows_excerpts_of_it() {
    let (readme, whole) = (read("README.md"), read("docs/three-ways.md"));
    let shown = diffs(&readme);
    assert_eq!(shown.len(), 3);
    for lines in shown {
        let is_in = |whole: &Vec<&str>| stand_in(&whole.join("\n"), &lines).is_ok();
        assert!(diffs(&whole).iter().any(is_in), "{lines:#?}");
    }
}

#[test]
fn every_package_that_it_names_is_one_of_ours() {
    let text = read("docs/three-ways.md");
    let named: Vec<_> =
        text.split("package = \"runlog-").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(named, ["linfa", "candle", "burn"]);
    for package in named {
        let manifest = read(&format!("integrations/{package}/Cargo.toml"));
        assert!(manifest.contains(&format!("name = \"runlog-{package}\"")));
    }
}
