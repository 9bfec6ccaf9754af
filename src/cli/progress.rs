//! How far a command is that may take long: a bar on stderr, which is gone before the command says what it did.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use runlog_core::waiting::Progress;

/// What stands on the line: no more than 80 cells hold.
const LINE: &str = "{bar:24} {human_pos} of {human_len} records, {eta} left";

/// A bar, if there is somebody to see it.
#[derive(Debug)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar on the terminal, if `wanted` and stderr is one.
    pub(super) fn new(wanted: bool) -> Self {
        let seen = wanted && std::io::stderr().is_terminal();
        let target = if seen { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template(LINE).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::with_draw_target(Some(0), target).with_style(style))
    }

    pub(super) fn show(&self, progress: Progress) {
        // Nothing to deliver is nothing to show.
        if progress.all > 0 {
            self.0.set_length(progress.all);
            self.0.set_position(progress.done);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_one_that_can_be_drawn() {
        ProgressStyle::with_template(LINE).unwrap();
    }
}
