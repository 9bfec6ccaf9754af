//! The table on a terminal.

use std::fmt;

use super::{Cells, Column, RunTable};
use crate::clock;
use crate::terminal::{self, number, plain, shortened, table};

/// Cells of a line, if the format does not say.
const LINE_CHARS: usize = 120;
/// Cells of the terminal that one of the table takes.
const CELL_CHARS: usize = 40;
/// Rows that are shown.
const ROWS_SHOWN: usize = 60;
/// Spaces between two columns.
const GAP: usize = 2;
/// What comes first: what a run is called, and by what it is found again.
const FIRST: [&str; 4] = ["tags.mlflow.runName", "run_id", "status", "start_time"];

impl fmt::Display for RunTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows == 0 {
            return f.write_str("no runs");
        }
        let line_chars = f.width().unwrap_or(LINE_CHARS);
        let columns = if self.chosen { self.columns.iter().collect() } else { self.of_interest() };
        let (mut shown, mut left_out, mut used) = (Vec::new(), Vec::new(), 0);
        for column in columns {
            let cells = column.shown(self.rows.min(ROWS_SHOWN));
            let width = cells.iter().map(|cell| terminal::cells(cell)).max().unwrap_or(0);
            if self.chosen || shown.is_empty() || used + GAP + width <= line_chars {
                used += GAP + width;
                shown.push((column, cells));
            } else {
                left_out.push(column.name.as_str());
            }
        }
        let line = |row: usize| shown.iter().map(|(_, cells)| cells[row].clone()).collect();
        let lines: Vec<Vec<String>> = (0..=self.rows.min(ROWS_SHOWN)).map(line).collect();
        let is_number = |place: &usize| matches!(shown[*place].0.cells, Cells::Number(_));
        let right: Vec<usize> = (0..shown.len()).filter(is_number).collect();
        f.write_str(table(&lines, 0, &right).trim_end_matches('\n'))?;
        if self.rows > ROWS_SHOWN {
            write!(f, "\n+ {} run(s)", self.rows - ROWS_SHOWN)?;
        }
        if !left_out.is_empty() {
            let names = plain(&left_out.join(", "));
            write!(
                f,
                "\n+ {} column(s): {}",
                left_out.len(),
                shortened(&names, line_chars.saturating_sub(GAP))
            )?;
        }
        Ok(())
    }
}

impl RunTable {
    /// The columns that people compare: the first ones, then metrics, params and the user's own tags; what the machine
    /// did comes last.
    fn of_interest(&self) -> Vec<&Column> {
        let own = |column: &&Column| {
            let name = &column.name;
            ["metrics.", "params.", "tags."].iter().any(|group| name.starts_with(group))
                && !name.starts_with("tags.mlflow.")
                && !name.starts_with("tags.runlog.")
        };
        let first = FIRST.iter().filter_map(|name| self.columns.iter().find(|column| column.name == *name));
        let (machine, own): (Vec<_>, Vec<_>) =
            self.columns.iter().filter(own).partition(|column| column.name.starts_with("metrics.system/"));
        first.chain(own).chain(machine).collect()
    }
}

impl Column {
    /// The name, and the first `rows` cells.
    fn shown(&self, rows: usize) -> Vec<String> {
        let name = shortened(&plain(&self.name), CELL_CHARS);
        let cell = |row: usize| match &self.cells {
            Cells::Text(cells) => cells[row].as_ref().map(|text| shortened(&plain(text), CELL_CHARS)),
            Cells::Number(cells) => cells[row].map(number),
            Cells::Time(cells) => cells[row].map(|ms| clock::utc_text(ms).chars().take(19).collect()),
        };
        std::iter::once(name).chain((0..rows).map(|row| cell(row).unwrap_or_default())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::two_runs;
    use super::*;
    use crate::entity::{Metric, Param, Run, Tag};

    /// Without the spaces that line up the last column.
    fn check(shown: &str, expect: &str) {
        assert_eq!(shown, expect, "\n{shown}");
    }

    #[test]
    fn names_come_first_numbers_are_flush_right_and_mlflows_tags_stay_away() {
        let mut runs = two_runs();
        runs[1].data.tags.push(Tag::new("mlflow.runName", "sec\u{1b}ond"));
        runs[1].data.metrics.push(Metric::new("system/cpu", 12.5, 0, 0));
        check(
            &format!("{:140}", RunTable::from(runs)),
            "\
tags.mlflow.runName  run_id  status   start_time           metrics.acc  metrics.inf  metrics.loss  metrics.nan  params.lr
first                a1      RUNNING  2023-11-14 22:13:20                                    1e-5          NaN  a \"quoted\"\\ntext
sec\\u{1b}ond         b2      RUNNING  1970-01-01 00:00:00            3          inf
+ 3 column(s): params.none, tags.empty, metrics.system/cpu",
        );
    }

    #[test]
    fn chosen_columns_are_all_shown() {
        let table = RunTable::from(two_runs()).select(["artifact_uri", "end_time", "tags.empty"]).unwrap();
        check(
            &format!("{table:10}"),
            "\
artifact_uri  end_time             tags.empty
/x,y
              2023-11-14 22:14:20",
        );
        check(&RunTable::new(&[]).to_string(), "no runs");
    }

    #[test]
    fn a_thousand_runs_with_a_hundred_params_stay_readable() {
        let run = |number: usize| {
            let mut run: Run = two_runs().remove(0);
            run.info.run_id = format!("{number:032}");
            run.data.params =
                (0..100).map(|param| Param::new(format!("p{param:02}"), "x".repeat(500))).collect();
            run
        };
        let shown = RunTable::from((0..1000).map(run).collect::<Vec<_>>()).to_string();
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines.len(), 1 + ROWS_SHOWN + 2);
        assert!(
            lines.iter().all(|line| line.chars().count() <= LINE_CHARS + "+ 100 column(s): ".len()),
            "{shown}"
        );
        assert_eq!(lines[ROWS_SHOWN + 1], "+ 940 run(s)");
    }
}
