//! Files of computers that other programs write, by the real actors and a real log.

use std::path::{Path, PathBuf};

use muster::model::computer::Property;
use muster::model::fact::{FactKey, FactKind};
use muster::model::source::{PartKey, RowChange, SourceState};
use serde_json::{Value, json};

use super::fixture::{Fixture, NOW, report};
use crate::server::books::News;

impl Fixture {
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder().join(name);
        // As a careful program does it: never half written.
        std::fs::write(path.with_extension("new"), text).unwrap();
        std::fs::rename(path.with_extension("new"), &path).unwrap();
        path
    }

    /// Runs a task to its end; its status and output.
    async fn ran(&self, task: &str, parameters: Value) -> (String, String) {
        self.ended_with(json!({ "type": task, "parameters": parameters })).await
    }

    async fn ended_with(&self, body: Value) -> (String, String) {
        let (status, task) = self.post("/api/v1/tasks", &body.to_string()).await;
        assert_eq!(status, 201, "{task}");
        let path = format!("/api/v1/tasks/{}", task["id"].as_str().unwrap());
        let ended = self.until(&path, |task| task["status"] == "Success" || task["status"] == "Error").await;
        (ended["status"].as_str().unwrap().into(), ended["output"].as_str().unwrap().into())
    }

    async fn spreadsheet(&self, path: &Path, more: &[(&str, &str)]) -> (String, String) {
        let mut parameters = json!({ "file": path, "source": "cmdb" });
        for (name, value) in more {
            parameters[*name] = json!(value);
        }
        self.ran("InventoryImportSpreadsheet", parameters).await
    }

    /// Name, sources and count of records of each device that is listed, ascending by id.
    async fn names(&self) -> Vec<String> {
        let list = self.get("/api/v1/devices?sort=id").await;
        let shown = |device: &Value| {
            let sources: Vec<&str> = device["sources"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            let text = |name: &str| device[name].as_str().unwrap().to_owned();
            format!("{} {} {}", text("id"), text("name"), sources.join("+"))
        };
        list["items"].as_array().unwrap().iter().map(shown).collect()
    }

    fn facts(&self, kind: FactKind) -> u64 {
        self.server.books.facts.count(&kind.prefix(None))
    }
}

#[actix::test]
async fn a_file_of_computers_replaces_the_one_before_and_devices_without_records_end() {
    let fixture = Fixture::daily().await;
    fixture.settle(report(1, 1, &[("MachineID", "m-1"), ("SerialNumber", "S1")], &[])).await;
    fixture.ran("InventoryImport", json!({})).await;
    let text = "ComputerName,SerialNo,UUID\nh1,S1,\npc-2,S2,u-2\npc-3,S3,u-3\n";
    let file = fixture.file("computers.csv", text);
    let (status, output) = fixture.spreadsheet(&file, &[]).await;
    assert_eq!(status, "Success", "{output}");
    assert!(output.starts_with("3 rows of `cmdb`: 3 added, 0 changed, 0 removed; 3 records: "), "{output}");
    let names = fixture.names().await;
    assert_eq!(
        names[1..].iter().map(|name| &name[2..]).collect::<Vec<_>>()[names.len() - 3..],
        ["pc-2 cmdb", "pc-3 cmdb"]
    );

    // The same again changes nothing.
    let newest = fixture.get("/api/v1/devices?sort=-id").await;
    let (_, output) = fixture.spreadsheet(&file, &[]).await;
    assert!(
        output.starts_with("3 rows of `cmdb`: 0 added, 0 changed, 0 removed; 0 records: 0 devices new, 0 changed"),
        "{output}"
    );
    assert_eq!(fixture.get("/api/v1/devices?sort=-id").await, newest);

    // A row that is gone takes its record away, and the device that had no other.
    let file = fixture.file("computers.csv", "ComputerName,SerialNo,UUID\npc-2,S2,u-2\npc-4,S4,u-4\n");
    let (_, output) = fixture.spreadsheet(&file, &[]).await;
    assert!(output.starts_with("2 rows of `cmdb`: 1 added, 0 changed, 2 removed; 1 records: "), "{output}");
    assert!(output.ends_with(" ended"), "{output}");
    let after = fixture.names().await;
    assert!(after.iter().all(|name| !name.contains("pc-3")), "{after:?}");
    assert!(after.iter().any(|name| name.ends_with("h1 agent")), "{after:?}");
    assert_eq!(fixture.facts(FactKind::Record), 3, "no orphan is left");
    assert_eq!(fixture.facts(FactKind::SourcePart), 0);
    let fixture = fixture.restarted().await;
    assert_eq!(fixture.names().await, after);
    let id: u64 = names.iter().find(|name| name.contains("pc-3")).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert_eq!(fixture.refused(&format!("/api/v1/devices/{id}")).await.0, 404);

    // A header alone takes the source away.
    let file = fixture.file("computers.csv", "ComputerName\n");
    fixture.spreadsheet(&file, &[]).await;
    assert_eq!(fixture.names().await.len(), 1);
    fixture.stop().await;
}

