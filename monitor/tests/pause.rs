//! A process that is stopped and goes on (`SIGSTOP`, `SIGCONT`): no rate over the hole, and nothing is caught up with.
//!
//! Run without arguments this is the test; with one it is the process that is stopped.

#![cfg_attr(unix, expect(clippy::unwrap_used, reason = "a test, though one that runs itself"))]

fn main() {
    #[cfg(unix)]
    pause::main();
}

#[cfg(unix)]
mod pause {
    use std::env;
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::process::{Child, Command, Stdio};
    use std::sync::{Condvar, Mutex};
    use std::time::Duration;

    use runlog_core::autolog::{MonitorSink, SystemMetrics, Tier, Watch};
    use runlog_core::clock;
    use runlog_core::config::Config;
    use runlog_monitor::{Driver, Kind, Probe, ProbeError, Sink};

    const INTERVAL_MS: u32 = 20;
    const HOLE_MS: u32 = 1000;
    const SINCE_LAST: &str = "system/since_last";
    const STEADY: &str = "system/system_memory_usage_percentage";

    pub(super) fn main() {
        match env::args().nth(1).as_deref() {
            Some("watched") => watched(),
            // The test runner of Cargo asks for lists and filters.
            _ => a_stopped_process_has_no_rate_over_the_hole_and_no_burst_after_it(),
        }
    }

    /// Writes every point to the standard output.
    struct Written;

    impl MonitorSink for Written {
        fn log(&mut self, key: &str, value: f64, timestamp: i64, step: i64) {
            writeln!(std::io::stdout().lock(), "{key} {value} {timestamp} {step}").unwrap();
        }

        fn tag(&mut self, _: &str, _: &str) {}
    }

    /// Reads the seconds since its last sample, on a thread of its own.
    struct SinceLast(runlog_monitor::Key);

    impl Probe for SinceLast {
        fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
            if let Some(since_last) = sink.since_last() {
                sink.put(self.0, since_last.as_secs_f64());
            }
            Ok(())
        }
    }

    fn watched() {
        let open = |registry: &mut runlog_monitor::Registry| -> runlog_monitor::Opened {
            Ok(Box::new(SinceLast(registry.key("since_last", Kind::Rate)?)))
        };
        Driver::new("since_last", open).register();
        let interval = Duration::from_millis(INTERVAL_MS.into());
        let settings = SystemMetrics::new().interval(interval).tier(Tier::Compat);
        let watch = Watch::new(std::process::id().to_string(), settings, Config::default());
        let monitor = (runlog_monitor::DRIVER.start)(&watch, Box::new(Written)).unwrap();
        // Until the test has seen enough.
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        // On a busy machine the last answer of the probe may not come in time.
        monitor.stop().ok();
    }

    fn signal(child: &Child, name: &str) {
        let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Lets the time pass that the hole is to last.
    fn pass(ms: u32) {
        let until = clock::now_ms() + i64::from(ms);
        let nobody = (Mutex::new(()), Condvar::new());
        while clock::now_ms() < until {
            drop(nobody.1.wait_timeout(nobody.0.lock().unwrap(), Duration::from_millis(ms.into())).unwrap());
        }
    }

    fn a_stopped_process_has_no_rate_over_the_hole_and_no_burst_after_it() {
        let mut child = Command::new(env::current_exe().unwrap())
            .arg("watched")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut points = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| {
            let line = line.unwrap();
            let mut words = line.split(' ');
            let key = words.next().unwrap().to_owned();
            let mut number = || words.next().unwrap().parse::<f64>().unwrap();
            (key, number(), number())
        });
        let mut seen: Vec<(String, f64, f64)> = points.by_ref().take(100).collect();
        signal(&child, "-STOP");
        pass(HOLE_MS);
        signal(&child, "-CONT");
        // What was in the pipe, and then what comes after the hole.
        seen.extend(points.by_ref().take(400));
        drop(child.stdin.take());
        seen.extend(points);
        assert!(child.wait().unwrap().success());

        let windows: Vec<f64> = seen.iter().filter(|(key, ..)| key == STEADY).map(|(.., ms)| *ms).collect();
        let hole = windows.windows(2).find(|pair| pair[1] - pair[0] >= f64::from(HOLE_MS) / 2.0);
        assert!(hole.is_some(), "no hole: {windows:?}");
        let after = hole.unwrap()[1];
        let interval_secs = f64::from(INTERVAL_MS) / 1000.0;

        // Less than four intervals, and what the thread that reads this probe may be late.
        let longest =
            seen.iter().filter(|(key, ..)| key == SINCE_LAST).map(|(_, secs, _)| *secs).fold(0.0, f64::max);
        assert!(longest > 0.0 && longest < f64::from(HOLE_MS) / 1000.0, "a rate over {longest} s");
        let rates = |ms: f64| {
            seen.iter().filter(|(key, _, at)| key.contains("cpu_") && *at <= ms && *at >= ms).count()
        };
        assert_eq!(rates(after), 0, "no processor time over the hole");

        let later: Vec<f64> = windows.into_iter().filter(|ms| *ms >= after).collect();
        let (first, last) = (later[0], later[later.len() - 1]);
        let deadlines = (last - first) / 1000.0 / interval_secs;
        let count = f64::from(u32::try_from(later.len()).unwrap());
        // One before the first deadline, one after the last, one of the end.
        assert!(count <= deadlines + 3.0, "{count} windows where {deadlines} deadlines were");
    }
}
