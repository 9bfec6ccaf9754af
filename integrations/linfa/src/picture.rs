//! The pictures that MLflow draws of a classifier: its confusion matrix, and the curves of two classes.

mod canvas;
mod font;

use runlog_core::Result;
use serde_json::Value;

use crate::scores::{Curve, number};
use canvas::{BLACK, BLUE, Canvas, Colour, GREY, WHITE, width_of};

/// Dots for each of the font's.
const SCALE: usize = 2;
/// Dots of a line of text.
const LINE: usize = 18;
/// Letters of a label that are shown.
const LABEL_CHARS: usize = 14;
/// Dots of the matrix, about; its cells are as large as they can be.
const MATRIX: usize = 480;
/// The most dots of a cell.
const CELL_MAX: usize = 120;
/// Dots of a curve's sides.
const PLOT: usize = 420;
/// From white to dark blue, as Matplotlib's `Blues`.
const BLUES: [[f64; 3]; 5] = [
    [247.0, 251.0, 255.0],
    [198.0, 219.0, 239.0],
    [107.0, 174.0, 214.0],
    [33.0, 113.0, 181.0],
    [8.0, 48.0, 107.0],
];

/// A confusion matrix: a row per true class, a column per predicted one, the counts in the cells, and as the colour
/// the share of the row.
pub(crate) fn confusion(labels: &[Value], matrix: &[Vec<u64>]) -> Result<Vec<u8>> {
    let classes = labels.len().max(1);
    let names: Vec<String> = labels.iter().map(shown).collect();
    // Labels that are higher or wider than their cells would run into each other: then only every so many are shown.
    let widest = names.iter().map(|name| width_of(name, SCALE)).max().unwrap_or_default();
    let cell = (MATRIX / classes).clamp(4, CELL_MAX.max(widest + 8));
    let side = cell * classes;
    let beside_every = LINE.div_ceil(cell);
    let below_every = (widest + 8).div_ceil(cell);
    let (left, top) = (widest + 2 * LINE + 12, 2 * LINE);
    let bar = left + side + 24;
    // The title may be wider than a small matrix with its bar.
    let title = "Confusion matrix, colours by row";
    let width = (bar + 16 + 60).max(left + width_of(title, SCALE) + 12);
    let mut canvas = Canvas::new(width, top + side + 3 * LINE + 8);
    canvas.text((left, 10), title, SCALE, BLACK);
    for (row, counts) in matrix.iter().enumerate() {
        let total: u64 = counts.iter().sum();
        for (column, count) in counts.iter().enumerate() {
            let share = if total == 0 { 0.0 } else { ratio(*count, total) };
            let at = (left + column * cell, top + row * cell);
            canvas.fill(at, (cell, cell), blue(share));
            let text = count.to_string();
            if width_of(&text, SCALE) + 4 <= cell && LINE <= cell {
                let ink = if share > 0.5 { WHITE } else { BLACK };
                canvas.centred((at.0 + cell / 2, at.1 + (cell - 14) / 2), &text, SCALE, ink);
            }
        }
    }
    canvas.frame((left, top), (side, side), BLACK);
    for (place, name) in names.iter().enumerate() {
        if place % beside_every == 0 {
            let right = left - 8;
            let at = (right - width_of(name, SCALE), top + place * cell + (cell.max(14) - 14) / 2);
            canvas.text(at, name, SCALE, BLACK);
        }
        if place % below_every == 0 {
            canvas.centred((left + place * cell + cell / 2, top + side + 8), name, SCALE, BLACK);
        }
    }
    canvas.upright((8, top + side / 2), "true", SCALE, BLACK);
    canvas.centred((left + side / 2, top + side + 16 + LINE), "predicted", SCALE, BLACK);
    for y in 0..side {
        canvas.fill((bar, top + side - 1 - y), (16, 1), blue(number(y) / number(side)));
    }
    canvas.frame((bar, top), (16, side), BLACK);
    canvas.text((bar + 22, top), "1.0", SCALE, BLACK);
    canvas.text((bar + 22, top + side - 14), "0.0", SCALE, BLACK);
    canvas.png()
}

/// The ROC curve of the class `positive`, with the line of a guess.
pub(crate) fn roc(curve: &Curve, positive: &Value) -> Result<Vec<u8>> {
    let title = format!("ROC curve, area {:.3}", curve.area);
    plot(curve, &title, ["false positive rate", "true positive rate"], positive, true)
}

/// The precision over the recall of the class `positive`.
pub(crate) fn precision_recall(curve: &Curve, positive: &Value) -> Result<Vec<u8>> {
    let title = format!("Precision-recall, average {:.3}", curve.area);
    plot(curve, &title, ["recall", "precision"], positive, false)
}

