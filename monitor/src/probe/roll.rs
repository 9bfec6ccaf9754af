//! What is remembered of each device that a table of the system lists, found again by its name.
//!
//! Invariant: a table that lists the same devices as the time before is read without allocating, and in any order.

/// Devices by name.
#[derive(Debug)]
pub(super) struct Roll<T> {
    devices: Vec<Device<T>>,
    /// The place where the next one is looked for: the system lists them in the same order every time.
    cursor: usize,
}

#[derive(Debug)]
struct Device<T> {
    name: Box<[u8]>,
    /// Whether this reading of the table has it.
    listed: bool,
    known: T,
}

impl<T> Default for Roll<T> {
    fn default() -> Self {
        Self { devices: Vec::new(), cursor: 0 }
    }
}

impl<T> Roll<T> {
    /// Begins a reading of the table, also where the one before broke off.
    pub(super) fn begin(&mut self) {
        self.cursor = 0;
        for device in &mut self.devices {
            device.listed = false;
        }
    }

    /// What is known of a device that the table lists, and whether it is `new` to us.
    pub(super) fn list(&mut self, name: &[u8], new: impl FnOnce() -> T) -> (&mut T, bool) {
        let is_it = |device: &Device<T>| *device.name == *name;
        let known = match self.devices.get(self.cursor) {
            Some(next) if is_it(next) => Some(self.cursor),
            _ => self.devices.iter().position(is_it),
        };
        let place = known.unwrap_or_else(|| {
            self.devices.push(Device { name: name.into(), listed: false, known: new() });
            self.devices.len() - 1
        });
        self.cursor = place + 1;
        #[expect(clippy::indexing_slicing, reason = "it was found or put there")]
        let device = &mut self.devices[place];
        device.listed = true;
        (&mut device.known, known.is_none())
    }

    /// Ends a reading of the table: what it did not list is forgotten.
    pub(super) fn end(&mut self) {
        self.devices.retain(|device| device.listed);
    }

    /// Forgets every device.
    #[cfg(target_os = "linux")]
    pub(super) fn clear(&mut self) {
        self.devices.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    #[cfg(target_os = "linux")]
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.devices.iter().map(|device| &*device.name)
    }

    #[cfg(target_os = "linux")]
    pub(super) fn known(&mut self) -> impl Iterator<Item = &mut T> {
        self.devices.iter_mut().map(|device| &mut device.known)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    fn read(roll: &mut Roll<u32>, table: &[&str]) -> Vec<bool> {
        roll.begin();
        let list = |name: &&str| {
            let (times, new) = roll.list(name.as_bytes(), || 0);
            *times += 1;
            new
        };
        let new = table.iter().map(list).collect();
        roll.end();
        new
    }

    #[test]
    fn devices_are_found_again_in_any_order_and_forgotten_when_they_are_gone() {
        let mut roll = Roll::default();
        assert_eq!(read(&mut roll, &["a", "b", "c"]), [true; 3]);
        assert_eq!(read(&mut roll, &["c", "a"]), [false; 2]);
        assert_eq!(read(&mut roll, &["a", "b", "c"]), [false, true, false]);
        assert_eq!(roll.known().map(|times| *times).collect::<Vec<_>>(), [3, 3, 1]);
    }

    #[test]
    fn a_reading_that_broke_off_forgets_nothing() {
        let mut roll = Roll::default();
        read(&mut roll, &["a", "b"]);
        roll.begin();
        roll.list(b"a", || 0);
        assert_eq!(read(&mut roll, &["b"]), [false]);
        assert_eq!(roll.names().collect::<Vec<_>>(), [b"b"], "not even that it is gone now");
    }
}
