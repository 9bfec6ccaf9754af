//! The frameworks' own programs over the frameworks themselves: nothing of runlog is here.

include!(concat!(env!("OUT_DIR"), "/programs.rs"));
