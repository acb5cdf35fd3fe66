//! Software in homes: only what policy names, only plain files, nothing through a link.

use std::collections::BTreeSet;

use muster::formats::host::home::{Installed, Technology};
use muster::formats::ndi::read_ndi;

use super::super::{Collected, Options};
use super::fixture::Fixture;

/// A host of two people, one of whom uses npm and cargo.
fn host() -> Fixture {
    let host = Fixture::server();
    host.write(
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\nkim:x:1000:1000:Kim:/home/kim:/bin/bash\nlee:x:1001:1001::/home/lee:/bin/sh\n\
         bin:x:2:2::/bin:/usr/sbin/nologin\n",
    );
    let modules = "home/kim/.npm-global/lib/node_modules";
    host.write(&format!("{modules}/typescript/package.json"), r#"{"name": "typescript", "version": "5.4.2"}"#);
    host.write(&format!("{modules}/@vue/cli/package.json"), r#"{"name": "@vue/cli", "version": "5.0.8"}"#);
    host.write("home/kim/.cargo/.crates.toml", "[v1]\n\"ripgrep 14.1.0 (registry+https://s3cret)\" = [\"rg\"]\n");
    host.write("home/kim/.sdkman/candidates/java/21.0.2-tem/bin/java", "");
    host.link("home/kim/.sdkman/candidates/java/current", "21.0.2-tem");
    host.write("home/lee/notes", "private");
    host
}

fn collect(host: &Fixture, technologies: &[Technology]) -> Collected {
    let home_technologies: BTreeSet<Technology> = technologies.iter().copied().collect();
    host.collect_with(Options { home_technologies, ..Options::default() })
}

fn told(titles: &[Installed]) -> Vec<String> {
    titles
        .iter()
        .map(|title| format!("{} {} {} {}", title.name, title.version, title.evidence, title.user_name))
        .collect()
}

#[test]
fn what_policy_names_is_found_in_homes_and_stands_in_the_inventory_under_its_account() {
    let collected = collect(&host(), &Technology::ALL);
    let expected = [
        "@vue/cli 5.0.8 npm-global kim",
        "java 21.0.2-tem sdkman kim",
        "ripgrep 14.1.0 cargo kim",
        "typescript 5.4.2 npm-global kim",
    ];
    assert_eq!(told(&collected.record.in_homes), expected);
    assert_eq!(collected.findings, []);
    let (ndi, findings) = read_ndi(&collected.ndi[..]).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    let packages: Vec<String> = ndi
        .packages()
        .filter(|(package, _)| !package.user_name.is_empty())
        .map(|(package, _)| format!("{} {} {} {}", package.name, package.version, package.evidence, package.user_name))
        .collect();
    assert_eq!(packages, expected);
    assert!(!String::from_utf8_lossy(&collected.ndi).contains("s3cret"));
}

#[test]
fn homes_are_not_looked_into_unless_policy_names_technologies_and_then_only_for_those() {
    assert_eq!(collect(&host(), &[]).record.in_homes, []);
    assert_eq!(told(&collect(&host(), &[Technology::Cargo]).record.in_homes), ["ripgrep 14.1.0 cargo kim"]);
    let hardware = Options { has_software: false, home_technologies: [Technology::Cargo].into(), ..Options::default() };
    assert_eq!(host().collect_with(hardware).record.in_homes, []);
}

#[test]
fn no_link_below_a_home_is_followed_and_no_pipe_is_waited_for() {
    let host = host();
    host.write("etc/secret.toml", "[v1]\n\"shadow 1.0.0 (x)\" = []\n");
    // A file, a folder on the way, and a folder of any name.
    host.link("home/lee/.cargo/.crates.toml", "../../../etc/secret.toml");
    host.link("root/.cargo", "../home/kim/.cargo");
    host.link(
        "home/lee/.npm-global/lib/node_modules/typescript",
        "../../../../kim/.npm-global/lib/node_modules/typescript",
    );
    let pipe = host.path("home/lee/.npm-packages/lib/node_modules/pipe/package.json");
    assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
    let collected = collect(&host, &[Technology::Cargo, Technology::NpmGlobal]);
    let others: Vec<&Installed> = collected.record.in_homes.iter().filter(|title| title.user_name != "kim").collect();
    assert_eq!((others, collected.findings), (vec![], vec![]));
}

#[test]
fn a_home_on_a_share_and_one_that_holds_too_much_are_left_as_they_are() {
    let host = host();
    let package = format!("{{\"name\": \"big\", \"x\": \"{}\"}}", "x".repeat(200 << 10));
    for number in 0..50 {
        let path = format!("home/lee/.npm-global/lib/node_modules/m{number:02}/package.json");
        host.write(&path, &package);
    }
    let collected = collect(&host, &[Technology::NpmGlobal]);
    assert!(told(&collected.record.in_homes).contains(&"typescript 5.4.2 npm-global kim".to_owned()));
    let [finding] = &collected.findings[..] else { panic!("{:?}", collected.findings) };
    assert_eq!((finding.source.as_str(), finding.problem.as_str()), ("/home/lee", "npm-global: more than is read"));

    host.write("proc/1/mountinfo", "27 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 27 0:9 / /home rw - nfs4 filer:/home rw\n");
    assert_eq!(collect(&host, &[Technology::NpmGlobal]).record.in_homes, []);
}
