//! What the words mean: package, inventory record, device, software, licence.

pub mod stored;

pub mod beacon_status;
pub mod package;

pub mod day;
pub mod pattern;

pub mod computer;
pub mod device;
pub mod fact;
pub mod inventory;

pub mod software;

pub mod recognition;

pub mod licence;
