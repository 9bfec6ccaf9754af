//! Scrapes of servers that answer by a script.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use runlog_core::autolog::Tier;

use super::*;
use crate::readings::Readings;

/// What a server does with a request.
enum Answer {
    /// A status line and headers without the length, and a body.
    Of(&'static str, String),
    /// The beginning of an answer, and then nothing more until the client has gone.
    Hang(&'static str),
}

/// A server on this machine that gives these answers, each on a connection of its own, and then is gone.
struct Server {
    url: String,
    thread: JoinHandle<()>,
    requests: Receiver<String>,
}

fn serve(answers: Vec<Answer>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    let (sender, requests) = sync_channel(100);
    let answer_all = move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            answer_one(stream, &answer, &sender);
        }
    };
    let thread = thread::Builder::new().spawn(answer_all).unwrap();
    Server { url, thread, requests }
}

fn answer_one(mut stream: TcpStream, answer: &Answer, requests: &SyncSender<String>) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let head: Vec<_> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    // Not every test asks.
    requests.send(head.join("\n")).ok();
    match answer {
        Answer::Of(head, body) => {
            let length = body.len();
            // The client may have heard enough before the end.
            write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
                .ok();
        }
        Answer::Hang(beginning) => {
            stream.write_all(beginning.as_bytes()).unwrap();
            stream.read_to_end(&mut Vec::new()).ok();
        }
    }
}

fn prometheus(body: &str) -> Answer {
    Answer::Of("200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8", body.to_owned())
}

fn openmetrics(body: &str) -> Answer {
    Answer::Of("200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0", body.to_owned())
}

/// A run's view of an endpoint.
struct Bench {
    scraper: Scraper,
    registry: Registry,
    readings: Readings,
}

fn open(settings: &OpenMetrics) -> Result<Bench, ProbeError> {
    let mut registry = Registry::new(Tier::Standard);
    let scraper = Scraper::open(Scrape::new(settings)?, settings, &mut registry)?;
    Ok(Bench { scraper, readings: Readings::new(&registry), registry })
}

impl Bench {
    fn read(&mut self) -> Result<BTreeMap<String, f64>, ProbeError> {
        self.readings.begin(Some(Duration::from_secs(1)));
        self.scraper.sample(&mut self.readings.sink())?;
        let named = self.registry.entries().iter().zip(self.readings.values());
        Ok(named.filter_map(|(entry, value)| Some((entry.name.to_string(), (*value)?))).collect())
    }
}

