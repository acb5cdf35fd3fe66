//! Questions that are wrong, by accident or on purpose: an answer that says so, and never a 5xx.

use reqwest::Method;

use super::fixture::{Fixture, report};

#[actix::test]
async fn wrong_questions_are_answered_with_what_would_be_right() {
    let fixture = Fixture::plain().await;
    fixture.settle(report(1, 1, &[("MachineID", "M1")], &[])).await;
    fixture.until_devices("/api/v1/devices", 1).await;
    for (path, status, code, part) in [
        ("/api/v1/devices?limit=0", 400, "limit", "from 1 to 1000"),
        ("/api/v1/devices?limit=99999999999999999999", 400, "limit", "from 1 to 1000"),
        ("/api/v1/devices?limit=", 400, "limit", "from 1 to 1000"),
        ("/api/v1/devices?after=xyz", 400, "cursor", "`next`"),
        ("/api/v1/devices?sort=seriel", 400, "query", "did you mean `serial`?"),
        ("/api/v1/devices?filter=seriel:x", 400, "query", "did you mean `serial`?"),
        ("/api/v1/devices?filter=x", 400, "filter", "field:text"),
        ("/api/v1/devices?limits=5", 400, "query", "did you mean `limit`?"),
        ("/api/v1/devices?limit=5&limit=6", 400, "query", "given twice"),
        ("/api/v1/devices/1?limit=5", 400, "query", "no parameters"),
        ("/api/v1/devices/x", 404, "not-found", "number"),
        ("/api/v1/devices/-1", 404, "not-found", "number"),
        ("/api/v1/devices/+1", 404, "not-found", "number"),
        ("/api/v1/devices/18446744073709551616", 404, "not-found", "number"),
        ("/api/v1/devices/18446744073709551615", 404, "not-found", "no device"),
        ("/api/v1/devices/%00", 404, "not-found", "number"),
        ("/api/v1/devices/1%2F2", 404, "not-found", "number"),
        ("/api/v1/devices/%FF", 404, "not-found", ""),
        ("/api/v1/devices/7/explain", 404, "not-found", "no device"),
        ("/api/v1/devices/1/explain?filter=a:b", 400, "query", "unknown field"),
        ("/api/v1/packages?state=hold", 400, "query", "did you mean `held`?"),
        ("/api/v1/packages?kind=Inventory", 400, "query", "unknown kind"),
        ("/api/v1/packages/abc", 404, "not-found", "64 hexadecimal digits"),
        (&format!("/api/v1/packages/{}", "g".repeat(64)), 404, "not-found", "64 hexadecimal digits"),
        (&format!("/api/v1/packages/{}", "0".repeat(64)), 404, "not-found", "arrived"),
        ("/api/v1/licenses/nobody", 404, "not-found", "licence"),
        ("/api/v1/licenses/nobody/consumption", 404, "not-found", "licence"),
        ("/devices/9", 404, "not-found", "no device"),
        ("/api/v1/tasksss", 404, "not-found", "nothing at this address"),
        ("/api/v1/devices/", 404, "not-found", ""),
        ("/ManageSoftRL/Inventories/x.ndi.gz", 404, "not-found", "nothing at this address"),
        ("/..%2f..%2fetc/passwd", 404, "not-found", "nothing at this address"),
    ] {
        let (got, error) = fixture.refused(path).await;
        assert_eq!((got, error["code"].as_str()), (status, Some(code)), "{path}: {error}");
        assert!(error["message"].as_str().unwrap().contains(part), "{path}: {error}");
        assert!(error.as_object().unwrap().contains_key("detail"), "{path}");
    }
    fixture.stop().await;
}

#[actix::test]
async fn this_listener_is_only_asked() {
    let fixture = Fixture::plain().await;
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::from_bytes(b"BREW").unwrap()] {
        for path in ["/api/v1/devices", "/api/v1/devices/1", "/", "/health", "/metrics", "/api/openapi.json"] {
            let (status, text) = fixture.raw(method.clone(), path).await;
            assert_eq!(status, 405, "{method} {path}");
            assert!(text.contains(&format!("{method} is not allowed here: use GET")), "{text}");
        }
        let (status, text) = fixture.raw(method, "/nowhere").await;
        assert!(status == 404 && text.contains("\"not-found\""), "{text}");
    }
    fixture.stop().await;
}

#[actix::test]
async fn a_name_that_was_led_here_reads_nothing() {
    let fixture = Fixture::plain().await;
    let asked = |host: &'static str| {
        let request = reqwest::Client::new().get(fixture.operator("/api/v1/settings")).header("host", host);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!([asked("evil.example").await, asked("evil.example:8080").await], [403, 403]);
    assert_eq!([asked("127.0.0.1:8080").await, asked("localhost").await, asked("[::1]:8080").await], [200, 200, 200]);
    fixture.stop().await;
}

#[actix::test]
async fn cursors_that_were_tampered_with_never_break_a_list() {
    let fixture = Fixture::plain().await;
    for agent in 1..=2 {
        let machine = format!("M{agent}");
        fixture.settle(report(agent, 1, &[("MachineID", &machine)], &[("a", "1"), ("b", "2")])).await;
    }
    fixture.until_devices("/api/v1/devices", 2).await;
    fixture.reconciled().await;
    for path in ["/api/v1/devices", "/api/v1/packages", "/api/v1/software", "/api/v1/devices/1/explain"] {
        // A cursor of another list fits in form, and none in meaning.
        let next = fixture.get("/api/v1/devices?limit=1").await["next"].as_str().unwrap().to_owned();
        for at in 0..next.len() {
            let mut bytes = next.clone().into_bytes();
            bytes[at] = if bytes[at] == b'f' { b'0' } else { b'f' };
            let after = String::from_utf8(bytes).unwrap();
            let (status, text) = fixture.raw(Method::GET, &format!("{path}?after={after}")).await;
            assert!(status == 200 || status == 400, "{path} {after}: {status} {text}");
        }
        let (status, _) = fixture.raw(Method::GET, &format!("{path}?after={next}{next}")).await;
        assert!(status == 200 || status == 400);
    }
    fixture.stop().await;
}

#[actix::test]
async fn bodies_that_are_too_large_or_say_a_thing_twice_are_refused_in_json() {
    let fixture = Fixture::plain().await;
    let long = format!("{{\"type\": \"{}\"}}", "x".repeat(crate::server::api::tasks::BYTES_MAX));
    let (status, answer) = fixture.post("/api/v1/tasks", &long).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(status == 413 && message.contains("at most"), "{status} {answer}");
    // The same where no address says how much it takes.
    let (status, answer) = fixture.post("/api/v1/devices/1/unmerge", &" ".repeat(3 << 20)).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(status == 413 && message.contains("at most"), "{status} {answer}");
    let twice = r#"{"tables": {"licenses": "license,type\nl1,2\n", "licenses": "license,type\nl2,2\n"}}"#;
    let (status, answer) = fixture.post("/api/v1/licensing", twice).await;
    assert!(
        status == 400 && answer["error"]["message"].as_str().unwrap().contains("`licenses` stands there twice"),
        "{answer}"
    );
    assert_eq!(fixture.get("/api/v1/licensing/licenses").await["total"], 0, "neither was taken");
    fixture.stop().await;
}
