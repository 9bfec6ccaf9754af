//! Files of a run.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Binding, RunHandle};
use crate::artifact::{self, Artifacts, Figure, FileInfo, Lane, LocalFile, Table, Upload};
use crate::error::{Error, Result};
use crate::notice;
use crate::store::below;

impl RunHandle {
    /// Copies a file or a directory into the run's artifacts, under its own name, in the directory `artifact_path` if
    /// given.
    ///
    /// # Errors
    /// The file cannot be read, the path leaves the artifacts or is not written plainly (`a/./b`), or they cannot be
    /// written.
    pub fn log_artifact<'p>(
        &self,
        path: impl AsRef<Path>,
        artifact_path: impl Into<Option<&'p str>>,
    ) -> Result<()> {
        let dir = artifact::dir_to_write(artifact_path.into().unwrap_or_default())?;
        artifact::upload(&*self.artifacts()?, path.as_ref(), dir)
    }

    /// As [`log_artifact`](Self::log_artifact), in the background: the call returns at once, and the run's end waits for
    /// the upload. The file must stay as it is until then.
    ///
    /// What fails is told once and counted for the run's end, whether [`Upload::wait`] asks for it or not.
    ///
    /// # Errors
    /// There is no such file, or the path is not one that [`log_artifact`](Self::log_artifact) takes.
    ///
    /// ```
    /// # use runlog_core::Tracker;
    /// # let tracker = Tracker::open("memory:")?;
    /// # let run = tracker.start_run(())?;
    /// # let dir = std::env::temp_dir().join(format!("runlog-doc-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// # let weights = dir.join("weights.bin");
    /// # std::fs::write(&weights, [0; 100]).unwrap();
    /// let upload = run.log_artifact_async(&weights, "checkpoints")?;
    /// // … train on, and look now and then:
    /// let progress = upload.progress();
    /// println!("{} of {} bytes", progress.done_bytes, progress.total_bytes);
    /// upload.wait()?;
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # run.finish()?;
    /// # Ok::<(), runlog_core::Error>(())
    /// ```
    pub fn log_artifact_async<'p>(
        &self,
        path: impl AsRef<Path>,
        artifact_path: impl Into<Option<&'p str>>,
    ) -> Result<Upload> {
        let dir = artifact::dir_to_write(artifact_path.into().unwrap_or_default())?.to_owned();
        // The working directory may be another one when the upload begins.
        let path = std::path::absolute(path.as_ref())
            .map_err(|cause| Error::io("read the file to log", path.as_ref(), cause))?;
        fs::metadata(&path).map_err(|cause| Error::io("read the file to log", &path, cause))?;
        let artifacts = self.artifacts()?;
        let name = path.display().to_string();
        self.in_background(Lane::Files, &name, move |upload| {
            let files = artifact::files_to_upload(&path, &dir)?;
            upload.expect_bytes(files.iter().map(|file| file.bytes).sum());
            files.iter().try_for_each(|LocalFile { from, to, .. }| {
                artifacts.copy(to, from, &|bytes| upload.add_bytes(bytes))
            })
        })
    }

    /// Lets `work` happen in the background, for the run's end to wait for.
    pub(super) fn in_background(
        &self,
        lane: Lane,
        what: &str,
        work: impl FnOnce(&Upload) -> Result<()> + Send + 'static,
    ) -> Result<Upload> {
        let Binding { engine, run } = self.binding()?.into_owned();
        let what = what.to_owned();
        let failed = move |error: &Error| {
            notice::error(&format!("upload: {what}"), format_args!("{what} is not uploaded: {error}"));
            engine.refuse(run, error);
        };
        Ok(self.0.tracker.uploads().start(lane, self.run_id(), work, failed))
    }

    /// Copies what is in a directory into the run's artifacts, with its folders, in the directory `artifact_path` if
    /// given. Links are followed; empty folders leave nothing.
    ///
    /// # Errors
    /// As [`log_artifact`](Self::log_artifact); what was stored before a file that fails stays.
    pub fn log_artifacts<'p>(
        &self,
        local_dir: impl AsRef<Path>,
        artifact_path: impl Into<Option<&'p str>>,
    ) -> Result<()> {
        let dir = artifact::dir_to_write(artifact_path.into().unwrap_or_default())?;
        artifact::upload_contents(&*self.artifacts()?, local_dir.as_ref(), dir)
    }

    /// Writes `text` as the artifact `artifact_file`, such as `notes/summary.txt`.
    ///
    /// # Errors
    /// The path leaves the artifacts, or they cannot be written.
    pub fn log_text(&self, text: &str, artifact_file: &str) -> Result<()> {
        self.log_stream(text.as_bytes(), artifact_file)
    }

    /// Writes `dict` as the artifact `artifact_file`: YAML if it ends in `.yml` or `.yaml`, JSON otherwise.
    ///
    /// # Errors
    /// `dict` cannot be serialised, the path leaves the artifacts, or they cannot be written.
    pub fn log_dict(&self, dict: &(impl Serialize + ?Sized), artifact_file: &str) -> Result<()> {
        self.log_text(&artifact::dict_text(dict, artifact_file)?, artifact_file)
    }

    /// Writes everything that `stream` yields as the artifact `artifact_file`.
    ///
    /// Nobody sees the artifact before it is whole: where `stream` fails or the process dies in the middle of it, there
    /// is none, or the one that was there before.
    ///
    /// # Errors
    /// `stream` cannot be read, the path leaves the artifacts, or they cannot be written.
    ///
    /// ```
    /// # use runlog_core::Tracker;
    /// # let tracker = Tracker::open("memory:")?;
    /// # let run = tracker.start_run(())?;
    /// run.log_stream(std::io::Cursor::new([0, 1, 2]), "raw/first.bin")?;
    /// # assert_eq!(run.list_artifacts("raw")?[0].file_size, Some(3));
    /// # run.finish()?;
    /// # Ok::<(), runlog_core::Error>(())
    /// ```
    pub fn log_stream(&self, mut stream: impl Read, artifact_file: &str) -> Result<()> {
        let path = artifact::file_to_write(artifact_file)?;
        self.artifacts()?.write(&path, &mut stream)
    }

    /// The address of the run's artifacts, or of `artifact_path` among them, whether there is such a file or not.
    pub fn get_artifact_uri<'p>(&self, artifact_path: impl Into<Option<&'p str>>) -> String {
        let root = &self.0.info.artifact_uri;
        artifact_path.into().map_or_else(|| root.clone(), |path| below(root, path.trim_start_matches('/')))
    }

    /// The run's files and folders in `dir` (`""` is the root).
    ///
    /// # Errors
    /// The path leaves the artifacts, or they cannot be read.
    pub fn list_artifacts(&self, dir: &str) -> Result<Vec<FileInfo>> {
        self.artifacts()?.list(dir)
    }

    /// Writes a figure as the artifact `artifact_file`, such as `plots/loss.svg`; the end of the name says as what.
    ///
    /// [`Svg`](artifact::Svg), [`Html`](artifact::Html) and [`Png`](artifact::Png) are figures.
    ///
    /// # Errors
    /// The figure is not of the kind that the name says, the path leaves the artifacts, or they cannot be written.
    pub fn log_figure(&self, figure: &(impl Figure + ?Sized), artifact_file: &str) -> Result<()> {
        let path = artifact::file_to_write(artifact_file)?;
        self.log_stream(&artifact::figure_content(figure, &path)?[..], &path)
    }

    /// Writes a table as the artifact `artifact_file`, which ends in `.json`; if it is there already, the rows go below
    /// its rows.
    ///
    /// [`load_table`](crate::Tracker::load_table) reads it back, from one run or from many.
    ///
    /// # Errors
    /// `table` is wrong (columns of different lengths), the name has one of `" ' , : [ ] { }`, or what is there is no
    /// table; the artifacts or the store cannot be read or written.
    pub fn log_table(&self, table: &Table, artifact_file: &str) -> Result<()> {
        artifact::log_table(self, &*self.artifacts()?, table, artifact_file)
    }

    /// Copies the run's file or directory `artifact_path` (`""` is everything) into the directory `dst_path`, under its
    /// own name, or into a new temporary directory, and returns where it is then.
    ///
    /// # Errors
    /// There is no such file, or the directory cannot be written.
    pub fn download_artifacts<'p>(
        &self,
        artifact_path: &str,
        dst_path: impl Into<Option<&'p Path>>,
    ) -> Result<PathBuf> {
        self.0.tracker.download_artifacts(&format!("runs:/{}/{artifact_path}", self.run_id()), dst_path)
    }

    pub(super) fn artifacts(&self) -> Result<Box<dyn Artifacts>> {
        self.0.tracker.artifacts_at(&self.0.info.artifact_uri)
    }
}