#[actix::test]
async fn nothing_is_taken_of_a_file_with_a_bad_row_unless_the_good_ones_are_asked_for() {
    let fixture = Fixture::daily().await;
    let good = fixture.file("good.csv", "ComputerName,SerialNo\npc-1,S1\npc-2,S2\n");
    fixture.spreadsheet(&good, &[]).await;
    let text = "ComputerName,SerialNo\npc-1,=1+1\npc-3,S3\npc-3,S4\n";
    let bad = fixture.file("bad.csv", text);
    let (status, output) = fixture.spreadsheet(&bad, &[]).await;
    assert_eq!(status, "Error");
    assert!(
        output.starts_with("2 of 3 rows are bad, nothing is taken: mend them, or give good_rows=true; "),
        "{output}"
    );
    assert!(output.contains("bad.csv: line 2, column `SerialNo`: `=1+1` would be a formula"), "{output}");
    assert!(output.contains("line 4, column `ComputerName`: `pc-3` stands on line 3 too"), "{output}");
    assert_eq!((fixture.names().await.len(), fixture.facts(FactKind::SourcePart)), (2, 0));
    let (status, output) = fixture.spreadsheet(&bad, &[("good_rows", "true")]).await;
    assert_eq!(status, "Success", "{output}");
    // pc-1 has a bad row and stays as it was.
    assert!(output.starts_with("1 rows of `cmdb`: 1 added, 0 changed, 1 removed; 2 bad rows left out: "), "{output}");
    let names = fixture.names().await;
    assert_eq!(names.iter().map(|name| name[2..].to_owned()).collect::<Vec<_>>(), ["pc-1 cmdb", "pc-3 cmdb"]);

    // A row that does not say which computer it is may be any one's.
    let torn = fixture.file("torn.csv", "ComputerName,SerialNo\npc-1,S1\npc-3, the second,S3\n");
    let (status, output) = fixture.spreadsheet(&torn, &[("good_rows", "true")]).await;
    assert!(status == "Success" && output.contains(" 0 removed; 1 bad rows left out"), "{output}");
    assert!(output.contains("nothing was taken away"), "{output}");
    assert_eq!(fixture.names().await, names);
    let (status, _) = fixture.spreadsheet(&torn, &[]).await;
    assert_eq!((&*status, fixture.facts(FactKind::SourcePart)), ("Error", 0), "nothing is left of what is refused");

    for (text, part) in [
        ("ComputerName;SerialNo\npc;S\n", "`,` separates no columns here, but `;` would"),
        ("Room\n7\n", "no column that Matchers read"),
        ("\u{0}\u{1}\u{2}\n", "save it as CSV in UTF-8"),
    ] {
        let file = fixture.file("other.csv", text);
        let (status, output) = fixture.spreadsheet(&file, &[]).await;
        assert!(status == "Error" && output.contains("other.csv`: ") && output.contains(part), "{output}");
    }
    // Ten gigabytes without a line end; the file is sparse.
    let huge = fixture.folder().join("huge.csv");
    std::fs::write(&huge, "ComputerName\n").unwrap();
    std::fs::OpenOptions::new().write(true).open(&huge).unwrap().set_len(10 << 30).unwrap();
    let (status, output) = fixture.spreadsheet(&huge, &[]).await;
    assert!(status == "Error" && output.contains("line 2: a row of more than 65536 bytes"), "{output}");
    for (parameters, part) in [
        (json!({}), "name the file"),
        (json!({ "file": good }), "name the source"),
        (json!({ "file": good, "source": "Agent" }), "and not `agent`"),
        (json!({ "file": "computers.csv", "source": "cmdb" }), "write the whole path, from /"),
        (json!({ "file": good, "source": "cmdb", "good_rows": "yes" }), "write true or false"),
    ] {
        let why = fixture.not_taken("InventoryImportSpreadsheet", &parameters).await;
        assert!(why.contains(part), "{why}");
    }
    let (status, output) =
        fixture.ran("InventoryImportSpreadsheet", json!({ "file": fixture.folder(), "source": "cmdb" })).await;
    assert!(status == "Error" && output.contains("is no plain file"), "{output}");
    assert_eq!(fixture.names().await, names);
    fixture.stop().await;
}

