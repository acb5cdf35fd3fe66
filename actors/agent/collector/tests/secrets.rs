//! No environment variable and no command-line argument leaves the host.

use std::process::Command;

use super::fixture::Fixture;

/// In no file and no variable but those a test plants it in.
const SECRET: &str = "pl4nted-s3cret";

#[test]
fn secrets_of_services_and_of_the_first_process_stay_here() {
    let host = Fixture::server();
    let units = "usr/lib/systemd/system";
    let service = format!(
        "[Service]\nEnvironment=TOKEN={SECRET}\nExecStart=/opt/acme/bin/acmed --password={SECRET} \\\n  {SECRET}\n\
        ExecStartPre=/bin/login {SECRET}\n[Install]\nWantedBy={SECRET}.target\n"
    );
    host.write(&format!("{units}/acmed.service"), &service);
    host.write(&format!("{units}/quoted.service"), &format!("[Service]\nExecStart=\"/bin/a --token={SECRET}\"\n"));
    host.write(&format!("{units}/shell.service"), &format!("[Service]\nExecStart=/bin/sh -c 'T={SECRET} exec a'\n"));
    host.write(&format!("{units}/named.service"), &format!("[Service]\nExecStart=T={SECRET} /bin/a\n"));
    host.write(&format!("{units}/acmed.service.d/more.conf"), &format!("[Service]\nExecStart=/bin/b {SECRET}\n"));
    host.write("proc/1/environ", &format!("TOKEN={SECRET}\0container={SECRET}\0"));
    host.write("proc/1/cmdline", &format!("/sbin/init\0{SECRET}\0"));
    host.write("proc/cmdline", &format!("root=/dev/sda1 token={SECRET}\n"));
    let collected = host.collect();
    let ndi = String::from_utf8(collected.ndi).unwrap();
    assert!(ndi.contains("/opt/acme/bin/acmed"), "{ndi}");
    assert!(!ndi.contains(SECRET), "{ndi}");
    assert!(!format!("{:?}{:?}", collected.record, collected.findings).contains(SECRET));
}

#[test]
fn secrets_of_the_collecting_process_stay_here() {
    let child = Command::new(std::env::current_exe().unwrap())
        .env("MUSTER_PLANTED", SECRET)
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "agent::collector::tests::secrets::prints_the_report_of_this_host",
        ])
        .arg(SECRET)
        .output()
        .unwrap();
    let printed = String::from_utf8(child.stdout).unwrap();
    assert!(printed.contains("</Inventory>"), "{printed}");
    assert!(!printed.contains(SECRET));
}

#[test]
#[ignore = "run by the test above, in a process with a planted variable and argument"]
fn prints_the_report_of_this_host() {
    let collected = super::super::collect(
        std::path::Path::new("/"),
        &super::super::Identity::default(),
        muster::time::Timestamp(0),
    );
    print!("{}", String::from_utf8(collected.ndi).unwrap());
}