fn values(expected: &[(&str, f64)]) -> BTreeMap<String, f64> {
    expected.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

fn why(result: Result<impl Sized, ProbeError>) -> String {
    match result.map(|_| ()) {
        Err(ProbeError::Failed(error)) => error.to_string(),
        Err(ProbeError::Absent(_)) => panic!("what a program asked for is not silently absent"),
        Ok(()) => panic!("no error"),
    }
}

#[test]
fn gauges_are_read_and_counters_begin_at_0_in_both_formats() {
    let prometheus_text = |queue, done| {
        prometheus(&format!(
            "# TYPE queue gauge\nqueue{{kind=\"a\"}} {queue}\n# TYPE done counter\ndone {done}\n"
        ))
    };
    let openmetrics_text = |queue, done| {
        let text = format!(
            "# TYPE queue gauge\nqueue{{kind=\"a\"}} {queue}\n# TYPE done counter\ndone_total {done}\n# EOF\n"
        );
        openmetrics(&text)
    };
    for (server, counter) in [
        (
            serve(vec![prometheus_text(1, 500), prometheus_text(2, 510), prometheus_text(3, 530)]),
            "openmetrics/done",
        ),
        (
            serve(vec![openmetrics_text(1, 500), openmetrics_text(2, 510), openmetrics_text(3, 530)]),
            "openmetrics/done_total",
        ),
    ] {
        let mut bench = open(&OpenMetrics::new(&server.url)).unwrap();
        let kinds: Vec<_> = bench.registry.entries().iter().map(|entry| entry.kind).collect();
        assert_eq!(kinds, [Kind::Gauge, Kind::Total]);
        assert_eq!(bench.read().unwrap(), values(&[("openmetrics/queue kind.a", 2.0), (counter, 0.0)]));
        assert_eq!(bench.read().unwrap(), values(&[("openmetrics/queue kind.a", 3.0), (counter, 20.0)]));
        server.thread.join().unwrap();
    }
}

#[test]
fn a_counter_that_began_anew_does_not_run_backwards() {
    let texts = [100, 110, 4, 9].map(|done| prometheus(&format!("# TYPE done counter\ndone {done}\n")));
    let mut bench = open(&OpenMetrics::new(serve(texts.into()).url)).unwrap();
    for sum in [0.0, 0.0, 5.0] {
        assert_eq!(bench.read().unwrap(), values(&[("openmetrics/done", sum)]));
    }
}

#[test]
fn series_that_come_later_or_go_are_absent() {
    let texts = ["a 1\nb 1\n", "b 2\nc 3\n", "a NaN\nb 3\n"].map(prometheus);
    let mut bench = open(&OpenMetrics::new(serve(texts.into()).url)).unwrap();
    assert_eq!(bench.read().unwrap(), values(&[("openmetrics/b", 2.0)]));
    assert_eq!(bench.read().unwrap(), values(&[("openmetrics/b", 3.0)]));
}

#[test]
fn the_same_labels_in_another_order_are_the_same_series() {
    let texts = ["a{x=\"1\",y=\"2\"} 1\n", "a{y=\"2\",x=\"1\"} 5\n"].map(prometheus);
    let mut bench = open(&OpenMetrics::new(serve(texts.into()).url)).unwrap();
    assert_eq!(bench.read().unwrap(), values(&[("openmetrics/a x.1 y.2", 5.0)]));
}

#[test]
fn what_is_kept_and_what_it_is_called_can_be_chosen() {
    let text = "go_threads 9\ngpu_util{gpu=\"0\",host=\"a\"} 1\ngpu_util{gpu=\"0\",host=\"b\"} 2\ngpu_power{gpu=\"0\"} 3\ngpu 4\n";
    let server = serve(vec![prometheus(text), prometheus(text)]);
    let settings = OpenMetrics::new(&server.url).keep("gpu_*").keep("go").label("gpu").prefix("dcgm/");
    let read = open(&settings).unwrap().read().unwrap();
    let names: Vec<_> = read.keys().map(String::as_str).collect();
    assert_eq!(names.len(), 3);
    assert_eq!(names[..2], ["dcgm/gpu_power gpu.0", "dcgm/gpu_util gpu.0"]);
    assert!(
        names[2].starts_with("dcgm/gpu_util gpu.0 "),
        "the second of one name ends in a digest: {names:?}"
    );
    assert_eq!((read[names[1]].to_bits(), read[names[2]].to_bits()), (1.0_f64.to_bits(), 2.0_f64.to_bits()));
}

#[test]
fn more_series_than_there_may_be_are_counted_in_one_warning() {
    let lines: Vec<_> = (0..SERIES_MAX + 7).map(|of| format!("a{{of=\"{of}\"}} 1\n")).collect();
    let text = lines.concat();
    let server = serve(vec![prometheus(&text), prometheus(&text)]);
    let settings = OpenMetrics::new(&server.url);
    assert_eq!(
        crate::testing::warnings(|| assert_eq!(
            open(&settings).unwrap().registry.entries().len(),
            SERIES_MAX
        )),
        1
    );
    assert_eq!(crate::testing::warnings(|| drop(open(&settings).unwrap())), 0);
}

#[test]
fn the_request_says_what_it_takes_and_brings_the_headers() {
    let server = serve(vec![prometheus("a 1\n")]);
    open(&OpenMetrics::new(&server.url).header("Authorization", "Bearer secret")).unwrap();
    let request = server.requests.recv().unwrap().to_lowercase();
    assert!(request.starts_with("get /metrics http/1.1"), "{request}");
    assert!(request.contains("authorization: bearer secret"), "{request}");
    assert!(request.contains("accept: application/openmetrics-text;version=1.0.0,text/plain"), "{request}");
}

#[test]
fn an_endpoint_that_is_not_there_is_told_by_its_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // The port of a client is taken, so nobody can come to listen there.
    let taken = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let url = format!("http://{}/metrics", taken.local_addr().unwrap());
    let said = why(open(&OpenMetrics::new(&url)));
    assert!(said.starts_with(&format!("{url} does not answer: ")), "{said}");
}

#[test]
fn an_endpoint_that_fails_later_leaves_a_hole_and_comes_back() {
    let answers = vec![
        prometheus("a 1\n"),
        Answer::Of("500 Internal Server Error", "oh".to_owned()),
        prometheus("<html>\n"),
        openmetrics("a 1\n"),
        prometheus("a 2\n"),
    ];
    let mut bench = open(&OpenMetrics::new(serve(answers).url)).unwrap();
    assert!(why(bench.read()).ends_with("answers 500 Internal Server Error"));
    assert!(why(bench.read()).ends_with("sends no name of a metric in line 1"));
    assert!(why(bench.read()).ends_with("sends no end, so a text that was cut off, in line 1"));
    assert_eq!(bench.read().unwrap(), values(&[("openmetrics/a", 2.0)]));
}

