//! linfa-ensemble: bagged and boosted decision trees. Ensembles of other models are known by name.

use linfa_ensemble::{
    AdaBoost, AdaBoostParams, AdaBoostValidParams, EnsembleLearner, EnsembleLearnerValidParams,
};
use linfa_ensemble::{RandomForest, RandomForestParams};
use linfa_trees::{DecisionTree, DecisionTreeParams};
use runlog_core::Result;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::forms::{Read, Write, from_msgpack, to_msgpack};
use crate::params::by_debug;

type ForestValidParams<F, L, R> = EnsembleLearnerValidParams<DecisionTreeParams<F, L>, R>;
/// linfa boosts numbered classes only.
type Boosted<F, I> = AdaBoost<DecisionTree<F, I>, I>;
type BoostedParams<F, I, R> = AdaBoostParams<DecisionTreeParams<F, I>, R>;
type BoostedValidParams<F, I, R> = AdaBoostValidParams<DecisionTreeParams<F, I>, R>;

algorithms! {
    "RandomForest" fits {
        params by_debug: RandomForestParams<F, K, R>, ForestValidParams<F, K, R>;
        model ensemble, saved Fields: RandomForest<F, K>;
    }
    "AdaBoost" fits {
        params by_debug: BoostedParams<F, I, R>, BoostedValidParams<F, I, R>;
        model ensemble, saved Fields: Boosted<F, I>;
    }
}

/// By their fields, which are public: linfa-ensemble has no `Serialize`.
struct Fields;

#[derive(Serialize, Deserialize)]
#[serde(remote = "EnsembleLearner")]
struct EnsembleFields<M> {
    models: Vec<M>,
    model_features: Vec<Vec<usize>>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "AdaBoost")]
struct AdaBoostFields<M, L> {
    models: Vec<M>,
    model_weights: Vec<f64>,
    classes: Vec<L>,
}

impl<M: Serialize> Write<EnsembleLearner<M>> for Fields {
    fn write(model: &EnsembleLearner<M>) -> Result<Vec<u8>> {
        #[derive(Serialize)]
        #[serde(transparent, bound = "M: Serialize")]
        struct Shown<'m, M>(#[serde(with = "EnsembleFields")] &'m EnsembleLearner<M>);
        to_msgpack(&Shown(model))
    }
}

impl<M: DeserializeOwned> Read<EnsembleLearner<M>> for Fields {
    fn read(bytes: &[u8]) -> Result<EnsembleLearner<M>> {
        #[derive(Deserialize)]
        #[serde(transparent, bound = "M: DeserializeOwned")]
        struct Kept<M>(#[serde(with = "EnsembleFields")] EnsembleLearner<M>);
        from_msgpack(bytes).map(|Kept(model)| model)
    }
}

impl<M: Serialize, L: Serialize> Write<AdaBoost<M, L>> for Fields {
    fn write(model: &AdaBoost<M, L>) -> Result<Vec<u8>> {
        #[derive(Serialize)]
        #[serde(transparent, bound = "M: Serialize, L: Serialize")]
        struct Shown<'m, M, L>(#[serde(with = "AdaBoostFields")] &'m AdaBoost<M, L>);
        to_msgpack(&Shown(model))
    }
}

impl<M: DeserializeOwned, L: DeserializeOwned> Read<AdaBoost<M, L>> for Fields {
    fn read(bytes: &[u8]) -> Result<AdaBoost<M, L>> {
        #[derive(Deserialize)]
        #[serde(transparent, bound = "M: DeserializeOwned, L: DeserializeOwned")]
        struct Kept<M, L>(#[serde(with = "AdaBoostFields")] AdaBoost<M, L>);
        from_msgpack(bytes).map(|Kept(model)| model)
    }
}
