//! linfa-clustering: k-means, Gaussian mixtures, and what clusters by density.

use linfa::DatasetBase;
use linfa_clustering::{
    DbscanParams, DbscanParamsError, DbscanValidParams, GaussianMixtureModel, GmmParams, GmmValidParams,
    KMeans, KMeansParams, KMeansValidParams, OpticsAnalysis, OpticsError, OpticsParams, OpticsValidParams,
};
use linfa_nn::distance::L2Dist;
use ndarray::{Array1, Array2, ArrayView2};

use crate::forms::Own;
use crate::params::by_debug;

/// The k-means of scikit-learn; by another distance there is no inertia.
type Euclidean<F> = KMeans<F, L2Dist>;

type Clusters = Result<Array1<Option<usize>>, DbscanParamsError>;
type WithClusters<F> = Result<DatasetBase<Array2<F>, Array1<Option<usize>>>, DbscanParamsError>;
type Order<F> = Result<OpticsAnalysis<F>, OpticsError>;

fn centroids<F: linfa::Float>(model: &Euclidean<F>) -> ArrayView2<'_, F> {
    model.centroids().view()
}

algorithms! {
    "KMeans" fits {
        params by_debug: KMeansParams<F, R, D>, KMeansValidParams<F, R, D>;
        model (around centroids), saved Own: Euclidean<F>;
        model clusterer, saved Own: KMeans<F, O>;
    }
    "GaussianMixtureModel" fits {
        params by_debug: GmmParams<F, R>, GmmValidParams<F, R>;
        model clusterer, saved Own: GaussianMixtureModel<F>;
    }
    "Dbscan" transforms {
        params by_debug: DbscanParams<F, D, N>, DbscanValidParams<F, D, N>;
        gives Clusters<>, WithClusters<F>;
    }
    "Optics" transforms {
        params by_debug: OpticsParams<F, D, N>, OpticsValidParams<F, D, N>;
        model outcome, saved Own: OpticsAnalysis<F>;
        gives Order<F>;
    }
}
