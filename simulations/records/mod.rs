//! Records of a made-up fleet for `muster match`: several tools look at each machine and each tells its part, with fillers,
//! changed case and clones as real ones have them.

pub mod command;
pub mod fleet;

#[cfg(test)]
mod tests;
