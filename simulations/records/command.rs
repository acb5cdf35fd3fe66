//! `muster-sim records`: writes the files that `muster match` reads.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use muster_actors::command::Failure;

use super::fleet::RecordFleet;

/// Options of `muster-sim records`.
#[derive(Debug, clap::Args)]
pub struct RecordsArgs {
    /// Where the records go; their last column, `machine`, is the truth
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How many records
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    count: u64,
    /// Where stored devices go
    #[arg(long, value_name = "FILE", requires = "device_count")]
    devices: Option<PathBuf>,
    /// Where the records bound to them go
    #[arg(long, value_name = "FILE", requires = "device_count")]
    bindings: Option<PathBuf>,
    /// How many devices: the first machines of the fleet
    #[arg(long, value_name = "N")]
    device_count: Option<u64>,
    /// Of the fleet
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the command.
pub fn run(args: RecordsArgs) -> Result<(), Failure> {
    let fleet = RecordFleet::new(args.seed);
    let write = |path: &Path, rows: &dyn Fn(&mut BufWriter<File>) -> std::io::Result<()>| {
        let written = File::create(path).and_then(|file| {
            let mut out = BufWriter::with_capacity(1 << 20, file);
            rows(&mut out).and_then(|()| out.flush())
        });
        written.map_err(|error| Failure { text: format!("cannot write `{}`: {error}", path.display()), exit: 1 })
    };
    write(&args.out, &|out| fleet.write_records(args.count, out))?;
    let devices = args.device_count.unwrap_or_default();
    if let Some(path) = &args.devices {
        write(path, &|out| fleet.write_devices(devices, out))?;
    }
    if let Some(path) = &args.bindings {
        write(path, &|out| fleet.write_bindings(devices, out))?;
    }
    Ok(())
}