#[actix::test]
async fn sources_are_read_in_every_import_when_their_file_has_changed() {
    let fixture = Fixture::start(|folder| {
        let one = |name: &str| {
            format!("[[source]]\nname = \"{name}\"\nfile = \"{}\"\n", folder.join(format!("{name}.csv")).display())
        };
        std::fs::write(folder.join("sources.toml"), one("cmdb") + &one("sccm") + &one("vmware")).unwrap();
        format!("sources_file = \"{}\"\n", folder.join("sources.toml").display())
    })
    .await;
    fixture.file("cmdb.csv", "ComputerName,SerialNo\npc-1,S1\n");
    fixture.file("vmware.csv", "ComputerName,SerialNo\npc-2,S2\n");
    let (status, output) = fixture.ran("InventoryImport", json!({})).await;
    assert_eq!(status, "Success");
    assert!(output.contains("1 rows of `cmdb`: 1 added") && output.contains("1 rows of `vmware`: 1 added"), "{output}");
    assert!(output.contains("`sccm` is not read, what was staged of it stays: `"), "{output}");
    assert_eq!(fixture.names().await.len(), 2);
    fixture.file("sccm.csv", "ComputerName,SerialNo\npc-3,S3\n");
    fixture.file("vmware.csv", "ComputerName,SerialNo\n");
    let (_, output) = fixture.ran("InventoryImportReaders", json!({})).await;
    assert!(!output.contains("cmdb"), "{output}");
    // By this task, or by an import that followed the staging before and came first.
    let tasks = fixture.get("/api/v1/tasks?limit=1000").await.to_string();
    assert!(tasks.contains("1 rows of `sccm`: 1 added"), "{tasks}");
    assert!(output.contains("vmware.csv` has no rows, nothing is taken"), "{output}");
    let (_, output) = fixture.ran("InventoryImportWriters", json!({})).await;
    assert!(output.contains("records: "), "{output}");
    fixture.until_devices("/api/v1/devices", 3).await;
    // The file of sources itself is read anew.
    std::fs::write(fixture.folder().join("sources.toml"), "[[sources]]\n").unwrap();
    let (status, output) = fixture.ran("InventoryImport", json!({})).await;
    assert!(
        status == "Success" && output.contains("no source is read: ") && output.contains("did you mean"),
        "{output}"
    );
    assert_eq!(fixture.names().await.len(), 3);
    fixture.stop().await;
}

#[actix::test]
async fn a_file_that_was_cut_short_is_in_force_whole_or_not_at_all() {
    let fixture = Fixture::daily().await;
    let file = fixture.file("computers.csv", "ComputerName,SerialNo\npc-1,S1\n");
    fixture.spreadsheet(&file, &[]).await;
    // A run that ended before its switch: its part is in the log, and nobody has put it in force.
    let put = |name: &str| RowChange::Put {
        external_id: name.into(),
        collected_at: None,
        values: [(Property::ComputerName, name), (Property::SerialNo, name)].into_iter().collect(),
    };
    let part =
        |number| FactKey::SourcePart(fixture.server.books.tenant.clone(), PartKey { source: "cmdb".into(), number });
    let (key, changes) = (part(0), vec![put("pc-2")]);
    let write = fixture.server.books.turn(move |draft| {
        draft.write(&key, &changes);
        Ok(((), News::default()))
    });
    write.await.unwrap();
    let fixture = fixture.restarted().await;
    fixture.ran("InventoryImport", json!({})).await;
    assert_eq!(fixture.names().await.len(), 1, "what was in force still is");

    // One that ended behind its switch: two parts are in force, and one was staged.
    let books = fixture.server.books.clone();
    let source = FactKey::Source(books.tenant.clone(), "cmdb".into());
    let state = SourceState { rows: 2, taken: NOW, file: None, next: 1, end: 3 };
    let key = |number| FactKey::SourcePart(books.tenant.clone(), PartKey { source: "cmdb".into(), number });
    let parts = [(key(1), vec![put("pc-3")]), (key(2), vec![RowChange::Gone { external_id: "pc-1".into() }])];
    let write = books.turn(move |draft| {
        draft.write(&source, &state);
        parts.iter().for_each(|(key, changes)| draft.write(key, changes));
        Ok(((), News::default()))
    });
    write.await.unwrap();
    drop(books);
    let fixture = fixture.restarted().await;
    fixture.ran("InventoryImport", json!({})).await;
    let names = fixture.names().await;
    assert!(names.len() == 1 && names[0].ends_with(" pc-3 cmdb"), "{names:?}");
    // And what the first one left is gone.
    let (_, output) = fixture.spreadsheet(&file, &[]).await;
    assert!(output.starts_with("1 rows of `cmdb`: 1 added, 0 changed, 1 removed; "), "{output}");
    assert_eq!(fixture.facts(FactKind::SourcePart), 0);
    fixture.stop().await;
}

