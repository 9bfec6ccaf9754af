//! linfa-hierarchical: agglomerative clustering; what it makes is labels, not a model.

use linfa::DatasetBase;
use linfa_hierarchical::{HierarchicalCluster, HierarchicalError, ValidHierarchicalCluster};
use linfa_kernel::Kernel;

use crate::params::by_debug;

type Clusters<F> = Result<DatasetBase<Kernel<F>, Vec<usize>>, HierarchicalError<F>>;

algorithms! {
    "HierarchicalCluster" transforms {
        params by_debug: HierarchicalCluster<F>, ValidHierarchicalCluster<F>;
        gives Clusters<F>;
    }
}
