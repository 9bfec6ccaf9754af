//! MLflow's digests of arrays and tables, bit for bit: the same data has the same digest whether Python or Rust logged
//! it.
//!
//! A digest is the first 8 hex digits of an MD5. For arrays it is over a hash of each of the first 10 000 elements in C
//! order and the length of each dimension; for tables over one hash of each of the first 10 000 rows, the number of
//! rows and the names of the columns. The hashes are pandas' `hash_array` and `hash_pandas_object`.

use std::hash::Hasher;
#[expect(deprecated, reason = "pandas hashes texts with SipHash-2-4, and std has no other name for it")]
use std::hash::SipHasher;

use md5::{Digest as _, Md5};

use crate::tensor::DType;
use crate::value::Value;

/// Elements of each array, or rows of a table, that enter the digest; MLflow's `MAX_ROWS`.
pub const ELEMENTS_MAX: usize = 10_000;

/// The digest of one dataset of arrays, fed array by array: features first, then targets.
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
        self.hashes(elements.into_iter().take(ELEMENTS_MAX).map(|element| element.hash()));
        for length in shape {
            self.length(*length);
        }
    }

    pub(crate) fn hashes(&mut self, hashes: impl IntoIterator<Item = u64>) {
        for hash in hashes {
            self.0.update(hash.to_le_bytes());
        }
    }

    pub(crate) fn length(&mut self, length: usize) {
        self.0.update(i64::try_from(length).unwrap_or(i64::MAX).to_le_bytes());
    }

    pub(crate) fn name(&mut self, name: &str) {
        self.0.update(name);
    }

    /// The digest: 8 hex digits.
    pub fn finish(self) -> String {
        first_8_digits(&self.0.finalize())
    }
}

pub(crate) fn first_8_digits(hash: &[u8]) -> String {
    hash.iter().take(4).fold(String::with_capacity(8), |text, byte| text + &format!("{byte:02x}"))
}

/// One hash of each row of a table whose columns have these hashes; the number of the row is one more column.
pub(crate) fn hash_rows(columns: &[&[u64]], rows: usize) -> impl Iterator<Item = u64> {
    (0..rows).map(|row| {
        let number = u64::try_from(row).map_or(u64::MAX, mix);
        let items = columns.iter().filter_map(|column| column.get(row).copied()).chain([number]);
        let mut left = u64::try_from(columns.len()).unwrap_or(u64::MAX).wrapping_add(1);
        let (mut hash, mut factor) = (0x34_5678_u64, 1_000_003_u64);
        for item in items {
            hash = (hash ^ item).wrapping_mul(factor);
            factor = factor.wrapping_add(left.wrapping_mul(2).wrapping_add(82_520));
            left = left.wrapping_sub(1);
        }
        hash.wrapping_add(97_531)
    })
}

/// What an array or a column may hold.
pub trait Element {
    /// The type under numpy's name.
    const DTYPE: DType;

    /// pandas' hash of the element.
    fn hash(&self) -> u64;

    /// Bytes of the array for each element, if this were the longest one; it differs between elements of texts only.
    fn item_bytes(&self) -> usize {
        Self::DTYPE.bytes()
    }

    /// Whether pandas takes it for a missing value: NaN, or no time.
    fn is_missing(&self) -> bool {
        false
    }

    /// An integer as pandas holds it in a column with gaps: as a float.
    fn to_float(&self) -> Option<f64> {
        None
    }

    /// pandas' hash of a gap in a column of such elements, if it holds them as numbers.
    fn hash_of_gap() -> u64 {
        f64::NAN.hash()
    }
}

impl<E: Element + ?Sized> Element for &E {
    const DTYPE: DType = E::DTYPE;

    fn hash(&self) -> u64 {
        (**self).hash()
    }

    fn item_bytes(&self) -> usize {
        (**self).item_bytes()
    }

    fn is_missing(&self) -> bool {
        (**self).is_missing()
    }

    fn to_float(&self) -> Option<f64> {
        (**self).to_float()
    }

    fn hash_of_gap() -> u64 {
        E::hash_of_gap()
    }
}

/// A float of 16 bits, by its bits, as `half::f16::to_bits` gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct F16(pub u16);

/// A time as numpy's `datetime64[ns]`: nanoseconds since the Unix epoch, in UTC; `i64::MIN` is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datetime64(pub i64);

/// A duration as numpy's `timedelta64[ns]`: nanoseconds; `i64::MIN` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timedelta64(pub i64);

macro_rules! integers {
    ($($rust:ty => $dtype:ident, |$value:ident| $bits:expr;)*) => {$(
        impl Element for $rust {
            const DTYPE: DType = DType::$dtype;

            fn hash(&self) -> u64 {
                let $value = *self;
                mix($bits)
            }

            fn to_float(&self) -> Option<f64> {
                Some(Value::value(*self))
            }
        }
    )*};
}

integers! {
    u8 => UInt8, |value| value.into();
    u16 => UInt16, |value| value.into();
    u32 => UInt32, |value| value.into();
    u64 => UInt64, |value| value;
    usize => UInt64, |value| u64::try_from(value).unwrap_or(u64::MAX);
    i8 => Int8, |value| value.cast_unsigned().into();
    i16 => Int16, |value| value.cast_unsigned().into();
    i32 => Int32, |value| value.cast_unsigned().into();
    i64 => Int64, |value| value.cast_unsigned();
}

