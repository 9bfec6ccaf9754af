//! Probes of the program's own, which are read beside the built-in ones.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Driver, Open, Opened, Registry};

/// Each with what another one takes its place by.
static REGISTERED: Mutex<Vec<(String, Driver)>> = Mutex::new(Vec::new());

impl Driver {
    /// A driver of the program's own. `open` is called on the thread that then reads the probe, once for all runs that are
    /// watched at the same time. Since nobody knows how long its readings take, each probe of it has a thread of its own;
    /// a metric that another probe has already is left out.
    pub fn new(
        name: impl Into<String>,
        open: impl Fn(&mut Registry) -> Opened + Send + Sync + 'static,
    ) -> Self {
        Self { name: Cow::Owned(name.into()), may_block: true, open: Open::Registered(Arc::new(open)) }
    }

    /// Has every run that starts after this read by the driver too, if it has system metrics; one that starts while
    /// others are watched shares their probes, and theirs only. A driver of the same name takes the place of the one
    /// before.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use runlog_monitor::{Driver, Key, Kind, Probe, ProbeError, Sink};
    ///
    /// static WAITING: AtomicU64 = AtomicU64::new(0);
    ///
    /// struct Queue(Key);
    ///
    /// impl Probe for Queue {
    ///     fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
    ///         sink.put(self.0, WAITING.load(Ordering::Relaxed) as f64);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// Driver::new("queue", |registry| Ok(Box::new(Queue(registry.key("batches_waiting", Kind::Gauge)?)))).register();
    /// ```
    pub fn register(self) {
        let identity = self.name.to_string();
        self.register_as(identity);
    }

    /// The same, for a driver whose name does not tell it apart: one of the same identity is replaced, one of the same
    /// name has a number behind it. The identity, which may hold a secret, is shown nowhere.
    pub(super) fn register_as(mut self, identity: String) {
        let mut drivers = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
        drivers.retain(|(known, _)| *known != identity);
        let is_free = |name: &str| drivers.iter().all(|(_, driver)| driver.name != name);
        if !is_free(&self.name) {
            let mut numbers = 2..=drivers.len() + 1;
            let numbered = numbers
                .find_map(|number| Some(format!("{} ({number})", self.name)).filter(|name| is_free(name)));
            self.name = numbered.map_or(self.name, Cow::Owned);
        }
        drivers.push((identity, self));
    }
}

/// The program's own drivers.
pub(crate) fn registered() -> Vec<Driver> {
    let drivers = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    drivers.iter().map(|(_, driver)| driver.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Machine, ProbeError};

    #[test]
    fn a_driver_of_the_same_name_takes_the_place_of_the_one_before() {
        let absent =
            |why: &'static str| move |_: &mut Registry| -> Opened { Err(ProbeError::Absent(why.into())) };
        Driver::new("twice", absent("first")).register();
        Driver::new("twice", absent("second")).register();
        let of_the_name = registered().into_iter().filter(|driver| driver.name == "twice");
        let opened: Vec<_> = of_the_name
            .map(|driver| {
                let mut registry = Registry::new(runlog_core::autolog::Tier::Standard);
                driver.open(&Machine::default(), &mut registry).err().map(|why| why.to_string())
            })
            .collect();
        assert_eq!(opened, [Some("second".to_owned())]);
    }
}
