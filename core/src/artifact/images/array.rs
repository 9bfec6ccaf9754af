//! Arrays of numbers as images, with MLflow's rules for what a number means.

use std::borrow::Cow;
use std::fmt;

use image::{DynamicImage, GrayImage, RgbImage, RgbaImage};

use super::ToImage;
use crate::error::{Error, Result};
use crate::notice;

/// An array of pixels: height × width, or height × width × channels with 1 (gray), 3 (RGB) or 4 (RGBA) channels, in
/// row-major order.
///
/// `true` is white. Integers are from 0 to 255. Floats are from 0 to 1; if any is outside, all are rescaled from their
/// minimum and maximum to that, with a warning. Fractions of a level are cut off, and NaN is black.
///
/// ```
/// # use runlog_core::Tracker;
/// use runlog_core::artifact::ImageArray;
///
/// # let tracker = Tracker::open("memory:")?;
/// # let run = tracker.start_run(())?;
/// let weights = [0.0, 0.25, 0.5, 0.75, 1.0, 0.5_f32];
/// run.log_image(&ImageArray::new(&weights, &[2, 3]), "weights.png")?;
/// // A bitmap that plotters drew into (`BitMapBackend::with_buffer(&mut pixels, (640, 480))`):
/// let pixels = vec![255; 480 * 640 * 3];
/// run.log_image(&ImageArray::new(&pixels, &[480, 640, 3]), "plot.png")?;
/// # run.finish()?;
/// # Ok::<(), runlog_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ImageArray<'a, P> {
    pixels: &'a [P],
    shape: &'a [usize],
}

impl<'a, P: Pixel> ImageArray<'a, P> {
    /// The pixels in an array of this shape; whether they fit is looked at when it is logged.
    pub fn new(pixels: &'a [P], shape: &'a [usize]) -> Self {
        Self { pixels, shape }
    }
}

/// What an [`ImageArray`] is made of: `bool`, integers, `f32` and `f64`.
pub trait Pixel: Copy + sealed::Levels {}

impl<P: Copy + sealed::Levels> Pixel for P {}

mod sealed {
    use crate::error::Result;

    /// How an array of these becomes levels of 0 to 255.
    #[expect(unnameable_types, reason = "sealed: the rules are MLflow's, for the types that NumPy has")]
    pub trait Levels: Sized {
        fn levels(pixels: &[Self]) -> Result<Vec<u8>>;
    }
}

impl sealed::Levels for bool {
    fn levels(pixels: &[Self]) -> Result<Vec<u8>> {
        Ok(pixels.iter().map(|lit| if *lit { u8::MAX } else { 0 }).collect())
    }
}

macro_rules! integers {
    ($($integer:ty),*) => {
        $(impl sealed::Levels for $integer {
            fn levels(pixels: &[Self]) -> Result<Vec<u8>> {
                let level = |pixel: &Self| u8::try_from(*pixel).ok();
                pixels.iter().map(level).collect::<Option<_>>().ok_or_else(|| {
                    out_of_range(pixels.iter().min(), pixels.iter().max())
                })
            }
        })*
    };
}

integers!(u8, i8, u16, i16, u32, i32, u64, i64, usize, isize);

fn out_of_range<T: fmt::Display>(min: Option<T>, max: Option<T>) -> Error {
    let error = Error::invalid("integer pixels must be from 0 to 255");
    match (min, max) {
        (Some(min), Some(max)) => error.with("minimum", min).with("maximum", max),
        _ => error,
    }
}

// In the array's own precision, as NumPy does it: another one would give other levels.
macro_rules! floats {
    ($($float:ty),*) => {
        $(impl sealed::Levels for $float {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "NumPy cuts off as well, and a cast of NaN is 0"
            )]
            fn levels(pixels: &[Self]) -> Result<Vec<u8>> {
                // The comparisons of `min` and `max` pass over NaN; of nothing else, infinity fits into the range.
                let min = pixels.iter().copied().fold(Self::INFINITY, Self::min);
                let max = pixels.iter().copied().fold(Self::NEG_INFINITY, Self::max);
                if min >= 0.0 && max <= 1.0 {
                    return Ok(pixels.iter().map(|pixel| (pixel * 255.0) as u8).collect());
                }
                notice::warn(
                    "image-range",
                    format_args!(
                        "float pixels must be from 0 to 1; these are from {min} to {max}, and are rescaled to that"
                    ),
                );
                Ok(pixels.iter().map(|pixel| ((pixel - min) / (max - min) * 255.0) as u8).collect())
            }
        })*
    };
}

floats!(f32, f64);

