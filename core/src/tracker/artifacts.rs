//! Files of runs and models, through a tracker.

use std::fs::DirBuilder;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::Tracker;
use crate::artifact::{self, ArtifactUri, Artifacts, FileInfo, MemoryArtifacts, Uploads};
use crate::entity::LoggedModel;
use crate::error::{Error, ErrorKind, Result};
use crate::id;
use crate::store::{ModelQuery, below};

impl Tracker {
    /// The files and folders of a run, in `dir` (`""` is the root).
    ///
    /// `of` is a run's id, or the URI of anything that has files: `runs:/<run id>/<path>`, `models:/m-<id>/<path>`, or
    /// an address such as `/absolute/path`. What is no directory holds nothing.
    ///
    /// # Errors
    /// There is no such run or model, or its artifacts cannot be read.
    pub fn list_artifacts(&self, of: &str, dir: &str) -> Result<Vec<FileInfo>> {
        let dir = artifact::clean_dir(dir)?;
        let uri = match (&*dir, ArtifactUri::parse(of)?) {
            ("", _) => of.to_owned(),
            (dir, ArtifactUri::Run { run_id, path: "" }) => format!("runs:/{run_id}/{dir}"),
            (dir, _) => below(of, dir),
        };
        let (artifacts, path) = self.artifacts_of_uri(&uri)?;
        let mut infos = artifacts.list(&path)?;
        // What is a model of the run by name lies below that name, as far as the run is concerned.
        if let ArtifactUri::Run { path: asked, .. } = ArtifactUri::parse(&uri)?
            && let asked = artifact::clean_dir(asked)?
            && asked != path
        {
            let name = asked.split('/').next().unwrap_or_default();
            for info in &mut infos {
                info.path = format!("{name}/{}", info.path);
            }
        }
        Ok(infos)
    }

    /// The files at an artifact URI of this store.
    pub(crate) fn artifacts_at(&self, uri: &str) -> Result<Box<dyn Artifacts>> {
        if self.0.config.disabled { Ok(Box::new(MemoryArtifacts::discarding())) } else { artifact::open(uri) }
    }

    fn artifacts_of_run(&self, run_id: &str) -> Result<Box<dyn Artifacts>> {
        self.artifacts_at(&self.get_run(run_id)?.info.artifact_uri)
    }

    /// The artifacts that `uri` names something in, and its path there (`""` is the root).
    ///
    /// A path of a run that the run itself has no file at is one of its models, by the model's name.
    pub(crate) fn artifacts_of_uri(&self, uri: &str) -> Result<(Box<dyn Artifacts>, String)> {
        match ArtifactUri::parse(uri)? {
            ArtifactUri::Model { model_id, path } => {
                let model = self.get_logged_model(model_id)?;
                Ok((self.artifacts_at(&model.artifact_location)?, artifact::clean_dir(path)?))
            }
            ArtifactUri::Run { run_id, path } => {
                let (artifacts, path) = (self.artifacts_of_run(run_id)?, artifact::clean_dir(path)?);
                if artifact::find(&*artifacts, &path)?.is_some() {
                    return Ok((artifacts, path));
                }
                let (name, rest) = path.split_once('/').unwrap_or((&path, ""));
                match self.model_of_run(run_id, name)? {
                    Some(model) => Ok((self.artifacts_at(&model.artifact_location)?, rest.to_owned())),
                    None => Ok((artifacts, path)),
                }
            }
            ArtifactUri::Address(address) => self.artifacts_around(address),
        }
    }

    /// The directory that an address lies in, and its name there.
    fn artifacts_around(&self, address: &str) -> Result<(Box<dyn Artifacts>, String)> {
        if let Some((artifacts, path)) =
            address.starts_with("memory:").then(|| MemoryArtifacts::around(address)).flatten()
        {
            return Ok((Box::new(artifacts), artifact::clean_dir(path)?));
        }
        // A path that is relative to the working directory is as good as an address, if something is there.
        let local = self.local_place(address).map(|place| place.to_string_lossy().into_owned());
        let (dir, name) = artifact::split_address(local.as_deref().unwrap_or(address));
        Ok((self.artifacts_at(dir)?, artifact::clean_dir(name)?))
    }

    /// The newest model of this name that the run made.
    fn model_of_run(&self, run_id: &str, name: &str) -> Result<Option<LoggedModel>> {
        // A name that a model cannot have need not be searched for.
        if name.is_empty() || name.contains(['/', ':', '.', '%', '"', '\'']) {
            return Ok(None);
        }
        let run = self.get_run(run_id)?;
        let query =
            ModelQuery::new().experiment_id(run.info.experiment_id).filter(format!("name = '{name}'"));
        let models = self.search_logged_models(query)?;
        Ok(models
            .into_iter()
            .find(|model| model.name == name && model.source_run_id.as_deref() == Some(run_id)))
    }

