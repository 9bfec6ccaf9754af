//! `network_*`: what interfaces received and sent, from `/proc/self/net/dev` (the format: `proc_pid_net(5)`): MLflow's
//! totals of every interface since the monitor began, and rates, errors and drops of those that are hardware.
//!
//! Invariant: the interfaces are those of this process's network namespace; `/sys/class/net` may show another's, so it
//! only says of what kind an interface is that the first lists.

use std::path::PathBuf;

use super::pseudo::{Pseudo, lines, number, words};
use super::roll::Roll;
use super::traffic::Traffic;
use super::{Driver, Key, MEGABYTE, Machine, Opened, Probe, ProbeError, Registry, Sink, corrupt, float};
use crate::counter::Counter;
use crate::metrics;

pub(super) const DRIVER: Driver = Driver::built_in("network", open);

/// Lines that head the table.
const HEADER_LINES: usize = 2;

struct Network {
    dev: Pseudo,
    traffic: Traffic,
    /// None if the tier leaves out what it gives.
    links: Option<Links>,
}

/// The interfaces over which the machine is reached: each byte passes one of them, and a bridge, a bond, a tunnel or
/// loopback only repeats it.
struct Links {
    class: PathBuf,
    interfaces: Roll<Interface>,
    /// Whether some interface was hardware when we began; in a container none is, and all but loopback count.
    by_hardware: bool,
    errors: u64,
    drops: u64,
    receive_rate: Option<Key>,
    transmit_rate: Option<Key>,
    errors_key: Option<Key>,
    drops_key: Option<Key>,
}

#[derive(Default)]
struct Interface {
    counts: bool,
    received: Counter,
    sent: Counter,
    errors: Counter,
    drops: Counter,
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    let mut dev = Pseudo::open(machine.proc.join("self/net/dev"))?;
    let table = dev.whole()?;
    check(table)?;
    let traffic = Traffic::register(registry);
    let class = machine.sys.join("class/net");
    let links = Links::register(class, table, registry);
    Ok(Box::new(Network { dev, traffic, links }))
}

impl Probe for Network {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let table = self.dev.whole().inspect_err(|_| forget_rates(&mut self.links))?;
        check(table).inspect_err(|_| forget_rates(&mut self.links))?;
        self.traffic.begin();
        for row in rows(table) {
            self.traffic.count(row.name, row.received, row.sent);
        }
        self.traffic.put(sink);
        if let Some(links) = &mut self.links {
            links.sample(table, sink);
        }
        Ok(())
    }
}

/// After a failure there is no beginning that is one interval old.
fn forget_rates(links: &mut Option<Links>) {
    for interface in links.iter_mut().flat_map(|links| links.interfaces.known()) {
        interface.received.rebase();
        interface.sent.rebase();
    }
}

impl Links {
    fn register(class: PathBuf, table: &[u8], registry: &mut Registry) -> Option<Self> {
        let receive_rate = registry.metric(&metrics::NETWORK_RECEIVE_RATE);
        let transmit_rate = registry.metric(&metrics::NETWORK_TRANSMIT_RATE);
        let errors_key = registry.metric(&metrics::NETWORK_ERRORS);
        let drops_key = registry.metric(&metrics::NETWORK_DROPS);
        if [receive_rate, transmit_rate, errors_key, drops_key].iter().all(Option::is_none) {
            return None;
        }
        let mut links = Self {
            class,
            interfaces: Roll::default(),
            by_hardware: true,
            errors: 0,
            drops: 0,
            receive_rate,
            transmit_rate,
            errors_key,
            drops_key,
        };
        let mut some_hardware = false;
        for row in rows(table) {
            some_hardware |= links.counts(row.name);
        }
        links.by_hardware = some_hardware;
        Some(links)
    }

    /// Whether what passes the interface passes no other.
    fn counts(&self, name: &[u8]) -> bool {
        if !self.by_hardware {
            return name != b"lo";
        }
        let Ok(name) = str::from_utf8(name) else { return false };
        let interface = self.class.join(name);
        // A function of an adapter that a driver of the hypervisor's network stands for (Azure) counts there too.
        let stands_for_itself = !interface.join("master/device").exists();
        !name.starts_with('.') && interface.join("device").exists() && stands_for_itself
    }

