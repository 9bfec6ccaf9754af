//! What this process and its descendants do on cards of AMD and Intel: busy time and memory, as the kernel accounts them
//! to each client of a card (`/proc/<pid>/fdinfo`).
//!
//! Invariants: one client behind several descriptors, of one process or of many, counts once; a counter that falls is
//! waited out, as the kernel's specification asks; where work goes past this account (AMD's compute driver, `/dev/kfd`)
//! there is no busy time, rather than 0.
//!
//! Busy is the busiest kind of engine that runs kernels (render or compute), of all engines of that kind. Memory that
//! several clients share counts for each. Which descriptors are a card's is looked up every 10 s, and that allocates; a
//! card that sleeps is not read. How busy the whole of an Intel card is stands in counters of perf, which need a
//! privilege: there is no such metric.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::card::{Card, Kernel, Presence, cards};
use super::fdinfo::{Account, Engine, parse};
use crate::metrics;
use crate::probe::pseudo::{Pseudo, number, words};
use crate::probe::{
    Driver, Key, MEGABYTE, Machine, Opened, Probe, ProbeError, Registry, Sink, absent, float,
};

pub(in crate::probe) const DRIVER: Driver = Driver::built_in("drm", open).may_block();

/// The time between two looks at which descriptors there are.
const RESCAN: Duration = Duration::from_secs(10);

struct Drm {
    proc: PathBuf,
    gpus: Vec<Gpu>,
    handles: Vec<Handle>,
    clients: Vec<Client>,
    /// Whether some process computes through AMD's own driver, whose work has no account.
    past_account: bool,
    since_scan: Option<Duration>,
}

struct Gpu {
    card: Card,
    busy_key: Option<Key>,
    memory_key: Option<Key>,
    awake: bool,
    /// What this sample's clients add up to: shares of the time by kind of engine, and memory.
    busy: Option<[f64; 2]>,
    memory_bytes: Option<u64>,
}

/// A descriptor of a card.
struct Handle {
    file: Pseudo,
    path: PathBuf,
    gpu: usize,
}

/// What a client had done when it was last read.
struct Client {
    gpu: usize,
    id: u64,
    listed: bool,
    engines: [Engine; 2],
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    let gpu = |card: Card| Gpu {
        busy_key: card.metric(registry, &metrics::GPU_PROCESS_SM),
        memory_key: card.metric(registry, &metrics::GPU_PROCESS_MEMORY),
        card,
        awake: false,
        busy: None,
        memory_bytes: None,
    };
    let gpus: Vec<_> = cards(machine).into_iter().map(gpu).collect();
    if gpus.iter().all(|gpu| gpu.busy_key.or(gpu.memory_key).is_none()) {
        return Err(absent("no card whose clients the kernel accounts for, or the tier leaves them out"));
    }
    Ok(Box::new(Drm {
        proc: machine.proc.clone(),
        gpus,
        handles: Vec::new(),
        clients: Vec::new(),
        past_account: false,
        since_scan: None,
    }))
}

impl Probe for Drm {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        self.since_scan = self.since_scan.zip(sink.since_last()).map(|(before, more)| before + more);
        if self.since_scan.is_none_or(|since_scan| since_scan >= RESCAN) {
            self.scan();
            self.since_scan = Some(Duration::ZERO);
        }
        for gpu in &mut self.gpus {
            gpu.awake = gpu.card.presence() == Presence::Awake;
            gpu.busy = None;
            gpu.memory_bytes = None;
        }
        let read = self.read(sink.since_last());
        for gpu in &self.gpus {
            gpu.put(sink, self.past_account);
        }
        read
    }
}

impl Drm {
    /// Finds the descriptors of cards that this process and its descendants have open.
    fn scan(&mut self) {
        let mut pids = vec![PathBuf::from("self")];
        let mut place = 0;
        self.past_account = false;
        while let Some(process) = pids.get(place).map(|pid| self.proc.join(pid)) {
            children(&process, &mut pids);
            for (fd, target) in links(&process.join("fd")) {
                self.past_account |= target == Path::new("/dev/kfd");
                if !target.starts_with("/dev/dri") {
                    continue;
                }
                let path = process.join("fdinfo").join(fd);
                let gpu = self.gpus.iter().position(|gpu| gpu.card.has_node(&target));
                let gpu = gpu.filter(|_| self.handles.iter().all(|handle| handle.path != path));
                let handle = gpu.zip(Pseudo::open(path.clone()).ok());
                self.handles.extend(handle.map(|(gpu, file)| Handle { file, path, gpu }));
            }
            place += 1;
        }
    }

