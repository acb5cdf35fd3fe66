//! The inventory file `.ndi`: what a machine is and what is installed on it.

mod elements;

pub use elements::*;
