//! `GET /inventory-beacons/{guid}/policy` for beacons and `GET /ManageSoftDL/{folder}/{name}` for agents.
//!
//! Everything is worked out when a policy arrives; a request looks up a file and compares its tag. Source:
//! `agent-beacon-batch` reference, section 8.2.

use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use actix_web::http::header::{self, HeaderValue, HttpDate};
use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use muster::formats::wire::{Refusal, header as wire_header};
use muster::id::Guid;
use muster::policy::{BeaconPolicy, File, HandOut};

use super::Gaps;
use crate::intake::refuse;

/// Where there is no policy yet an agent comes again after so long.
const AGENTS_COME_AGAIN_SECS: u64 = 60;
/// A beacon, of which there are few, sooner: below it nobody has a policy until it has one.
const BEACONS_COME_AGAIN_SECS: u64 = 5;

/// What a node hands out: nothing until a policy was made or its parent gave one.
#[derive(Default)]
pub struct Downloads {
    /// The node that hands it out; nil where nobody is to be told that it asks itself.
    node: Guid,
    given: RwLock<Option<Arc<Given>>>,
}

struct Given {
    policy: BeaconPolicy,
    /// The policy as it travels, and its tag.
    json: Bytes,
    etag: String,
    hand_out: HandOut,
    /// When its content was made, to the second that `Last-Modified` knows.
    made_at: SystemTime,
    last_modified: HeaderValue,
}

impl Downloads {
    /// Those of `node`, which is told when it asks itself.
    pub fn of(node: Guid) -> Downloads {
        Downloads { node, ..Downloads::default() }
    }

    /// The policy in force.
    pub fn policy(&self) -> Option<BeaconPolicy> {
        self.given().map(|given| given.policy.clone())
    }

    /// Its revision; 0 for none.
    pub fn revision(&self) -> u64 {
        self.given().map_or(0, |given| given.policy.revision)
    }

    /// The tag under which a parent knows it.
    pub fn etag(&self) -> Option<String> {
        self.given().map(|given| given.etag.clone())
    }

    /// Hands out `policy` from now on, with `schedule` in place of its own: the same with this node's catch-up.
    pub fn give(&self, policy: BeaconPolicy, schedule: &str) {
        // Later dates have no form in HTTP.
        let secs = u64::try_from(policy.made_at.0 / 1_000).unwrap_or(0).min(253_402_300_799);
        let made_at = SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
        let last_modified = HeaderValue::try_from(HttpDate::from(made_at).to_string());
        let given = Given {
            json: policy.write().into(),
            etag: format!("\"{}\"", policy.etag()),
            hand_out: HandOut::new(&policy, schedule),
            policy,
            made_at,
            last_modified: last_modified.unwrap_or(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT")),
        };
        let mut present = self.given.write().expect("no holder of this lock panics");
        // Two that were made at the same time may come in either order; the later one stays.
        if present.as_ref().is_none_or(|present| present.policy.revision <= given.policy.revision) {
            *present = Some(Arc::new(given));
        }
    }

    fn given(&self) -> Option<Arc<Given>> {
        self.given.read().expect("no holder of this lock panics").clone()
    }

    /// Answers with the file `name` that `find` finds.
    fn answer(&self, request: &HttpRequest, name: &str, find: impl Fn(&HandOut) -> Option<&File>) -> HttpResponse {
        let Some(given) = self.given() else { return later(AGENTS_COME_AGAIN_SECS) };
        let Some(found) = find(&given.hand_out) else {
            return refuse(&Refusal::new(404, "not-found", "no such file to download"), None);
        };
        let content_type =
            if name.ends_with(".ndc") { "text/plain; charset=utf-8" } else { "application/xml; charset=utf-8" };
        given.answer(request, &found.etag, content_type, || Bytes::copy_from_slice(found.text.as_bytes()))
    }
}

/// The routes for downloads. A policy question is heard, and answered, for `gaps` too.
pub fn downloads(config: &mut ServiceConfig, downloads: Data<Downloads>, gaps: Data<Gaps>) {
    let policy = web::resource("/inventory-beacons/{guid}/policy").app_data(downloads.clone());
    config.service(policy.route(web::get().to(policy_of_beacons)));
    let file_of = web::resource("/ManageSoftDL/{folder}/{name}").app_data(downloads).app_data(gaps);
    config.service(file_of.route(web::get().to(file)).route(web::head().to(file)));
}

async fn policy_of_beacons(request: HttpRequest, guid: Path<String>, downloads: Data<Downloads>) -> HttpResponse {
    if guid.parse::<Guid>().is_ok_and(|asks| asks == downloads.node) {
        return refuse(&Refusal::new(508, "loop", "this node asks itself for policy"), None);
    }
    match downloads.given() {
        Some(given) => given.answer(&request, &given.etag, "application/json", || given.json.clone()),
        None => later(BEACONS_COME_AGAIN_SECS),
    }
}

async fn file(
    request: HttpRequest,
    path: Path<(String, String)>,
    downloads: Data<Downloads>,
    gaps: Data<Gaps>,
) -> HttpResponse {
    let (folder, name) = path.into_inner();
    if folder != "Policies" || !name.ends_with(".npl") {
        return downloads.answer(&request, &name, |hand_out| hand_out.file(&format!("{folder}/{name}")));
    }
    // Whose policy it is tells the header, not the name: only who asks is in groups and is a target of a migration.
    let agent = request.headers().get(wire_header::AGENT).and_then(|value| value.to_str().ok()?.parse::<Guid>().ok());
    if let Some(agent) = agent {
        gaps.hear(agent, &request);
    }
    let mut answer = downloads.answer(&request, &name, |hand_out| hand_out.policy(agent));
    if let Some(resend) = agent.and_then(|agent| gaps.resend_of(agent)) {
        answer.headers_mut().insert(header::HeaderName::from_static(wire_header::RESEND), resend);
    }
    answer
}
/// Nothing was given to this node yet.
fn later(come_again_secs: u64) -> HttpResponse {
    refuse(&Refusal::new(503, "no-policy", "this node has no policy yet"), Some(come_again_secs))
}

impl Given {
    fn answer(
        &self,
        request: &HttpRequest,
        etag: &str,
        content_type: &str,
        body: impl FnOnce() -> Bytes,
    ) -> HttpResponse {
        let mut answer = if self.is_known(request, etag) {
            HttpResponse::NotModified().finish()
        } else {
            HttpResponse::Ok().content_type(content_type).body(body())
        };
        if let Ok(value) = HeaderValue::from_str(etag) {
            answer.headers_mut().insert(header::ETAG, value);
        }
        answer.headers_mut().insert(header::LAST_MODIFIED, self.last_modified.clone());
        answer
    }

