//! System metrics key by key against MLflow's own monitors and psutil, which they read with: on one frozen copy of
//! `/proc`, and on this machine in the same moments.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use runlog_core::autolog::Tier;
use runlog_monitor::readers::Readers;

use crate::support::Place;

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

type Values = BTreeMap<String, f64>;

/// MLflow's monitors, in a process of their own.
struct Mlflow {
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Mlflow {
    fn start(place: &Place) -> Self {
        let mut python = place.python("mlflow/system_metrics.py");
        let mut process = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { commands: process.stdin.take(), process, answers }
    }

    fn ask(&mut self, command: &str) -> Values {
        writeln!(self.commands.as_mut().unwrap(), "{command}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
    }
}

impl Drop for Mlflow {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.commands.take());
        self.process.wait().unwrap();
    }
}

/// As MLflow and psutil round: to one decimal, of two that are as near the one whose last digit is even.
fn rounded(value: f64) -> String {
    format!("{value:.1}")
}

#[test]
fn numbers_are_rounded_as_mlflow_rounds() {
    let expected =
        [(0.25, "0.2"), (0.75, "0.8"), (0.35, "0.3"), (12.45, "12.4"), (1e9 + 0.25, "1000000000.2")];
    for (value, text) in expected {
        assert_eq!(rounded(value), text);
    }
}

/// Whether our value is what MLflow's tells.
fn agree(name: &str, ours: f64, theirs: f64) -> bool {
    if name.starts_with("network_") || name.ends_with("_per_second") || name == "disk_busy_percentage" {
        // Not rounded there, but one more division.
        (ours - theirs).abs() < 1e-6
    } else if name.starts_with("cpu_") {
        // psutil subtracts seconds, where a tick of the clock is no exact number: half a digit may fall either way.
        (ours - theirs).abs() < 0.05 + 1e-9
    } else {
        rounded(ours) == rounded(theirs)
    }
}

/// Reads two states of a tree with both, and compares every key that MLflow's process knows; what that says.
fn compare(mlflow: &mut Mlflow, root: &Path, write: impl Fn(&Path, usize)) -> Values {
    write(root, 0);
    let mut readers = Readers::open(root, Tier::Full);
    readers.read(None);
    mlflow.ask(&format!("begin {}", root.join("proc").display()));
    write(root, 1);
    readers.read(SECOND);
    let ours = readers.values();
    let theirs = mlflow.ask("read");
    assert!(theirs.len() > 8, "{theirs:?}");
    for (name, theirs) in &theirs {
        let ours = ours.get(name).unwrap_or_else(|| panic!("{name} is not in {ours:#?}"));
        assert!(agree(name, *ours, *theirs), "{name}: {ours} here, {theirs} there, at {}", root.display());
    }
    theirs
}

/// The files of `/proc` that MLflow's numbers come from.
fn copy_proc(root: &Path) {
    for file in ["stat", "meminfo", "vmstat", "self/net/dev"] {
        let copy = root.join("proc").join(file);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::write(copy, fs::read(Path::new("/proc").join(file)).unwrap()).unwrap();
    }
    fs::create_dir_all(root.join("proc/net")).unwrap();
    fs::copy(root.join("proc/self/net/dev"), root.join("proc/net/dev")).unwrap();
}

/// Ticks of the kernel's clock that all processors together have spent.
fn ticks() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    stat.lines().next().unwrap().split_whitespace().skip(1).map(|field| field.parse::<u64>().unwrap()).sum()
}

/// Waits for so many ticks, which come while nobody works too.
fn wait(more: u64) {
    let until = ticks() + more;
    while ticks() < until {
        std::thread::yield_now();
    }
}

#[test]
fn a_frozen_copy_of_this_machines_proc_reads_as_in_psutil() {
    let place = Place::new();
    let mut mlflow = Mlflow::start(&place);
    let root = place.path().join("frozen");
    fs::create_dir_all(&root).unwrap();
    // Swap has no key where there is none.
    let with_swap = |root: &Path| {
        let meminfo = root.join("proc/meminfo");
        let text = fs::read_to_string(&meminfo).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with("Swap")).map(|line| format!("{line}\n"));
        fs::write(&meminfo, lines.collect::<String>() + "SwapTotal: 8388604 kB\nSwapFree: 6123456 kB\n")
            .unwrap();
    };
    let compared = compare(&mut mlflow, &root, |root, second| {
        if second == 1 {
            wait(200);
        }
        copy_proc(root);
        with_swap(root);
    });
    for name in ["cpu_utilization_percentage", "system_memory_usage_megabytes", "network_receive_megabytes"] {
        assert!(compared.contains_key(name));
    }
}

