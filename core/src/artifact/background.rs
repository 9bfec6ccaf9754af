//! Uploads in the background: one thread a lane, which is there while the lane has something to do.
//!
//! The end of a run waits for its uploads, so a background upload is lost only with its process.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::Duration;

use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::exit;
use crate::sync::{lock, wait};

/// How many images may wait, each with its pixels in memory, before the call that logs one more waits itself.
const IMAGES_WAITING_MAX: usize = 64;
/// How long one look at what is waited for lasts; every change rings the bell besides.
const LOOK: Duration = Duration::from_secs(1);

/// An upload in the background. It goes on whether this is kept or not, and the run's end waits for it.
#[derive(Clone)]
pub struct Upload(Arc<Shared>);

/// How far an [`Upload`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// On their way or there, in bytes.
    pub done_bytes: u64,
    /// In bytes; 0 until the upload has begun and it is known.
    pub total_bytes: u64,
    /// Whether the upload has ended, well or not.
    pub is_finished: bool,
}

struct Shared {
    run_id: String,
    /// The process that uploads: a forked child must not wait for its parent's thread.
    process: u32,
    done_bytes: AtomicU64,
    total_bytes: AtomicU64,
    outcome: Mutex<Option<Outcome>>,
    finished: Condvar,
}

/// What became of an upload; of an error its kind and its text, which may be asked for many times.
type Outcome = std::result::Result<(), (ErrorKind, String)>;

impl Upload {
    fn new(run_id: &str) -> Self {
        Self(Arc::new(Shared {
            run_id: run_id.to_owned(),
            process: exit::process(),
            done_bytes: AtomicU64::new(0),
            total_bytes: AtomicU64::new(0),
            outcome: Mutex::new(None),
            finished: Condvar::new(),
        }))
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        Progress {
            done_bytes: self.0.done_bytes.load(Ordering::Relaxed),
            total_bytes: self.0.total_bytes.load(Ordering::Relaxed),
            is_finished: lock(&self.0.outcome).is_some(),
        }
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// What could not be read or written; in a forked child, that the parent uploads it.
    pub fn wait(&self) -> Result<()> {
        let mut outcome = lock(&self.0.outcome);
        loop {
            if let Some(outcome) = &*outcome {
                return outcome.clone().map_err(|(kind, text)| Error::new(kind, text));
            }
            if self.0.process != exit::process() {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "the process that forked this one uploads the file",
                ));
            }
            outcome = wait(&self.0.finished, outcome, LOOK);
        }
    }

    pub(crate) fn expect_bytes(&self, bytes: u64) {
        self.0.total_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.0.done_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn finish(&self, result: &Result<()>) {
        let outcome = result.as_ref().map_err(|error| (error.kind(), error.to_string())).copied();
        *lock(&self.0.outcome) = Some(outcome);
        self.0.finished.notify_all();
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Upload").field(&self.progress()).finish()
    }
}

/// What is uploaded in the order it came: files may take hours, images wait in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Files,
    #[cfg(feature = "image")]
    Images,
}

/// The uploads of a tracker.
#[derive(Clone)]
pub(crate) struct Uploads(Arc<Lanes>);

struct Lanes {
    /// A forked child has no thread for the lanes of its parent, and may find them locked for ever.
    process: u32,
    files: LaneQueue,
    images: LaneQueue,
}

#[derive(Default)]
struct LaneQueue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// What the thread of the lane is at.
    running: Option<Upload>,
    has_thread: bool,
}

struct Job {
    upload: Upload,
    work: Work,
    failed: Box<dyn FnOnce(&Error) + Send>,
}

type Work = Box<dyn FnOnce(&Upload) -> Result<()> + Send>;