/// A curve in the unit square; a step curve holds a value until the next one.
fn plot(curve: &Curve, title: &str, axes: [&str; 2], positive: &Value, with_guess: bool) -> Result<Vec<u8>> {
    let (left, top) = (80, 2 * LINE);
    let mut canvas = Canvas::new(left + PLOT + 40, top + PLOT + 4 * LINE);
    let at = |x: f64, y: f64| (left + dots(x), top + PLOT - dots(y));
    canvas.text((left, 10), title, SCALE, BLACK);
    for tick in 0..=5_u8 {
        let value = f64::from(tick) / 5.0;
        let (x, y) = (at(value, 0.0).0, at(0.0, value).1);
        canvas.fill((x, top), (1, PLOT), GREY);
        canvas.fill((left, y), (PLOT, 1), GREY);
        let text = format!("{value:.1}");
        canvas.centred((x, top + PLOT + 8), &text, SCALE, BLACK);
        canvas.text((left - 8 - width_of(&text, SCALE), y.saturating_sub(7)), &text, SCALE, BLACK);
    }
    canvas.frame((left, top), (PLOT + 1, PLOT + 1), BLACK);
    if with_guess {
        for place in (0..PLOT).step_by(8) {
            canvas.fill((left + place, top + PLOT - place), (3, 2), [150, 150, 150]);
        }
    }
    for pair in curve.points.windows(2) {
        let (from, to) = (at(pair[0].0, pair[0].1), at(pair[1].0, pair[1].1));
        if with_guess {
            canvas.line(from, to, BLUE);
        } else {
            canvas.line(from, (from.0, to.1), BLUE);
            canvas.line((from.0, to.1), to, BLUE);
        }
    }
    let of = format!("{} (positive: {})", axes[0], shown(positive));
    canvas.centred((left + PLOT / 2, top + PLOT + 16 + LINE), &of, SCALE, BLACK);
    canvas.upright((8, top + PLOT / 2), axes[1], SCALE, BLACK);
    canvas.png()
}

fn shown(label: &Value) -> String {
    let text = label.as_str().map_or_else(|| label.to_string(), ToOwned::to_owned);
    if text.chars().count() <= LABEL_CHARS {
        return text;
    }
    text.chars().take(LABEL_CHARS - 2).chain("..".chars()).collect()
}

fn ratio(part: u64, whole: u64) -> f64 {
    let count = |count: u64| number(usize::try_from(count).unwrap_or(usize::MAX));
    count(part) / count(whole)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "kept between 0 and the plot's side"
)]
fn dots(value: f64) -> usize {
    (value.clamp(0.0, 1.0) * number(PLOT)).round() as usize
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between two colours, or two places"
)]
fn blue(share: f64) -> Colour {
    let place = share.clamp(0.0, 1.0) * number(BLUES.len() - 1);
    let low = (place as usize).min(BLUES.len() - 2);
    let between = place - number(low);
    std::array::from_fn(|part| {
        (BLUES[low][part] * (1.0 - between) + BLUES[low + 1][part] * between).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The colour of a dot of a PNG file.
    fn dot(png: &[u8], x: usize, y: usize) -> Colour {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut dots = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut dots).unwrap();
        let at = (y * info.width as usize + x) * 3;
        [dots[at], dots[at + 1], dots[at + 2]]
    }

    #[test]
    fn cells_are_coloured_by_their_share_of_the_row() {
        let file = confusion(&[json!("no"), json!("yes")], &[vec![30, 0], vec![5, 5]]).unwrap();
        let left = width_of("yes", SCALE) + 2 * LINE + 12;
        let corner = |row: usize, column: usize| {
            dot(&file, left + column * CELL_MAX + 3, 2 * LINE + row * CELL_MAX + 3)
        };
        assert_eq!([corner(0, 0), corner(0, 1)], [blue(1.0), blue(0.0)]);
        assert_eq!([corner(1, 0), corner(1, 1)], [blue(0.5), blue(0.5)]);
    }

    #[test]
    fn as_many_classes_as_are_drawn_and_none_at_all_become_pictures() {
        let labels: Vec<Value> = (0..256).map(|label| json!(label)).collect();
        let file = confusion(&labels, &vec![vec![1; 256]; 256]).unwrap();
        assert!(file.starts_with(b"\x89PNG") && file.len() < 100_000, "{}", file.len());
        confusion(&[], &[]).unwrap();
    }

    #[test]
    fn a_curve_ends_in_its_corner() {
        let curve = Curve { points: vec![(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)], area: 1.0 };
        let file = roc(&curve, &json!(true)).unwrap();
        assert_eq!(dot(&file, 80, 2 * LINE + PLOT / 2), BLUE);
        assert_eq!(dot(&file, 80 + PLOT, 2 * LINE), BLUE);
    }
}
