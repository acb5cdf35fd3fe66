//! Packages, tags and services of made-up hosts.

use std::time::{Duration, SystemTime};

use super::fixture::{Fixture, TAG};

#[test]
fn a_debian_package_has_the_date_its_files_were_unpacked() {
    let host = Fixture::server();
    let list = host.path("var/lib/dpkg/info/acme.list");
    std::fs::write(&list, "").unwrap();
    let unpacked = SystemTime::UNIX_EPOCH + Duration::from_secs(1_735_776_000);
    std::fs::File::options().write(true).open(&list).unwrap().set_modified(unpacked).unwrap();
    let ndi = String::from_utf8(host.collect().ndi).unwrap();
    let line = r#"<Package Name="acme" Version="1:2" Publisher="Acme" Evidence="deb" InstallDate="20250102">"#;
    assert!(ndi.contains(line), "{ndi}");
}

#[test]
fn an_image_without_a_package_manager_lists_a_file_for_each_package() {
    let host = Fixture::empty();
    host.write("var/lib/dpkg/status.d/base-files", "Package: base-files\nVersion: 12.4\nArchitecture: amd64\n");
    host.write("var/lib/dpkg/status.d/base-files.md5sums", "d41d8cd98f00b204e9800998ecf8427e  etc/issue\n");
    host.write("var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a\nArchitecture: all\n");
    let names: Vec<String> = host.collect().record.packages.into_iter().map(|record| record.package.name).collect();
    assert_eq!(names, ["base-files", "tzdata"]);
}

#[test]
fn tags_are_found_where_vendors_put_them_and_broken_ones_are_findings() {
    let host = Fixture::empty();
    host.write("usr/share/acme/swidtag/acme.swidtag", TAG);
    host.write("opt/acme/swidtag/ACME.SWIDTAG", TAG);
    host.write("usr/lib/swidtag/acme.example/medium.swidtag", &TAG.replace("version=", "corpus='true' version="));
    host.write("usr/share/doc/acme/example.swidtag", TAG);
    host.write("usr/lib/swidtag/bad.swidtag", "<!DOCTYPE a [<!ENTITY b 'c'>]><SoftwareIdentity/>");
    host.link("etc/swid/swidtags.d/acme", "../../../usr/share/acme/swidtag");
    let collected = host.collect();
    let tags: Vec<(&str, &str, &str, &str)> = collected
        .record
        .tags
        .iter()
        .map(|tag| (tag.path.as_str(), tag.product.as_str(), tag.version.as_str(), tag.company.as_str()))
        .collect();
    assert_eq!(
        tags,
        [
            ("/opt/acme/swidtag/ACME.SWIDTAG", "Acme Server", "3.2", "Acme & Sons"),
            ("/usr/share/acme/swidtag/acme.swidtag", "Acme Server", "3.2", "Acme & Sons"),
        ]
    );
    let sources: Vec<&str> = collected.findings.iter().map(|finding| finding.source.as_str()).collect();
    assert_eq!(sources, ["usr/lib/swidtag/bad.swidtag"]);
}

/// Name, state, start mode, path and account of every service.
fn services(host: &Fixture) -> Vec<(String, &'static str, &'static str, String, String)> {
    let services = host.collect().record.services.into_iter();
    services.map(|s| (s.name, s.state, s.start_mode, s.path, s.account)).collect()
}

fn service(
    name: &str,
    state: &'static str,
    mode: &'static str,
    path: &str,
    account: &str,
) -> (String, &'static str, &'static str, String, String) {
    (name.into(), state, mode, path.into(), account.into())
}

#[test]
fn services_are_merged_from_all_folders_of_units() {
    let host = Fixture::empty();
    let unit = |name: &str, text: &str| host.write(&format!("usr/lib/systemd/system/{name}"), text);
    unit("acmed.service", "[Service]\nExecStart=/usr/bin/acmed -x\nUser=acme\n");
    unit("getty@.service", "[Service]\nExecStart=-/sbin/agetty %I\n");
    unit("hidden.service", "[Service]\nExecStart=/usr/bin/hidden\n");
    unit("plain.service", "[Service]\nExecStart=/usr/bin/plain\nDynamicUser=yes\n");
    host.link("lib", "usr/lib");
    host.write("etc/systemd/system/acmed.service.d/local.conf", "[Service]\nExecStart=\nExecStart=/opt/acmed\n");
    host.link("etc/systemd/system/hidden.service", "/dev/null");
    host.link("etc/systemd/system/alias.service", "/usr/lib/systemd/system/acmed.service");
    host.link("etc/systemd/system/multi-user.target.wants/acmed.service", "/usr/lib/systemd/system/acmed.service");
    host.link("etc/systemd/system/getty.target.wants/getty@tty1.service", "/lib/systemd/system/getty@.service");
    host.write("opt/own/linked.service", "[Service]\nExecStart=/opt/own/linked\n");
    host.link("etc/systemd/system/linked.service", "/opt/own/linked.service");
    assert_eq!(
        services(&host),
        [
            service("acmed", "", "auto", "/opt/acmed", "acme"),
            service("getty@tty1", "", "auto", "/sbin/agetty", "root"),
            service("hidden", "", "disabled", "", ""),
            service("linked", "", "manual", "/opt/own/linked", "root"),
            service("plain", "", "manual", "/usr/bin/plain", "plain"),
        ]
    );
}

#[test]
fn a_service_runs_when_its_control_group_has_processes() {
    let host = Fixture::empty();
    for name in ["idle", "shown", "split"] {
        host.write(&format!("usr/lib/systemd/system/{name}.service"), &format!("[Service]\nExecStart=/bin/{name}\n"));
    }
    host.write("run/systemd/system/README", "");
    host.write("sys/fs/cgroup/system.slice/cgroup.procs", "");
    host.write("sys/fs/cgroup/system.slice/idle.service/cgroup.procs", "");
    host.write("sys/fs/cgroup/system.slice/shown.service/cgroup.procs", "812\n");
    host.write("sys/fs/cgroup/system.slice/split.service/cgroup.procs", "");
    host.write("sys/fs/cgroup/system.slice/split.service/worker/cgroup.procs", "813\n");
    let states: Vec<(String, &str)> = services(&host).into_iter().map(|(name, state, ..)| (name, state)).collect();
    assert_eq!(states, [("idle".into(), "stopped"), ("shown".into(), "running"), ("split".into(), "running")]);
}
