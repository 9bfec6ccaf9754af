//! linfa-reduction: fewer dimensions.

use linfa::traits::Transformer;
use linfa::{Float, ParamGuard};
use linfa_reduction::random_projection::{
    GaussianRandomProjection, GaussianRandomProjectionParams, GaussianRandomProjectionValidParams,
    SparseRandomProjection, SparseRandomProjectionParams, SparseRandomProjectionValidParams,
};
use linfa_reduction::{
    DiffusionMap, DiffusionMapParams, DiffusionMapValidParams, Pca, PcaParams, ReductionError,
};
use ndarray::Array2;
use rand::Rng;
use runlog_core::Result;
use runlog_core::flatten::flatten;
use serde::Serialize;

use crate::forms::Own;
use crate::params::{Pairs, by_debug, by_serialize};

/// linfa fits it in double precision only.
type Components = Pca<f64>;
type Map<F> = std::result::Result<DiffusionMap<F>, ReductionError>;

algorithms! {
    "Pca" fits {
        params by_serialize: PcaParams<>;
        model (transformer components), saved Own: Components<>;
    }
    "DiffusionMap" transforms {
        params by_debug: DiffusionMapParams<>, DiffusionMapValidParams<>;
        model outcome, unsaved "it embeds the samples it was made of, and no others": DiffusionMap<F>;
        gives Map<F>;
    }
    "GaussianRandomProjection" fits {
        params gaussian: GaussianRandomProjectionParams<R>;
        params gaussian_checked: GaussianRandomProjectionValidParams<R>;
        model (transformer columns), unsaved "linfa-reduction gives its matrix to nobody": GaussianRandomProjection<F>;
    }
    "SparseRandomProjection" fits {
        params sparse: SparseRandomProjectionParams<R>;
        params sparse_checked: SparseRandomProjectionValidParams<R>;
        model (transformer columns), unsaved "linfa-reduction gives its matrix to nobody": SparseRandomProjection<F>;
    }
}

fn components(model: &Components, _features: usize) -> usize {
    model.components().nrows()
}

/// As many as come out of no samples.
fn columns<F: Float, M>(model: &M, features: usize) -> usize
where
    M: for<'r> Transformer<&'r Array2<F>, Array2<F>>,
{
    model.transform(&Array2::zeros((0, features))).ncols()
}

/// The readers for one method of projection: their common type is private.
macro_rules! readers {
    ($unchecked:ident($params:ident), $checked:ident($valid:ident)) => {
        fn $unchecked<R: Rng + Clone>(params: &$params<R>) -> Result<Pairs> {
            // Settings that linfa refuses are told by nobody.
            params.check_ref().map_or_else(|_| Ok(Pairs::new()), $checked)
        }

        fn $checked<R: Rng + Clone>(params: &$valid<R>) -> Result<Pairs> {
            flatten(&Dimensions { target_dim: params.target_dim(), eps: params.eps() })
        }
    };
}

/// How many dimensions are kept: so many, or as many as keep distances up to this part.
#[derive(Serialize)]
struct Dimensions {
    target_dim: Option<usize>,
    eps: Option<f64>,
}

readers!(gaussian(GaussianRandomProjectionParams), gaussian_checked(GaussianRandomProjectionValidParams));
readers!(sparse(SparseRandomProjectionParams), sparse_checked(SparseRandomProjectionValidParams));
