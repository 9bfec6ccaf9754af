//! A probe of the program's own: how full the queue of a data loader is, while a training takes batches from it.
//!
//! `cargo run --release --example probe`, and with `--features openmetrics` the loader's own metrics too, scraped as
//! those of any other program that exposes some for Prometheus.

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use runlog::monitor::{Driver, Key, Kind, Opened, Probe, ProbeError, Registry, Sink};
use runlog::{RunOptions, SystemMetrics};

const BATCHES: u64 = 500;

/// What the loader knows of itself.
#[derive(Debug, Default)]
struct Loader {
    loaded: AtomicU64,
    waiting: AtomicU64,
}

/// Reads the loader at every sample.
struct QueueProbe {
    loader: Arc<Loader>,
    waiting: Key,
    loaded: Key,
}

impl Probe for QueueProbe {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        sink.put(self.waiting, count(&self.loader.waiting));
        sink.put(self.loaded, count(&self.loader.loaded));
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let loader = Arc::new(Loader::default());

    // Opened anew for each run that has system metrics. A gauge is averaged over a window; a total is what came together
    // since the run's first sample.
    let probed = Arc::clone(&loader);
    let open = move |registry: &mut Registry| -> Opened {
        Ok(Box::new(QueueProbe {
            loader: Arc::clone(&probed),
            waiting: registry.key("batches_waiting", Kind::Gauge)?,
            loaded: registry.key("batches_loaded", Kind::Total)?,
        }))
    };
    Driver::new("data loader", open).register();

    #[cfg(feature = "openmetrics")]
    {
        let url = exposed::serve(Arc::clone(&loader))?;
        runlog::monitor::OpenMetrics::new(url).keep("loader_*").prefix("scraped/").register()?;
    }

    let machine = SystemMetrics::new().interval(Duration::from_millis(20));
    let run = runlog::start_run(RunOptions::new().name("own-probe").log_system_metrics(machine))?;
    let id = run.run_id().to_owned();
    train(&loader)?;
    run.finish()?;

    let run = runlog::get_run(&id)?;
    println!("{} of {}, as logged:", run.info.run_name, run.info.run_id);
    for metric in run.data.metrics {
        let name = metric.key.trim_start_matches("system/");
        if name.starts_with("batches_") || name.starts_with("scraped/") {
            println!("  {name:<40} {:>6.1} at step {}", metric.value, metric.step);
        }
    }
    println!("The rest is in the run too: cargo run --features cli -- show {id}");
    Ok(())
}

/// A loader that is faster than the training, up to 64 batches ahead of it.
fn train(loader: &Arc<Loader>) -> Result<(), Box<dyn Error>> {
    let (batches, queue) = sync_channel(64);
    let loading = Arc::clone(loader);
    let load = move || {
        for number in 0..BATCHES {
            let batch = vec![number; 256];
            // Counted before it can be taken, so that the count never runs below zero.
            loading.loaded.fetch_add(1, Ordering::Relaxed);
            loading.waiting.fetch_add(1, Ordering::Relaxed);
            if batches.send(batch).is_err() {
                break;
            }
        }
    };
    let loading = thread::Builder::new().name("loader".to_owned()).spawn(load)?;
    for batch in queue {
        // Taken before the loader has counted it: then it was never waiting.
        loader
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| waiting.checked_sub(1))
            .ok();
        for _ in 0..10_000 {
            black_box(black_box(&batch).iter().sum::<u64>());
        }
    }
    loading.join().map_err(|_panic| "the loader panicked")?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a loader does not load 2^53 batches")]
fn count(of: &AtomicU64) -> f64 {
    of.load(Ordering::Relaxed) as f64
}

#[cfg(feature = "openmetrics")]
mod exposed {
    use std::io::{self, BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};

    use super::{Arc, Loader, Ordering, thread};

    /// Serves the loader's metrics as long as the program lives, and says where.
    pub(crate) fn serve(loader: Arc<Loader>) -> io::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/metrics", listener.local_addr()?);
        let answer_all = move || {
            for stream in listener.incoming().flatten() {
                // A client that has gone needs no answer.
                answer(stream, &loader).ok();
            }
        };
        thread::Builder::new().name("metrics".to_owned()).spawn(answer_all)?;
        Ok(url)
    }

    fn answer(mut stream: TcpStream, loader: &Loader) -> io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let text = format!(
            "# TYPE loader_queue gauge\nloader_queue{{kind=\"train\"}} {}\n\
             # TYPE loader_batches counter\nloader_batches_total{{kind=\"train\"}} {}\n# EOF\n",
            loader.waiting.load(Ordering::Relaxed),
            loader.loaded.load(Ordering::Relaxed),
        );
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        )
    }
}
