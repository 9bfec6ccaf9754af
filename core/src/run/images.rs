//! Images of a run.

use super::RunHandle;
use crate::artifact::{self, Lane, ToImage, Upload};
use crate::clock;
use crate::error::Result;
use crate::value::Step;

/// The tag of a run that has images in series.
const LOGGED_IMAGES: &str = "mlflow.loggedImages";

impl RunHandle {
    /// Writes an image as the artifact `artifact_file`; the end of the name (`.png`, `.jpg`, `.jpeg`, `.webp`, `.bmp`) says
    /// in which format. WebP is written without loss.
    ///
    /// # Errors
    /// It is no image (see [`ImageArray`](artifact::ImageArray)), the format cannot hold it (JPEG has no transparency), the
    /// path leaves the artifacts, or they cannot be written.
    pub fn log_image(&self, image: &(impl ToImage + ?Sized), artifact_file: &str) -> Result<()> {
        let path = artifact::file_to_write(artifact_file)?;
        self.log_stream(&artifact::encoded(&*image.to_image()?, &path)?[..], &path)
    }

    /// Logs an image of a series, which MLflow's UI shows over the steps: `key` names the series, as in `log_metric`.
    ///
    /// It is encoded and stored in the background, and the run's end waits for that. If 64 images wait already, this
    /// call waits for one of them.
    ///
    /// # Errors
    /// It is no image (see [`ImageArray`](artifact::ImageArray)), or the key has something else than letters, digits,
    /// `_`, `-`, `.`, `/` and spaces. What goes wrong in the background is told once and counted for the run's end.
    ///
    /// ```
    /// # use runlog_core::Tracker;
    /// use runlog_core::artifact::ImageArray;
    ///
    /// # let tracker = Tracker::open("memory:")?;
    /// # let run = tracker.start_run(())?;
    /// for step in 0..3 {
    ///     let sample = vec![0.1 * f64::from(step); 28 * 28];
    ///     run.log_image_step(&ImageArray::new(&sample, &[28, 28]), "samples", step)?;
    /// }
    /// # run.finish()?;
    /// # assert_eq!(run_images(&tracker), 6);
    /// # fn run_images(tracker: &Tracker) -> usize {
    /// #     let run = &tracker.search_runs(()).unwrap()[0];
    /// #     tracker.list_artifacts(&run.info.run_id, "images").unwrap().len()
    /// # }
    /// # Ok::<(), runlog_core::Error>(())
    /// ```
    pub fn log_image_step(
        &self,
        image: &(impl ToImage + ?Sized),
        key: &str,
        step: impl Step,
    ) -> Result<Upload> {
        self.log_image_at(image, key, step, clock::now_ms())
    }

    /// As [`log_image_step`](Self::log_image_step), at a time in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// As [`log_image_step`](Self::log_image_step).
    pub fn log_image_at(
        &self,
        image: &(impl ToImage + ?Sized),
        key: &str,
        step: impl Step,
        timestamp: i64,
    ) -> Result<Upload> {
        artifact::check_key(key)?;
        let image = image.to_image()?.into_owned();
        let artifacts = self.artifacts()?;
        let (full, small) = artifact::series_files(key, step.step(), timestamp);
        let upload = self.in_background(Lane::Images, &full.clone(), move |upload| {
            let files = [(artifact::encoded(&image, &full)?, full), {
                let bytes = artifact::encoded(&artifact::thumbnail(&image), &small)?;
                (bytes, small)
            }];
            let bytes = |content: &[u8]| u64::try_from(content.len()).unwrap_or(u64::MAX);
            upload.expect_bytes(files.iter().map(|(content, _)| bytes(content)).sum());
            files.iter().try_for_each(|(content, path)| {
                artifacts.write(path, &mut &content[..])?;
                upload.add_bytes(bytes(content));
                Ok(())
            })
        })?;
        self.set_tag(LOGGED_IMAGES, "True");
        if self.0.tracker.config().synchronous {
            upload.wait()?;
        }
        Ok(upload)
    }
}
