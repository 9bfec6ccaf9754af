//! Scrapes what another program exposes for Prometheus, as metrics of the run: DCGM's exporter, an inference server,
//! one's own data loader.
//!
//! Invariants: a scrape is bounded in time, bytes and series; what it cannot read is an error, never a number; headers,
//! which may hold a secret, are in no message.

mod exposition;
mod series;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use runlog_core::{Error, ErrorKind, Result, notice, validate};
use ureq::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use ureq::http::uri::{Scheme, Uri};

use super::{Driver, Opened, Probe, ProbeError, Registry, Sink};
use crate::counter::Growth;
use crate::registry::{Key, Kind};
use exposition::{Format, Sample, Shape};

/// The most series of one endpoint: each is a metric of the run.
const SERIES_MAX: usize = 200;
/// The largest text that is read: a hundred times that of a busy node exporter.
const BODY_BYTES_MAX: u64 = 16 * 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(2);
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";

/// Metrics of another program, which exposes them for Prometheus, as metrics of the runs of this one.
///
/// A series is the metric `system/openmetrics/<name> <label>.<value> …`; what MLflow does not take in a name is `_`, and
/// a name of more than 128 bytes ends in a digest instead. A gauge is logged as the mean of a window; a counter as what
/// came together since the run began, under its own name, `_total` and all. Of histograms and summaries there are the
/// sum and the count, as counters. At most 200 series of an endpoint are read.
///
/// The series are those that are there when a run starts; one that appears later is in the next run. The endpoint is
/// scraped at every sample, on a thread of its own. If it does not answer at the start, the run has no metrics of it; if
/// it stops answering later, there is a hole, and a warning.
///
/// Redirects are not followed and no proxy is used; certificates are checked against Mozilla's roots.
///
/// ```no_run
/// use runlog_monitor::OpenMetrics;
///
/// # fn main() -> runlog_core::Result<()> {
/// OpenMetrics::new("http://localhost:9400/metrics")
///     .keep("DCGM_FI_PROF_*")
///     .keep("DCGM_FI_DEV_GPU_UTIL")
///     .label("gpu")
///     .prefix("dcgm/")
///     .register()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is scraped before `register`"]
pub struct OpenMetrics {
    url: String,
    keep: Vec<String>,
    labels: Option<Vec<String>>,
    prefix: String,
    timeout: Duration,
    headers: Vec<(String, String)>,
}

impl OpenMetrics {
    /// To scrape `url`, such as `http://localhost:9400/metrics`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            keep: Vec::new(),
            labels: None,
            prefix: "openmetrics/".to_owned(),
            timeout: TIMEOUT,
            headers: Vec::new(),
        }
    }

    /// Keeps the metric of this name, or those whose names begin so if it ends in `*`. May be called several times;
    /// without it all are kept.
    pub fn keep(mut self, name: impl Into<String>) -> Self {
        self.keep.push(name.into());
        self
    }

    /// Has this label in the names of series, and no other but those that are asked for too; without it all are. Of
    /// series that then have the same name, all but the first end in a digest.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.labels.get_or_insert_default().push(label.into());
        self
    }

    /// What stands before the names, instead of `openmetrics/`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a scrape may take, 2 s unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends this header too, such as `Authorization`.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Has every run that starts after this scrape the endpoint, if it has system metrics. The same address with the same
    /// prefix again takes the place of the one before; endpoints that have metrics of the same names need prefixes.
    ///
    /// # Errors
    /// An address that is none of HTTP's, a prefix that no metric may have, a header that cannot be sent, or no time for
    /// a scrape.
    pub fn register(self) -> Result<()> {
        let scrape = Scrape::new(&self)?;
        let (shown, identity) = (scrape.shown.clone(), self.identity());
        let open = move |registry: &mut Registry| -> Opened {
            Ok(Box::new(Scraper::open(scrape.clone(), &self, registry)?))
        };
        Driver::new(format!("openmetrics {shown}"), open).register_as(identity);
        Ok(())
    }

    /// What tells endpoints apart, secrets and all: not to be shown.
    fn identity(&self) -> String {
        // No address has a space in it.
        format!("openmetrics {} {}", self.url, self.prefix)
    }

    fn wants(&self, name: &str) -> bool {
        let is_so = |wanted: &String| match wanted.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == wanted,
        };
        self.keep.is_empty() || self.keep.iter().any(is_so)
    }
}

