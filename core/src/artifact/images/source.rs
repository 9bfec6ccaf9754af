//! What can be logged as an image.

use std::borrow::Cow;

use image::{
    DynamicImage, GrayAlphaImage, GrayImage, ImageBuffer, Luma, LumaA, Rgb, Rgb32FImage, RgbImage, Rgba,
    Rgba32FImage, RgbaImage,
};

use crate::error::Result;

/// Something that can be logged as an image: the images of the crate `image`, and arrays of pixels by
/// [`ImageArray`](super::ImageArray).
pub trait ToImage {
    /// The image.
    ///
    /// # Errors
    /// `InvalidInput` if it is none.
    fn to_image(&self) -> Result<Cow<'_, DynamicImage>>;
}

impl ToImage for DynamicImage {
    fn to_image(&self) -> Result<Cow<'_, DynamicImage>> {
        Ok(Cow::Borrowed(self))
    }
}

impl<I: ToImage + ?Sized> ToImage for &I {
    fn to_image(&self) -> Result<Cow<'_, DynamicImage>> {
        (**self).to_image()
    }
}

macro_rules! buffers {
    ($($buffer:ty),* $(,)?) => {
        $(impl ToImage for $buffer {
            fn to_image(&self) -> Result<Cow<'_, DynamicImage>> {
                Ok(Cow::Owned(self.clone().into()))
            }
        })*
    };
}

buffers!(
    GrayImage,
    GrayAlphaImage,
    RgbImage,
    RgbaImage,
    Rgb32FImage,
    Rgba32FImage,
    ImageBuffer<Luma<u16>, Vec<u16>>,
    ImageBuffer<LumaA<u16>, Vec<u16>>,
    ImageBuffer<Rgb<u16>, Vec<u16>>,
    ImageBuffer<Rgba<u16>, Vec<u16>>,
);
