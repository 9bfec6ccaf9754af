//! Images on their way to files: full size, and small for lists of them.

mod array;
mod source;

use std::borrow::Cow;
use std::io::Cursor;
use std::path::Path;

use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat};

use super::Artifacts;
use crate::error::{Error, ErrorKind, Result};
use crate::id;

pub use array::{ImageArray, Pixel};
pub use source::ToImage;

/// The longer side of a small image, in pixels, as in MLflow.
const SMALL_SIDE: u32 = 256;

/// The bytes of `image` in the format that the end of a file's name says.
pub(crate) fn encoded(image: &DynamicImage, path: &str) -> Result<Vec<u8>> {
    let formats = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Bmp];
    let format = ImageFormat::from_path(Path::new(path)).ok().filter(|format| formats.contains(format));
    let format = format.ok_or_else(|| {
        Error::invalid("an image's file must end in `.png`, `.jpg`, `.jpeg`, `.webp` or `.bmp`")
            .with("artifact", path)
    })?;
    if format == ImageFormat::Jpeg && image.color().has_alpha() {
        return Err(Error::invalid(
            "JPEG has no transparency; log the image as PNG, or turn it into RGB first",
        )
        .with("artifact", path));
    }
    let mut bytes = Cursor::new(Vec::new());
    fitting(image, format).write_to(&mut bytes, format).map_err(|cause| {
        Error::invalid(format!("the image cannot be written: {cause}")).with("artifact", path).because(cause)
    })?;
    Ok(bytes.into_inner())
}

/// The image with pixels that the format has: bytes, or for PNG two bytes.
fn fitting(image: &DynamicImage, format: ImageFormat) -> Cow<'_, DynamicImage> {
    let (has_alpha, has_color) = (image.color().has_alpha(), image.color().has_color());
    let is_of_bytes = matches!(
        image,
        DynamicImage::ImageLuma8(_)
            | DynamicImage::ImageLumaA8(_)
            | DynamicImage::ImageRgb8(_)
            | DynamicImage::ImageRgba8(_)
    );
    let is_of_words = matches!(
        image,
        DynamicImage::ImageLuma16(_)
            | DynamicImage::ImageLumaA16(_)
            | DynamicImage::ImageRgb16(_)
            | DynamicImage::ImageRgba16(_)
    );
    if is_of_bytes || (is_of_words && format == ImageFormat::Png) {
        return Cow::Borrowed(image);
    }
    Cow::Owned(match (has_color, has_alpha) {
        (false, false) => image.to_luma8().into(),
        (false, true) => image.to_luma_alpha8().into(),
        (true, false) => image.to_rgb8().into(),
        (true, true) => image.to_rgba8().into(),
    })
}

/// The image in a square of 256 pixels, smaller or larger, with its aspect.
pub(crate) fn thumbnail(image: &DynamicImage) -> DynamicImage {
    let (width, height) = (image.width(), image.height());
    let (width, height) = if width > height {
        (SMALL_SIDE, scaled(height, width))
    } else {
        (scaled(width, height), SMALL_SIDE)
    };
    image.resize_exact(width, height, FilterType::CatmullRom)
}

/// The shorter side of a small image: in MLflow's order of arithmetic, which decides about the last pixel.
fn scaled(shorter: u32, longer: u32) -> u32 {
    let side = f64::from(shorter) * (f64::from(SMALL_SIDE) / f64::from(longer));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is from 0 to 256, and truncated in MLflow"
    )]
    let side = side as u32;
    // MLflow fails where nothing would be left of it.
    side.max(1)
}

/// Stores the image twice: as it is, and small.
pub(crate) fn store_both(
    artifacts: &dyn Artifacts,
    image: &DynamicImage,
    full: &str,
    small: &str,
) -> Result<()> {
    artifacts.write(full, &mut &encoded(image, full)?[..])?;
    artifacts.write(small, &mut &encoded(&thumbnail(image), small)?[..])
}

/// The image in the bytes of a file.
pub(crate) fn decoded(bytes: &[u8]) -> Result<DynamicImage> {
    image::load_from_memory(bytes).map_err(|cause| {
        let kind = match cause {
            image::ImageError::Unsupported(_) => ErrorKind::Unsupported,
            _ => ErrorKind::Corrupt,
        };
        Error::new(kind, format!("the artifact is not an image that can be read: {cause}")).because(cause)
    })
}

/// Refuses a key that MLflow would.
pub(crate) fn check_key(key: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ');
    if !key.is_empty() && key.chars().all(fits) {
        return Ok(());
    }
    Err(Error::invalid("an image's key is made of letters, digits, `_`, `-`, `.`, `/` and spaces")
        .with("key", format!("{key:?}")))
}

/// The files of an image in a series: in full size, and small.
pub(crate) fn series_files(key: &str, step: i64, timestamp_ms: i64) -> (String, String) {
    let key = key.replace('/', "~");
    let name = format!("images/{key}+step+{step}+timestamp+{timestamp_ms}+{}", id::uuid());
    (format!("{name}.png"), format!("{name}+compressed.webp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_image_has_the_size_that_mlflow_gives_it() {
        for ((width, height), expect) in [
            ((200, 400), (128, 256)),
            ((400, 200), (256, 128)),
            ((10, 10), (256, 256)),
            ((300, 200), (256, 170)),
            ((7, 3), (256, 109)),
            ((1000, 1), (256, 1)),
        ] {
            let small = thumbnail(&DynamicImage::new_rgb8(width, height));
            assert_eq!((small.width(), small.height()), expect);
        }
    }

    #[test]
    fn the_names_end_decides_the_format_and_pixels_come_back() {
        let image = DynamicImage::ImageRgb8(image::RgbImage::from_fn(3, 2, |x, y| {
            image::Rgb([u8::try_from(x * 80).unwrap(), u8::try_from(y * 200).unwrap(), 7])
        }));
        for (name, start) in [("a/b.png", &b"\x89PNG"[..]), ("b.WEBP", b"RIFF"), ("b.bmp", b"BM")] {
            let bytes = encoded(&image, name).unwrap();
            assert!(bytes.starts_with(start), "{name}");
            assert_eq!(decoded(&bytes).unwrap().to_rgb8(), image.to_rgb8(), "{name}");
        }
        assert!(encoded(&image, "b.jpeg").unwrap().starts_with(b"\xff\xd8"));
        assert!(encoded(&DynamicImage::new_rgb32f(2, 2), "b.png").is_ok());
        assert!(encoded(&DynamicImage::new_luma16(2, 2), "b.webp").is_ok());
        for refused in
            [encoded(&image, "b"), encoded(&image, "b.xyz"), encoded(&DynamicImage::new_rgba8(1, 1), "b.jpg")]
        {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        assert_eq!(decoded(b"\x89PNG\r\n\x1a\n").unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(decoded(b"text").is_err());
    }

    #[test]
    fn the_files_of_a_series_are_called_as_in_mlflow() {
        let (full, small) = series_files("a/b c", -3, 17);
        let id =
            full.strip_prefix("images/a~b c+step+-3+timestamp+17+").unwrap().strip_suffix(".png").unwrap();
        assert_eq!(small, format!("images/a~b c+step+-3+timestamp+17+{id}+compressed.webp"));
        assert_eq!((id.len(), &id[8..9], &id[14..15]), (36, "-", "4"));
        for bad in ["", "a:b", "é", "a\n"] {
            assert!(check_key(bad).is_err(), "{bad:?}");
        }
        check_key("a/b_c-d. 1").unwrap();
    }
}
