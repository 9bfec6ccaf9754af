//! `log_batch`: params, points and tags of one run, all of them or none.
//!
//! Everything that can be refused is looked at before anything is written. What fails after that, such as a full disk,
//! is taken back.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use foldhash::fast::RandomState;

use super::guard::Guard;
use super::line::{Line, Parse};
use super::runs;
use super::series::{Append, Tails};
use super::{Tree, models, texts};
use crate::entity::Metric;
use crate::error::Result;
use crate::store::{Batch, RUN_NAME_TAG, param_conflict};

pub(super) fn log(tree: &Tree, run_id: &str, batch: &Batch) -> Result<()> {
    let mut tails = tree.writing();
    let mut run = runs::open(tree, run_id)?;
    let texts = plan_texts(&run.dir, run_id, batch)?;
    let of_models = by_model(&batch.metrics);
    let models: Vec<_> =
        of_models.keys().map(|model_id| models::dir(tree, model_id)).collect::<Result<_>>()?;

    let mut points = vec![Points::plan(&mut tails, &run.dir, &batch.metrics, Line::of_run, Line::parse_run)?];
    let mut guards = Vec::new();
    // In the order of their ids, so that two processes never wait for each other.
    for (dir, metrics) in models.iter().zip(of_models.into_values()) {
        guards.push(Guard::take(dir)?);
        let of_model = |metric: &Metric| Line::of_model(metric, run_id);
        points.push(Points::plan(&mut tails, dir, metrics, of_model, Line::parse_model)?);
    }

    let guards = || [&run.guard].into_iter().chain(&guards);
    let outcome = guards()
        .zip(&points)
        .try_for_each(|(guard, points)| guard.appending(&points.names))
        .and_then(|()| texts.iter().try_for_each(|text| text.write(tree, &run.dir)))
        .and_then(|()| points.iter_mut().try_for_each(|points| points.write(tree)));
    for guard in guards() {
        guard.appended();
    }
    let name = batch.tags.iter().rev().find(|tag| tag.key == RUN_NAME_TAG);
    let outcome = outcome.and_then(|()| match name {
        Some(tag) => run.rename(tree, &tag.value),
        None => Ok(()),
    });
    if outcome.is_ok() {
        for points in points {
            points.remember(&mut tails);
        }
    } else {
        points.iter().for_each(Points::undo);
        for text in &texts {
            text.undo(tree, &run.dir);
        }
    }
    outcome
}

/// The points of each model.
fn by_model(metrics: &[Metric]) -> BTreeMap<&str, Vec<&Metric>> {
    let mut models: BTreeMap<&str, Vec<&Metric>> = BTreeMap::new();
    for metric in metrics {
        if let Some(model_id) = &metric.model_id {
            models.entry(model_id).or_default().push(metric);
        }
    }
    models
}

/// The points of each key.
fn by_key<'a>(metrics: impl IntoIterator<Item = &'a Metric>) -> BTreeMap<&'a str, Vec<&'a Metric>> {
    struct Series<'a> {
        points: Vec<&'a Metric>,
        /// The series of the point that came after the last one of this: as a program logs its metrics in turn, or one
        /// as a whole, the next will be of that too.
        next: usize,
    }
    let mut series: Vec<(&str, Series<'_>)> = Vec::new();
    let mut places: HashMap<&str, usize, RandomState> = HashMap::default();
    let mut last = 0;
    for metric in metrics {
        let guess = series.get(last).map_or(0, |(_, last)| last.next);
        let place = match series.get(guess) {
            Some((key, _)) if *key == metric.key => guess,
            _ => *places.entry(&metric.key).or_insert(series.len()),
        };
        if place == series.len() {
            series.push((&metric.key, Series { points: Vec::new(), next: place }));
        }
        series[last].1.next = place;
        series[place].1.points.push(metric);
        last = place;
    }
    series.into_iter().map(|(key, series)| (key, series.points)).collect()
}

/// A param or tag that has another value now, or none.
struct Text<'a> {
    key: &'a str,
    folder: PathBuf,
    path: PathBuf,
    before: Option<String>,
    after: &'a str,
}

