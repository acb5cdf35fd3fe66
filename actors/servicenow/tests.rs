//! The stand-in over its wire: hostile bodies, the endpoint's codes, the REST conventions.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use muster::formats::gzip::compress;
use muster::formats::servicenow_xml::{
    Head, ImportState, Mode, Question, Response, ReturnCode, RowsWriter, TransactionType, read_response, row_bytes,
    write_question, write_transaction,
};
use muster::id::Guid;
use serde_json::{Value, json};

use super::*;
use crate::clock::WallClock;

const APP_5: &str = "/api/x_fls_flexera_fnms/integration/fnmstosn";

struct Site {
    running: RunningStandIn,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

fn site(faults: &str) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let options = StandInOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        data: folder.path().into(),
        user: "admin".into(),
        password: Some("secret".into()),
        client: None,
        faults: if faults.is_empty() { Faults::default() } else { faults.parse().unwrap() },
        clock: Arc::new(WallClock),
    };
    Site { running: StandIn::start(options).unwrap(), client: reqwest::Client::new(), _folder: folder }
}

impl Site {
    fn ask(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.running.url());
        self.client.request(method.parse().unwrap(), url).basic_auth("admin", Some("secret"))
    }

    async fn post(&self, body: Vec<u8>) -> (u16, Response) {
        self.post_as("application/xml", body).await
    }

    async fn post_as(&self, content_type: &str, body: Vec<u8>) -> (u16, Response) {
        answer(self.ask("POST", APP_5).header("Content-Type", content_type).body(body)).await
    }

    async fn json(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = self.ask(method, path).header("Content-Type", "application/json").body(body.to_string());
        json_of(request.send().await.unwrap()).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        json_of(self.ask("GET", path).send().await.unwrap()).await
    }

    async fn succeeded(&self, run: Guid) {
        loop {
            let question = write_question(Guid::NIL, &Question::Status { run, transaction: None });
            match self.post(question).await.1.state {
                Some(ImportState::Succeeded) => return,
                Some(ImportState::Failed) => panic!("the import failed"),
                _ => tokio::time::sleep(std::time::Duration::from_millis(2)).await,
            }
        }
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Response) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["content-type"], "application/xml; charset=UTF-8");
    (status, read_response(&answer.bytes().await.unwrap()).unwrap())
}

async fn json_of(answer: reqwest::Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
}

fn segment(kind: TransactionType, id: u8, sequence: u32, total: u32, names: &[&str]) -> Vec<u8> {
    let mut writer = RowsWriter::default();
    for name in names {
        writer.push(&row_bytes(&[("ComputerName", (*name).to_owned())]));
    }
    let records = writer.records();
    let (rows, digest) = writer.finish();
    let id = Guid::from_random([id; 16]);
    let head = Head { id, kind, run: run(), sequence, total, records, mode: Mode::Full, since: None, digest };
    write_transaction(&head, &rows)
}

/// The one run of these tests.
fn run() -> Guid {
    Guid::from_random([9; 16])
}

fn computers(id: u8, sequence: u32, total: u32, names: &[&str]) -> Vec<u8> {
    segment(TransactionType::InventoryExport, id, sequence, total, names)
}

#[actix_web::test]
async fn hostile_bodies_get_a_4xx_and_leave_nothing() {
    let site = site("");
    let good = String::from_utf8(computers(1, 1, 1, &["pc"])).unwrap();
    let entity = "<!DOCTYPE t [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]>";
    let deep = "<transaction>".repeat(100_000);
    let wide = format!("<transaction {}/>", "a=\"1\" ".repeat(100_000));
    for (body, status) in [
        (String::new(), 400),
        ("<transaction".to_owned(), 400),
        ("not xml".to_owned(), 400),
        (format!("{entity}{good}"), 400),
        (good.replace("pc<", "&b;<"), 400),
        (good.replace("pc<", "other<"), 400),
        (good.replace("records=\"1\"", "records=\"2\""), 400),
        (good.replace("sequence=\"1\"", "sequence=\"0\""), 400),
        (good.replace("</transaction>", ""), 400),
        (good.replace("inventory_export", "delete_all"), 400),
        (deep, 400),
        (wide, 400),
        (good.replace("<row>", &format!("<row><A>{}</A>", "x".repeat(20_000))), 400),
    ] {
        let (got, response) = site.post(body.clone().into_bytes()).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!(got, status, "{shown}");
        assert!(matches!(response.code, ReturnCode::Malformed | ReturnCode::UnknownType), "{shown}");
        assert!(!response.message.is_empty() && response.message.len() < 400, "{}", response.message);
    }
    assert_eq!(site.post(b"\xff\xfe<transaction/>".to_vec()).await.0, 400);
    let good = good.into_bytes();
    for (content_type, status) in [("application/json", 415), ("text/plain", 415), ("", 415)] {
        assert_eq!(site.post_as(content_type, good.clone()).await.0, status, "{content_type}");
    }
    assert_eq!(answer(site.ask("POST", APP_5).body(good.clone())).await.0, 400, "without a type");
    assert_eq!(answer(site.ask("GET", APP_5)).await.0, 405);
    let gzip = |body: Vec<u8>| {
        let request = site.ask("POST", APP_5).header("Content-Type", "text/xml").header("Content-Encoding", "gzip");
        answer(request.body(body))
    };
    assert_eq!(gzip(b"nonsense".to_vec()).await.0, 400);
    assert!(matches!(gzip(compress(&vec![b' '; 40 << 20])).await.0, 400 | 413));
    let (_, rows) = site.get("/api/now/table/x_muster_import_run").await;
    assert_eq!(rows["result"], json!([]));
    assert_eq!(gzip(compress(&good)).await.0, 200);
}