    fn sample(&mut self, table: &[u8], sink: &mut Sink<'_>) {
        let (mut received, mut sent) = (None, None);
        let mut interfaces = std::mem::take(&mut self.interfaces);
        interfaces.begin();
        for row in rows(table) {
            let new = || Interface { counts: self.counts(row.name), ..Interface::default() };
            let (interface, _) = interfaces.list(row.name, new);
            if interface.counts {
                received = add(received, interface.received.advance(row.received));
                sent = add(sent, interface.sent.advance(row.sent));
                self.errors = self.errors.saturating_add(interface.errors.advance(row.errors).unwrap_or(0));
                self.drops = self.drops.saturating_add(interface.drops.advance(row.drops).unwrap_or(0));
            }
        }
        interfaces.end();
        let some_count = interfaces.known().any(|interface| interface.counts);
        self.interfaces = interfaces;
        sink.put_rate(self.receive_rate, received.map(|bytes| bytes / MEGABYTE));
        sink.put_rate(self.transmit_rate, sent.map(|bytes| bytes / MEGABYTE));
        if some_count {
            sink.put(self.errors_key, float(self.errors));
            sink.put(self.drops_key, float(self.drops));
        }
    }
}

fn add(sum: Option<f64>, more: Option<u64>) -> Option<f64> {
    more.map(|more| sum.unwrap_or(0.0) + float(more)).or(sum)
}

/// One interface: bytes, and packets with errors and dropped ones, both ways.
#[derive(Debug, PartialEq, Eq)]
struct Row<'a> {
    name: &'a [u8],
    received: u64,
    sent: u64,
    errors: u64,
    drops: u64,
}

/// Whether all of it is a table. An empty one has its header all the same.
fn check(table: &[u8]) -> Result<(), ProbeError> {
    let header = lines(table).nth(HEADER_LINES - 1).unwrap_or_default();
    let is_table = header.contains(&b'|') && rest(table).all(|line| Row::parse(line).is_some());
    is_table.then_some(()).ok_or_else(|| corrupt("/proc/self/net/dev is no table of interfaces"))
}

fn rows(table: &[u8]) -> impl Iterator<Item = Row<'_>> {
    rest(table).filter_map(Row::parse)
}

fn rest(table: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(table).skip(HEADER_LINES).filter(|line| !line.is_empty())
}