#[actix::test]
async fn a_file_of_a_directory_replaces_the_one_before_of_its_kind() {
    let fixture = Fixture::daily().await;
    let import = async |name: &str, kind: &str, text: &str, good_rows: &str| {
        let file = fixture.file(name, text);
        fixture.ran("ActiveDirectoryImport", json!({ "file": file, "kind": kind, "good_rows": good_rows })).await
    };
    let said = |output: &str| ("Success".to_owned(), output.to_owned());
    let sites = "site,description\nBerlin,\nBonn,\n";
    assert_eq!(import("s.csv", "sites", sites, "false").await, said("2 sites: 2 added, 0 changed, 0 removed"));
    let subnets = "subnet,site\n10.1.0.0/16,Berlin\n10.2.0.0/16,Bonn\n";
    assert_eq!(import("n.csv", "subnets", subnets, "false").await, said("2 subnets: 2 added, 0 changed, 0 removed"));
    assert_eq!(import("n.csv", "subnets", subnets, "true").await, said("2 subnets: 0 added, 0 changed, 0 removed"));
    let next = "subnet,site\n10.1.0.0/16,Bonn\n10.3.0.0/16,Bonn\n";
    assert_eq!(import("n.csv", "subnets", next, "false").await, said("2 subnets: 1 added, 1 changed, 1 removed"));
    let bad = "subnet,site\n10.1.2.3/16,Bonn\n10.3.0.0/16,Bonn\n";
    let (status, output) = import("n.csv", "subnets", bad, "false").await;
    assert_eq!(status, "Error");
    assert!(output.starts_with("1 of 2 rows are bad, nothing is taken: "), "{output}");
    assert!(output.contains("write the subnet as 10.1.0.0/16"), "{output}");
    let (status, output) = import("n.csv", "subnets", bad, "true").await;
    assert!(status == "Success" && output.starts_with("1 subnets: 0 added, 0 changed, 1 removed; 1 bad rows left out"));
    let users: String = (0..3_000).map(|n| format!("user{n},LAB\n")).collect();
    let users = format!("user,domain\n{users}");
    assert_eq!(import("u.csv", "users", &users, "false").await, said("3000 users: 3000 added, 0 changed, 0 removed"));
    let fixture = fixture.restarted().await;
    let parts = fixture.facts(FactKind::DirectoryPart);
    let file = fixture.file("u.csv", &users.replace("user7,LAB", "user7,OTHER"));
    let ran = fixture.ran("ActiveDirectoryImport", json!({ "file": file, "kind": "Users" })).await;
    assert_eq!(ran, said("3000 users: 1 added, 0 changed, 1 removed"));
    assert_eq!(fixture.facts(FactKind::DirectoryPart), parts, "the parts before are gone");
    let why = fixture.not_taken("ActiveDirectoryImport", &json!({ "file": file, "kind": "groups" })).await;
    assert!(why.contains("parameter `kind` is `groups`: write kind=sites"), "{why}");
    fixture.stop().await;
}