/// Sends a head that announces more than is sent, and returns the status line.
fn raw(site: &Site, head: &str, body: &[u8]) -> String {
    let mut socket = std::net::TcpStream::connect(site.running.address).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    socket.write_all(head.as_bytes()).unwrap();
    // The server may answer and close before it has everything: that is what is wanted.
    let _ = socket.write_all(body);
    let mut answer = Vec::new();
    match socket.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection stays open"),
        _ => {}
    }
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

#[actix_web::test]
async fn a_huge_body_is_refused_before_it_is_read() {
    let site = site("");
    let head = format!(
        "POST {APP_5} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWRtaW46c2VjcmV0\r\nConnection: close\r\n\
         Content-Type: application/xml\r\n"
    );
    let announced = format!("{head}Content-Length: 99999999999\r\n\r\n");
    assert_eq!(raw(&site, &announced, b""), "HTTP/1.1 413 Payload Too Large");
    let chunk = format!("{:x}\r\n{}\r\n", 9 << 20, " ".repeat(9 << 20));
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    assert_eq!(raw(&site, &chunked, chunk.as_bytes()), "HTTP/1.1 413 Payload Too Large");
    let nobody = format!("POST {APP_5} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n");
    assert_eq!(raw(&site, &nobody, b""), "HTTP/1.1 401 Unauthorized");
    assert_eq!(site.get("/api/now/table/incident").await.0, 200);
}

#[actix_web::test]
async fn the_endpoint_answers_with_the_documented_codes() {
    let site = site("drop=2");
    let code = |(status, response): (u16, Response)| (status, response.code.number());
    let test = write_question(run(), &Question::ConnectionTest { run: None });
    let own = write_question(run(), &Question::ConnectionTest { run: Some(run()) });
    assert_eq!(code(site.post(test.clone()).await), (200, 0));
    let contracts = segment(TransactionType::ContractExport, 1, 1, 1, &["x"]);
    let (status, response) = site.post(contracts).await;
    assert_eq!((status, response.code.number()), (400, 8));
    assert!(response.message.contains("contract_export"), "{}", response.message);
    assert_eq!(code(site.post(computers(2, 2, 0, &["b"])).await), (400, 6), "the first one is missing");
    let first = computers(1, 1, 0, &["a"]);
    let (status, response) = site.post(first.clone()).await;
    assert_eq!((status, response.duplicate, response.state), (200, false, Some(ImportState::New)));
    assert_eq!((response.run.as_str(), response.transaction.as_str()), ("IMR0000001", "IMT0000001"));
    let (_, again) = site.post(first).await;
    assert_eq!((again.duplicate, again.transaction), (true, response.transaction));
    assert_eq!(code(site.post(computers(1, 1, 0, &["other"])).await), (409, 7));
    assert_eq!(code(site.post(test).await), (200, 3));
    assert_eq!(code(site.post(own).await), (200, 0));
    // The answer to the second one is lost with its connection, though it is taken.
    let second = computers(2, 2, 2, &["b", "c"]);
    let lost = site.ask("POST", APP_5).header("Content-Type", "application/xml").body(second.clone());
    assert!(lost.send().await.is_err());
    assert!(site.post(second).await.1.duplicate);
    site.succeeded(run()).await;
    assert_eq!(code(site.post(computers(3, 3, 3, &["d"])).await), (409, 7), "the run has ended");
    let status = write_question(run(), &Question::Status { run: run(), transaction: None });
    let counts = site.post(status).await.1.counts.unwrap();
    assert_eq!((counts.received, counts.succeeded, counts.failed, counts.pending), (2, 2, 0, 0));
    let unknown = write_question(run(), &Question::Status { run: Guid::NIL, transaction: None });
    assert_eq!(site.post(unknown).await.1.state, None);
    // App 4.x has another path for the same.
    let test = write_question(run(), &Question::ConnectionTest { run: None });
    let request = site.ask("POST", "/fnmp.do").header("Content-Type", "text/xml").body(test.clone());
    assert_eq!(code(answer(request).await), (200, 0));
    let request = site.client.post(format!("{}/fnmp.do", site.running.url())).header("Content-Type", "text/xml");
    assert_eq!(code(answer(request.bearer_auth("nonsense").body(test.clone())).await), (401, 2));
    let (_, import) = site.get("/api/now/table/scheduled_import_set").await;
    let path = format!("/api/now/table/scheduled_import_set/{}", import["result"][0]["sys_id"].as_str().unwrap());
    assert_eq!(site.ask("DELETE", &path).send().await.unwrap().status(), 204);
    assert_eq!(code(site.post(test).await), (200, 4));
}