impl<'a> Row<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        // The last colon: the name of an alias has one itself, and the first number may follow without a space.
        let colon = line.iter().rposition(|byte| *byte == b':')?;
        let (name, columns) = line.split_at_checked(colon)?;
        let mut columns = words(columns.get(1..)?).map(number);
        // bytes packets errs drop fifo frame compressed multicast, and again from the ninth on.
        let received = columns.next()??;
        let (receive_errors, receive_drops) = (columns.nth(1)??, columns.next()??);
        let sent = columns.nth(4)??;
        let (send_errors, send_drops) = (columns.nth(1)??, columns.next()??);
        Some(Self {
            name: name.trim_ascii(),
            received,
            sent,
            errors: receive_errors.saturating_add(send_errors),
            drops: receive_drops.saturating_add(send_drops),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::probe::testing::{Bench, empty, tree, write};

    const HEADER: &str = "Inter-|   Receive                                                |  Transmit\n \
         face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls \
         carrier compressed\n";

    fn table(rows: &[(&str, u64, u64)]) -> String {
        let row =
            |(name, rx, tx): &(&str, u64, u64)| format!("{name:>6}: {rx} 9 8 7 6 5 4 3 {tx} 2 1 0 0 0 0 0\n");
        HEADER.to_owned() + &rows.iter().map(row).collect::<String>()
    }

    #[test]
    fn megabytes_of_all_interfaces_since_the_first_reading() {
        let dir = tempfile::tempdir().unwrap();
        let machine =
            tree(dir.path(), "self/net/dev", &table(&[("lo", 1_000_000, 500_000), ("eth0", 77_000_000, 1)]));
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        assert_eq!(bench.read().unwrap().get("network_receive_megabytes"), Some(&0.0));
        let later = table(&[("lo", 1_500_000, 1_000_000), ("eth0", 79_000_000, 250_001)]);
        fs::write(machine.proc.join("self/net/dev"), later).unwrap();
        let values = bench.read().unwrap();
        assert_eq!(values.get("network_receive_megabytes"), Some(&2.5));
        assert_eq!(values.get("network_transmit_megabytes"), Some(&0.75));
    }

    #[test]
    fn names_may_have_colons_and_numbers_may_follow_at_once() {
        let parse =
            |line| Row::parse(line).map(|row| (row.name, row.received, row.sent, row.errors, row.drops));
        assert_eq!(parse(b"eth0:1: 5 0 1 2 0 0 0 0 6 0 3 4"), Some((&b"eth0:1"[..], 5, 6, 4, 6)));
        assert_eq!(parse(b"  eth0:5 0 0 0 0 0 0 0 6 0 0 0 9 9 9 9"), Some((&b"eth0"[..], 5, 6, 0, 0)));
        let huge = format!("x: {0} 0 {0} {0} 0 0 0 0 {0} 0 {0} {0}", u64::MAX);
        assert_eq!(parse(huge.as_bytes()), Some((&b"x"[..], u64::MAX, u64::MAX, u64::MAX, u64::MAX)));
    }

    #[test]
    fn garbage_fails_and_the_sums_go_on_after_it() {
        for bad in
            ["", "eth0", "eth0: 1 2 3", "eth0: a 0 0 0 0 0 0 0 6 0 0 0", "eth0: 1 0 0 0 0 0 0 0 -6 0 0 0"]
        {
            assert_eq!(Row::parse(bad.as_bytes()), None, "{bad:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let machine = tree(dir.path(), "self/net/dev", &table(&[("lo", 1_000_000, 0)]));
        let path = machine.proc.join("self/net/dev");
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        bench.read().unwrap();
        fs::write(&path, table(&[("lo", 2_000_000, 0)]) + "garbage\n").unwrap();
        assert!(matches!(bench.read(), Err(ProbeError::Failed(_))));
        fs::write(&path, table(&[("lo", 4_000_000, 0)])).unwrap();
        assert_eq!(bench.read().unwrap().get("network_receive_megabytes"), Some(&3.0));
    }

    /// Bytes received and sent, packets with errors and dropped.
    fn full(rows: &[(&str, [u64; 4])]) -> String {
        let row = |(name, [rx, tx, errors, drops]): &(&str, [u64; 4])| {
            format!("{name}: {rx} 9 {errors} 0 6 5 4 3 {tx} 2 0 {drops} 0 0 0 0\n")
        };
        HEADER.to_owned() + &rows.iter().map(row).collect::<String>()
    }

    fn second_of(
        machine: &Machine,
        before: &[(&str, [u64; 4])],
        after: &[(&str, [u64; 4])],
    ) -> BTreeMap<String, f64> {
        let path = machine.proc.join("self/net/dev");
        write(&path, &full(before));
        let mut bench = Bench::open(&DRIVER, machine).unwrap();
        let first = bench.read_after(None).unwrap();
        assert!(!first.contains_key("network_receive_megabytes_per_second"), "no rate at first");
        write(&path, &full(after));
        bench.read_after(Some(Duration::from_secs(2))).unwrap()
    }

    const MB: u64 = 1_000_000;

    #[test]
    fn rates_are_of_hardware_where_there_is_some() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        let class = machine.sys.join("class/net");
        for hardware in ["eth0", "ib0", "enP1", "absent0"] {
            fs::create_dir_all(class.join(hardware).join("device")).unwrap();
        }
        fs::create_dir_all(class.join("bond0")).unwrap();
        // In a bond the hardware counts; the function that Azure's `eth0` stands for does not.
        std::os::unix::fs::symlink("../bond0", class.join("ib0/master")).unwrap();
        std::os::unix::fs::symlink("../eth0", class.join("enP1/master")).unwrap();
        let all = ["lo", "eth0", "ib0", "enP1", "bond0", "docker0", "veth1"];
        let before: Vec<_> = all.iter().map(|name| (*name, [50 * MB, 50 * MB, 7, 7])).collect();
        let after: Vec<_> = all.iter().map(|name| (*name, [54 * MB, 60 * MB, 8, 10])).collect();
        let values = second_of(&machine, &before, &after);
        assert_eq!(values.get("network_receive_megabytes_per_second"), Some(&4.0));
        assert_eq!(values.get("network_transmit_megabytes_per_second"), Some(&10.0));
        assert_eq!(values.get("network_errors"), Some(&2.0));
        assert_eq!(values.get("network_drops"), Some(&6.0));
        assert_eq!(values.get("network_receive_megabytes"), Some(&28.0), "MLflow's sum has all");
    }

    #[test]
    fn without_hardware_all_but_loopback_count() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        // The hardware that a `/sys` of another network namespace shows is not listed here.
        fs::create_dir_all(machine.sys.join("class/net/wlan0/device")).unwrap();
        let before = [("lo", [0; 4]), ("eth0", [0; 4]), ("eth1", [0; 4])];
        let after = [("lo", [8 * MB; 4]), ("eth0", [2 * MB, 0, 1, 0]), ("eth1", [4 * MB, 0, 0, 2])];
        let values = second_of(&machine, &before, &after);
        assert_eq!(values.get("network_receive_megabytes_per_second"), Some(&3.0));
        assert_eq!((values.get("network_errors"), values.get("network_drops")), (Some(&1.0), Some(&2.0)));
    }

    #[test]
    fn interfaces_may_come_and_go_and_begin_anew() {
        let dir = tempfile::tempdir().unwrap();
        let machine = tree(dir.path(), "self/net/dev", &full(&[("eth0", [0; 4])]));
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        bench.read_after(None).unwrap();
        let mut read = |rows: &[(&str, [u64; 4])]| {
            write(&machine.proc.join("self/net/dev"), &full(rows));
            let values = bench.read().unwrap();
            (
                values.get("network_receive_megabytes_per_second").copied(),
                values.get("network_errors").copied(),
            )
        };
        assert_eq!(read(&[("eth0", [MB, 0, 1, 0])]), (Some(1.0), Some(1.0)));
        assert_eq!(read(&[("usb0", [9 * MB, 0, 9, 0]), ("eth0", [2 * MB, 0, 1, 0])]), (Some(1.0), Some(1.0)));
        assert_eq!(
            read(&[("usb0", [10 * MB, 0, 10, 0]), ("eth0", [4 * MB, 0, 1, 0])]),
            (Some(3.0), Some(2.0))
        );
        assert_eq!(read(&[("eth0", [3 * MB, 0, 0, 0])]), (None, Some(2.0)));
        assert_eq!(read(&[("eth0", [5 * MB, 0, 1, 0])]), (Some(2.0), Some(3.0)));
        assert_eq!(read(&[]), (None, None));
    }

    #[test]
    fn after_garbage_two_intervals_are_not_one() {
        let dir = tempfile::tempdir().unwrap();
        let machine = tree(dir.path(), "self/net/dev", &full(&[("eth0", [0; 4])]));
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        bench.read_after(None).unwrap();
        write(&machine.proc.join("self/net/dev"), &(full(&[("eth0", [MB, MB, 0, 0])]) + "eth1: x\n"));
        assert!(matches!(bench.read(), Err(ProbeError::Failed(_))));
        assert!(bench.values().is_empty());
        write(&machine.proc.join("self/net/dev"), &full(&[("eth0", [2 * MB, 2 * MB, 5, 0])]));
        let values = bench.read().unwrap();
        assert!(!values.keys().any(|name| name.ends_with("_per_second")), "{values:?}");
        assert_eq!((values["network_receive_megabytes"], values["network_errors"]), (2.0, 5.0), "sums go on");
        assert_eq!(bench.read().unwrap().get("network_receive_megabytes_per_second"), Some(&0.0));
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_do_not(bytes: Vec<u8>) {
            let _parsed = Row::parse(&bytes);
            let _parsed = Row::parse(&[b"eth0: ", &bytes[..]].concat());
        }
    }
}