impl Element for bool {
    const DTYPE: DType = DType::Bool;

    fn hash(&self) -> u64 {
        mix((*self).into())
    }
}

/// The bits of a float, with one pattern for all NaN and one for both zeros, as pandas has it since 3.1.
macro_rules! floats {
    ($($float:ty => $dtype:ident;)*) => {$(
        impl Element for $float {
            const DTYPE: DType = DType::$dtype;

            fn hash(&self) -> u64 {
                // −0 + 0 is +0; every other number stays as it is.
                mix(if self.is_nan() { Self::NAN.to_bits() } else { (self + 0.0).to_bits() }.into())
            }

            fn is_missing(&self) -> bool {
                self.is_nan()
            }

            fn hash_of_gap() -> u64 {
                Self::NAN.hash()
            }
        }
    )*};
}

floats! {
    f32 => Float32;
    f64 => Float64;
}

impl Element for F16 {
    const DTYPE: DType = DType::Float16;

    fn hash(&self) -> u64 {
        mix(match self.0 {
            0x8000 => 0,
            _ if self.is_missing() => 0x7e00,
            bits => bits.into(),
        })
    }

    fn is_missing(&self) -> bool {
        self.0 & 0x7fff > 0x7c00
    }

    fn hash_of_gap() -> u64 {
        mix(0x7e00)
    }
}

/// Complex numbers as their real and imaginary parts.
macro_rules! complex {
    ($($float:ty => $dtype:ident;)*) => {$(
        impl Element for [$float; 2] {
            const DTYPE: DType = DType::$dtype;

            fn hash(&self) -> u64 {
                let [real, imaginary] = self;
                real.hash().wrapping_add(imaginary.hash().wrapping_mul(23))
            }

            fn is_missing(&self) -> bool {
                self.iter().any(Element::is_missing)
            }

            fn hash_of_gap() -> u64 {
                [<$float>::NAN, 0.0].hash()
            }
        }
    )*};
}

complex! {
    f32 => Complex64;
    f64 => Complex128;
}

macro_rules! times {
    ($($time:ty => $dtype:ident;)*) => {$(
        impl Element for $time {
            const DTYPE: DType = DType::$dtype;

            fn hash(&self) -> u64 {
                self.0.hash()
            }

            fn is_missing(&self) -> bool {
                self.0 == i64::MIN
            }

            fn hash_of_gap() -> u64 {
                i64::MIN.hash()
            }
        }
    )*};
}

times! {
    Datetime64 => Datetime64;
    Timedelta64 => Timedelta64;
}

impl Element for str {
    const DTYPE: DType = DType::Str;

    fn hash(&self) -> u64 {
        hash_text(self.as_bytes())
    }

    /// numpy keeps texts as 32 bits a character, all as long as the longest.
    fn item_bytes(&self) -> usize {
        4 * self.chars().count().max(1)
    }
}

impl Element for [u8] {
    const DTYPE: DType = DType::Bytes;

    fn hash(&self) -> u64 {
        hash_text(self)
    }

    fn item_bytes(&self) -> usize {
        self.len().max(1)
    }
}

macro_rules! owned {
    ($($owned:ty => $borrowed:ty;)*) => {$(
        impl Element for $owned {
            const DTYPE: DType = <$borrowed>::DTYPE;

            fn hash(&self) -> u64 {
                <$borrowed as Element>::hash(self)
            }

            fn item_bytes(&self) -> usize {
                <$borrowed as Element>::item_bytes(self)
            }
        }
    )*};
}

owned! {
    String => str;
    Vec<u8> => [u8];
}

#[expect(deprecated, reason = "pandas hashes texts with SipHash-2-4, and std has no other name for it")]
fn hash_text(bytes: &[u8]) -> u64 {
    // pandas' key `0123456789123456`, as two little-endian words.
    let mut hasher =
        SipHasher::new_with_keys(u64::from_le_bytes(*b"01234567"), u64::from_le_bytes(*b"89123456"));
    hasher.write(bytes);
    mix(hasher.finish())
}

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
        assert_eq!(of([0x3e00, 0x8000, 0xfe01, 0x7c00].map(F16), &[4]), "c19893da");
        assert_eq!(of([[1.0, 2.0], [0.0, -1.0], [f64::NAN, 1.0]], &[3]), "aa2cae7e");
        assert_eq!(of([[0.0_f32, 0.0], [1.0, 0.0], [2.0, 0.0]], &[3]), "05c2b30a");
        assert_eq!(of([0, 1, 2].map(Datetime64), &[3]), "4b8fa1ac");
        assert_eq!(of([0, 1, 2].map(Timedelta64), &[3]), "4b8fa1ac");
        assert_eq!(of([&b"a"[..], b"\xff"], &[2]), "48bf7c5a");
        assert_eq!(of([3.0], &[]), "5778f1d3");
        assert_eq!(of::<f64>([], &[0, 3]), "503e83c0");
    }

    #[test]
    fn only_the_first_elements_of_each_array_enter() {
        let mut digest = Digest::new();
        digest.array((0..30_000_u32).map(|i| f64::from(i) * 0.5), &[10_000, 3]);
        digest.array((0..10_000_u32).map(f64::from), &[10_000]);
        assert_eq!(digest.finish(), "1f3fc8c5");
    }
}
