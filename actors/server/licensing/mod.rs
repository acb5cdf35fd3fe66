//! Licences in the server: the tables that operators keep, the fleet frozen as a folder of them, and the runs that were
//! made of it.

mod frozen;
mod rule_files;
mod run_folder;
mod runs;
mod standing;
mod tables;

pub use frozen::{FreezeError, Frozen, freeze};
pub use rule_files::{RuleFiles, RulesError};
pub use run_folder::{OpenRun, RunFolder, RunFolderError};
pub use runs::{GivenCell, Purchase, Run, Runs, RunsError};
pub use standing::{FleetReading, Standing};
pub use tables::{
    NewTable, SHIPPED_POINTS, TableChange, TableError, TablesTaken, drop_replaced, put_parts, put_tables, read_table,
    table_state,
};
