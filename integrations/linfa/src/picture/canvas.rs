//! A canvas of coloured dots that becomes a PNG file. What is drawn outside of it is left out.

use runlog_core::{Error, ErrorKind, Result};

use super::font;

/// Red, green and blue.
pub(super) type Colour = [u8; 3];

pub(super) const WHITE: Colour = [255, 255, 255];
pub(super) const BLACK: Colour = [30, 30, 30];
pub(super) const GREY: Colour = [205, 205, 205];
pub(super) const BLUE: Colour = [8, 81, 156];

pub(super) struct Canvas {
    width: usize,
    height: usize,
    dots: Vec<u8>,
}

impl Canvas {
    /// A white one.
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, height, dots: vec![255; width * height * 3] }
    }

    pub(super) fn dot(&mut self, x: usize, y: usize, colour: Colour) {
        if x < self.width && y < self.height {
            let at = (y * self.width + x) * 3;
            self.dots[at..at + 3].copy_from_slice(&colour);
        }
    }

    pub(super) fn fill(
        &mut self,
        (left, top): (usize, usize),
        (width, height): (usize, usize),
        colour: Colour,
    ) {
        for y in top..top + height {
            for x in left..left + width {
                self.dot(x, y, colour);
            }
        }
    }

    /// The outline of a box.
    pub(super) fn frame(
        &mut self,
        (left, top): (usize, usize),
        (width, height): (usize, usize),
        colour: Colour,
    ) {
        self.fill((left, top), (width, 1), colour);
        self.fill((left, top + height - 1), (width, 1), colour);
        self.fill((left, top), (1, height), colour);
        self.fill((left + width - 1, top), (1, height), colour);
    }

    /// A line, two dots wide.
    pub(super) fn line(&mut self, from: (usize, usize), to: (usize, usize), colour: Colour) {
        let steps = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1)).max(1);
        for step in 0..=steps {
            let between = |from: usize, to: usize| (from * (steps - step) + to * step + steps / 2) / steps;
            self.fill((between(from.0, to.0), between(from.1, to.1)), (2, 2), colour);
        }
    }

    /// A text whose left upper corner is at `at`, with `scale` dots for each of the font's.
    pub(super) fn text(&mut self, (left, top): (usize, usize), text: &str, scale: usize, colour: Colour) {
        for (place, letter) in text.chars().enumerate() {
            for (column, bits) in font::glyph(letter).into_iter().enumerate() {
                for row in (0..font::HEIGHT).filter(|row| bits >> row & 1 == 1) {
                    let at = (left + (place * font::ADVANCE + column) * scale, top + row * scale);
                    self.fill(at, (scale, scale), colour);
                }
            }
        }
    }

    /// A text whose middle is at `x`.
    pub(super) fn centred(&mut self, (x, top): (usize, usize), text: &str, scale: usize, colour: Colour) {
        self.text((x.saturating_sub(width_of(text, scale) / 2), top), text, scale, colour);
    }

    /// A text that is read from bottom to top, with its middle at `y`.
    pub(super) fn upright(&mut self, (left, y): (usize, usize), text: &str, scale: usize, colour: Colour) {
        let bottom = y + width_of(text, scale) / 2;
        for (place, letter) in text.chars().enumerate() {
            for (column, bits) in font::glyph(letter).into_iter().enumerate() {
                for row in (0..font::HEIGHT).filter(|row| bits >> row & 1 == 1) {
                    let up = (place * font::ADVANCE + column + 1) * scale;
                    if let Some(top) = bottom.checked_sub(up) {
                        self.fill((left + row * scale, top), (scale, scale), colour);
                    }
                }
            }
        }
    }

    pub(super) fn png(&self) -> Result<Vec<u8>> {
        let side = |dots: usize| u32::try_from(dots).unwrap_or(u32::MAX);
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, side(self.width), side(self.height));
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut writer| {
            writer.write_image_data(&self.dots)?;
            writer.finish()
        });
        written
            .map_err(|cause| Error::new(ErrorKind::Unexpected, "cannot write the picture").because(cause))?;
        Ok(file)
    }
}

/// The dots that a text is wide.
pub(super) fn width_of(text: &str, scale: usize) -> usize {
    (text.chars().count() * font::ADVANCE).saturating_sub(1) * scale
}