fn plan_texts<'a>(run: &Path, run_id: &str, batch: &'a Batch) -> Result<Vec<Text<'a>>> {
    let mut texts = Vec::new();
    let params: BTreeMap<&str, &str> =
        batch.params.iter().map(|param| (param.key.as_str(), param.value.as_str())).collect();
    let tags: BTreeMap<&str, &str> =
        batch.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect();
    for (folder, values) in [("params", params), ("tags", tags)] {
        let folder = run.join(folder);
        for (key, path) in texts::places(&folder, values.keys().copied())? {
            let (before, after) = (texts::read(&path)?, values[key]);
            match &before {
                Some(before) if before == after => {}
                Some(before) if folder.ends_with("params") => {
                    return Err(param_conflict(key, before, after).with("run", run_id));
                }
                _ => texts.push(Text { key, folder: folder.clone(), path, before, after }),
            }
        }
    }
    Ok(texts)
}

impl Text<'_> {
    fn write(&self, tree: &Tree, run: &Path) -> Result<()> {
        tree.disk.put(run, &self.path, self.after.as_bytes())
    }

    /// As well as the file system does it.
    fn undo(&self, tree: &Tree, run: &Path) {
        match &self.before {
            Some(before) => tree.disk.put(run, &self.path, before.as_bytes()).ok(),
            None => texts::remove(&tree.disk, &self.folder, self.key).ok().map(drop),
        };
    }
}

/// The points that go below one directory, a run's or a model's.
struct Points {
    /// The files, a line each, from that directory.
    names: String,
    appends: Vec<Append>,
    /// The lengths of the files that are written.
    lens: Vec<u64>,
}

impl Points {
    fn plan<'a>(
        tails: &mut Tails,
        dir: &Path,
        metrics: impl IntoIterator<Item = &'a Metric>,
        line: impl Fn(&Metric) -> Line + Copy,
        parse: Parse,
    ) -> Result<Self> {
        let mut by_key = by_key(metrics);
        let mut planned = Self { names: String::new(), appends: Vec::new(), lens: Vec::new() };
        for (key, path) in texts::places(&dir.join("metrics"), by_key.keys().copied())? {
            let metrics = by_key.remove(key).unwrap_or_default();
            let append = tails.plan(&path, parse, metrics.into_iter().map(line))?;
            if !append.is_empty() {
                planned.names.extend(["metrics/", key, "\n"]);
            }
            planned.appends.push(append);
        }
        Ok(planned)
    }

    fn write(&mut self, tree: &Tree) -> Result<()> {
        for append in &self.appends {
            self.lens.push(append.write(&tree.disk)?);
        }
        Ok(())
    }

    fn remember(self, tails: &mut Tails) {
        for (append, len) in self.appends.into_iter().zip(self.lens) {
            tails.written(append, len);
        }
    }

    fn undo(&self) {
        self.appends.iter().for_each(Append::undo);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_gathered_by_key_in_whatever_order_they_come() {
        let in_turn = (0..3).flat_map(|step| ["a", "b", "c"].map(|key| (key, step)));
        let at_once = ["b", "a"].into_iter().flat_map(|key| (3..6).map(move |step| (key, step)));
        let mixed = [("a", 6), ("c", 3), ("c", 4), ("b", 6), ("new", 0), ("a", 7), ("a", 8)];
        let metrics: Vec<Metric> =
            in_turn.chain(at_once).chain(mixed).map(|(key, step)| Metric::new(key, 0.5, 1, step)).collect();
        let steps: Vec<(&str, Vec<i64>)> = by_key(&metrics)
            .into_iter()
            .map(|(key, points)| (key, points.iter().map(|point| point.step).collect()))
            .collect();
        let expect = [("a", 9), ("b", 7), ("c", 5), ("new", 1)].map(|(key, end)| (key, (0..end).collect()));
        assert_eq!(steps, expect);
        assert!(by_key(&[]).is_empty());
    }
}