    /// Reads every descriptor's account once, and of each client the first.
    fn read(&mut self, since_last: Option<Duration>) -> Result<(), ProbeError> {
        let Self { gpus, handles, clients, .. } = self;
        let mut outcome = Ok(());
        handles.retain_mut(|handle| {
            let Some(gpu) = gpus.get_mut(handle.gpu) else { return false };
            if !gpu.awake {
                return true;
            }
            // A descriptor that was closed cannot be read, and what is another file now has no account of this card.
            let Ok(text) = handle.file.whole() else { return false };
            match parse(text) {
                Ok(Some(account)) if account.address == gpu.card.address => {
                    gpu.count(client(clients, handle.gpu, account.client), &account, since_last);
                    true
                }
                Ok(_) => false,
                Err(error) => {
                    outcome = Err(error);
                    true
                }
            }
        });
        clients.retain_mut(|client| std::mem::take(&mut client.listed));
        outcome
    }
}

/// The client `id` of a card, as it was left or new.
fn client(clients: &mut Vec<Client>, gpu: usize, id: u64) -> Option<&mut Client> {
    let is_it = |client: &Client| (client.gpu, client.id) == (gpu, id);
    let place = clients.iter().position(is_it).unwrap_or_else(|| {
        clients.push(Client { gpu, id, listed: false, engines: [Engine::default(); 2] });
        clients.len() - 1
    });
    clients.get_mut(place)
}

impl Gpu {
    fn count(&mut self, client: Option<&mut Client>, account: &Account, since_last: Option<Duration>) {
        let Some(client) = client.filter(|client| !client.listed) else { return };
        client.listed = true;
        if let Some(bytes) = account.memory_bytes {
            self.memory_bytes = Some(self.memory_bytes.unwrap_or(0).saturating_add(bytes));
        }
        for (kind, (last, now)) in client.engines.iter_mut().zip(&account.engines).enumerate() {
            if let Some(share) = advance(last, now, since_last)
                && let Some(busy) = self.busy.get_or_insert_default().get_mut(kind)
            {
                *busy += share;
            }
        }
    }

    fn put(&self, sink: &mut Sink<'_>, past_account: bool) {
        let accounted = self.card.kernel != Kernel::Amdgpu || !past_account;
        if let Some(busy) = self.busy.filter(|_| accounted) {
            // Clients are read one after another, so together they may seem to do a little more than there is time.
            sink.put(self.busy_key, busy.into_iter().fold(0.0, f64::max).min(1.0) * 100.0);
        }
        if let Some(bytes) = self.memory_bytes {
            sink.put(self.memory_key, float(bytes) / MEGABYTE);
        }
    }
}

/// The share of the time since `last` in which the engines of a kind worked for a client.
fn advance(last: &mut Engine, now: &Engine, since_last: Option<Duration>) -> Option<f64> {
    let capacity = float(now.capacity.unwrap_or(1));
    // The counters may fall for a moment; then the larger value stays until they have caught up.
    let step = |last: &mut Option<u64>, now: Option<u64>| {
        let before = last.replace(now?.max(last.unwrap_or(0)))?;
        Some(float(now?.saturating_sub(before)))
    };
    let nanos = step(&mut last.nanos, now.nanos);
    let cycles = step(&mut last.cycles, now.cycles);
    let total_cycles = step(&mut last.total_cycles, now.total_cycles);
    let elapsed = since_last?;
    if let Some((cycles, total)) = cycles.zip(total_cycles.filter(|total| *total > 0.0)) {
        return Some(cycles / total / capacity);
    }
    let nanos = nanos.filter(|_| !elapsed.is_zero())?;
    Some(nanos / 1e9 / elapsed.as_secs_f64() / capacity)
}

/// Adds the children of every thread of a process.
fn children(process: &Path, pids: &mut Vec<PathBuf>) {
    let threads = fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    for thread in threads {
        let Ok(children) = fs::read(thread.path().join("children")) else { continue };
        for pid in words(&children).filter_map(number).map(|pid| PathBuf::from(pid.to_string())) {
            if !pids.contains(&pid) {
                pids.push(pid);
            }
        }
    }
}

