//! linfa-hierarchical: agglomerative clustering; what it makes is labels, not a model.

use linfa_hierarchical::{HierarchicalCluster, ValidHierarchicalCluster};

use crate::params::by_debug;

algorithms! {
    "HierarchicalCluster" {
        params by_debug: HierarchicalCluster<F>, ValidHierarchicalCluster<F>;
    }
}