impl<P: Pixel> ToImage for ImageArray<'_, P> {
    fn to_image(&self) -> Result<Cow<'_, DynamicImage>> {
        let refuse = |why: &str| Error::invalid(why).with("shape", format!("{:?}", self.shape));
        let (height, width, channels) = match *self.shape {
            [height, width] => (height, width, 1),
            [height, width, channels @ (1 | 3 | 4)] => (height, width, channels),
            _ => {
                return Err(refuse(
                    "an image's shape is height × width, or height × width × 1, 3 or 4 channels",
                ));
            }
        };
        let count = height.checked_mul(width).and_then(|count| count.checked_mul(channels));
        if count != Some(self.pixels.len()) {
            return Err(refuse("the array has not as many numbers as its shape says")
                .with("numbers", self.pixels.len()));
        }
        if self.pixels.is_empty() {
            return Err(refuse("an image has at least one pixel"));
        }
        let levels = P::levels(self.pixels)?;
        let (Ok(w), Ok(h)) = (u32::try_from(width), u32::try_from(height)) else {
            return Err(refuse("an image is at most 4294967295 pixels high and wide"));
        };
        let image = match channels {
            3 => RgbImage::from_raw(w, h, levels).map(DynamicImage::from),
            4 => RgbaImage::from_raw(w, h, levels).map(DynamicImage::from),
            _ => GrayImage::from_raw(w, h, levels).map(DynamicImage::from),
        };
        image.map(Cow::Owned).ok_or_else(|| refuse("the array does not make an image"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn levels<P: Pixel>(pixels: &[P]) -> Vec<u8> {
        ImageArray::new(pixels, &[1, pixels.len()]).to_image().unwrap().as_bytes().to_vec()
    }

    /// The expectations are what MLflow makes of the same arrays.
    #[test]
    fn numbers_mean_what_they_mean_to_mlflow() {
        assert_eq!(levels(&[true, false]), [255, 0]);
        assert_eq!(levels(&[0_i64, 255]), [0, 255]);
        assert_eq!(levels(&[1_u64, 2]), [1, 2]);
        assert_eq!(levels(&[0.0, 1.0, 0.5, 0.1, 0.999, 1.0 / 3.0_f64]), [0, 255, 127, 25, 254, 85]);
        assert_eq!(levels(&[0.0, 1.0, 0.5, 0.1, 0.999, 1.0 / 3.0, 0.7_f32]), [0, 255, 127, 25, 254, 85, 178]);
        assert_eq!(levels(&[0.0, 2.0, 1.3_f64]), [0, 255, 165]);
        assert_eq!(levels(&[0.0, 2.0, 1.3, -4.0, 0.1, 0.2, 0.3_f32]), [170, 255, 225, 0, 174, 178, 182]);
        assert_eq!(levels(&[3.0, 3.0_f64]), [0, 0]);
        assert_eq!(levels(&[f64::NAN, 0.5]), [0, 127]);
        assert_eq!(levels(&[f64::NAN, f64::NAN]), [0, 0]);
        assert_eq!(levels(&[f64::INFINITY, 0.5]), [0, 0]);
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let refused = |kind: Result<Cow<'_, DynamicImage>>| kind.unwrap_err();
        assert_eq!(
            refused(ImageArray::new(&[0, 256], &[1, 2]).to_image()).to_string(),
            "integer pixels must be from 0 to 255 (minimum: 0, maximum: 256)"
        );
        assert_eq!(refused(ImageArray::new(&[-1_i8, 2], &[1, 2]).to_image()).kind(), ErrorKind::InvalidInput);
        for shape in [&[8][..], &[2, 2, 2], &[1, 2, 2, 2], &[3, 3], &[8, 0], &[usize::MAX, 2]] {
            let error = refused(ImageArray::new(&[0_u8; 8], shape).to_image());
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{shape:?}");
        }
        assert!(ImageArray::<f32>::new(&[], &[0, 3]).to_image().is_err());
    }

    #[test]
    fn channels_are_gray_color_and_color_with_transparency() {
        for (shape, color) in [
            (&[2, 6][..], image::ColorType::L8),
            (&[12, 1, 1], image::ColorType::L8),
            (&[2, 2, 3], image::ColorType::Rgb8),
            (&[1, 3, 4], image::ColorType::Rgba8),
        ] {
            let pixels: Vec<u8> = (0..12).collect();
            let array = ImageArray::new(&pixels, shape);
            let image = array.to_image().unwrap();
            assert_eq!((image.color(), image.as_bytes()), (color, &pixels[..]));
            assert_eq!((image.height() as usize, image.width() as usize), (shape[0], shape[1]));
        }
    }
}
