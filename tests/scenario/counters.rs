//! Numbers in memory that a program shares with the test that kills it.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use memmap2::MmapRaw;

const BYTES: usize = 4096;
/// A cache line, so that threads which count do not slow each other.
const APART: usize = 64;

/// Counters in a file, all 0 at first.
#[derive(Debug)]
pub(crate) struct Counters(MmapRaw);

impl Counters {
    pub(crate) fn open(path: &Path) -> Self {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap();
        file.set_len(BYTES as u64).unwrap();
        Self(MmapRaw::map_raw(&file).unwrap())
    }

    pub(crate) fn at(&self, number: u64) -> &AtomicU64 {
        let at = usize::try_from(number).unwrap() * APART;
        assert!(at < BYTES, "{number}: so many counters there are not");
        #[expect(
            unsafe_code,
            clippy::cast_ptr_alignment,
            reason = "a counter in memory shared between processes"
        )]
        // SAFETY: the file is a page long and stays so, the place is inside and aligned, and both processes use it
        // atomically.
        unsafe {
            &*self.0.as_mut_ptr().add(at).cast::<AtomicU64>()
        }
    }
}
