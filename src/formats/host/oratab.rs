//! `etc/oratab`: which Oracle databases were set up on this host, and where their programs are.
//!
//! ```text
//! # comment
//! SALES:/u01/app/oracle/19:Y          name, home, whether it starts with the host (Y, N, W)
//! *:/u01/app/oracle/19:N              a home without a database of its own
//! +ASM:/u01/app/grid/19:N             the storage manager
//! ```
//!
//! Source: Oracle Database administrator's reference for Linux, section on `oratab`.

use super::{Findings, lines};

/// Entries read at most.
pub const ENTRIES_LIMIT: usize = 1_000;
/// Bytes of the name of an instance.
const SID_BYTES_LIMIT: usize = 64;
/// Bytes of a home's path.
const HOME_BYTES_LIMIT: usize = 400;

/// One entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OratabEntry {
    /// Name of the instance (`+ASM` for the storage manager); `None` for `*`, a home without one.
    pub sid: Option<String>,
    /// Full path of its programs.
    pub home: String,
    /// Whether it is started with the host.
    pub starts_with_host: bool,
}

/// The entries, in the order of the file. A line that is none is a finding.
pub fn read_oratab(bytes: &[u8]) -> (Vec<OratabEntry>, Findings) {
    let mut entries = Vec::new();
    let mut findings = Findings::default();
    for (number, line) in (1u64..).zip(lines(bytes)) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match read_line(line) {
            Ok(_) if entries.len() == ENTRIES_LIMIT => {
                findings.add(number, "more entries than are read");
                break;
            }
            Ok(entry) => entries.push(entry),
            Err(problem) => findings.add(number, problem),
        }
    }
    (entries, findings)
}

fn read_line(line: &str) -> Result<OratabEntry, &'static str> {
    let mut fields = line.split(':').map(str::trim);
    let (Some(sid), Some(home), Some(start)) = (fields.next(), fields.next(), fields.next()) else {
        return Err("entry without three fields");
    };
    if sid != "*" && !is_sid(sid) {
        return Err("entry without the name of an instance");
    }
    if !home.starts_with('/') || home.len() > HOME_BYTES_LIMIT || home.chars().any(char::is_control) {
        return Err("entry without the path of a home");
    }
    // Installers write a remark behind the flag: `N  # line added by Agent`.
    let starts_with_host = match start.split(['#', ' ', '\t']).next() {
        Some("Y" | "y") => true,
        Some("N" | "n" | "W" | "w") => false,
        _ => return Err("entry without Y, N or W"),
    };
    Ok(OratabEntry { sid: (sid != "*").then(|| sid.into()), home: home.into(), starts_with_host })
}

/// Whether `text` can be the name of an instance: letters, digits, `_`, `$`, `#`, `.`, `-`, in front also `+`.
pub fn is_sid(text: &str) -> bool {
    let rest = text.strip_prefix('+').unwrap_or(text);
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | b'#' | b'.' | b'-');
    !rest.is_empty() && text.len() <= SID_BYTES_LIMIT && rest.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORATAB: &str = "\
#
# This file is used by ORACLE utilities.  It is created by root.sh

# Multiple entries with the same $ORACLE_SID are not allowed.
#
#OLD:/u01/app/oracle/11:N
SALES:/u01/app/oracle/product/19.0.0/dbhome_1:Y
HR : /u01/app/oracle/product/12.2.0.1/dbhome_1 : N\t\t# line added by Agent
+ASM1:/u01/app/19.0.0/grid:N:\t# line added by Agent
-MGMTDB:/u01/app/19.0.0/grid:W
*:/u01/app/oracle/client:N
";

    fn entry(sid: Option<&str>, home: &str, starts_with_host: bool) -> OratabEntry {
        OratabEntry { sid: sid.map(String::from), home: home.into(), starts_with_host }
    }

    #[test]
    fn entries_are_read_without_comments_and_remarks() {
        let (entries, findings) = read_oratab(ORATAB.as_bytes());
        assert!(findings.is_empty(), "{findings:?}");
        assert_eq!(
            entries,
            [
                entry(Some("SALES"), "/u01/app/oracle/product/19.0.0/dbhome_1", true),
                entry(Some("HR"), "/u01/app/oracle/product/12.2.0.1/dbhome_1", false),
                entry(Some("+ASM1"), "/u01/app/19.0.0/grid", false),
                entry(Some("-MGMTDB"), "/u01/app/19.0.0/grid", false),
                entry(None, "/u01/app/oracle/client", false),
            ]
        );
    }

    #[test]
    fn a_line_that_is_no_entry_is_a_finding_and_the_others_stay() {
        for (line, problem) in [
            ("SALES", "entry without three fields"),
            ("SALES:/u01", "entry without three fields"),
            (":/u01:Y", "entry without the name of an instance"),
            ("SA LES:/u01:Y", "entry without the name of an instance"),
            ("+:/u01:Y", "entry without the name of an instance"),
            ("SALES::Y", "entry without the path of a home"),
            ("SALES:u01:Y", "entry without the path of a home"),
            ("SALES:/u01:", "entry without Y, N or W"),
            ("SALES:/u01:YES", "entry without Y, N or W"),
        ] {
            let (entries, findings) = read_oratab(format!("{line}\nHR:/u01:N\n").as_bytes());
            assert_eq!(entries, [entry(Some("HR"), "/u01", false)], "{line}");
            assert_eq!(findings.kept()[0].to_string(), format!("{problem} at 1"));
        }
    }

    #[test]
    fn entries_and_their_fields_are_bounded() {
        let (entries, findings) = read_oratab("A:/u:Y\n".repeat(ENTRIES_LIMIT + 2).as_bytes());
        assert_eq!((entries.len(), findings.kept().len()), (ENTRIES_LIMIT, 1));
        let read = |sid: usize, home: usize| {
            read_oratab(format!("{}:/{}:Y", "S".repeat(sid), "h".repeat(home - 1)).as_bytes()).0.len()
        };
        assert_eq!(read(SID_BYTES_LIMIT, HOME_BYTES_LIMIT), 1);
        assert_eq!(read(SID_BYTES_LIMIT + 1, 2), 0);
        assert_eq!(read(1, HOME_BYTES_LIMIT + 1), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[A+*:/YN# \n]{0,80}") {
            read_oratab(&bytes);
            read_oratab(text.as_bytes());
        }
    }
}