impl Job {
    fn run(self) {
        let Self { upload, work, failed } = self;
        let result =
            catch_unwind(AssertUnwindSafe(|| work(&upload))).unwrap_or_else(|panic| Err(panicked(&*panic)));
        if let Err(error) = &result {
            // It tells a subscriber of the program's; a panic there must not leave the run's end waiting for ever.
            catch_unwind(AssertUnwindSafe(|| failed(error))).ok();
        }
        upload.finish(&result);
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    Error::new(
        ErrorKind::Unexpected,
        format!("the upload panicked: {}", text.unwrap_or("for no reason it told")),
    )
}

/// The lanes of every tracker of the process.
static ALL: Mutex<Vec<Weak<Lanes>>> = Mutex::new(Vec::new());

/// Waits until every upload of the process has ended, for at most `patience`. Touches no thread-local and says nothing,
/// so that it can be called while the process exits.
pub(crate) fn wait_for_uploads(patience: Duration) {
    let deadline = clock::instant() + patience;
    let all: Vec<_> = lock(&ALL).iter().filter_map(Weak::upgrade).collect();
    for lanes in all {
        let left = deadline.saturating_duration_since(clock::instant());
        Uploads(lanes).wait_for(None, Some(left));
    }
}

impl Uploads {
    pub(crate) fn new() -> Self {
        let (files, images) = (LaneQueue::default(), LaneQueue::default());
        let lanes = Arc::new(Lanes { process: exit::process(), files, images });
        let mut all = lock(&ALL);
        all.retain(|lanes| lanes.strong_count() > 0);
        all.push(Arc::downgrade(&lanes));
        Self(lanes)
    }

    fn is_ours(&self) -> bool {
        self.0.process == exit::process()
    }

    fn lane(&self, lane: Lane) -> &LaneQueue {
        match lane {
            Lane::Files => &self.0.files,
            #[cfg(feature = "image")]
            Lane::Images => &self.0.images,
        }
    }

    /// Lets `work` happen in the background; where it fails, `failed` is told before anybody who waits.
    pub(crate) fn start(
        &self,
        lane: Lane,
        run_id: &str,
        work: impl FnOnce(&Upload) -> Result<()> + Send + 'static,
        failed: impl FnOnce(&Error) + Send + 'static,
    ) -> Upload {
        let upload = Upload::new(run_id);
        let job = Job { upload: upload.clone(), work: Box::new(work), failed: Box::new(failed) };
        if !self.is_ours() {
            job.run();
            return upload;
        }
        let queue = self.lane(lane);
        let mut state = lock(&queue.state);
        if lane != Lane::Files {
            while state.waiting.len() >= IMAGES_WAITING_MAX {
                state = wait(&queue.changed, state, LOOK);
            }
        }
        state.waiting.push_back(job);
        if state.has_thread {
            return upload;
        }
        state.has_thread = true;
        drop(state);
        let lanes = Arc::clone(&self.0);
        let work = move || {
            let uploads = Self(lanes);
            uploads.lane(lane).work_off();
        };
        let thread = std::thread::Builder::new().name("runlog-uploads".to_owned());
        if thread.spawn(work).is_err() {
            // Without a thread it is done here: late is better than never.
            self.lane(lane).work_off();
        }
        upload
    }

    /// Waits until nothing of `run_id` (or of any run) is left to upload, for at most `patience`; whether that is so.
    pub(crate) fn wait_for(&self, run_id: Option<&str>, patience: Option<Duration>) -> bool {
        if !self.is_ours() {
            return true;
        }
        let deadline = patience.map(|patience| clock::instant() + patience);
        [&self.0.files, &self.0.images].into_iter().all(|queue| queue.wait_for(run_id, deadline))
    }
}

impl LaneQueue {
    /// Does what waits, until nothing does.
    fn work_off(&self) {
        let mut state = lock(&self.state);
        while let Some(job) = state.waiting.pop_front() {
            state.running = Some(job.upload.clone());
            drop(state);
            self.changed.notify_all();
            job.run();
            state = lock(&self.state);
            state.running = None;
        }
        state.has_thread = false;
        drop(state);
        self.changed.notify_all();
    }

