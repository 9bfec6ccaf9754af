//! The container or job that this process runs in: what its cgroup uses of what it may use.
//!
//! Almost every process of a modern system is in some cgroup, a login session say; that alone makes no container. There
//! is one where a limit holds for the cgroup or one above it, where the process can see no further up than a cgroup that
//! is not the root, or where the tool that made the container left its mark.
//!
//! Invariant: usage and limit of a percentage are of the same cgroup. Everything is of the cgroup that the process was
//! in when its run began; limits are looked for then and read at every sample, since they may be changed.

mod cgroup;
mod cpu;
mod memory;
mod quota;

use std::path::Path;

use self::cgroup::Chain;
use self::cpu::Cpu;
use self::memory::Memory;
use super::pressure::Stalls;
use super::{Driver, MEGABYTE, Machine, Opened, Probe, ProbeError, Registry, Sink, absent, float, wanted};
use crate::metrics;
pub(super) use {cgroup::Cgroups, quota::Quota};

pub(super) const DRIVER: Driver = Driver::built_in("container", open);

struct Container {
    memory: Option<Memory>,
    cpu: Option<Cpu>,
    pressures: Vec<Stalls>,
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    wanted(registry, &metrics::CONTAINER_MEMORY)?;
    let cgroups = Cgroups::find(machine)?;
    let [memory, cpu, accounting, sets] =
        ["memory", "cpu", "cpuacct", "cpuset"].map(|controller| cgroups.chain(controller));
    let unified = cgroups.unified();
    let runtime = runtime(&cgroups, &machine.proc.join("self/root"));
    let walled = [&memory, &cpu, &unified].into_iter().flatten().any(|chain| chain.walled);

    let memory = memory.map(|chain| Memory::open(&chain)).transpose()?.flatten();
    let cpu = match (cpu, accounting) {
        (Some(quotas), Some(accounting)) => Cpu::open(machine, &quotas, &accounting, sets.as_ref())?,
        _ => None,
    };
    let memory_limit = memory.as_ref().and_then(|memory| memory.limit_bytes);
    let cpu_limit = cpu.as_ref().and_then(|cpu| cpu.limit);
    if runtime.is_none() && !walled && memory_limit.is_none() && cpu_limit.is_none() {
        return Err(absent("nothing limits the memory or the processors of this process's cgroup"));
    }

    if let Some(runtime) = runtime {
        registry.fact("container.runtime", runtime);
    }
    if let Some(bytes) = memory_limit {
        registry.fact("container.memory_limit_megabytes", float(bytes) / MEGABYTE);
    }
    if let Some(cores) = cpu_limit {
        registry.fact("container.cpu_limit_cores", cores);
    }
    Ok(Box::new(Container {
        memory: memory.map(|memory| memory.register(registry)),
        cpu: cpu.map(|cpu| cpu.register(registry)),
        pressures: unified.map(|chain| pressures(&chain, registry)).unwrap_or_default(),
    }))
}

impl Probe for Container {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let memory = self.memory.as_mut().map_or(Ok(()), |memory| memory.sample(sink));
        let cpu = self.cpu.as_mut().map_or(Ok(()), |cpu| cpu.sample(sink));
        let mut outcome = memory.and(cpu);
        for pressure in &mut self.pressures {
            outcome = outcome.and(pressure.sample(sink));
        }
        outcome
    }
}

/// What made the container, by the marks that it is documented to leave in the process's root directory.
fn runtime(cgroups: &Cgroups, root: &Path) -> Option<&'static str> {
    let has = |file: &str| root.join(file).exists();
    if cgroups.path_contains("kubepods") || has("var/run/secrets/kubernetes.io") {
        Some("kubernetes")
    } else if has("run/.containerenv") {
        Some("podman")
    } else if has(".dockerenv") {
        Some("docker")
    } else if has(".singularity.d") {
        Some("apptainer")
    } else {
        None
    }
}

/// Those that the kernel keeps: it may be built or started without.
fn pressures(chain: &Chain, registry: &mut Registry) -> Vec<Stalls> {
    let Some(own) = chain.levels.first() else { return Vec::new() };
    [
        ("cpu.pressure", &metrics::CONTAINER_CPU_PRESSURE),
        ("memory.pressure", &metrics::CONTAINER_MEMORY_PRESSURE),
        ("io.pressure", &metrics::CONTAINER_IO_PRESSURE),
    ]
    .into_iter()
    .filter_map(|(file, metric)| Stalls::open(own.path.join(file), registry, metric, None).ok())
    .collect()
}

#[cfg(test)]
mod tests;