    /// Copies the file or directory that `artifact_uri` names into the directory `dst_path`, under its own name, and
    /// returns where it is then. A whole run or model goes into `dst_path` without a name of its own.
    ///
    /// The URI is `runs:/<run id>/<path>`, `models:/m-<id>/<path>`, a run's id alone, or an address such as
    /// `/absolute/path`. Without `dst_path` it is copied into a new directory among the system's temporary ones, which
    /// is the caller's to remove; what an address names on this machine is then not copied, and is where it was.
    ///
    /// # Errors
    /// There is no such run, model or file, it cannot be read, or the directory cannot be written.
    ///
    /// ```
    /// # use runlog_core::Tracker;
    /// # let tracker = Tracker::open("memory:")?;
    /// # let run = tracker.start_run(())?;
    /// run.log_text("fine", "notes/today.txt")?;
    /// let notes = tracker.download_artifacts(&format!("runs:/{}/notes", run.run_id()), None)?;
    /// assert_eq!(std::fs::read_to_string(notes.join("today.txt")).unwrap(), "fine");
    /// # std::fs::remove_dir_all(notes.parent().unwrap()).unwrap();
    /// # run.finish()?;
    /// # Ok::<(), runlog_core::Error>(())
    /// ```
    pub fn download_artifacts<'p>(
        &self,
        artifact_uri: &str,
        dst_path: impl Into<Option<&'p Path>>,
    ) -> Result<PathBuf> {
        let (artifacts, path) = self.artifacts_of_uri(artifact_uri)?;
        if let Some(dst) = dst_path.into() {
            return artifact::download(&*artifacts, &path, &self.0.config.working_dir.join(dst));
        }
        if let (ArtifactUri::Address(address), Some(_)) =
            (ArtifactUri::parse(artifact_uri)?, artifact::find(&*artifacts, &path)?)
            && let Some(local) = self.local_place(address)
        {
            return Ok(local);
        }
        artifact::download(&*artifacts, &path, &self.new_directory()?)
    }

    /// The content of the file that `artifact_uri` names, as [`download_artifacts`](Self::download_artifacts) has it.
    fn content(&self, artifact_uri: &str) -> Result<Vec<u8>> {
        let (artifacts, path) = self.artifacts_of_uri(artifact_uri)?;
        artifacts.read(&path)
    }

    /// The text of the file that `artifact_uri` names, such as `runs:/<run id>/notes.txt`.
    ///
    /// # Errors
    /// There is no such file, it cannot be read, or it is not UTF-8.
    pub fn load_text(&self, artifact_uri: &str) -> Result<String> {
        String::from_utf8(self.content(artifact_uri)?).map_err(|cause| {
            Error::new(
                ErrorKind::Corrupt,
                "the artifact is not UTF-8; download it and read it in its own encoding",
            )
            .with("artifact", artifact_uri)
            .because(cause)
        })
    }

    /// What the file that `artifact_uri` names holds: YAML if it ends in `.yml` or `.yaml`, JSON otherwise.
    ///
    /// # Errors
    /// There is no such file, it cannot be read, or what it holds is no `T`.
    ///
    /// ```
    /// # use runlog_core::Tracker;
    /// # let tracker = Tracker::open("memory:")?;
    /// # let run = tracker.start_run(())?;
    /// #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    /// struct Config {
    ///     layers: Vec<u32>,
    /// }
    /// let config = Config { layers: vec![32, 16] };
    /// run.log_dict(&config, "config.yaml")?;
    /// let read: Config = tracker.load_dict(&format!("runs:/{}/config.yaml", run.run_id()))?;
    /// assert_eq!(read, config);
    /// # run.finish()?;
    /// # Ok::<(), runlog_core::Error>(())
    /// ```
    pub fn load_dict<T: DeserializeOwned>(&self, artifact_uri: &str) -> Result<T> {
        artifact::parse_dict(&self.load_text(artifact_uri)?, artifact_uri)
    }

    /// The image in the file that `artifact_uri` names: PNG, JPEG, WebP or BMP.
    ///
    /// # Errors
    /// There is no such file, it cannot be read, or it is no such image.
    #[cfg(feature = "image")]
    pub fn load_image(&self, artifact_uri: &str) -> Result<image::DynamicImage> {
        artifact::decoded(&self.content(artifact_uri)?).map_err(|error| error.with("artifact", artifact_uri))
    }

    /// Waits until every upload in the background of this tracker's runs has ended. What went wrong is told by
    /// [`Upload::wait`](artifact::Upload::wait) and at the end of each run.
    pub fn flush_artifact_async_logging(&self) {
        self.0.uploads.wait_for(None, None);
    }

    pub(crate) fn uploads(&self) -> &Uploads {
        &self.0.uploads
    }

    /// Where on this machine an address is, if it is there.
    fn local_place(&self, address: &str) -> Option<PathBuf> {
        let place = self.0.config.working_dir.join(artifact::local_path(address)?);
        place.exists().then_some(place)
    }

    /// A directory of nobody else's, among the system's temporary ones.
    fn new_directory(&self) -> Result<PathBuf> {
        let dir = self.0.config.temp_dir.join(format!("runlog-{}", id::hex32()));
        #[cfg_attr(not(unix), expect(unused_mut, reason = "a mode is what Unix alone has"))]
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&dir).map_err(|cause| Error::io("make a temporary directory", &dir, cause))?;
        Ok(dir)
    }
}
