//! The report as people read it.

use super::*;