#[test]
fn half_a_text_is_no_reading() {
    let texts =
        ["# TYPE a counter\na 1\nb 1\n", "# TYPE a counter\na 9\nb ?\n", "# TYPE a counter\na 3\nb 2\n"];
    let mut bench = open(&OpenMetrics::new(serve(texts.map(prometheus).into()).url)).unwrap();
    why(bench.read());
    assert_eq!(bench.readings.values(), [None, None]);
    assert_eq!(bench.read().unwrap(), values(&[("openmetrics/a", 0.0), ("openmetrics/b", 2.0)]));
}

#[test]
fn an_endpoint_that_hangs_is_given_up() {
    for beginning in ["", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na 1\n"] {
        let server = serve(vec![Answer::Hang(beginning)]);
        let said = why(open(&OpenMetrics::new(&server.url).timeout(Duration::from_millis(50))));
        assert!(said.contains("timeout"), "{said}");
        server.thread.join().unwrap();
    }
}

#[test]
fn an_answer_without_bounds_is_cut() {
    let line = "a 1\n";
    let body = line.repeat(usize::try_from(BODY_BYTES_MAX).unwrap() / line.len() + 1);
    let said = why(open(&OpenMetrics::new(serve(vec![prometheus(&body)]).url)));
    assert!(said.ends_with("sends more than 16 MiB"), "{said}");
}

#[test]
fn a_redirect_is_told_and_not_followed() {
    let server = serve(vec![Answer::Of(
        "301 Moved Permanently\r\nLocation: http://user:pw@other:1/m?token=x",
        String::new(),
    )]);
    let said = why(open(&OpenMetrics::new(&server.url)));
    assert!(said.ends_with("has moved to http://other:1/m; give that address"), "{said}");
}

#[test]
fn an_endpoint_with_nothing_that_is_wanted_is_told() {
    let said = why(open(&OpenMetrics::new(serve(vec![prometheus("a 1\n")]).url).keep("b")));
    assert!(said.ends_with("has no series that is wanted"), "{said}");
}

#[test]
fn what_means_nothing_is_refused_when_it_is_registered() {
    for bad in [
        OpenMetrics::new("localhost:9400"),
        OpenMetrics::new("/metrics"),
        OpenMetrics::new("ftp://localhost/"),
        OpenMetrics::new("http://localhost/").prefix("a//"),
        OpenMetrics::new("http://localhost/").timeout(Duration::ZERO),
        OpenMetrics::new("http://localhost/").header("a b", "c"),
        OpenMetrics::new("http://localhost/").header("a", "line\nline"),
    ] {
        let shown = format!("{bad:?}");
        assert_eq!(bad.register().unwrap_err().kind(), ErrorKind::InvalidInput, "{shown}");
    }
}

#[test]
fn what_may_be_a_secret_is_not_shown() {
    let settings = OpenMetrics::new("https://user:secret@host:1/m?token=secret#secret")
        .header("Authorization", "secret");
    let shown = format!("{settings:?} {}", Scrape::new(&settings).unwrap().shown);
    assert!(shown.contains("https://host:1/m") && !shown.contains("secret"), "{shown}");
}

#[test]
fn of_a_series_that_stands_twice_in_a_text_the_first_counts() {
    let text = |done: u32| prometheus(&format!("# TYPE done counter\ndone {done}\ndone 900\n"));
    let server = serve(vec![text(10), text(10), text(13), text(14)]);
    let mut bench = open(&OpenMetrics::new(&server.url)).unwrap();
    let read: Vec<_> = (0..3).map(|_| bench.read().unwrap()).collect();
    assert_eq!(read, [0.0, 3.0, 4.0].map(|done| values(&[("openmetrics/done", done)])));
    server.thread.join().unwrap();
}

#[test]
fn only_the_same_address_with_the_same_prefix_takes_the_place_of_the_one_before() {
    let names = || -> Vec<_> {
        let drivers = super::super::registered().into_iter();
        drivers.map(|driver| driver.name).filter(|name| name.contains("//told-apart")).collect()
    };
    let of = |url: &str, prefix: &str| OpenMetrics::new(url).prefix(prefix).register().unwrap();
    let different = [
        ("http://told-apart/m", "a/"),
        ("http://told-apart/m?job=1", "a/"),
        ("http://told-apart/m?job=2", "a/"),
        ("http://user:one@told-apart/m?job=2", "a/"),
        ("http://user:two@told-apart/m?job=2", "a/"),
        ("http://told-apart/m", "b/"),
    ];
    for (url, prefix) in different.iter().chain(&different) {
        of(url, prefix);
    }
    let mut names = names();
    names.sort();
    let name = "openmetrics http://told-apart/m";
    let expected: Vec<_> =
        [name.to_owned()].into_iter().chain((2..=6).map(|n| format!("{name} ({n})"))).collect();
    assert_eq!(names, expected);
}
