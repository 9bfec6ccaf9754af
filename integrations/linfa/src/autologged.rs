//! What `.autolog()` makes of an estimator: linfa's own traits, recorded, for code that is generic over them.

use std::error::Error as StdError;
use std::ops::{Deref, DerefMut};

use linfa::dataset::{DatasetBase, Records};
use linfa::traits::{Fit, FitWith, Transformer};

use crate::{engine, incremental, transform};

/// An estimator that is recorded by whoever fits it, through linfa's own traits.
///
/// [`Autolog::autolog`] makes one. It is the estimator in everything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Autologged<P>(pub(crate) P);

/// `.autolog()`, for estimators that go into generic code.
///
/// ```
/// use linfa::prelude::*;
/// use linfa_linear::LinearRegression;
/// use runlog_linfa::Autolog;
///
/// // It knows linfa's traits alone.
/// fn train<P: Fit<Array2<f64>, Array1<f64>, linfa_linear::LinearError<f64>>>(params: &P) -> P::Object {
///     params.fit(&linfa_datasets::diabetes()).unwrap()
/// }
/// # use ndarray::{Array1, Array2};
/// # runlog_linfa::autolog();
/// # runlog_core::fluent::set_tracking_uri("memory:").unwrap();
/// let model = train(&LinearRegression::new().autolog());
/// # assert_eq!(model.params().len(), 10);
/// ```
pub trait Autolog: Sized {
    /// The same, recorded.
    fn autolog(self) -> Autologged<Self>;
}

impl<P> Autolog for P {
    fn autolog(self) -> Autologged<Self> {
        Autologged(self)
    }
}

/// Whether fits of a `P` are recorded by itself, so that nothing around it has to.
pub(crate) fn is_autologged<P>() -> bool {
    let before_types = |name: &'static str| name.split('<').next();
    before_types(std::any::type_name::<P>()) == before_types(std::any::type_name::<Autologged<()>>())
}

impl<P> Autologged<P> {
    /// The estimator as it was.
    pub fn into_inner(self) -> P {
        self.0
    }
}

impl<P> Deref for Autologged<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.0
    }
}

impl<P> DerefMut for Autologged<P> {
    fn deref_mut(&mut self) -> &mut P {
        &mut self.0
    }
}

impl<P, R, T, E> Fit<R, T, E> for Autologged<P>
where
    P: Fit<R, T, E>,
    R: Records,
    E: StdError + From<linfa::Error>,
{
    type Object = P::Object;

    #[track_caller]
    fn fit(&self, dataset: &DatasetBase<R, T>) -> Result<Self::Object, E> {
        if_on!(engine::fit(&self.0, dataset), else self.0.fit(dataset))
    }
}

impl<'a, P, R, T, E> FitWith<'a, R, T, E> for Autologged<P>
where
    P: FitWith<'a, R, T, E>,
    R: Records,
    E: StdError + From<linfa::Error>,
{
    type ObjectIn = P::ObjectIn;
    type ObjectOut = P::ObjectOut;

    #[track_caller]
    fn fit_with(&self, model: Self::ObjectIn, dataset: &'a DatasetBase<R, T>) -> Result<Self::ObjectOut, E> {
        if_on!(incremental::fit_with(&self.0, model, dataset), else self.0.fit_with(model, dataset))
    }
}

impl<P, R, T> Transformer<R, T> for Autologged<P>
where
    P: Transformer<R, T>,
    R: Records,
{
    #[track_caller]
    fn transform(&self, records: R) -> T {
        if_on!(transform::transform(&self.0, records), else self.0.transform(records))
    }
}
