//! MLflow's digest of arrays, bit for bit: the same data has the same digest whether Python or Rust logged it.
//!
//! It is the first 8 hex digits of an MD5 over, for each array, a hash of each of the first 10 000 elements in C order
//! (pandas' `hash_array`) and the length of each dimension.

use std::hash::Hasher;
#[expect(deprecated, reason = "pandas hashes texts with SipHash-2-4, and std has no other name for it")]
use std::hash::SipHasher;

use md5::{Digest as _, Md5};

use crate::tensor::DType;

/// Elements of each array that enter the digest; MLflow's `MAX_ROWS`.
pub const ELEMENTS_MAX: usize = 10_000;

/// The digest of one dataset, fed array by array: features first, then targets.
///
/// ```
/// use runlog_core::digest::Digest;
///
/// let mut digest = Digest::new();
/// digest.array([0.0, 0.25, 0.5, 0.75_f64], &[2, 2]);
/// digest.array([true, false], &[2]);
/// assert_eq!(digest.finish().len(), 8);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Digest(Md5);

impl Digest {
    /// The digest of no array.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an array of `shape`, whose elements come in C order (the last dimension fastest).
    ///
    /// Only the first [`ELEMENTS_MAX`] elements are asked for.
    pub fn array<E: Element>(&mut self, elements: impl IntoIterator<Item = E>, shape: &[usize]) {
        for element in elements.into_iter().take(ELEMENTS_MAX) {
            self.0.update(mix(element.bits()).to_le_bytes());
        }
        for length in shape {
            self.0.update(i64::try_from(*length).unwrap_or(i64::MAX).to_le_bytes());
        }
    }

    /// The digest: 8 hex digits.
    pub fn finish(self) -> String {
        let hash = self.0.finalize();
        let (first, _) = hash.split_at(4);
        first.iter().fold(String::with_capacity(8), |text, byte| text + &format!("{byte:02x}"))
    }
}

/// What an array may hold to have a digest.
pub trait Element {
    /// The type under numpy's name.
    const DTYPE: DType;

    /// The element's own bits, without sign extension, or the hash of its text.
    fn bits(&self) -> u64;
}

impl<E: Element + ?Sized> Element for &E {
    const DTYPE: DType = E::DTYPE;

    fn bits(&self) -> u64 {
        (**self).bits()
    }
}

/// The bits of a float, with one pattern for all NaN and one for both zeros, as pandas has it since 3.1.
macro_rules! one_of_equals {
    ($float:ty, $value:expr) => {
        if $value.is_nan() {
            <$float>::NAN.to_bits()
        } else {
            // −0 + 0 is +0; every other number stays as it is.
            ($value + 0.0).to_bits()
        }
    };
}

macro_rules! elements {
    ($($rust:ty => $dtype:ident, |$value:ident| $bits:expr;)*) => {$(
        impl Element for $rust {
            const DTYPE: DType = DType::$dtype;

            fn bits(&self) -> u64 {
                let $value = *self;
                $bits
            }
        }
    )*};
}

elements! {
    bool => Bool, |value| value.into();
    u8 => UInt8, |value| value.into();
    u16 => UInt16, |value| value.into();
    u32 => UInt32, |value| value.into();
    u64 => UInt64, |value| value;
    i8 => Int8, |value| value.cast_unsigned().into();
    i16 => Int16, |value| value.cast_unsigned().into();
    i32 => Int32, |value| value.cast_unsigned().into();
    i64 => Int64, |value| value.cast_unsigned();
    f32 => Float32, |value| one_of_equals!(f32, value).into();
    f64 => Float64, |value| one_of_equals!(f64, value);
}

/// As the integer of the same width: 64 bits on all platforms that MLflow's users have.
impl Element for usize {
    const DTYPE: DType = if size_of::<Self>() == 8 { DType::UInt64 } else { DType::UInt32 };

    fn bits(&self) -> u64 {
        u64::try_from(*self).unwrap_or(u64::MAX)
    }
}

impl Element for str {
    const DTYPE: DType = DType::Str;

    #[expect(deprecated, reason = "pandas hashes texts with SipHash-2-4, and std has no other name for it")]
    fn bits(&self) -> u64 {
        let mut hasher = SipHasher::new_with_keys(SIP_KEYS.0, SIP_KEYS.1);
        hasher.write(self.as_bytes());
        hasher.finish()
    }
}

impl Element for String {
    const DTYPE: DType = DType::Str;

    fn bits(&self) -> u64 {
        self.as_str().bits()
    }
}

/// pandas' key `0123456789123456`, as two little-endian words.
const SIP_KEYS: (u64, u64) = (u64::from_le_bytes(*b"01234567"), u64::from_le_bytes(*b"89123456"));

/// The finalizer of `splitmix64`, which pandas runs over every element.
fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 30;
    bits = bits.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits ^= bits >> 27;
    bits = bits.wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.arange(12).reshape(4, 3) / 4`.
    fn quarters() -> impl Iterator<Item = f64> {
        (0..12_u32).map(|i| f64::from(i) / 4.0)
    }

    fn with_targets<E: Element>(targets: &[E]) -> String {
        let mut digest = Digest::new();
        digest.array(quarters(), &[4, 3]);
        digest.array(targets, &[targets.len()]);
        digest.finish()
    }

    fn of<E: Element>(elements: impl IntoIterator<Item = E>, shape: &[usize]) -> String {
        let mut digest = Digest::new();
        digest.array(elements, shape);
        digest.finish()
    }

    /// Every digest here was made by `mlflow.data.from_numpy` of MLflow 3.17.2.
    #[test]
    fn digests_are_mlflows() {
        assert_eq!(of(quarters(), &[4, 3]), "faa446c4");
        assert_eq!(of((0..12_u8).map(|i| f32::from(i) / 4.0), &[4, 3]), "e8815ae2");
        assert_eq!(of([-1_i8, 0, 1], &[3]), "fd9662a7");
        assert_eq!(of([f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0], &[4]), "bfb16bd6");
        assert_eq!(with_targets(&[0.5, -1.5, 0.0, 2.0]), "e99a65c3");
        assert_eq!(with_targets(&[0_i64, 1, 2, 1]), "22bea49c");
        assert_eq!(with_targets(&[0_usize, 1, 2, 1]), "22bea49c");
        assert_eq!(with_targets(&[-1_i32, 1, 2, 1]), "b8db4d60");
        assert_eq!(with_targets(&[true, false, true, true]), "83c871f1");
        assert_eq!(with_targets(&["a", "b", "cc", "é"]), "ace1ab39");
    }

    #[test]
    fn only_the_first_elements_of_each_array_enter() {
        let mut digest = Digest::new();
        digest.array((0..30_000_u32).map(|i| f64::from(i) * 0.5), &[10_000, 3]);
        digest.array((0..10_000_u32).map(f64::from), &[10_000]);
        assert_eq!(digest.finish(), "1f3fc8c5");
    }
}
