//! Figures: whatever can be written as the content of an image or a page.

use std::path::Path;

use crate::error::{Error, Result};

/// Something that can be looked at, and can write itself as a file.
///
/// [`Svg`], [`Html`] and [`Png`] take what plotting libraries give. With the crate `plotters`, let `SVGBackend` draw into
/// a text; a buffer of `BitMapBackend` is an array of pixels (see `ImageArray`, of the feature `image`).
///
/// ```
/// use plotters::prelude::*;
/// use runlog_core::artifact::Svg;
///
/// # let tracker = runlog_core::Tracker::open("memory:")?;
/// # let run = tracker.start_run(())?;
/// let mut plot = String::new();
/// {
///     let area = SVGBackend::with_string(&mut plot, (640, 480)).into_drawing_area();
///     let mut chart = ChartBuilder::on(&area).build_cartesian_2d(0.0..2.0, 0.0..1.0).unwrap();
///     chart.draw_series(LineSeries::new([(0.0, 0.9), (1.0, 0.4), (2.0, 0.3)], &RED)).unwrap();
/// }
/// run.log_figure(&Svg(plot), "plots/loss.svg")?;
/// # run.finish()?;
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub trait Figure {
    /// The content of a file whose name ends in `extension`, which is in lower case and without a dot.
    ///
    /// # Errors
    /// `InvalidInput` if the figure cannot be written as such a file.
    fn content(&self, extension: &str) -> Result<Vec<u8>>;
}

/// The text of an SVG image, for a file `.svg`; also for `.html`, where it is the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Svg<T>(pub T);

/// The text of an HTML page, such as a plotly figure's, for a file `.html`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Html<T>(pub T);

/// The bytes of a PNG image, for a file `.png`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Png<T>(pub T);

/// The figure's content, for the end of a file's name.
pub(crate) fn content(figure: &(impl Figure + ?Sized), path: &str) -> Result<Vec<u8>> {
    let extension = Path::new(path).extension().and_then(|end| end.to_str()).unwrap_or_default();
    figure.content(&extension.to_ascii_lowercase()).map_err(|error| error.with("artifact", path))
}

/// Refuses a name that does not say what is in the file.
fn check(extension: &str, fitting: &[&str], what: &str) -> Result<()> {
    if fitting.contains(&extension) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{what} is logged to a file whose name ends in `.{}`",
        fitting.join("` or `.")
    )))
}

impl<T: AsRef<str>> Figure for Svg<T> {
    fn content(&self, extension: &str) -> Result<Vec<u8>> {
        check(extension, &["svg", "html"], "an SVG image")?;
        let text = self.0.as_ref();
        if !text.contains("<svg") {
            return Err(Error::invalid("the text is no SVG image: it has no element `<svg>`"));
        }
        Ok(text.as_bytes().to_vec())
    }
}

impl<T: AsRef<str>> Figure for Html<T> {
    fn content(&self, extension: &str) -> Result<Vec<u8>> {
        check(extension, &["html"], "an HTML page")?;
        Ok(self.0.as_ref().as_bytes().to_vec())
    }
}

impl<T: AsRef<[u8]>> Figure for Png<T> {
    fn content(&self, extension: &str) -> Result<Vec<u8>> {
        check(extension, &["png"], "a PNG image")?;
        let bytes = self.0.as_ref();
        if !bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            return Err(Error::invalid("the bytes are no PNG image; raw pixels are logged with `log_image`"));
        }
        Ok(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_only_written_under_a_name_that_says_what_it_is() {
        let png = Png(b"\x89PNG\r\n\x1a\n...");
        assert_eq!(content(&Svg("<svg/>"), "a/b.SVG").unwrap(), b"<svg/>");
        assert_eq!(content(&Svg("<svg/>"), "b.html").unwrap(), b"<svg/>");
        assert_eq!(content(&Html("<p>"), "b.html").unwrap(), b"<p>");
        assert!(content(&png, "b.png").is_ok());
        for refused in [
            content(&Svg("<svg/>"), "b.png"),
            content(&Svg("<svg/>"), "svg"),
            content(&Svg("text"), "b.svg"),
            content(&Html("<p>"), "b.svg"),
            content(&png, "b.jpg"),
            content(&Png(b"GIF89a"), "b.png"),
        ] {
            assert_eq!(refused.unwrap_err().kind(), crate::ErrorKind::InvalidInput);
        }
    }
}