    /// A tag decides where there is one, else the date. Source: RFC 9110, section 13.2.2.
    fn is_known(&self, request: &HttpRequest, etag: &str) -> bool {
        let text = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        if let Some(tags) = text(header::IF_NONE_MATCH) {
            return names_tag(tags, etag);
        }
        let since = text(header::IF_MODIFIED_SINCE).and_then(|date| date.parse::<HttpDate>().ok());
        since.is_some_and(|since| self.made_at <= SystemTime::from(since))
    }
}

/// Whether the tags of an `If-None-Match` name `etag`, weakly: a proxy may have weakened it.
pub(super) fn names_tag(tags: &str, etag: &str) -> bool {
    let is_it = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag;
    tags.split(',').any(|tag| is_it(tag.trim()))
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, http};
    use muster::formats::marks::Mark;
    use muster::policy::beacon_policy::Content;
    use muster::time::Timestamp;
    use muster::upload::gaps::Resends;

    use super::*;

    const SCHEDULE: &str = "<Schedule SCHEDSCHEMA=\"60\" NAME=\"s\" TIMEDATESTAMP=\"20250314T000000Z\"/>";

    fn given(targets: Option<Guid>) -> Data<Downloads> {
        let made_at = Timestamp::from_stamp("20250314T000000Z").unwrap().plus_ms(700);
        let content =
            Content { schedule: SCHEDULE.into(), targets: targets.map(|agent| [agent].into()), ..Content::default() };
        let downloads = Downloads::default();
        downloads.give(BeaconPolicy::new(41, made_at, content).unwrap(), SCHEDULE);
        Data::new(downloads)
    }

