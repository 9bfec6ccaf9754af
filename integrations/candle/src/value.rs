//! The value of a loss: read at once where that costs nothing, kept for another thread to read where it would make the
//! training wait for its device.

use candle_core::{CpuStorage, DType, Device, Storage, Tensor};

/// A loss, read or to be read.
#[derive(Debug)]
pub(crate) enum Value {
    Known(f64),
    /// Without the graph that it was computed by.
    Unread(Tensor),
}

impl Value {
    /// Never waits for a device: what is not a single number in main memory stays unread.
    pub(crate) fn of(loss: &Tensor) -> Self {
        if let Some(value) = number_in_memory(loss) {
            return Self::Known(value);
        }
        // A variable shares its storage with whoever changes it next.
        let kept = if loss.is_variable() { loss.copy().ok() } else { None };
        Self::Unread(kept.unwrap_or_else(|| loss.clone()).detach())
    }
}

/// Waits for the device. A loss of several elements counts as their sum, which is what `backward` differentiates.
pub(crate) fn read(loss: &Tensor) -> candle_core::Result<f64> {
    loss.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.sum_all()?.to_scalar()
}

fn number_in_memory(loss: &Tensor) -> Option<f64> {
    if loss.elem_count() != 1 {
        return None;
    }
    let (storage, layout) = loss.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { return None };
    let place = layout.start_offset();
    match storage {
        CpuStorage::F32(values) => values.get(place).map(|value| f64::from(*value)),
        CpuStorage::F64(values) => values.get(place).copied(),
        CpuStorage::BF16(values) => values.get(place).map(|value| value.to_f64()),
        CpuStorage::F16(values) => values.get(place).map(|value| value.to_f64()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_in_memory_is_read_at_once_whatever_its_type_and_place() {
        for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16] {
            let values = Tensor::new(&[0.0_f64, 1.5], &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            let Value::Known(value) = Value::of(&values.get(1).unwrap()) else { panic!("{dtype:?}") };
            assert_eq!(value.to_bits(), 1.5_f64.to_bits());
        }
    }

    #[test]
    fn several_numbers_are_left_for_later_and_count_as_their_sum() {
        let values = Tensor::new(&[0.25_f32, 1.5], &Device::Cpu).unwrap();
        let Value::Unread(kept) = Value::of(&values) else { panic!() };
        assert_eq!(read(&kept).unwrap().to_bits(), 1.75_f64.to_bits());
    }

    #[test]
    fn what_is_kept_holds_no_graph_and_no_later_change() {
        let var = candle_core::Var::new(&[1.0_f32, 2.0], &Device::Cpu).unwrap();
        let Value::Unread(kept) = Value::of(&var.affine(1.0, 0.0).unwrap()) else { panic!() };
        assert_eq!(kept.backward().unwrap().get_ids().count(), 1, "only its own");
        let Value::Unread(kept) = Value::of(&var) else { panic!() };
        var.set(&Tensor::new(&[5.0_f32, 5.0], &Device::Cpu).unwrap()).unwrap();
        assert_eq!(read(&kept).unwrap().to_bits(), 3.0_f64.to_bits());
    }
}