#[actix_web::test]
async fn check_12_pages_counts_and_links_agree() {
    let site = site("");
    for number in 0..25 {
        let body = json!({ "name": format!("c{number:02}"), "sys_id": "ignored", "nonsense": "x" });
        assert_eq!(site.json("POST", "/api/now/table/core_company", body).await.0, 201);
    }
    let path = "/api/now/table/core_company?sysparm_query=ORDERBYname&sysparm_limit=10&sysparm_offset=";
    let page = |offset: u32| site.ask("GET", &format!("{path}{offset}")).send();
    let last = page(20).await.unwrap();
    assert_eq!(last.headers()["x-total-count"], "25");
    let link = last.headers()["link"].to_str().unwrap().to_owned();
    assert!(!link.contains("rel=\"next\"") && link.contains("sysparm_offset=10>;rel=\"prev\""), "{link}");
    assert_eq!(json_of(last).await.1["result"].as_array().unwrap().len(), 5);
    let link = page(0).await.unwrap().headers()["link"].to_str().unwrap().to_owned();
    assert!(link.contains("sysparm_query=ORDERBYname&sysparm_limit=10&sysparm_offset=10>;rel=\"next\""), "{link}");
    assert!(!link.contains("prev") && link.contains("sysparm_offset=20>;rel=\"last\""), "{link}");
    let (_, rows) = site.get("/api/now/table/core_company?name=c07&sysparm_fields=name,unknown").await;
    assert_eq!(rows, json!({ "result": [{ "name": "c07" }] }));
    assert_eq!(site.get("/api/now/table/core_company?sysparm_offset=-1").await.0, 400);
    assert_eq!(site.get("/api/now/table/core_company?name=none").await, (200, json!({ "result": [] })));
    assert_eq!(site.get("/api/now/v1/table/core_company?name=none").await.0, 404);
}

