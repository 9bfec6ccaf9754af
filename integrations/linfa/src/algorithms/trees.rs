//! linfa-trees: decision trees.

use linfa_trees::{DecisionTree, DecisionTreeParams, DecisionTreeValidParams};

use crate::forms::Own;
use crate::params::by_serialize;

algorithms! {
    "DecisionTree" fits {
        params by_serialize: DecisionTreeParams<F, L>, DecisionTreeValidParams<F, L>;
        model classifier, saved Own: DecisionTree<F, L>;
    }
}