/// A `/proc` with `cores` processors that went on from one second to the next by chance.
fn made_up(random: &mut fastrand::Rng) -> [Vec<(&'static str, String)>; 2] {
    let cores = random.usize(1..9);
    let mut times = vec![[0_u64; 10]; cores];
    let mut interfaces = vec![[0_u64; 16]; random.usize(1..6)];
    // A hundred ticks and more: of less psutil's shares of waiting are no shares.
    times.iter_mut().flatten().for_each(|time| *time = random.u64(0..1 << 40));
    let mut disks = [[0_u64; 17]; 2];
    disks.iter_mut().flatten().for_each(|count| *count = random.u64(0..1 << 40));
    interfaces.iter_mut().flatten().for_each(|count| *count = random.u64(0..1 << 45));
    let mut state = || {
        for time in &mut times {
            let scale = random.u64(1..1000);
            for time in time.iter_mut() {
                *time += random.u64(0..=scale);
            }
            time[3] += 100;
            // Time of guests is in that of users too.
            time[0] += time[8];
            time[1] += time[9];
        }
        interfaces.iter_mut().flatten().for_each(|count| *count += random.u64(0..1 << 30));
        let line = |name: &str, times: &[u64]| {
            times.iter().fold(name.to_owned(), |line, time| format!("{line} {time}")) + "\n"
        };
        let sums: Vec<_> = (0..10).map(|place| times.iter().map(|times| times[place]).sum::<u64>()).collect();
        let stat = times
            .iter()
            .enumerate()
            .fold(line("cpu ", &sums), |stat, (core, times)| stat + &line(&format!("cpu{core}"), times));
        let dev = interfaces
            .iter()
            .enumerate()
            .fold("Inter-|\n face |bytes\n".to_owned(), |dev, (place, counts)| {
                dev + &line(&format!("  eth{place}:"), counts)
            });
        let mut diskstats = String::new();
        for (disk, counts) in ["sda", "sdb"].iter().zip(&mut disks) {
            for count in counts.iter_mut() {
                *count += random.u64(0..1000);
            }
            for (minor, part) in ["", "1", "2"].iter().enumerate() {
                diskstats += &line(&format!("8 {minor} {disk}{part}"), counts);
            }
        }
        diskstats += &line("7 0 loop0", &disks[0]);
        diskstats += &line("253 0 dm-0", &disks[1]);
        let total = random.u64(1..1 << 33);
        let (free, available) = (random.u64(0..=total), random.u64(1..=total));
        let (swap, swap_free) = (random.u64(1..1 << 30), random.u64(0..2));
        let meminfo = format!(
            "MemTotal: {total} kB\nMemFree: {free} kB\nMemAvailable: {} kB\nBuffers: 1 kB\nCached: 1 kB\nActive: 1 \
             kB\nInactive: 1 kB\nShmem: 1 kB\nSwapTotal: {swap} kB\nSwapFree: {} kB\n",
            // Some containers have more available than there is.
            if random.u8(0..10) == 0 { total + 1 } else { available },
            swap_free * (swap / 3),
        );
        vec![
            ("proc/stat", stat + "intr 1 2\nctxt 3\nbtime 4\n"),
            ("proc/meminfo", meminfo),
            ("proc/diskstats", diskstats),
            ("proc/vmstat", "pswpin 0\npswpout 0\n".to_owned()),
            ("proc/self/net/dev", dev.clone()),
            ("proc/net/dev", dev),
        ]
    };
    [state(), state()]
}

#[test]
fn made_up_machines_read_as_in_psutil() {
    let place = Place::new();
    let mut mlflow = Mlflow::start(&place);
    let mut random = fastrand::Rng::with_seed(7);
    for machine in 0..100 {
        let root = place.path().join(format!("machine{machine}"));
        let states = made_up(&mut random);
        let compared = compare(&mut mlflow, &root, |root, second| {
            for (path, content) in &states[second] {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
        });
        assert!(
            compared.contains_key("disk_busy_percentage") && compared.contains_key("cpu_steal_percentage")
        );
    }
}

/// The machine does not stand still between two looks at it; often enough it does for the moment of three.
const MOMENTS: usize = 20_000;
const ROUNDS: usize = 20;

#[test]
fn this_machine_reads_as_in_mlflow_in_the_same_moments() {
    let place = Place::new();
    let mut mlflow = Mlflow::start(&place);
    let mut readers = Readers::open(Path::new("/"), Tier::Compat);
    let mut still = || {
        readers.read(None);
        readers.values()
    };
    mlflow.ask("begin /proc");
    let names: Vec<_> = mlflow.ask("still").into_keys().collect();
    let expected = [
        "disk_available_megabytes",
        "disk_usage_megabytes",
        "disk_usage_percentage",
        "system_memory_usage_megabytes",
        "system_memory_usage_percentage",
    ];
    assert_eq!(names, expected);
    for name in names {
        let agreed = (0..MOMENTS).any(|_| {
            let (before, theirs, after) = (still()[&name], mlflow.ask("still")[&name], still()[&name]);
            [before, after].iter().all(|ours| rounded(*ours) == rounded(theirs))
        });
        assert!(agreed, "{name}: {} and {}", still()[&name], mlflow.ask("still")[&name]);
    }

    let mut readers = Readers::open(Path::new("/"), Tier::Compat);
    let mut seen = Vec::new();
    let agreed = (0..ROUNDS).any(|_| {
        readers.read(None);
        mlflow.ask("begin /proc");
        wait(200);
        let theirs = mlflow.ask("read")["cpu_utilization_percentage"];
        readers.read(SECOND);
        let ours = readers.values()["cpu_utilization_percentage"];
        seen.push((ours, theirs));
        (ours - theirs).abs() <= 5.0
    });
    assert!(agreed, "{seen:?}");
}
