//! NVML's result codes, under the names that scripts use.

use nvml_wrapper_sys::bindings::{self, nvmlReturn_t};

/// What a call answers if it is not `NVML_SUCCESS`.
pub(crate) type Code = nvmlReturn_t;

pub(crate) type Answer<T> = Result<T, Code>;

macro_rules! codes {
    ($($name:ident = $code:ident $text:literal;)+) => {
        $(pub(crate) const $name: Code = bindings::$code;)+

        /// Name, code and NVML's own words (with the NUL that C wants).
        const CODES: &[(&str, Code, &[u8])] = &[$((stringify!($name), $name, concat!($text, "\0").as_bytes())),+];
    };
}

codes! {
    SUCCESS = nvmlReturn_enum_NVML_SUCCESS "Success";
    UNINITIALIZED = nvmlReturn_enum_NVML_ERROR_UNINITIALIZED "Uninitialized";
    INVALID_ARGUMENT = nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT "Invalid Argument";
    NOT_SUPPORTED = nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED "Not Supported";
    NO_PERMISSION = nvmlReturn_enum_NVML_ERROR_NO_PERMISSION "Insufficient Permissions";
    ALREADY_INITIALIZED = nvmlReturn_enum_NVML_ERROR_ALREADY_INITIALIZED "Already Initialized";
    NOT_FOUND = nvmlReturn_enum_NVML_ERROR_NOT_FOUND "Not Found";
    INSUFFICIENT_SIZE = nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE "Insufficient Size";
    INSUFFICIENT_POWER = nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_POWER "Insufficient External Power";
    DRIVER_NOT_LOADED = nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED "Driver Not Loaded";
    TIMEOUT = nvmlReturn_enum_NVML_ERROR_TIMEOUT "Timeout";
    IRQ_ISSUE = nvmlReturn_enum_NVML_ERROR_IRQ_ISSUE "Interrupt Request Issue";
    LIBRARY_NOT_FOUND = nvmlReturn_enum_NVML_ERROR_LIBRARY_NOT_FOUND "NVML Shared Library Not Found";
    FUNCTION_NOT_FOUND = nvmlReturn_enum_NVML_ERROR_FUNCTION_NOT_FOUND "Function Not Found";
    CORRUPTED_INFOROM = nvmlReturn_enum_NVML_ERROR_CORRUPTED_INFOROM "Corrupted infoROM";
    GPU_IS_LOST = nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST "GPU is lost";
    RESET_REQUIRED = nvmlReturn_enum_NVML_ERROR_RESET_REQUIRED "GPU requires reset";
    OPERATING_SYSTEM = nvmlReturn_enum_NVML_ERROR_OPERATING_SYSTEM "GPU access blocked by the operating system";
    LIB_RM_VERSION_MISMATCH = nvmlReturn_enum_NVML_ERROR_LIB_RM_VERSION_MISMATCH "Driver/library version mismatch";
    IN_USE = nvmlReturn_enum_NVML_ERROR_IN_USE "In use by another client";
    MEMORY = nvmlReturn_enum_NVML_ERROR_MEMORY "Insufficient Memory";
    NO_DATA = nvmlReturn_enum_NVML_ERROR_NO_DATA "No data";
    VGPU_ECC_NOT_SUPPORTED = nvmlReturn_enum_NVML_ERROR_VGPU_ECC_NOT_SUPPORTED "ECC is not supported on vGPU";
    INSUFFICIENT_RESOURCES = nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_RESOURCES "Insufficient resources";
    FREQ_NOT_SUPPORTED = nvmlReturn_enum_NVML_ERROR_FREQ_NOT_SUPPORTED "Frequency not supported";
    ARGUMENT_VERSION_MISMATCH = nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH "The provided version is invalid";
    DEPRECATED = nvmlReturn_enum_NVML_ERROR_DEPRECATED "Deprecated";
    NOT_READY = nvmlReturn_enum_NVML_ERROR_NOT_READY "Not ready";
    GPU_NOT_FOUND = nvmlReturn_enum_NVML_ERROR_GPU_NOT_FOUND "No GPUs were found";
    INVALID_STATE = nvmlReturn_enum_NVML_ERROR_INVALID_STATE "Invalid state";
    UNKNOWN = nvmlReturn_enum_NVML_ERROR_UNKNOWN "Unknown Error";
}

/// A code by its name, or by its number.
pub(crate) fn parse(text: &str) -> Option<Code> {
    let named = CODES.iter().find(|(name, ..)| *name == text).map(|(_, code, _)| *code);
    named.or_else(|| text.parse().ok())
}

/// NVML's words for a code, ended by NUL.
pub(crate) fn text(code: Code) -> &'static [u8] {
    CODES.iter().find(|(_, known, _)| *known == code).map_or(b"Unknown Error\0", |(_, _, text)| text)
}
