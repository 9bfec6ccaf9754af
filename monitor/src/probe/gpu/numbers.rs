//! The number that each GPU of a machine has in its metrics, whoever made it and whichever probe reads it.
//!
//! Invariant: numbers depend on the hardware alone, not on which probes are built in or which drivers were loaded first.
//!
//! NVIDIA's come first, as NVML has them (its order is that of the PCI addresses too), so that they are MLflow's. Other
//! cards follow, by PCI address, and after all of them the parts that NVIDIA's are divided into (MIG). A GPU inside a processor has a number, and is read, only on a machine without any card:
//! beside one it would shift numbers and shorten what MLflow's UI can compare, and nobody trains on it.

/// What a GPU is, as far as its number depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::probe) enum Rank {
    Nvidia,
    Card,
    Integrated,
}

/// The GPUs that have a number, in its order, which begins at 0.
pub(in crate::probe) fn numbered<Address: Ord, Gpu>(
    mut found: Vec<(Rank, Address, Gpu)>,
) -> impl Iterator<Item = (u32, Rank, Gpu)> {
    if found.iter().any(|(rank, ..)| *rank != Rank::Integrated) {
        found.retain(|(rank, ..)| *rank != Rank::Integrated);
    }
    found.sort_by(|(rank, address, _), (other_rank, other, _)| (rank, address).cmp(&(other_rank, other)));
    (0..).zip(found).map(|(number, (rank, _, gpu))| (number, rank, gpu))
}

#[cfg(test)]
mod tests {
    use super::Rank::{Card, Integrated, Nvidia};
    use super::*;

    fn check(found: &[(Rank, u8)], expected: &[(u32, u8)]) {
        let found = found.iter().map(|(rank, address)| (*rank, *address, *address)).collect();
        let numbers: Vec<_> = numbered(found).map(|(number, _, gpu)| (number, gpu)).collect();
        assert_eq!(numbers, expected);
    }

    #[test]
    fn nvidias_first_then_other_cards_each_by_address() {
        check(&[(Card, 9), (Nvidia, 8), (Card, 1), (Nvidia, 7)], &[(0, 7), (1, 8), (2, 1), (3, 9)]);
    }

    #[test]
    fn a_gpu_inside_a_processor_counts_only_where_there_is_no_card() {
        check(&[(Integrated, 2), (Integrated, 1)], &[(0, 1), (1, 2)]);
        check(&[(Integrated, 1), (Nvidia, 2)], &[(0, 2)]);
        check(&[(Card, 2), (Integrated, 1)], &[(0, 2)]);
        check(&[], &[]);
    }
}
