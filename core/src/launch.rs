//! The place of this process in a job of many, as its launcher tells in the environment.
//!
//! | launcher | rank, ranks | on this node | node, nodes |
//! |---|---|---|---|
//! | torchrun, accelerate, deepspeed | `RANK`, `WORLD_SIZE` | `LOCAL_RANK`, `LOCAL_WORLD_SIZE` or `LOCAL_SIZE` | `GROUP_RANK`, `NODE_RANK` or `CROSS_RANK`; `GROUP_WORLD_SIZE` or `CROSS_SIZE` |
//! | Open MPI | `OMPI_COMM_WORLD_RANK`, `…_SIZE` | `…_LOCAL_RANK`, `…_LOCAL_SIZE` | from the ranks: `OMPI_COMM_WORLD_NODE_RANK` is no node |
//! | MPICH, Intel MPI | `PMI_RANK`, `PMI_SIZE` | `MPI_LOCALRANKID`, `MPI_LOCALNRANKS` | from the ranks |
//! | Slurm | `SLURM_PROCID`, `SLURM_STEP_NUM_TASKS` | `SLURM_LOCALID` | `SLURM_NODEID`, `SLURM_STEP_NUM_NODES` |
//!
//! Sources: torch's `elastic/agent/server/local_elastic_agent.py`, deepspeed's `launcher/launch.py`, `mpirun(1)` of Open
//! MPI, Hydra's documentation, `srun(1)` and `slurm.h`.
//!
//! Invariant: what a launcher does not tell, or tells wrongly, is unknown; nothing here is an error, since these
//! variables are not the user's, and a training is not stopped for them.

use std::ffi::OsString;

/// Slurm's step ids from here on name no step of tasks: a shell of `sbatch` or `salloc`, which has rank 0 and is none
/// (`SLURM_MAX_NORMAL_STEP_ID` in `slurm.h`).
const SLURM_NO_TASKS: u32 = 0xffff_fff0;

/// What started this process as one of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Launcher {
    /// torchrun, and what names its variables so: accelerate, deepspeed, Lightning.
    Torch,
    /// Open MPI's `mpirun`.
    OpenMpi,
    /// The `mpiexec` of MPICH and Intel MPI.
    Mpich,
    /// A step of Slurm: `srun`.
    Slurm,
}

impl Launcher {
    /// `torchrun`, `Open MPI`, `MPICH` or `Slurm`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Torch => "torchrun",
            Self::OpenMpi => "Open MPI",
            Self::Mpich => "MPICH",
            Self::Slurm => "Slurm",
        }
    }
}

/// The place of this process in a job of many; each part only where it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Launch {
    /// Who says so; `None` for a process by itself.
    pub launcher: Option<Launcher>,
    /// This process among all of the job, from 0.
    pub rank: Option<u32>,
    /// How many processes the job has.
    pub ranks: Option<u32>,
    /// This process among those on its node, from 0.
    pub local_rank: Option<u32>,
    /// How many processes its node has.
    pub local_ranks: Option<u32>,
    /// Its node, from 0.
    pub node: Option<u32>,
    /// How many nodes the job has.
    pub nodes: Option<u32>,
    /// What is in the environment and was not believed, with the reason.
    pub ignored: Vec<String>,
}

impl Launch {
    /// Whether the job is certainly on more than one node.
    pub fn spans_nodes(&self) -> bool {
        let more = |all: Option<u32>, here: Option<u32>| all.zip(here).is_some_and(|(all, here)| all > here);
        more(self.nodes, Some(1)) || more(self.node, Some(0)) || more(self.ranks, self.local_ranks)
    }

    /// Reads the variables that `get` knows.
    ///
    /// The innermost launcher counts, as torchrun within a step of Slurm. What it does not tell is taken from the other
    /// ones if they give the process the same rank.
    pub(crate) fn from_vars(get: &impl Fn(&str) -> Option<OsString>) -> Self {
        let mut ignored = Vec::new();
        let mut told = FAMILIES.iter().filter_map(|family| family.read(get, &mut ignored));
        let mut launch = told.next().unwrap_or_default();
        for other in told {
            launch.complete(&other);
        }
        launch.ignored = ignored;
        launch.doubt();
        launch.number_node();
        launch
    }

    /// Takes what is missing from what another launcher says of the same process.
    fn complete(&mut self, other: &Self) {
        let differ = |a: Option<u32>, b: Option<u32>| a.zip(b).is_some_and(|(a, b)| a != b);
        let contradicts = differ(self.local_rank, other.local_rank) || differ(self.ranks, other.ranks);
        if self.rank.is_none() || self.rank != other.rank || contradicts {
            return;
        }
        self.ranks = self.ranks.or(other.ranks);
        self.local_rank = self.local_rank.or(other.local_rank);
        self.local_ranks = self.local_ranks.or(other.local_ranks);
        if self.node.is_none() && self.nodes.is_none() {
            (self.node, self.nodes) = (other.node, other.nodes);
        }
    }

