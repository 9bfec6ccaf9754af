//! The weights of an optimizer's model: their names, and the files that hold and describe them.
//!
//! Nothing here touches a device, except for writing the values.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use candle_core::{Tensor, TensorId};
use runlog_core::terminal::{grouped, headed_table};
use runlog_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use crate::maps::with_vars;

/// Every variable of the maps of one optimizer, by name: the trained ones and the others.
pub(crate) struct Weights {
    named: BTreeMap<String, Tensor>,
    trained: HashSet<TensorId>,
}

impl Weights {
    /// What is in `maps` now; `trained` are the variables of the optimizer.
    pub(crate) fn of(maps: &[candle_nn::VarMap], trained: &HashSet<TensorId>) -> Result<Self> {
        let mut named = BTreeMap::new();
        for map in maps {
            let all = with_vars(map, |vars| {
                vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect::<Vec<_>>()
            });
            let all = all.ok_or_else(|| {
                Error::new(
                    ErrorKind::Unavailable,
                    "the VarMap is locked; let go of what `data().lock()` gave before the optimizer is dropped",
                )
            })?;
            for (name, tensor) in all {
                if named.get(&name).is_some_and(|other: &Tensor| other.id() != tensor.id()) {
                    return Err(Error::invalid(
                        "two VarMaps of one optimizer have a variable of the same name; give one of them a prefix",
                    )
                    .with("name", name));
                }
                named.insert(name, tensor);
            }
        }
        Ok(Self { named, trained: trained.clone() })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// Numbers in all variables, and in those that the optimizer trains.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let count = |tensors: &mut dyn Iterator<Item = &Tensor>| tensors.map(Tensor::elem_count).sum();
        let mut trained = self.named.values().filter(|tensor| self.is_trained(tensor));
        (count(&mut self.named.values()), count(&mut trained))
    }

    fn is_trained(&self, tensor: &Tensor) -> bool {
        tensor.dtype().is_float() && self.trained.contains(&tensor.id())
    }

    fn bytes(&self) -> usize {
        self.named.values().map(|tensor| tensor.elem_count() * tensor.dtype().size_in_bytes()).sum()
    }

    /// The same values, whatever becomes of the variables.
    pub(crate) fn copied(&self) -> Result<Self> {
        let copy = |(name, tensor): (&String, &Tensor)| Ok((name.clone(), tensor.detach().copy()?));
        let named = self.named.iter().map(copy).collect::<candle_core::Result<_>>();
        let named = named.map_err(|cause| {
            Error::new(ErrorKind::Unexpected, "the weights cannot be copied").because(cause)
        })?;
        Ok(Self { named, trained: HashSet::new() })
    }

    /// The file that `VarMap::save` writes, byte for byte.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        safetensors::serialize_to_file(&self.named, None, file).map_err(|cause| {
            Error::new(ErrorKind::Unexpected, "the weights cannot be written")
                .with("path", file.display())
                .because(cause)
        })
    }

    /// Names, shapes and types, for programs.
    pub(crate) fn architecture(&self) -> Value {
        let tensor = |(name, tensor): (&String, &Tensor)| {
            json!({
                "name": name,
                "shape": tensor.dims(),
                "dtype": tensor.dtype().as_str(),
                "params": tensor.elem_count(),
                "trainable": self.is_trained(tensor),
            })
        };
        let (all, trained) = self.counts();
        json!({
            "tensors": self.named.iter().map(tensor).collect::<Vec<_>>(),
            "total_params": all,
            "trainable_params": trained,
            "total_bytes": self.bytes(),
        })
    }

    /// The same for people, as MLflow's other frameworks have it in `model_summary.txt`.
    pub(crate) fn summary(&self) -> String {
        let head = ["Name", "Shape", "Type", "Params"].map(str::to_owned).to_vec();
        let rows = self.named.iter().map(|(name, tensor)| {
            let count = grouped(tensor.elem_count());
            let count = if self.is_trained(tensor) { count } else { format!("{count} (not trained)") };
            vec![name.clone(), format!("{:?}", tensor.dims()), tensor.dtype().as_str().to_owned(), count]
        });
        let table = headed_table(std::iter::once(head).chain(rows).collect(), &[]);
        let (all, trained) = self.counts();
        let [trained, fixed, all, bytes] = [trained, all - trained, all, self.bytes()].map(grouped);
        format!(
            "{table}\nTrainable params: {trained}\nNon-trainable params: {fixed}\nTotal params: {all}\n\
             Size: {bytes} bytes\n"
        )
    }
}
