//! Reads scripts; the grammar stands in the crate's documentation.
//!
//! Invariant: what is not understood is an error that names its line, never ignored.

use std::fmt;

use crate::clock::Millis;
use crate::codes::{self, Code};
use crate::device::{Device, Identity, MOST_INSTANCES, Target};
use crate::key::Key;
use crate::presets::PRESETS;
use crate::rules::{Effect, Rule};
use crate::series::Series;
use crate::words::{Parsed, Words, split};

/// Everything that a script says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) manual_clock: bool,
    pub(crate) driver: String,
    pub(crate) nvml: String,
    /// 12.8 is 12080.
    pub(crate) cuda: i32,
    pub(crate) init: Option<Code>,
    pub(crate) gpus: Vec<Device>,
    pub(crate) processes: Vec<Process>,
    pub(crate) events: Vec<Event>,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) target: Target,
    pub(crate) pid: u32,
    pub(crate) graphics: bool,
    /// `None`: the driver does not tell.
    pub(crate) memory: Option<u64>,
    pub(crate) sm: u32,
    pub(crate) memory_busy: u32,
    pub(crate) encoder: u32,
    pub(crate) decoder: u32,
    pub(crate) from: Millis,
    pub(crate) to: Millis,
}

/// An XID.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) target: Target,
    pub(crate) xid: u64,
    pub(crate) at: Millis,
}

