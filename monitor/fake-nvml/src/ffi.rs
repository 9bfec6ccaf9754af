//! The pointers that callers of C functions hand in, as types that are safe to use.
//!
//! Invariant: an [`Out`] or [`Text`] is made from an argument of a call only, and lives no longer than the call; NVML's
//! contract (that such an argument is null, or points to what its type says) is what the `unsafe` here stands on.

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulonglong};

use crate::codes::{Answer, INSUFFICIENT_SIZE, INVALID_ARGUMENT};

/// An argument of an exported function, and what the function's body makes of it.
pub(crate) trait Argument {
    type Safe;

    /// # Safety
    ///
    /// The argument is as NVML's header asks for, and the result is dropped before the call returns.
    unsafe fn take(self) -> Self::Safe;
}

/// Where a caller wants something written.
#[derive(Clone, Copy)]
pub(crate) struct Out<T>(*mut T);

/// A caller's string.
#[derive(Clone, Copy)]
pub(crate) struct Text(*const c_char);

impl<T> Argument for *mut T {
    type Safe = Out<T>;

    unsafe fn take(self) -> Out<T> {
        Out(self)
    }
}

impl Argument for *const c_char {
    type Safe = Text;

    unsafe fn take(self) -> Text {
        Text(self)
    }
}

macro_rules! numbers {
    ($($number:ty),+) => {$(
        impl Argument for $number {
            type Safe = Self;

            unsafe fn take(self) -> Self {
                self
            }
        }
    )+};
}

numbers!(c_uint, c_int, c_ulonglong);

impl<T> Out<T> {
    /// The pointer as a number, for handles, which point to nothing.
    pub(crate) fn address(self) -> usize {
        self.0.addr()
    }

    pub(crate) fn put(self, value: T) -> Answer<()> {
        if self.0.is_null() {
            return Err(INVALID_ARGUMENT);
        }
        // SAFETY: not null, so by NVML's contract the caller's, to be written.
        unsafe { self.0.write(value) };
        Ok(())
    }

    /// What stands there before the call, such as a structure's version.
    pub(crate) fn get(self) -> Answer<T>
    where
        T: Copy,
    {
        if self.0.is_null() {
            return Err(INVALID_ARGUMENT);
        }
        // SAFETY: not null, so by NVML's contract the caller's, and filled in where the call takes something from it.
        Ok(unsafe { self.0.read() })
    }

    /// Changes one entry after the other of an array of `count`.
    pub(crate) fn each(self, count: usize, mut change: impl FnMut(&mut T) -> Answer<()>) -> Answer<()> {
        if self.0.is_null() {
            return Err(INVALID_ARGUMENT);
        }
        for index in 0..count {
            // SAFETY: by NVML's contract the array has as many entries as the caller says.
            change(unsafe { &mut *self.0.add(index) })?;
        }
        Ok(())
    }

    /// NVML's way with lists: the caller says how many fit, and hears how many there are.
    pub(crate) fn fill(self, count: Out<c_uint>, found: Vec<T>) -> Answer<()> {
        let room = count.get()?;
        let there = c_uint::try_from(found.len()).unwrap_or(c_uint::MAX);
        count.put(there)?;
        if found.is_empty() {
            return Ok(());
        }
        if room < there || self.0.is_null() {
            return Err(INSUFFICIENT_SIZE);
        }
        let mut found = found.into_iter();
        self.each(there as usize, |entry| {
            if let Some(value) = found.next() {
                *entry = value;
            }
            Ok(())
        })
    }

    pub(crate) fn is_null(&self) -> bool {
        self.0.is_null()
    }
}

impl Out<c_char> {
    /// A string with its NUL, if `room` has space for both.
    pub(crate) fn put_text(self, room: c_uint, text: &str) -> Answer<()> {
        if text.len() >= room as usize {
            return Err(INSUFFICIENT_SIZE);
        }
        let mut letters = text.bytes().chain([0]);
        self.each(text.len() + 1, |place| {
            *place = c_char::from_ne_bytes([letters.next().unwrap_or(0)]);
            Ok(())
        })
    }
}

impl Text {
    pub(crate) fn read(self) -> Answer<String> {
        if self.0.is_null() {
            return Err(INVALID_ARGUMENT);
        }
        // SAFETY: not null, so by NVML's contract a string that ends with NUL.
        let text = unsafe { CStr::from_ptr(self.0) };
        Ok(text.to_string_lossy().into_owned())
    }
}

/// A text in a field of fixed length, cut where it must be.
pub(crate) fn field<const N: usize>(text: &str) -> [c_char; N] {
    let mut field = [0; N];
    for (place, letter) in field.iter_mut().take(N - 1).zip(text.bytes()) {
        *place = c_char::from_ne_bytes([letter]);
    }
    field
}
