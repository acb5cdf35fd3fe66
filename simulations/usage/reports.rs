//! The usage files in the queue of an agent, and what they say together.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use muster::formats::mmi::{Mmi, PeriodType, read_mmi_gz};
use muster::time::Timestamp;

use super::UsageError;
use super::script::Use;

/// Package and file of a program.
pub type ProgramKey = (String, String);

/// Every usage file in the queue of the agent with this data folder. One that does not read without a finding is an
/// error: the agent wrote it.
pub fn queued(data: &Path) -> Result<Vec<Mmi>, UsageError> {
    let folder = data.join("uploads/UsageData");
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed(&folder))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed(&folder))?.path();
        if !path.to_string_lossy().ends_with(".mmi.gz") {
            continue;
        }
        let bytes = fs::read(&path).map_err(failed(&path))?;
        let invalid = |why: String| UsageError::Invalid { path: path.clone(), why };
        let (file, findings) = read_mmi_gz(&bytes[..]).map_err(|error| invalid(error.to_string()))?;
        if !findings.is_empty() {
            return Err(invalid(format!("{findings:?}")));
        }
        files.push(file);
    }
    Ok(files)
}

fn failed(path: &Path) -> impl Fn(io::Error) -> UsageError {
    let doing = format!("read `{}`", path.display());
    move |source| UsageError::World { doing: doing.clone(), source }
}

/// When any session began.
pub fn session_start(files: &[Mmi]) -> Option<Timestamp> {
    let mut periods = files.iter().flat_map(|file| &file.periods);
    periods.find(|period| period.kind == PeriodType::Session).map(|period| period.start)
}

/// What the sessions of `user` say together, by program.
pub fn told(files: &[Mmi], user: &str) -> BTreeMap<ProgramKey, Use> {
    let mut told: BTreeMap<ProgramKey, Use> = BTreeMap::new();
    let periods = files.iter().flat_map(|file| &file.periods);
    for period in periods.filter(|period| period.kind == PeriodType::Session && period.user == user) {
        for application in &period.applications {
            let used = told.entry((application.name.clone(), application.file_name.clone())).or_default();
            used.runs += u64::from(application.runs);
            used.time += Duration::from_secs(application.run_secs.into());
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster::formats::mmi::{AppUsage, Period};
    use muster::id::Guid;

    #[test]
    fn sessions_of_one_user_are_summed_and_weeks_are_not() {
        let period = |user: &str, kind, runs| Period {
            user: user.into(),
            domain: String::new(),
            kind,
            start: Timestamp(60_000),
            guid: Guid::NIL,
            applications: vec![AppUsage { name: "sed".into(), runs, run_secs: 100, ..AppUsage::default() }],
        };
        let periods = vec![
            period("kim", PeriodType::WeeklySummary, 9),
            period("kim", PeriodType::Session, 1),
            period("kim", PeriodType::Session, 2),
            period("lee", PeriodType::Session, 4),
        ];
        let files = [Mmi { periods, ..Mmi::default() }];
        assert_eq!(session_start(&files), Some(Timestamp(60_000)));
        let wanted = Use { runs: 3, time: Duration::from_secs(200) };
        assert_eq!(told(&files, "kim"), BTreeMap::from([(("sed".to_owned(), String::new()), wanted)]));
    }

    #[test]
    fn a_queue_that_is_not_there_is_empty_and_a_file_that_does_not_read_is_told() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(queued(data.path()).unwrap(), []);
        let folder = data.path().join("uploads/UsageData");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("web07 at 20250314T031522.mmi.gz.envelope"), "x").unwrap();
        assert_eq!(queued(data.path()).unwrap(), []);
        fs::write(folder.join("web07 at 20250314T031522.mmi.gz"), "x").unwrap();
        let error = queued(data.path()).unwrap_err().to_string();
        assert!(error.contains("20250314T031522.mmi.gz"), "{error}");
    }
}
