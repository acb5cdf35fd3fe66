//! The XML documents of the project, judged by a parser that is not ours.

use std::process::Command;

use crate::tidy::project;

/// Fails with the findings of `xmllint`, which must be there: a missing tool must not look like a passed test.
fn assert_well_formed(path: &str) {
    let mut command = Command::new("xmllint");
    let output = command.args(["--noout", "--nonet"]).arg(project().join(path)).output().unwrap_or_else(|error| {
        panic!("cannot run `xmllint`: {error}; this test needs Debian's libxml2-utils (see scripts/packages)")
    });
    assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn another_parser_accepts_the_golden_documents_and_the_matchers() {
    for name in ["default.nds", "schedule.osd", "web07.ndi", "web07.npl", "office.ent"] {
        assert_well_formed(&format!("tests/golden/formats/{name}"));
    }
    assert_well_formed("config/matchers/Computer.xml");
}
