//! A `libnvidia-ml` that does what a script says, so that everything said of GPUs is tested without one.
