//! candle's `VarMap`, known: how an optimizer, which is given nameless variables, finds the model that they are of.

use std::collections::HashSet;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak};

use candle_core::TensorId;

use crate::INTEGRATION;

/// The maps that are alive, oldest first.
static KNOWN: Mutex<Vec<Weak<candle_nn::VarMap>>> = Mutex::new(Vec::new());

/// candle's `VarMap`, under its own name: autologging finds the weights of an optimizer in it.
///
/// It derefs to [`candle_nn::VarMap`], so that it goes wherever a reference to that one goes; a clone shares the
/// variables; by value, [`From`] leads both ways. One that is made while autologging is off is not found; name it with
/// [`Autolog::weights`](crate::Autolog::weights).
#[derive(Clone)]
pub struct VarMap {
    map: candle_nn::VarMap,
    /// Keeps it among the known ones.
    known: Option<Arc<candle_nn::VarMap>>,
}

impl VarMap {
    /// Creates an empty map.
    #[expect(clippy::new_without_default, reason = "candle's has no default either")]
    pub fn new() -> Self {
        candle_nn::VarMap::new().into()
    }
}

impl From<candle_nn::VarMap> for VarMap {
    fn from(map: candle_nn::VarMap) -> Self {
        let known = INTEGRATION.is_on().then(|| Arc::new(map.clone()));
        if let Some(known) = &known {
            let mut all = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|map| map.strong_count() > 0);
            all.push(Arc::downgrade(known));
        }
        Self { map, known }
    }
}

impl From<VarMap> for candle_nn::VarMap {
    fn from(map: VarMap) -> Self {
        map.map
    }
}

impl Deref for VarMap {
    type Target = candle_nn::VarMap;

    fn deref(&self) -> &Self::Target {
        &self.map
    }
}

impl DerefMut for VarMap {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.map
    }
}

impl fmt::Debug for VarMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VarMap").field("known", &self.known.is_some()).finish_non_exhaustive()
    }
}

/// The known maps that hold one of these variables, oldest first; a map that is locked is not looked into.
pub(crate) fn holding(vars: &HashSet<TensorId>) -> Vec<candle_nn::VarMap> {
    let known: Vec<_> = {
        let all = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).collect()
    };
    let holds = |map: &candle_nn::VarMap| {
        with_vars(map, |named| named.values().any(|var| vars.contains(&var.id()))).unwrap_or(false)
    };
    known.iter().filter(|map| holds(map)).map(|map| (**map).clone()).collect()
}

/// Looks into a map; `None` if somebody has it locked, which may be this very thread.
pub(crate) fn with_vars<T>(
    map: &candle_nn::VarMap,
    look: impl FnOnce(&std::collections::HashMap<String, candle_core::Var>) -> T,
) -> Option<T> {
    match map.data().try_lock() {
        Ok(named) => Some(look(&named)),
        Err(TryLockError::Poisoned(named)) => Some(look(&named.into_inner())),
        Err(TryLockError::WouldBlock) => None,
    }
}
