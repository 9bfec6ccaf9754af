//! The functions by which a test steers its copy of the library.
//!
//! Strings end with NUL; a script that is refused is answered with why (valid until the next script), else with null.

use std::ffi::{CString, c_char};
use std::ptr;
use std::time::Duration;

use crate::ffi::{Argument, Text};
use crate::script::Script;
use crate::state::{self, State, lock};

/// Begins anew with a script: time, counts and rules too.
#[unsafe(no_mangle)]
unsafe extern "C" fn fake_nvml_script(text: *const c_char) -> *const c_char {
    // SAFETY: the caller hands in a string, as this function's documentation asks for.
    let text = unsafe { text.take() };
    change(text, |state, text| {
        state.load(Script::parse(text).map_err(|error| error.to_string())?);
        Ok(())
    })
}

/// Adds statements, whose times count from now.
#[unsafe(no_mangle)]
unsafe extern "C" fn fake_nvml_change(text: *const c_char) -> *const c_char {
    // SAFETY: as above.
    let text = unsafe { text.take() };
    change(text, |state, text| {
        let now = state.clock.now();
        let script = state.script.as_mut().ok_or("there is no script to change")?;
        // A refused change changes nothing.
        let mut changed = script.clone();
        changed.add(text, now).map_err(|error| error.to_string())?;
        if changed.manual_clock != script.manual_clock {
            return Err("the clock is chosen by the script, not by a change of it".into());
        }
        *script = changed;
        Ok(())
    })
}

fn change(text: Text, then: impl FnOnce(&mut State, &str) -> Result<(), String>) -> *const c_char {
    let mut state = lock();
    let text = text.read().unwrap_or_default();
    state.error = then(&mut state, &text).err().map(|why| CString::new(why).unwrap_or_default());
    state.error.as_ref().map_or(ptr::null(), |error| error.as_ptr())
}

/// Moves a manual clock.
#[unsafe(no_mangle)]
extern "C" fn fake_nvml_advance_ms(by: u64) {
    lock().clock.advance(by);
}

/// Milliseconds since the script began.
#[unsafe(no_mangle)]
extern "C" fn fake_nvml_now_ms() -> u64 {
    lock().clock.now()
}

/// How often a call was made: `nvmlDeviceGetPowerUsage`, on one device `nvmlDeviceGetPowerUsage@0`, one field
/// `nvmlDeviceGetFieldValues/82`.
#[unsafe(no_mangle)]
unsafe extern "C" fn fake_nvml_calls(name: *const c_char) -> u64 {
    // SAFETY: as above.
    let name = unsafe { name.take() };
    name.read().map_or(0, |name| lock().calls(&name))
}

/// Calls of every kind, parts of them aside.
#[unsafe(no_mangle)]
extern "C" fn fake_nvml_all_calls() -> u64 {
    lock().all_calls()
}

/// Lets go every call that hangs; none hangs again until the next script.
#[unsafe(no_mangle)]
extern "C" fn fake_nvml_release() {
    state::release();
}

/// Whether so many calls hang, waited for at most so long.
#[unsafe(no_mangle)]
extern "C" fn fake_nvml_await_hung(count: u32, at_most_ms: u32) -> bool {
    state::await_hung(count, Duration::from_millis(at_most_ms.into()))
}

/// GPM samples that were not freed.
#[unsafe(no_mangle)]
extern "C" fn fake_nvml_gpm_samples() -> u64 {
    lock().samples.len() as u64
}

/// Event sets that were not freed.
#[unsafe(no_mangle)]
extern "C" fn fake_nvml_event_sets() -> u64 {
    lock().event_sets.len() as u64
}

/// Initializations without their shutdown.
#[unsafe(no_mangle)]
extern "C" fn fake_nvml_users() -> u64 {
    lock().users
}
