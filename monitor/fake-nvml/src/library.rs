//! The fake as tests hold it: a copy of the built library, with the functions that steer it.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::{CStr, CString, c_char};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use libloading::Library;
use tempfile::{NamedTempFile, TempDir};

/// The name that loaders look for.
const NAME: &str = "libnvidia-ml.so.1";

/// One fake driver. Each is a copy of the library in a directory of its own, so that tests that run side by side do not
/// meet. Dropping it lets go what hangs.
///
/// ```no_run
/// let fake = fake_nvml::FakeNvml::new("clock manual\ndevice 0 h100\nset 0 power.usage 300_000")?;
/// let nvml = nvml_wrapper::Nvml::builder().lib_path(fake.path().as_os_str()).init().unwrap();
/// assert_eq!(nvml.device_by_index(0).unwrap().power_usage().unwrap(), 300_000);
/// assert_eq!(fake.calls("nvmlDeviceGetPowerUsage"), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct FakeNvml {
    library: Library,
    path: PathBuf,
    dir: TempDir,
}

impl FakeNvml {
    /// A driver that does what `script` says.
    ///
    /// # Errors
    ///
    /// `InvalidInput` with the line if the script has a mistake; `NotFound` if the library is not next to the running
    /// test, which it is where this crate is a dev-dependency.
    pub fn new(script: &str) -> io::Result<Self> {
        Self::without(&[], script)
    }

    /// An older library, which has no functions of these names.
    ///
    /// # Errors
    ///
    /// As [`FakeNvml::new`], and `InvalidInput` if there was no such function anyway.
    pub fn without(functions: &[&str], script: &str) -> io::Result<Self> {
        let dir = TempDir::with_prefix("fake-nvml")?;
        let path = dir.path().join(NAME);
        let mut library = fs::read(built()?)?;
        for function in functions {
            forget(&mut library, function)?;
        }
        fs::write(&path, library)?;
        // SAFETY: this crate's own library, whose loading runs no code.
        let library = unsafe { Library::new(&path) }.map_err(io::Error::other)?;
        let fake = Self { library, path, dir };
        fake.script(script)?;
        Ok(fake)
    }