#[derive(Debug, PartialEq)]
pub(crate) struct ScriptError {
    line: usize,
    what: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl Script {
    pub(crate) fn parse(text: &str) -> Result<Self, ScriptError> {
        let mut script =
            Self { driver: "570.86.15".into(), nvml: "12.570.86.15".into(), cuda: 12_080, ..Self::default() };
        script.add(text, 0)?;
        Ok(script)
    }

    /// Adds more statements, whose times count from `now`.
    pub(crate) fn add(&mut self, text: &str, now: Millis) -> Result<(), ScriptError> {
        for (number, line) in text.lines().enumerate() {
            self.statement(line, now).map_err(|what| ScriptError { line: number + 1, what })?;
        }
        Ok(())
    }

    fn statement(&mut self, line: &str, now: Millis) -> Parsed<()> {
        let words = split(line)?;
        let Some((verb, rest)) = words.split_first() else { return Ok(()) };
        let verb = verb.as_str();
        let mut rest = Words::new(rest);
        match verb {
            "clock" => self.manual_clock = rest.one_of(&["real", "manual"])? == 1,
            "driver" => self.driver = rest.word("a version")?.to_owned(),
            "nvml" => self.nvml = rest.word("a version")?.to_owned(),
            "cuda" => self.cuda = cuda(rest.word("a version")?)?,
            "init" => self.init = Some(rest.code()?).filter(|code| *code != codes::SUCCESS),
            "device" => self.device(&mut rest)?,
            "mig" => self.instance(&mut rest)?,
            "set" | "unset" | "step" | "cycle" | "rate" => self.value(verb, &mut rest, now)?,
            "process" => self.process(&mut rest, now)?,
            "xid" => {
                let target = rest.target()?;
                let xid = rest.number("the number of an XID")?;
                self.known(target)?;
                self.events.push(Event { target, xid, at: now.saturating_add(rest.option_or("at_ms", 0)?) });
            }
            "lost" | "fault" | "slow" | "hang" => self.rule(verb, &mut rest, now)?,
            other => return Err(format!("no statement is called `{other}`")),
        }
        rest.end()
    }

    fn device(&mut self, rest: &mut Words<'_>) -> Parsed<()> {
        let index: usize = rest.number("an index")?;
        if index != self.gpus.len() {
            return Err(format!("the next device is {}", self.gpus.len()));
        }
        let minor = u32::try_from(index).ok().ok_or("too many devices")?;
        let mut device = Device {
            identity: Identity {
                name: "NVIDIA Fake".into(),
                uuid: format!("GPU-00000000-0000-0000-0000-{index:012}"),
                serial: None,
                pci: format!("0000:{:02x}:00.0", index + 1),
                minor,
                architecture: None,
                brand: 0,
                cores: None,
                compute_capability: None,
                numa: None,
            },
            values: std::collections::BTreeMap::new(),
            instances: Vec::new(),
            instance_ids: None,
        };
        if let Some(name) = rest.plain_word() {
            let preset = PRESETS.iter().find(|preset| preset.word == name);
            let preset = preset.ok_or_else(|| format!("no preset is called `{name}`"))?;
            preset.name.clone_into(&mut device.identity.name);
            device.identity.architecture = Some(preset.architecture);
            device.identity.compute_capability = Some(preset.compute_capability);
            device.identity.cores = Some(preset.cores);
            device.identity.serial = Some(format!("{:010}", 1_650_000_000 + index));
            for (key, value, growth) in preset.values {
                let series = device.values.entry(*key).or_default();
                series.set(0, *value);
                if *growth > 0.0 {
                    series.grow(0, *growth);
                }
            }
        }
        identity(&mut device.identity, rest)?;
        self.gpus.push(device);
        Ok(())
    }

    fn instance(&mut self, rest: &mut Words<'_>) -> Parsed<()> {
        let target = rest.target()?;
        let parent =
            self.gpus.get_mut(target.gpu).ok_or_else(|| format!("there is no device {}", target.gpu))?;
        let number = target.instance.ok_or("an instance is named as `0.1`")?;
        if number >= MOST_INSTANCES {
            return Err(format!("a device has at most {MOST_INSTANCES} instances"));
        }
        if number != parent.instances.len() {
            return Err(format!("the next instance is {}.{}", target.gpu, parent.instances.len()));
        }
        let mut device = Device {
            identity: parent.identity.clone(),
            values: std::collections::BTreeMap::new(),
            instances: Vec::new(),
            instance_ids: None,
        };
        device.identity.uuid = format!("MIG-00000000-0000-0000-{:04}-{number:012}", target.gpu);
        let next = u32::try_from(number).ok().ok_or("too many instances")? + 1;
        device.instance_ids = Some((rest.option_or("gi", next)?, rest.option_or("ci", 0)?));
        identity(&mut device.identity, rest)?;
        parent.values.entry(Key::MigMode).or_default().set(0, 1.0);
        parent.instances.push(device);
        Ok(())
    }

    fn value(&mut self, verb: &str, rest: &mut Words<'_>, now: Millis) -> Parsed<()> {
        let targets = match rest.place()? {
            Some(target) => vec![target],
            None => (0..self.gpus.len()).map(Target::gpu).collect(),
        };
        let name = rest.word("what to set")?;
        let key = Key::parse(name).ok_or_else(|| format!("nothing is called `{name}`; see key_names"))?;
        let mut period = 0;
        if verb == "cycle" {
            period = rest.number("a period in milliseconds")?;
            if period == 0 {
                return Err("a period is at least a millisecond".into());
            }
        }
        let steps = if verb == "unset" { Vec::new() } else { rest.steps(verb != "set")? };
        for target in targets {
            let device = self.known(target)?;
            if verb == "unset" {
                device.values.remove(&key);
                continue;
            }
            let series = device.values.entry(key).or_default();
            if verb == "cycle" {
                *series = Series::cycle(now, period, &steps);
                continue;
            }
            for (from, value) in &steps {
                let from = now.saturating_add(*from);
                if verb == "rate" { series.grow(from, *value) } else { series.set(from, *value) }
            }
        }
        Ok(())
    }

    fn process(&mut self, rest: &mut Words<'_>, now: Millis) -> Parsed<()> {
        let target = rest.target()?;
        self.known(target)?;
        let pid = match rest.word("`self` or a pid")? {
            "self" => std::process::id(),
            pid => pid.parse().ok().ok_or_else(|| format!("`{pid}` is no pid"))?,
        };
        let memory: Option<f64> = rest.option("memory")?;
        let process = Process {
            target,
            pid,
            graphics: rest.option_or("kind", "compute".to_owned())? == "graphics",
            memory: memory.map(whole),
            sm: rest.option_or("sm", 0)?,
            memory_busy: rest.option_or("memory_busy", 0)?,
            encoder: rest.option_or("encoder", 0)?,
            decoder: rest.option_or("decoder", 0)?,
            from: now.saturating_add(rest.option_or("from_ms", 0)?),
            to: rest.option("to_ms")?.map_or(Millis::MAX, |to: Millis| now.saturating_add(to)),
        };
        // The same process again is one that changed.
        for before in &mut self.processes {
            if before.pid == pid && before.target == target && process.from < before.to {
                before.to = process.from;
            }
        }
        self.processes.push(process);
        Ok(())
    }

    fn rule(&mut self, verb: &str, rest: &mut Words<'_>, now: Millis) -> Parsed<()> {
        let device = rest.place()?;
        if let Some(target) = device {
            self.known(target)?;
        }
        let symbol = if verb == "lost" { "*" } else { rest.word("a call, or `*`")? };
        if symbol != "*" && !symbol.starts_with("nvml") {
            return Err(format!("`{symbol}` is no call of NVML"));
        }
        let effect = match verb {
            "lost" => Effect::Fault(codes::GPU_IS_LOST),
            "fault" => Effect::Fault(rest.code()?),
            "slow" => Effect::Slow(rest.number("milliseconds")?),
            _ => Effect::Hang,
        };
        let rule = Rule {
            effect,
            device,
            symbol: (symbol != "*").then(|| symbol.to_owned()),
            from: now.saturating_add(rest.option_or("from_ms", 0)?),
            to: rest.option("to_ms")?.map_or(Millis::MAX, |to: Millis| now.saturating_add(to)),
            from_call: rest.option_or("from_call", 1)?,
            to_call: rest.option_or("to_call", u64::MAX)?,
            met: 0,
        };
        if verb == "lost" {
            self.rules.push(Rule { symbol: Some("nvmlDeviceGetHandleByIndex_v2".into()), ..rule.clone() });
        }
        self.rules.push(rule);
        Ok(())
    }

    fn known(&mut self, target: Target) -> Parsed<&mut Device> {
        let gpu = self.gpus.get_mut(target.gpu);
        let device = match target.instance {
            Some(instance) => gpu.and_then(|gpu| gpu.instances.get_mut(instance)),
            None => gpu,
        };
        device.ok_or_else(|| format!("there is no device {target}"))
    }
}

fn identity(identity: &mut Identity, rest: &mut Words<'_>) -> Parsed<()> {
    let Identity { name, uuid, serial, pci, minor, architecture, brand, cores, compute_capability, numa } =
        identity;
    *name = rest.option_or("name", std::mem::take(name))?;
    *uuid = rest.option_or("uuid", std::mem::take(uuid))?;
    *pci = rest.option_or("pci", std::mem::take(pci))?;
    *minor = rest.option_or("minor", *minor)?;
    *brand = rest.option_or("brand", *brand)?;
    *serial = rest.option("serial")?.or(serial.take());
    *architecture = rest.option("arch")?.or(*architecture);
    *cores = rest.option("cores")?.or(*cores);
    *numa = rest.option("numa")?.or(*numa);
    if let Some(text) = rest.option::<String>("cc")? {
        let parts =
            text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        *compute_capability = Some(parts.ok_or_else(|| format!("`{text}` is no compute capability"))?);
    }
    Ok(())
}

fn cuda(text: &str) -> Parsed<i32> {
    let parts = text.split_once('.').and_then(|(major, minor)| {
        let thousands = major.parse::<i32>().ok()?.checked_mul(1000)?;
        thousands.checked_add(minor.parse::<i32>().ok()?.checked_mul(10)?)
    });
    parts.ok_or_else(|| format!("`{text}` is no version of CUDA"))
}

/// A script's number as a count.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's `as` saturates")]
pub(crate) fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What statements are made of, and some of what they are not.
    const WORDS: &[&str] = &[
        "clock",
        "manual",
        "cuda",
        "12.8",
        "2147483.99",
        "init",
        "device",
        "mig",
        "set",
        "unset",
        "step",
        "cycle",
        "rate",
        "process",
        "self",
        "xid",
        "lost",
        "fault",
        "slow",
        "hang",
        "0",
        "0.0",
        "1",
        "*",
        "h100",
        "energy",
        "memory.used",
        "5",
        "1e300",
        "0x1F",
        "-1",
        "5=1",
        "18446744073709551615=7",
        "at_ms=18446744073709551615",
        "from_ms=9",
        "memory=1e40",
        "to_ms=18446744073709551615",
        "sm=4",
        "nvmlDeviceGetName",
        "GPU_IS_LOST",
        "999",
        "\"",
        "#",
        "=",
        "\n",
        "\n",
        "\n",
    ];

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>(), words in prop::collection::vec(prop::sample::select(WORDS), 0..40)) {
            for text in [text, format!("device 0 h100\nmig 0.0\n{}", words.join(" "))] {
                if let Ok(mut script) = Script::parse(&text) {
                    drop(script.add(&text, Millis::MAX - 5));
                    for series in script.gpus.iter().flat_map(|gpu| gpu.values.values()) {
                        prop_assert!(!series.mean(100, 30_000).is_nan());
                    }
                }
            }
        }
    }
}
