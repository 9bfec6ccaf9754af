//! What can be a metric's value or step, so that callers need no casts.

/// A number that can be a metric's value.
///
/// Integers beyond 2⁵³ are rounded to the nearest `f64`.
pub trait Value {
    /// The value as `f64`.
    fn value(self) -> f64;
}

/// A number that can be a metric's step: any integer, `Option<i64>`, or `None` (which is step 0, as in MLflow).
///
/// Integers beyond `i64` become its nearest bound.
pub trait Step {
    /// The step as `i64`.
    fn step(self) -> i64;
}

impl Value for f64 {
    #[inline]
    fn value(self) -> f64 {
        self
    }
}

impl Value for f32 {
    #[inline]
    fn value(self) -> f64 {
        self.into()
    }
}

impl Value for bool {
    #[inline]
    fn value(self) -> f64 {
        f64::from(u8::from(self))
    }
}

impl Step for Option<i64> {
    #[inline]
    fn step(self) -> i64 {
        self.unwrap_or(0)
    }
}

macro_rules! small_integers {
    ($($integer:ty),*) => {$(
        impl Step for $integer {
            #[inline]
            fn step(self) -> i64 {
                self.into()
            }
        }

        impl Value for $integer {
            #[inline]
            fn value(self) -> f64 {
                self.into()
            }
        }
    )*};
}

small_integers!(i8, i16, i32, u8, u16, u32);

macro_rules! large_integers {
    ($($integer:ty),*) => {$(
        impl Step for $integer {
            #[inline]
            fn step(self) -> i64 {
                i64::try_from(self).unwrap_or(if self > 0 { i64::MAX } else { i64::MIN })
            }
        }

        impl Value for $integer {
            #[inline]
            #[expect(clippy::cast_precision_loss, reason = "rounding is what is documented")]
            fn value(self) -> f64 {
                self as f64
            }
        }
    )*};
}

large_integers!(i128, isize, u64, u128, usize);

impl Step for i64 {
    #[inline]
    fn step(self) -> i64 {
        self
    }
}

impl Value for i64 {
    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "rounding is what is documented")]
    fn value(self) -> f64 {
        self as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_any_integer_an_option_or_none() {
        fn step(step: impl Step) -> i64 {
            step.step()
        }
        assert_eq!((step(3), step(3_u8), step(3_usize), step(Some(3))), (3, 3, 3, 3));
        assert_eq!(step(None), 0);
        assert_eq!((step(u64::MAX), step(i128::MIN)), (i64::MAX, i64::MIN));
    }

    #[test]
    fn values_are_any_number() {
        fn value(value: impl Value) -> f64 {
            value.value()
        }
        for (given, meant) in
            [(value(2), 2.0), (value(0.5_f32), 0.5), (value(true), 1.0), (value(7_u64), 7.0)]
        {
            assert!((given - meant).abs() < f64::EPSILON);
        }
    }
}