    /// The library, for `Nvml::builder().lib_path(…)`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that holds only the library, for `LD_LIBRARY_PATH`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The variables that have another program read `script`, by its own copy of the library's state.
    ///
    /// # Errors
    ///
    /// Where the script cannot be written.
    pub fn environment(&self, script: &str) -> io::Result<[(&'static str, PathBuf); 2]> {
        let (mut file, path) = NamedTempFile::with_prefix_in("script", self.dir.path())?.keep()?;
        file.write_all(script.as_bytes())?;
        Ok([("LD_LIBRARY_PATH", self.dir.path().to_owned()), ("FAKE_NVML_SCRIPT", path)])
    }

    /// Begins anew: time, counts and rules too.
    ///
    /// # Errors
    ///
    /// `InvalidInput` with the line that has a mistake; what held before holds on.
    pub fn script(&self, script: &str) -> io::Result<()> {
        self.tell(b"fake_nvml_script", script)
    }

    /// Adds statements, whose times count from now.
    ///
    /// # Errors
    ///
    /// As [`FakeNvml::script`].
    pub fn change(&self, statements: &str) -> io::Result<()> {
        self.tell(b"fake_nvml_change", statements)
    }

    fn tell(&self, function: &[u8], text: &str) -> io::Result<()> {
        let text = CString::new(text)?;
        // SAFETY: both functions have this type (control.rs).
        let function =
            unsafe { self.library.get::<unsafe extern "C" fn(*const c_char) -> *const c_char>(function) };
        let function = function.map_err(io::Error::other)?;
        // SAFETY: a string that lives through the call.
        let error = unsafe { function(text.as_ptr()) };
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: the library keeps its answer until the next script.
        let error = unsafe { CStr::from_ptr(error) };
        Err(io::Error::new(io::ErrorKind::InvalidInput, error.to_string_lossy().into_owned()))
    }

    /// Moves a manual clock by so many milliseconds.
    pub fn advance(&self, millis: u64) {
        self.run::<unsafe extern "C" fn(u64), _>(b"fake_nvml_advance_ms", |advance| {
            // SAFETY: the type of control.rs.
            unsafe { advance(millis) };
        });
    }

    /// Milliseconds since the script began.
    pub fn now(&self) -> u64 {
        self.count(b"fake_nvml_now_ms")
    }

    /// How often a call was made since the script began: `nvmlDeviceGetPowerUsage`, only on one device
    /// `nvmlDeviceGetPowerUsage@0`, only one field `nvmlDeviceGetFieldValues/82`.
    pub fn calls(&self, name: &str) -> u64 {
        let name = CString::new(name).unwrap_or_default();
        self.run::<unsafe extern "C" fn(*const c_char) -> u64, _>(b"fake_nvml_calls", |calls| {
            // SAFETY: the type of control.rs, and a string that lives through the call.
            unsafe { calls(name.as_ptr()) }
        })
    }

    /// Calls of NVML of any kind since the script began.
    pub fn all_calls(&self) -> u64 {
        self.count(b"fake_nvml_all_calls")
    }

    /// Lets go every call that hangs; none hangs again until the next script.
    pub fn release(&self) {
        self.run::<unsafe extern "C" fn(), _>(b"fake_nvml_release", |release| {
            // SAFETY: the type of control.rs.
            unsafe { release() };
        });
    }

    /// Whether `count` calls hang, waited for at most so long.
    pub fn await_hung(&self, count: u32, at_most_ms: u32) -> bool {
        self.run::<unsafe extern "C" fn(u32, u32) -> bool, _>(b"fake_nvml_await_hung", |await_hung| {
            // SAFETY: the type of control.rs.
            unsafe { await_hung(count, at_most_ms) }
        })
    }

    /// GPM samples that were allocated and not freed.
    pub fn gpm_samples(&self) -> u64 {
        self.count(b"fake_nvml_gpm_samples")
    }

    /// Event sets that were created and not freed.
    pub fn event_sets(&self) -> u64 {
        self.count(b"fake_nvml_event_sets")
    }

    /// Initializations without their shutdown.
    pub fn users(&self) -> u64 {
        self.count(b"fake_nvml_users")
    }

    fn count(&self, function: &[u8]) -> u64 {
        self.run::<unsafe extern "C" fn() -> u64, _>(function, |count| {
            // SAFETY: the type of control.rs.
            unsafe { count() }
        })
    }

    /// `F` is the type of the function in control.rs.
    #[expect(
        clippy::expect_used,
        reason = "a library without its own functions is no library of this crate's"
    )]
    fn run<F: Copy, T>(&self, name: &[u8], call: impl FnOnce(F) -> T) -> T {
        // SAFETY: see above.
        let function = unsafe { self.library.get::<F>(name) };
        call(*function.expect("the library has the functions of control.rs"))
    }
}

impl Drop for FakeNvml {
    fn drop(&mut self) {
        self.release();
    }
}

impl fmt::Debug for FakeNvml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FakeNvml").field(&self.path).finish()
    }
}

/// Gives a function another name, wherever names stand in the file; the loader then does not find it.
fn forget(library: &mut [u8], function: &str) -> io::Result<()> {
    let name = format!("\0{function}\0");
    let places = library.windows(name.len()).enumerate().filter(|(_, bytes)| *bytes == name.as_bytes());
    let places: Vec<usize> = places.map(|(place, _)| place + 1).collect();
    if places.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("there is no {function} to be without"),
        ));
    }
    for place in places {
        library[place] = b'N';
    }
    Ok(())
}

/// The library that cargo built for the running test.
fn built() -> io::Result<PathBuf> {
    let name = format!("{DLL_PREFIX}fake_nvml{DLL_SUFFIX}");
    let test = std::env::current_exe()?;
    let dirs = test.ancestors().skip(1).take(3);
    let mut place =
        dirs.flat_map(|dir| [dir.join(&name), dir.join("deps").join(&name)]).filter(|path| path.is_file());
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("no {name} near {}", test.display()));
    place.next().ok_or_else(missing)
}