#[actix_web::test]
async fn the_table_api_keeps_its_conventions() {
    let site = site("");
    let (status, body) = site.get("/api/now/table/no_such_table").await;
    assert_eq!(
        (status, &body["status"], &body["error"]["message"]),
        (400, &json!("failure"), &json!("Invalid table no_such_table"))
    );
    assert_eq!(site.get("/api/now/table/x_muster_oauth_token").await.0, 400);
    assert_eq!(site.get("/api/now/nothing/x").await.0, 400);
    assert_eq!(site.get("/nothing").await.0, 400);
    assert_eq!(site.get("/api/now/table/incident/0123").await.0, 404);
    let (status, made) =
        site.json("POST", "/api/now/table/incident", json!({ "short_description": "x", "state": 1 })).await;
    assert_eq!((status, &made["result"]["state"]), (201, &json!("1")));
    let path = format!("/api/now/table/incident/{}", made["result"]["sys_id"].as_str().unwrap());
    let (_, changed) = site.json("PATCH", &path, json!({ "state": "2" })).await;
    assert_eq!([&changed["result"]["state"], &changed["result"]["short_description"]], ["2", "x"]);
    let request =
        site.ask("POST", &path).header("X-HTTP-Method-Override", "PUT").header("Content-Type", "application/json");
    assert_eq!(request.body("{\"state\":\"3\"}").send().await.unwrap().status(), 200);
    assert_eq!(site.ask("HEAD", &path).send().await.unwrap().status(), 200);
    assert_eq!(site.ask("DELETE", &path).send().await.unwrap().status(), 204);
    assert_eq!(site.get(&path).await.0, 404);
    let post = |content_type: &'static str, body: &'static str| {
        site.ask("POST", "/api/now/table/incident").header("Content-Type", content_type).body(body).send()
    };
    assert_eq!(post("text/xml", "<x/>").await.unwrap().status(), 415);
    assert_eq!(post("application/json", "{").await.unwrap().status(), 400);
    assert_eq!(post("application/json", "[]").await.unwrap().status(), 400);
    let wrong = site.ask("GET", "/api/now/table/incident").header("Accept", "application/xml").send().await.unwrap();
    assert_eq!(wrong.status(), 406);
    let nobody = site.client.get(format!("{}/api/now/table/incident", site.running.url())).send().await.unwrap();
    assert_eq!((nobody.status().as_u16(), nobody.headers().contains_key("www-authenticate")), (401, true));
    for (method, table) in
        [("POST", "x_muster_import_run"), ("POST", "sys_dictionary"), ("POST", "x_muster_inventory_import")]
    {
        assert_eq!(site.json(method, &format!("/api/now/table/{table}"), json!({})).await.0, 403, "{table}");
    }
    let (_, words) = site.get("/api/now/table/sys_dictionary?name=cmdb_ci_computer&element=ram").await;
    assert_eq!(words["result"][0]["internal_type"], "decimal");
}

#[actix_web::test]
async fn a_row_of_the_import_set_api_is_transformed_at_once() {
    let site = site("");
    let path = "/api/now/import/x_muster_inventory_import";
    let row = json!({ "u_computername": "web-1", "u_serialnumber": "S1", "u_operatingsystem": "Debian", "x": "y" });
    let (status, first) = site.json("POST", path, row.clone()).await;
    assert_eq!((status, &first["import_set"]), (201, &json!("ISET0000001")));
    let done = &first["result"][0];
    assert_eq!(
        [&done["status"], &done["table"], &done["display_value"]],
        ["inserted", "cmdb_ci_linux_server", "web-1"]
    );
    let (_, second) = site.json("POST", path, row).await;
    assert_eq!(second["result"][0]["status"], "updated");
    let (_, shown) = site.get("/api/now/table/cmdb_ci_computer?sysparm_display_value=all").await;
    assert_eq!(shown["result"].as_array().unwrap().len(), 1);
    assert_eq!(shown["result"][0]["name"], json!({ "display_value": "web-1", "value": "web-1" }));
    let (_, staged) = site.get("/api/now/table/x_muster_inventory_import").await;
    let again = site.get(&format!("{path}/{}", staged["result"][0]["sys_id"].as_str().unwrap())).await;
    assert_eq!((again.0, &again.1["staging_table"]), (200, &json!("x_muster_inventory_import")));
    assert_eq!(site.json("POST", path, json!({})).await.1["result"][0]["status"], "error");
    assert_eq!(site.json("POST", &format!("{path}/insertMultiple"), json!({ "records": [] })).await.0, 400);
    assert_eq!(site.json("POST", "/api/now/import/x_muster_contract_import", json!({})).await.0, 400);
}

#[actix_web::test]
async fn tokens_come_for_forms_only() {
    let site = site("");
    let url = format!("{}/oauth_token.do", site.running.url());
    let form = |body: &'static str| {
        let request = site.client.post(&url).header("Content-Type", "application/x-www-form-urlencoded");
        request.body(body).send()
    };
    let answer = form("grant_type=password&username=admin&password=secret").await.unwrap();
    let token = json_of(answer).await.1["access_token"].as_str().unwrap().to_owned();
    let list = site.client.get(format!("{}/api/now/table/incident", site.running.url())).bearer_auth(&token);
    assert_eq!(list.send().await.unwrap().status(), 200);
    assert_eq!(form("grant_type=password&username=admin&password=no").await.unwrap().status(), 401);
    assert_eq!(form("%ff%fe&&&=").await.unwrap().status(), 400);
    let json = site.client.post(&url).header("Content-Type", "application/json").body("{}").send().await.unwrap();
    assert_eq!(json.status(), 415);
}
