//! What the words mean: package, inventory record, device, software, licence.

pub mod package;

pub mod computer;
pub mod inventory;
pub mod device;
pub mod fact;
pub mod software;
pub mod licence;