    async fn get(
        downloads: &Data<Downloads>,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (StatusCode, http::header::HeaderMap, Bytes) {
        get_with(downloads, &Data::new(Gaps::new(Guid::NIL)), path, headers).await
    }

    async fn get_with(
        downloads: &Data<Downloads>,
        gaps: &Data<Gaps>,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (StatusCode, http::header::HeaderMap, Bytes) {
        let routes = |config: &mut ServiceConfig| super::downloads(config, downloads.clone(), gaps.clone());
        let app = init_service(App::new().configure(routes)).await;
        let request =
            headers.iter().fold(TestRequest::get().uri(path), |request, header| request.insert_header(*header));
        let answer = call_service(&app, request.to_request()).await;
        let (status, headers) = (answer.status(), answer.headers().clone());
        (status, headers, read_body(answer).await)
    }

    fn tag(headers: &http::header::HeaderMap) -> &str {
        headers.get("etag").unwrap().to_str().unwrap()
    }

    #[actix::test]
    async fn what_is_known_by_tag_or_date_is_not_sent_again() {
        let downloads = given(None);
        let policy = "/ManageSoftDL/Policies/web07-00.npl";
        let (status, headers, body) = get(&downloads, policy, &[]).await;
        assert_eq!((status.as_u16(), tag(&headers)), (200, "\"r41\""));
        assert_eq!(headers.get("last-modified").unwrap(), "Fri, 14 Mar 2025 00:00:00 GMT");
        assert!(!body.is_empty());
        for (header, value, wanted) in [
            ("if-none-match", "\"r41\"", 304),
            ("if-none-match", "\"x\", W/\"r41\"", 304),
            ("if-none-match", "*", 304),
            ("if-none-match", "\"r40\"", 200),
            ("if-modified-since", "Fri, 14 Mar 2025 00:00:00 GMT", 304),
            ("if-modified-since", "Thu, 13 Mar 2025 23:59:59 GMT", 200),
            ("if-modified-since", "yesterday", 200),
        ] {
            let (status, _, body) = get(&downloads, policy, &[(header, value)]).await;
            assert_eq!((status.as_u16(), body.is_empty()), (wanted, wanted == 304), "{header}: {value}");
        }
        // A tag decides where there is one.
        let both = [("if-none-match", "\"r40\""), ("if-modified-since", "Fri, 14 Mar 2025 00:00:00 GMT")];
        assert_eq!(get(&downloads, policy, &both).await.0, 200);
    }

    #[actix::test]
    async fn beacons_get_the_policy_whole_and_agents_what_it_links_to() {
        let downloads = given(None);
        let (status, headers, body) = get(&downloads, "/inventory-beacons/x/policy", &[]).await;
        assert_eq!(status, 200);
        let policy = BeaconPolicy::read(&body).unwrap();
        assert_eq!((policy.revision, tag(&headers)), (41, &*downloads.etag().unwrap()));
        let known = [("if-none-match", tag(&headers))];
        assert_eq!(get(&downloads, "/inventory-beacons/x/policy", &known).await.0, 304);
        for (path, wanted) in [
            ("/ManageSoftDL/Schedules/Default%20Machine%20Schedule.osd", 200),
            ("/ManageSoftDL/Schedules/Default%20Machine%20Schedule.nds", 200),
            ("/ManageSoftDL/Schedules/other.nds", 404),
            ("/ManageSoftDL/Schedules/..%2F..%2Fetc%2Fpasswd", 404),
        ] {
            assert_eq!(get(&downloads, path, &[]).await.0, wanted, "{path}");
        }
        let none = Data::new(Downloads::default());
        assert_eq!(get(&none, "/inventory-beacons/x/policy", &[]).await.0, 503);
    }

    #[actix::test]
    async fn in_migration_mode_a_policy_is_found_by_its_target_only() {
        let agent = Guid::from_random([1; 16]);
        let downloads = given(Some(agent));
        let path = "/ManageSoftDL/Policies/web07-00.npl";
        let own = agent.to_string();
        assert_eq!(get(&downloads, path, &[("x-muster-agent", &own)]).await.0, 200);
        for other in ["nobody", "00000000-0000-4000-8000-000000000000"] {
            assert_eq!(get(&downloads, path, &[("x-muster-agent", other)]).await.0, 404);
        }
        assert_eq!(get(&downloads, path, &[]).await.0, 404);
    }

    #[actix::test]
    async fn a_policy_question_is_heard_and_tells_what_to_send_again_whatever_its_answer() {
        let (agent, other) = (Guid::from_random([1; 16]), Guid::from_random([2; 16]));
        let gaps = Data::new(Gaps::new(Guid::from_random([9; 16])));
        let mut list = Resends::default();
        list.add(agent, &[Mark::one("UsageData/a/".into(), 1, 2)]);
        gaps.ask_for(list);
        let path = "/ManageSoftDL/Policies/web07-00.npl";
        let own = agent.to_string();
        let told = [
            ("x-muster-agent", &*own),
            ("x-muster-published", "UsageData/a/=1:3"),
            ("x-muster-acked", "UsageData/a/=1:2,x"),
        ];
        let known = [&told[..], &[("if-none-match", "*")]].concat();
        for (downloads, headers, wanted) in
            [(given(None), &told[..], 200), (given(None), &known[..], 304), (given(Some(other)), &told[..], 404)]
        {
            let (status, headers, _) = get_with(&downloads, &gaps, path, headers).await;
            assert_eq!(status.as_u16(), wanted);
            assert_eq!(headers.get("x-muster-resend").unwrap(), "UsageData/a/=1:2");
            let (numbers, page) = gaps.page(1 << 20);
            assert_eq!((page.len(), page[0].agent, page[0].beacon), (1, agent, Guid::from_random([9; 16])));
            gaps.passed(&numbers);
        }
        assert_eq!(gaps.ignored(), 3);
        // Nobody is told of another's packages, and no other file is a question.
        let others = [("x-muster-agent", &*other.to_string())];
        assert!(!get_with(&given(None), &gaps, path, &others).await.1.contains_key("x-muster-resend"));
        let schedule = "/ManageSoftDL/Schedules/Default%20Machine%20Schedule.nds";
        assert!(!get_with(&given(None), &gaps, schedule, &told).await.1.contains_key("x-muster-resend"));
        assert!(gaps.page(1).0.is_empty());
        // A node without a policy hears all the same.
        get_with(&Data::new(Downloads::default()), &gaps, path, &told).await;
        assert_eq!(gaps.page(1).0.len(), 1);
    }
}
