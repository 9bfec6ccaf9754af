//! Environments as launchers make them, wrong ones too.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// What `text`, `NAME=value` by `NAME=value`, says.
fn launch(text: &str) -> Launch {
    let vars: HashMap<_, _> = text.split_whitespace().map(|var| var.split_once('=').unwrap()).collect();
    Launch::from_vars(&|name| vars.get(name).map(OsString::from))
}

/// Rank and ranks, those on the node, node and nodes.
fn numbers(launch: &Launch) -> [Option<u32>; 6] {
    let Launch { rank, ranks, local_rank, local_ranks, node, nodes, .. } = launch;
    [*rank, *ranks, *local_rank, *local_ranks, *node, *nodes]
}

#[track_caller]
fn check(vars: &str, launcher: Launcher, expected: [Option<u32>; 6]) {
    let launch = launch(vars);
    assert_eq!(launch.launcher, Some(launcher), "{launch:?}");
    assert_eq!(numbers(&launch), expected, "{launch:?}");
    assert_eq!(launch.ignored, [""; 0]);
}

#[test]
fn a_process_by_itself_has_no_place() {
    for vars in ["", "NODE_RANK=1", "WORLD_SIZE=4", "SLURM_JOB_ID=7 SLURM_NNODES=2"] {
        assert_eq!(launch(vars), Launch::default(), "{vars}");
    }
}

#[test]
fn torchrun_tells_everything() {
    let vars = "RANK=5 WORLD_SIZE=8 LOCAL_RANK=1 LOCAL_WORLD_SIZE=4 GROUP_RANK=1 GROUP_WORLD_SIZE=2 \
                ROLE_RANK=5 ROLE_WORLD_SIZE=8";
    check(vars, Launcher::Torch, [5, 8, 1, 4, 1, 2].map(Some));
}

#[test]
fn a_node_that_torchrun_does_not_tell_follows_from_the_ranks() {
    let vars = "RANK=6 WORLD_SIZE=8 LOCAL_RANK=2 LOCAL_WORLD_SIZE=4";
    check(vars, Launcher::Torch, [6, 8, 2, 4, 1, 2].map(Some));
    let vars = "RANK=6 WORLD_SIZE=12 LOCAL_RANK=2 LOCAL_WORLD_SIZE=4 NODE_RANK=2";
    check(vars, Launcher::Torch, [6, 12, 2, 4, 2, 3].map(Some));
}

#[test]
fn deepspeed_calls_nodes_cross() {
    let vars = "RANK=2 WORLD_SIZE=4 LOCAL_RANK=0 LOCAL_SIZE=2 CROSS_RANK=1 CROSS_SIZE=2";
    check(vars, Launcher::Torch, [2, 4, 0, 2, 1, 2].map(Some));
}

#[test]
fn a_launcher_that_numbers_no_local_ranks_leaves_them_unknown() {
    check("RANK=1 WORLD_SIZE=2", Launcher::Torch, [Some(1), Some(2), None, None, None, None]);
    let vars = "LOCAL_RANK=1 NODE_RANK=0 WORLD_SIZE=4";
    check(vars, Launcher::Torch, [None, Some(4), Some(1), None, Some(0), None]);
}

#[test]
fn the_node_rank_of_open_mpi_is_no_node() {
    let vars = "OMPI_COMM_WORLD_RANK=5 OMPI_COMM_WORLD_SIZE=8 OMPI_COMM_WORLD_LOCAL_RANK=1 \
                OMPI_COMM_WORLD_LOCAL_SIZE=2 OMPI_COMM_WORLD_NODE_RANK=1";
    check(vars, Launcher::OpenMpi, [5, 8, 1, 2, 2, 4].map(Some));
}

#[test]
fn mpich_and_intel_mpi_name_the_ranks_on_the_node() {
    let vars = "PMI_RANK=3 PMI_SIZE=4 MPI_LOCALRANKID=1 MPI_LOCALNRANKS=2";
    check(vars, Launcher::Mpich, [3, 4, 1, 2, 1, 2].map(Some));
    check("PMI_RANK=3 PMI_SIZE=4", Launcher::Mpich, [Some(3), Some(4), None, None, None, None]);
}

#[test]
fn only_a_step_of_tasks_makes_ranks_of_slurms_processes() {
    let task = "SLURM_PROCID=3 SLURM_LOCALID=1 SLURM_NODEID=1 SLURM_STEP_NUM_TASKS=4 SLURM_STEP_NUM_NODES=2 \
                SLURM_NNODES=9 SLURM_NTASKS=9";
    check(
        &format!("{task} SLURM_STEP_ID=0"),
        Launcher::Slurm,
        [Some(3), Some(4), Some(1), None, Some(1), Some(2)],
    );
    assert_eq!(launch(task), Launch::default(), "the script of sbatch");
    // The shell of `salloc` where Slurm runs it in a step of its own, and the script of `sbatch`.
    for step in ["4294967290", "4294967291"] {
        assert_eq!(launch(&format!("{task} SLURM_STEP_ID={step}")), Launch::default());
    }
}

#[test]
fn the_innermost_launcher_counts() {
    let slurm = "SLURM_STEP_ID=0 SLURM_PROCID=1 SLURM_LOCALID=0 SLURM_NODEID=1 SLURM_STEP_NUM_NODES=2";
    let torch = "RANK=6 WORLD_SIZE=8 LOCAL_RANK=2 LOCAL_WORLD_SIZE=4 GROUP_RANK=1 GROUP_WORLD_SIZE=2";
    check(&format!("{slurm} {torch}"), Launcher::Torch, [6, 8, 2, 4, 1, 2].map(Some));
    let mpi = "OMPI_COMM_WORLD_RANK=3 OMPI_COMM_WORLD_LOCAL_RANK=1";
    check(&format!("{slurm} {mpi}"), Launcher::OpenMpi, [Some(3), None, Some(1), None, None, None]);
}