    fn wait_for(&self, run_id: Option<&str>, deadline: Option<std::time::Instant>) -> bool {
        let is_meant = |upload: &Upload| run_id.is_none_or(|id| upload.0.run_id == id);
        let mut state = lock(&self.state);
        loop {
            let waiting = state.waiting.iter().map(|job| &job.upload);
            if !waiting.chain(&state.running).any(is_meant) {
                return true;
            }
            let left = deadline.map_or(LOOK, |deadline| deadline.saturating_duration_since(clock::instant()));
            if left.is_zero() {
                return false;
            }
            state = wait(&self.changed, state, left.min(LOOK));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn uploads_of_a_lane_keep_their_order_and_tell_how_far_they_are() {
        let uploads = Uploads::new();
        let (go, gate) = sync_channel(1);
        let (tell, told) = sync_channel(10);
        let first = {
            let tell = tell.clone();
            uploads.start(
                Lane::Files,
                "a",
                move |upload| {
                    upload.expect_bytes(10);
                    upload.add_bytes(4);
                    tell.send(1).unwrap();
                    gate.recv().unwrap();
                    Ok(())
                },
                |_| (),
            )
        };
        let second = uploads.start(
            Lane::Files,
            "b",
            move |_| {
                tell.send(2).unwrap();
                Err(Error::invalid("no such thing"))
            },
            |_| (),
        );
        assert_eq!(told.recv().unwrap(), 1);
        assert_eq!(first.progress(), Progress { done_bytes: 4, total_bytes: 10, is_finished: false });
        assert!(!uploads.wait_for(Some("a"), Some(Duration::ZERO)), "it is being uploaded");
        assert!(!uploads.wait_for(Some("b"), Some(Duration::ZERO)), "it is waiting");
        assert!(uploads.wait_for(Some("c"), None), "nothing of that run");
        go.send(()).unwrap();
        assert!(uploads.wait_for(None, None));
        assert_eq!(told.recv().unwrap(), 2);
        first.wait().unwrap();
        assert!(first.progress().is_finished);
        assert_eq!(second.wait().unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(second.wait().unwrap_err().to_string(), "no such thing");
    }

    #[test]
    fn a_panic_is_a_failed_upload() {
        let uploads = Uploads::new();
        let failures = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&failures);
        let upload = uploads.start(
            Lane::Files,
            "a",
            |_| panic!("shapes differ"),
            move |error| lock(&seen).push(error.to_string()),
        );
        assert!(upload.wait().unwrap_err().to_string().contains("shapes differ"));
        assert_eq!(lock(&failures).len(), 1);
        let told = |_: &Error| panic!("so does who is told");
        let upload = uploads.start(Lane::Files, "a", |_| Err(Error::invalid("no such thing")), told);
        assert_eq!(upload.wait().unwrap_err().to_string(), "no such thing");
        assert!(uploads.wait_for(None, None));
        uploads.start(Lane::Files, "a", |_| Ok(()), |_| ()).wait().unwrap();
    }

    #[test]
    fn a_forked_child_uploads_by_itself_and_waits_for_nothing_of_its_parents() {
        let lanes = Lanes { process: u32::MAX, files: LaneQueue::default(), images: LaneQueue::default() };
        let uploads = Uploads(Arc::new(lanes));
        lock(&uploads.0.files.state).running = Some(Upload::new("a"));
        assert!(uploads.wait_for(Some("a"), None));
        let upload = uploads.start(Lane::Files, "a", |_| Ok(()), |_| ());
        assert!(upload.progress().is_finished);
    }

    #[cfg(feature = "image")]
    #[test]
    fn an_image_more_than_may_wait_waits_for_its_place() {
        let uploads = Uploads::new();
        let (tell, told) = sync_channel(2 * IMAGES_WAITING_MAX);
        let (go, gate) = sync_channel(1);
        let first = move |_: &Upload| gate.recv().map_err(|_gone| Error::invalid("gone"));
        uploads.start(Lane::Images, "a", first, |_| ());
        let all = &uploads;
        std::thread::scope(|scope| {
            // With the sender, so that a failure here ends the wait below.
            scope.spawn(move || {
                for _ in 0..2 * IMAGES_WAITING_MAX {
                    all.start(Lane::Images, "a", |_| Ok(()), |_| ());
                    assert!(lock(&all.0.images.state).waiting.len() <= IMAGES_WAITING_MAX);
                    tell.send(()).unwrap();
                }
            });
            for _ in 0..IMAGES_WAITING_MAX {
                told.recv().unwrap();
            }
            go.send(()).unwrap();
        });
        assert!(uploads.wait_for(None, None));
    }
}