#[actix::test]
async fn rows_of_a_business_file_go_to_the_tenants_that_they_name() {
    // A clock that stands would not tell which of two files of a source is the later one.
    let fixture = Fixture::ticking("slots = 0", "slots = 0").await;
    for (tenant, group) in [("acme", "emea"), ("zeta", "emea"), ("else", "apac")] {
        fixture.register(tenant, group, &[]).await;
    }
    let run = async |text: &str, scope: (&str, &str), good_rows: &str| {
        let file = fixture.file("contracts.csv", text);
        let parameters = json!({ "file": file, "kind": "contracts", "source": "erp", "good_rows": good_rows });
        let mut body = json!({ "type": "BusinessAdapterImport", "parameters": parameters });
        body[scope.0] = json!(scope.1);
        fixture.ended_with(body).await
    };
    let listed = async || {
        let mut all = Vec::new();
        for tenant in ["acme", "zeta", "else", "default"] {
            let list = fixture.get(&format!("/api/v1/contracts?tenant={tenant}")).await;
            let items = list["items"].as_array().unwrap().clone();
            all.push(
                items.iter().map(|row| row["contract"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" "),
            );
        }
        all
    };
    let emea = ("group", "emea");
    let ran = run("tenant,contract\nacme,C-1\nzeta,C-1\nacme,C-2\n", emea, "false").await;
    assert_eq!(ran, ("Success".into(), "3 rows of contracts from `erp` (acme 2, zeta 1)".into()));
    assert_eq!(listed().await, ["C-1 C-2", "C-1", "", ""]);
    // A row of a tenant that is not of the group, and one of nobody.
    let text = "tenant,contract\nacme,C-3\nelse,C-4\n,C-5\n";
    let (status, output) = run(text, emea, "false").await;
    assert!(status == "Error" && output.starts_with("2 of 3 rows are bad, nothing is taken"), "{output}");
    assert!(
        output.contains("line 3, column `tenant`: `else` is no tenant of this task, which is for group emea"),
        "{output}"
    );
    // The row of nobody may be one of zeta's.
    let (status, output) = run(text, emea, "true").await;
    assert!(status == "Success" && output.starts_with("1 rows of contracts from `erp`; 2 bad"), "{output}");
    assert_eq!(listed().await, ["C-3", "C-1", "", ""]);
    // A tenant with no row any more has no contract any more.
    let ran = run("tenant,contract\nacme,C-3\n", emea, "false").await;
    assert_eq!(ran, ("Success".into(), "1 rows of contracts from `erp` (acme 1, zeta 0)".into()));
    assert_eq!(listed().await, ["C-3", "", "", ""]);
    // Without the column it is the file of the only tenant.
    let (status, output) = run("contract\nC-6\n", emea, "false").await;
    assert!(status == "Error" && output.contains("group emea has 2 tenants: add the column"), "{output}");
    assert_eq!(run("contract\nC-6\n", ("group", "apac"), "false").await.0, "Success");
    assert_eq!(run("contract\nC-7\n", ("tenant", "zeta"), "false").await.0, "Success");
    assert_eq!(listed().await, ["C-3", "C-7", "C-6", ""]);
    fixture.stop().await;
}

#[actix::test]
async fn computers_of_a_file_are_those_of_the_tenant_that_is_named() {
    let fixture = Fixture::start(|folder| {
        let source = format!("[[source]]\nname = \"cmdb\"\nfile = \"{}\"\n", folder.join("cmdb.csv").display());
        std::fs::write(folder.join("sources.toml"), format!("{source}tenant = \"acme\"\n")).unwrap();
        format!("sources_file = \"{}\"\n", folder.join("sources.toml").display())
    })
    .await;
    for tenant in ["acme", "zeta"] {
        fixture.register(tenant, "emea", &[]).await;
    }
    let file = fixture.file("cmdb.csv", "ComputerName,SerialNo\npc-1,S1\n");
    let (_, output) = fixture.ended_with(json!({ "type": "InventoryImport", "group": "emea" })).await;
    assert!(output.contains("acme: 0 packages settled; 1 rows of `cmdb`: 1 added"), "{output}");
    assert!(!output[output.find("zeta").unwrap()..].contains("cmdb"), "{output}");
    let total = async |tenant: &str| fixture.get(&format!("/api/v1/devices?tenant={tenant}")).await["total"].clone();
    assert_eq!((total("acme").await, total("zeta").await, total("default").await), (json!(1), json!(0), json!(0)));
    for (task, parameters) in [
        ("InventoryImportSpreadsheet", json!({ "file": file, "source": "other" })),
        ("ActiveDirectoryImport", json!({ "file": file, "kind": "sites" })),
    ] {
        let body = json!({ "type": task, "group": "emea", "parameters": parameters });
        let (status, output) = fixture.ended_with(body).await;
        assert!(status == "Error" && output.contains("name the one whose file it is (-t)"), "{output}");
    }
    let parameters = json!({ "file": file, "source": "other" });
    let body = json!({ "type": "InventoryImportSpreadsheet", "tenant": "zeta", "parameters": parameters });
    assert_eq!(fixture.ended_with(body).await.0, "Success");
    assert_eq!((total("acme").await, total("zeta").await), (json!(1), json!(1)));
    fixture.stop().await;
}