#[test]
fn what_the_innermost_leaves_out_comes_from_one_that_gives_the_same_rank() {
    // A script under `srun` that exports what torch needs.
    let slurm = "SLURM_STEP_ID=0 SLURM_PROCID=3 SLURM_LOCALID=1 SLURM_NODEID=1 SLURM_STEP_NUM_NODES=2 \
                 SLURM_STEP_NUM_TASKS=4";
    let known = [Some(3), Some(4), Some(1), None, Some(1), Some(2)];
    check(&format!("{slurm} RANK=3 LOCAL_RANK=1 WORLD_SIZE=4"), Launcher::Torch, known);
    check(&format!("{slurm} PMI_RANK=3 PMI_SIZE=4"), Launcher::Mpich, known);
    check(
        &format!("{slurm} RANK=3 LOCAL_RANK=0"),
        Launcher::Torch,
        [Some(3), None, Some(0), None, None, None],
    );
    let other = [Some(3), Some(8), None, None, None, None];
    check(&format!("{slurm} RANK=3 WORLD_SIZE=8"), Launcher::Torch, other);
}

#[test]
fn contradictions_are_dropped_and_told() {
    for (vars, expected, told) in [
        (
            "RANK=4 WORLD_SIZE=4",
            [None, Some(4), None, None, None, None],
            "not below the number of ranks: 4 and 4",
        ),
        (
            "RANK=9 WORLD_SIZE=8 LOCAL_RANK=1 LOCAL_WORLD_SIZE=4",
            [None, Some(8), Some(1), Some(4), None, Some(2)],
            "not below the number of ranks: 9 and 8",
        ),
        ("RANK=1 LOCAL_RANK=2", [Some(1), None, None, None, None, None], "above the rank: 2 and 1"),
        (
            "RANK=5 LOCAL_RANK=2 LOCAL_WORLD_SIZE=2",
            [Some(5), None, Some(2), None, None, None],
            "not below the number on its node: 2 and 2",
        ),
        (
            "RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=4",
            [Some(0), Some(2), Some(0), None, None, None],
            "more ranks are on this node than there are: 4 and 2",
        ),
        (
            "RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2 GROUP_RANK=2 GROUP_WORLD_SIZE=2",
            [1, 2, 1, 2, 0, 1].map(Some),
            "not below the number of nodes: 2 and 2",
        ),
        // `mpirun -np 5 -ppn 3`, on its second node.
        (
            "PMI_RANK=4 PMI_SIZE=5 MPI_LOCALRANKID=1 MPI_LOCALNRANKS=2",
            [Some(4), Some(5), Some(1), Some(2), None, None],
            "3 ranks come before it, and it has 2",
        ),
        ("RANK=0 LOCAL_RANK=0 LOCAL_WORLD_SIZE=0", [Some(0), None, Some(0), None, None, None], "0 and 0"),
    ] {
        let launch = launch(vars);
        assert_eq!(numbers(&launch), expected, "{launch:?}");
        assert!(matches!(&launch.ignored[..], [reason] if reason.contains(told)), "{launch:?}");
    }
}

#[test]
fn what_is_no_number_is_ignored_and_told() {
    let launch = launch("RANK=admin LOCAL_RANK=-1 WORLD_SIZE=4 PMI_RANK=99999999999");
    assert_eq!(launch.launcher, None);
    assert_eq!(numbers(&launch), [None; 6]);
    assert_eq!(launch.ignored.len(), 3, "{launch:?}");
    assert!(launch.ignored[0].contains("RANK") && launch.ignored[0].contains("admin"), "{launch:?}");
}

#[test]
fn a_job_spans_nodes_only_if_that_is_certain() {
    for vars in [
        "RANK=0 LOCAL_RANK=0 GROUP_RANK=0 GROUP_WORLD_SIZE=2",
        "RANK=4 LOCAL_RANK=0 NODE_RANK=1",
        "PMI_RANK=4 PMI_SIZE=5 MPI_LOCALRANKID=1 MPI_LOCALNRANKS=2",
    ] {
        assert!(launch(vars).spans_nodes(), "{vars}");
    }
    for vars in ["", "RANK=3 WORLD_SIZE=4", "RANK=0 LOCAL_RANK=0 WORLD_SIZE=2 LOCAL_WORLD_SIZE=2"] {
        assert!(!launch(vars).spans_nodes(), "{vars}");
    }
}

proptest! {
    #[test]
    fn whatever_the_environment_says_the_numbers_agree(values in proptest::collection::vec("[0-9]{0,2}|[a-z]|4294967295", 8)) {
        let names = ["RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "PMI_RANK", "PMI_SIZE"];
        let vars: HashMap<_, _> = names.into_iter().zip(values).collect();
        let launch = Launch::from_vars(&|name| vars.get(name).map(OsString::from));
        let below = |low: Option<u32>, high: Option<u32>| low.zip(high).is_none_or(|(low, high)| low < high);
        prop_assert!(below(launch.rank, launch.ranks), "{launch:?}");
        prop_assert!(below(launch.local_rank, launch.local_ranks), "{launch:?}");
        prop_assert!(below(launch.node, launch.nodes), "{launch:?}");
        prop_assert!(launch.local_rank.zip(launch.rank).is_none_or(|(local, rank)| local <= rank), "{launch:?}");
    }
}