    /// Drops what cannot be true together, and counts the nodes where the launcher does not.
    fn doubt(&mut self) {
        let Self { rank, ranks, local_rank, local_ranks, node, nodes, ignored, .. } = self;
        let mut doubt = |what: &str, low: Option<u32>, high: Option<u32>, may_be_same: bool| {
            let wrong = low.zip(high).is_some_and(|(low, high)| low > high || (low == high && !may_be_same));
            if wrong {
                let [low, high] = [low, high].map(Option::unwrap_or_default);
                ignored.push(format!("{what}: {low} and {high}"));
            }
            wrong
        };
        if doubt("the rank is not below the number of ranks", *rank, *ranks, false) {
            // There is no such rank, and nothing may follow from it.
            *rank = None;
        }
        if doubt("the local rank is above the rank", *local_rank, *rank, true) {
            // Which one is wrong? A process too many that samples is noticed, one too few is not.
            *local_rank = None;
        }
        if doubt("the local rank is not below the number on its node", *local_rank, *local_ranks, false)
            || doubt("more ranks are on this node than there are", *local_ranks, *ranks, true)
        {
            *local_ranks = None;
        }
        // As many on each node is every launcher's default.
        let by_ranks = ranks.zip(*local_ranks).filter(|(all, here)| all.checked_rem(*here) == Some(0));
        let by_ranks = by_ranks.map(|(all, here)| all / here);
        *nodes = nodes.or(by_ranks);
        if doubt("the node's number is not below the number of nodes", *node, *nodes, false) {
            (*node, *nodes) = (None, by_ranks);
        }
    }

    /// Numbers the node by the ranks on it, where the launcher does not.
    fn number_node(&mut self) {
        if self.node.is_some() {
            return;
        }
        if self.nodes == Some(1) {
            self.node = Some(0);
        } else if let (Some(rank), Some(local_rank), Some(local_ranks)) =
            (self.rank, self.local_rank, self.local_ranks)
        {
            // One node after another is filled.
            let before = rank - local_rank;
            let number = before.checked_div(local_ranks).filter(|number| number * local_ranks == before);
            self.node = number.filter(|number| self.nodes.is_none_or(|nodes| *number < nodes));
            if self.node.is_none() {
                self.ignored.push(format!(
                    "the node has no number: {before} ranks come before it, and it has {local_ranks}"
                ));
            }
        }
    }
}

/// The variables of one launcher; where several are named, the first that is a number counts.
struct Family {
    launcher: Launcher,
    rank: &'static str,
    ranks: &'static [&'static str],
    local_rank: &'static str,
    local_ranks: &'static [&'static str],
    node: &'static [&'static str],
    nodes: &'static [&'static str],
}

/// The innermost first.
const FAMILIES: &[Family] = &[
    Family {
        launcher: Launcher::Torch,
        rank: "RANK",
        ranks: &["WORLD_SIZE"],
        local_rank: "LOCAL_RANK",
        local_ranks: &["LOCAL_WORLD_SIZE", "LOCAL_SIZE"],
        node: &["GROUP_RANK", "NODE_RANK", "CROSS_RANK"],
        nodes: &["GROUP_WORLD_SIZE", "CROSS_SIZE"],
    },
    Family {
        launcher: Launcher::OpenMpi,
        rank: "OMPI_COMM_WORLD_RANK",
        ranks: &["OMPI_COMM_WORLD_SIZE"],
        local_rank: "OMPI_COMM_WORLD_LOCAL_RANK",
        local_ranks: &["OMPI_COMM_WORLD_LOCAL_SIZE"],
        node: &[],
        nodes: &[],
    },
    Family {
        launcher: Launcher::Mpich,
        rank: "PMI_RANK",
        ranks: &["PMI_SIZE"],
        local_rank: "MPI_LOCALRANKID",
        local_ranks: &["MPI_LOCALNRANKS"],
        node: &[],
        nodes: &[],
    },
    Family {
        launcher: Launcher::Slurm,
        rank: "SLURM_PROCID",
        ranks: &["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"],
        local_rank: "SLURM_LOCALID",
        local_ranks: &[],
        node: &["SLURM_NODEID"],
        nodes: &["SLURM_STEP_NUM_NODES", "SLURM_NNODES"],
    },
];

impl Family {
    /// What this launcher says, if the process is a rank of its.
    fn read(&self, get: &impl Fn(&str) -> Option<OsString>, ignored: &mut Vec<String>) -> Option<Launch> {
        let mut number = |name: &str| {
            let text = get(name)?.to_string_lossy().trim().to_owned();
            let number = text.parse().ok();
            if number.is_none() && !text.is_empty() {
                ignored.push(format!("{name} is not a whole number: {text:.40?}"));
            }
            number
        };
        if self.launcher == Launcher::Slurm && number("SLURM_STEP_ID").is_none_or(|id| id >= SLURM_NO_TASKS) {
            return None;
        }
        let (rank, local_rank) = (number(self.rank), number(self.local_rank));
        if rank.is_none() && local_rank.is_none() {
            return None;
        }
        let mut first = |names: &[&str]| names.iter().find_map(|name| number(name));
        Some(Launch {
            launcher: Some(self.launcher),
            rank,
            ranks: first(self.ranks),
            local_rank,
            local_ranks: first(self.local_ranks),
            node: first(self.node),
            nodes: first(self.nodes),
            ignored: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests;