impl fmt::Debug for OpenMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenMetrics")
            .field("url", &shown(&self.url))
            .field("keep", &self.keep)
            .field("labels", &self.labels)
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// One endpoint and how to ask it.
#[derive(Clone)]
struct Scrape {
    agent: ureq::Agent,
    url: Uri,
    /// The address for messages.
    shown: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Scrape {
    fn new(settings: &OpenMetrics) -> Result<Self> {
        let shown = shown(&settings.url);
        let url = settings.url.parse::<Uri>().ok().filter(|url| {
            url.host().is_some() && [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&url.scheme())
        });
        let url = url.ok_or_else(|| {
            Error::invalid("an endpoint to scrape is an address such as `http://localhost:9400/metrics`")
                .with("url", &shown)
        })?;
        validate::key(&format!("{}x", settings.prefix))?;
        if settings.timeout.is_zero() {
            return Err(Error::invalid("a scrape needs some time; give it a longer timeout"));
        }
        let header = |(name, value): &(String, String)| {
            let both = (name.parse::<HeaderName>().ok(), value.parse::<HeaderValue>().ok());
            let (Some(known), Some(value)) = both else {
                return Err(Error::invalid("a header of a scrape cannot be sent").with("header", name));
            };
            Ok((known, value))
        };
        let headers = settings.headers.iter().map(header).collect::<Result<_>>()?;
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(settings.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .max_idle_connections(1)
            .user_agent(concat!("runlog/", env!("CARGO_PKG_VERSION")))
            .accept(ACCEPT)
            .build()
            .into();
        Ok(Self { agent, url, shown, headers })
    }

    /// The text that the endpoint gives now.
    fn text(&self) -> Result<(String, Format), ProbeError> {
        let failed = |what: String| {
            let what = format!("{} {what}", self.shown);
            ProbeError::Failed(Error::new(ErrorKind::Unavailable, what).temporary(true))
        };
        let mut request = self.agent.get(&self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut response = request.call().map_err(|cause| failed(format!("does not answer: {cause}")))?;
        let status = response.status();
        if status.is_redirection() {
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            let to = to.map_or_else(|| "elsewhere".to_owned(), shown);
            return Err(failed(format!("has moved to {to}; give that address")));
        }
        if !status.is_success() {
            return Err(failed(format!("answers {status}")));
        }
        let media = response.headers().get(CONTENT_TYPE).and_then(|media| media.to_str().ok());
        let is_openmetrics = media.is_some_and(|media| media.starts_with("application/openmetrics-text"));
        let format = if is_openmetrics { Format::OpenMetrics } else { Format::Prometheus };
        let body = response.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_vec();
        let body = body.map_err(|cause| match cause {
            ureq::Error::BodyExceedsLimit(_) => {
                failed(format!("sends more than {} MiB", BODY_BYTES_MAX / (1024 * 1024)))
            }
            cause => failed(format!("stops in the middle of its answer: {cause}")),
        })?;
        let text = String::from_utf8(body).map_err(|_no_text| self.garbage("sends no UTF-8"))?;
        Ok((text, format))
    }

    /// Reads all that the endpoint gives now.
    fn read(&self, take: impl FnMut(Sample<'_>)) -> Result<(), ProbeError> {
        let (text, format) = self.text()?;
        exposition::read(&text, format, take)
            .map_err(|garbage| self.garbage(&format!("sends {} in line {}", garbage.what, garbage.line)))
    }

    fn garbage(&self, what: &str) -> ProbeError {
        ProbeError::Failed(Error::new(ErrorKind::Corrupt, format!("{} {what}", self.shown)))
    }
}

/// The address without what may be a secret: a user with a password, and a query.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if scheme.is_empty() { format!("{host}/{path}") } else { format!("{scheme}://{host}/{path}") }
}

/// The endpoint during a run.
struct Scraper {
    scrape: Scrape,
    series: Vec<Series>,
    /// The places of series, by what tells them apart.
    places: HashMap<String, usize>,
    identity: String,
    /// What a scrape read, by place.
    read: Vec<(usize, f64)>,
}

struct Series {
    key: Key,
    /// Since the probe was opened, of a counter.
    counted: Option<Growth>,
}

impl Scraper {
    fn open(scrape: Scrape, settings: &OpenMetrics, registry: &mut Registry) -> Result<Self, ProbeError> {
        let mut names = BTreeSet::new();
        let (mut series, mut places) = (Vec::new(), HashMap::new());
        let mut identity = String::new();
        let mut left_out = 0;
        let mut refused = Ok(());
        scrape.read(|sample| {
            series::identity(&sample, &mut identity);
            if !settings.wants(sample.name) || places.contains_key(&identity) {
                return;
            }
            if series.len() == SERIES_MAX {
                left_out += 1;
                return;
            }
            let mut name = series::name(&settings.prefix, &sample, settings.labels.as_deref());
            if names.contains(&name) {
                name = series::shortened(&name, &sample);
            }
            let (kind, counted) = match sample.shape {
                Shape::Gauge => (Kind::Gauge, None),
                Shape::Counter => (Kind::Total, Some(Growth::default())),
            };
            match registry.key(&name, kind) {
                Ok(key) => {
                    names.insert(name);
                    places.insert(identity.clone(), series.len());
                    series.push(Series { key, counted });
                }
                Err(error) => refused = Err(error),
            }
        })?;
        refused?;
        if series.is_empty() {
            return Err(ProbeError::Failed(Error::not_found(format!(
                "{} has no series that is wanted",
                scrape.shown
            ))));
        }
        if left_out > 0 {
            notice::warn(
                &settings.identity(),
                format_args!(
                    "{} has {left_out} series more than the {SERIES_MAX} that are logged; choose with `keep`",
                    scrape.shown
                ),
            );
        }
        Ok(Self { scrape, series, places, identity, read: Vec::new() })
    }
}

impl Probe for Scraper {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let Self { scrape, series, places, identity, read } = self;
        read.clear();
        scrape.read(|sample| {
            series::identity(&sample, identity);
            read.extend(places.get(identity.as_str()).map(|place| (*place, sample.value)));
        })?;
        // No text should have a series twice. One that does would have its counters jump to and fro, and so grow.
        read.sort_by_key(|(place, _)| *place);
        read.dedup_by_key(|(place, _)| *place);
        // Only now that the whole text was read: half of one is no reading.
        for (place, value) in read.drain(..).filter(|(_, value)| value.is_finite()) {
            if let Some(Series { key, counted }) = series.get_mut(place) {
                let counted = counted.as_mut().and_then(|counted| {
                    counted.add(value);
                    counted.get()
                });
                sink.put(*key, counted.unwrap_or(value));
            }
        }
        Ok(())
    }
}