/// The links in a directory, by name, with what they point at.
fn links(dir: &Path) -> impl Iterator<Item = (std::ffi::OsString, PathBuf)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name(), fs::read_link(entry.path()).ok()?)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::probe::gpu::card::testing::{plug, set};
    use crate::probe::testing::{Bench, empty, write};

    const RADEON: &str = "0000:03:00.0";
    const ARC: &str = "0000:04:00.0";
    const SECOND: Option<Duration> = Some(Duration::from_secs(1));

    /// A machine with a card of each kernel's driver but i915.
    fn machine(dir: &Path) -> Machine {
        let machine = empty(dir);
        plug(&machine, "amdgpu", RADEON, &[("drm/renderD129/uevent", "")]);
        plug(&machine, "xe", ARC, &[("drm/renderD128/uevent", "")]);
        machine
    }

    /// Opens a descriptor of a process that points at `target`.
    fn link(machine: &Machine, pid: &str, fd: u32, target: &str) {
        let path = machine.proc.join(pid).join("fd").join(fd.to_string());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    /// What the kernel says of a descriptor.
    fn say(machine: &Machine, pid: &str, fd: u32, account: &str) {
        write(&machine.proc.join(pid).join("fdinfo").join(fd.to_string()), account);
    }

    fn open_card(machine: &Machine, pid: &str, fd: u32, account: &str) {
        let node = if account.contains(RADEON) { "/dev/dri/renderD129" } else { "/dev/dri/renderD128" };
        link(machine, pid, fd, node);
        say(machine, pid, fd, account);
    }

    fn radeon(client: u64, gfx_ms: u64, compute_ms: u64, kib: u64) -> String {
        format!(
            "pos:\t0\ndrm-driver:\tamdgpu\ndrm-client-id:\t{client}\ndrm-pdev:\t{RADEON}\ndrm-memory-vram:\t{kib} KiB\n\
             drm-engine-gfx:\t{gfx_ms}000000 ns\ndrm-engine-compute:\t{compute_ms}000000 ns\n"
        )
    }

    fn arc(client: u64, cycles: u64, total: u64) -> String {
        format!(
            "drm-driver:\txe\ndrm-client-id:\t{client}\ndrm-pdev:\t{ARC}\ndrm-resident-vram0:\t3 MiB\n\
             drm-cycles-ccs:\t{cycles}\ndrm-total-cycles-ccs:\t{total}\ndrm-engine-capacity-ccs:\t4\n"
        )
    }

    fn named<const N: usize>(values: [(&str, f64); N]) -> BTreeMap<String, f64> {
        values.map(|(name, value)| (name.to_owned(), value)).into()
    }

    #[test]
    fn a_client_behind_several_descriptors_and_processes_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let machine = machine(dir.path());
        write(&machine.proc.join("self/task/100/children"), "");
        write(&machine.proc.join("self/task/101/children"), "200 300 ");
        write(&machine.proc.join("200/task/200/children"), "400");
        // Client 0 is open twice here and once in a child that inherited it; 1 is the child's own, 2 its child's.
        let opened = [("self", 5, 0), ("self", 6, 0), ("200", 5, 0), ("200", 9, 1), ("400", 3, 2)];
        let say_all = |gfx_ms: [u64; 3]| {
            for (pid, fd, client) in opened {
                say(&machine, pid, fd, &radeon(client as u64, gfx_ms[client], 0, 1_000_000));
            }
        };
        for (pid, fd, _) in opened {
            link(&machine, pid, fd, "/dev/dri/renderD129");
        }
        // Another's process, and what is no card.
        open_card(&machine, "999", 3, &radeon(9, 0, 0, 77));
        link(&machine, "self", 0, "/dev/null");
        say(&machine, "self", 0, "pos:\t0\n");
        say_all([0, 10_000, 20_000]);
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        let memory = ("gpu_0_process_memory_megabytes", 3072.0);
        assert_eq!(bench.read_after(None).unwrap(), named([memory]));
        say_all([300, 10_100, 20_050]);
        assert_eq!(bench.read().unwrap(), named([memory, ("gpu_0_process_sm_percentage", 45.0)]));
        assert_eq!(bench.read_after(SECOND).unwrap(), named([memory, ("gpu_0_process_sm_percentage", 0.0)]));
    }

    #[test]
    fn the_busiest_kind_of_engine_counts_of_all_its_engines() {
        let dir = tempfile::tempdir().unwrap();
        let machine = machine(dir.path());
        open_card(&machine, "self", 4, &radeon(1, 0, 0, 1000));
        open_card(&machine, "self", 5, &arc(1, 1000, 5000));
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        let mut busy = |gfx_ms, compute_ms, cycles, total, since_last| {
            say(&machine, "self", 4, &radeon(1, gfx_ms, compute_ms, 1000));
            say(&machine, "self", 5, &arc(1, cycles, total));
            let values = bench.read_after(since_last).unwrap();
            [0, 1].map(|gpu| values.get(&format!("gpu_{gpu}_process_sm_percentage")).copied())
        };
        assert_eq!(busy(0, 0, 1000, 5000, None), [None, None]);
        assert_eq!(busy(500, 1000, 3000, 6000, Some(Duration::from_secs(2))), [Some(50.0), Some(50.0)]);
        assert_eq!(
            busy(9500, 1000, 3000, 7000, SECOND),
            [Some(100.0), Some(0.0)],
            "never more than all the time"
        );
        assert_eq!(
            busy(9000, 1000, 3000, 7000, SECOND),
            [Some(0.0), None],
            "fallen; no time by the card's clock"
        );
        assert_eq!(
            busy(9750, 1000, 3000, 8000, SECOND),
            [Some(25.0), Some(0.0)],
            "caught up with the larger value"
        );
        assert_eq!(busy(9950, 1000, 3000, 9000, None), [None, None], "after a gap");
        assert_eq!(busy(10_050, 1000, 4000, 10_000, SECOND), [Some(10.0), Some(25.0)]);
    }

    #[test]
    fn descriptors_that_come_and_go_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let machine = machine(dir.path());
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        assert_eq!(bench.read().unwrap(), BTreeMap::new(), "no client, no metric");
        open_card(&machine, "self", 4, &radeon(1, 100, 0, 1_000_000));
        assert_eq!(bench.read().unwrap(), BTreeMap::new(), "not looked up yet");
        let found = bench.read_after(Some(RESCAN)).unwrap();
        assert_eq!(found, named([("gpu_0_process_memory_megabytes", 1024.0)]));
        // The descriptor is another client now, with counters of its own.
        say(&machine, "self", 4, &radeon(2, 5, 0, 2_000_000));
        assert_eq!(bench.read().unwrap(), named([("gpu_0_process_memory_megabytes", 2048.0)]));
        // And now another card's, or none's.
        for other in [&arc(1, 1, 2), "pos:\t0\nflags:\t02\n"] {
            say(&machine, "self", 4, other);
            assert_eq!(bench.read().unwrap(), BTreeMap::new());
        }
    }

    #[test]
    fn garbage_in_one_account_costs_that_one_until_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let machine = machine(dir.path());
        open_card(&machine, "self", 4, &radeon(1, 100, 0, 1_000_000));
        open_card(&machine, "self", 5, &arc(1, 1, 2));
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        let healthy = bench.read().unwrap();
        say(&machine, "self", 4, &radeon(1, 100, 0, 1_000_000).replace("ms", "").replace("100", "a lot"));
        let (outcome, values) = (bench.read(), bench.values());
        assert!(matches!(outcome, Err(ProbeError::Failed(_))));
        assert_eq!(values, named([("gpu_1_process_memory_megabytes", 3.145_728)]));
        say(&machine, "self", 4, &radeon(1, 200, 0, 1_000_000));
        assert_eq!(bench.read().unwrap(), healthy, "nothing is made up of the time between");
    }

    #[test]
    fn what_goes_past_the_account_has_no_busy_time() {
        let dir = tempfile::tempdir().unwrap();
        let machine = machine(dir.path());
        open_card(&machine, "self", 4, &radeon(1, 0, 0, 1000));
        open_card(&machine, "self", 5, &arc(1, 0, 1000));
        link(&machine, "self", 6, "/dev/kfd");
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        bench.read().unwrap();
        say(&machine, "self", 5, &arc(1, 400, 2000));
        let keys: Vec<_> = bench.read().unwrap().into_keys().collect();
        let expected = [
            "gpu_0_process_memory_megabytes",
            "gpu_1_process_memory_megabytes",
            "gpu_1_process_sm_percentage",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn a_card_that_sleeps_is_not_asked() {
        let dir = tempfile::tempdir().unwrap();
        let machine = machine(dir.path());
        open_card(&machine, "self", 4, &radeon(1, 0, 0, 1000));
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        assert_eq!(bench.read().unwrap().len(), 1);
        set(&machine, RADEON, "power/runtime_status", "suspended\n");
        say(&machine, "self", 4, "drm-pdev: woken");
        open_card(&machine, "self", 5, &format!("drm-client-id: woken, too, {RADEON}"));
        assert_eq!(bench.read_after(Some(RESCAN)).unwrap(), BTreeMap::new());
        set(&machine, RADEON, "power/runtime_status", "active\n");
        assert!(bench.read().is_err(), "awake, it is read");
    }

    #[test]
    fn without_a_card_of_theirs_it_is_absent() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        plug(&machine, "nvidia", RADEON, &[]);
        open_card(&machine, "self", 4, &radeon(1, 0, 0, 1000));
        assert!(matches!(Bench::open(&DRIVER, &machine), Err(ProbeError::Absent(_))));
    }
}
