//! Gap reports on their way up, and what agents are to send again on its way down.
//!
//! ```text
//! GET /ManageSoftDL/Policies/{name}.npl      an agent's report comes in its head, what it is to send again goes back
//! PUT /inventory-beacons/{guid}/status/gaps  reports of those below a beacon, behind its status
//! GET /inventory-beacons/{guid}/resend       the whole list for a beacon, with an ETag of its own
//! ```
//!
//! In memory only: agents tell again at each policy question, and the list is made anew at the server. Source: delivery
//! contract, section 5, gap healing.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use actix_web::http::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use muster::formats::marks::Told;
use muster::formats::wire::{Refusal, header};
use muster::id::Guid;
use muster::upload::gaps::{GapReport, GapReports, Resends};

use super::downloads::names_tag;
use crate::intake::refuse;

/// Most bytes of one body with reports.
const BODY_BYTES_MAX: usize = 4 << 20;

/// Where reports go that come from below; the answer says whether they are kept.
pub trait TakeReports: Send + Sync {
    /// Takes these. `false`: not now, they come again.
    fn take_reports(&self, reports: Vec<GapReport>) -> Pin<Box<dyn Future<Output = bool>>>;
}

/// See the module's head.
pub struct Gaps {
    node: Guid,
    reports: Mutex<GapReports>,
    resends: RwLock<Arc<Given>>,
    ignored: AtomicU64,
}

struct Given {
    list: Resends,
    json: Bytes,
    etag: String,
}

impl Gaps {
    /// Of this node: nothing heard, nothing asked for.
    pub fn new(node: Guid) -> Gaps {
        let given = RwLock::new(Arc::new(Given::of(Resends::default())));
        Gaps { node, reports: Mutex::default(), resends: given, ignored: AtomicU64::new(0) }
    }

    fn reports(&self) -> MutexGuard<'_, GapReports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn given(&self) -> Arc<Given> {
        self.resends.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Parts of reports that did not read or could not be, since the start.
    pub fn ignored(&self) -> u64 {
        self.ignored.load(Ordering::Relaxed)
    }

    /// Hears what `agent` tells in the head of a policy question.
    pub fn hear(&self, agent: Guid, request: &HttpRequest) {
        let text = |name: &str| {
            let value = request.headers().get(name);
            value.map(|value| value.to_str().unwrap_or("not a text")).unwrap_or_default().to_owned()
        };
        let told = Told {
            published: text(header::PUBLISHED),
            acked: text(header::ACKED),
            refused: text(header::REFUSED),
            superseded: text(header::SUPERSEDED),
        };
        let (report, bad) = GapReport::heard(agent, self.node, &told);
        self.ignored.fetch_add(bad as u64, Ordering::Relaxed);
        if let Some(report) = report {
            self.reports().take(report);
        }
    }

    /// Those of `reports` that a node below passed on that can be.
    fn judge(&self, reports: Vec<GapReport>) -> Vec<GapReport> {
        let mut good = Vec::with_capacity(reports.len());
        for (report, bad) in reports.iter().map(GapReport::passed_on) {
            self.ignored.fetch_add(bad as u64, Ordering::Relaxed);
            good.extend(report);
        }
        good
    }

    /// Keeps `reports` for the next node.
    pub fn keep(&self, reports: Vec<GapReport>) {
        let mut kept = self.reports();
        reports.into_iter().for_each(|report| kept.take(report));
    }

    /// Reports of about `bytes_max` together that wait longest, each with its number here.
    pub fn page(&self, bytes_max: usize) -> (Vec<u64>, Vec<GapReport>) {
        self.reports().page(bytes_max)
    }

    /// The next node has these.
    pub fn passed(&self, numbers: &[u64]) {
        self.reports().passed(numbers);
    }

    /// Asks for `list` from now on.
    pub fn ask_for(&self, list: Resends) {
        let given = Arc::new(Given::of(list));
        *self.resends.write().unwrap_or_else(PoisonError::into_inner) = given;
    }

    /// The tag under which a parent knows the list in force.
    pub fn etag(&self) -> String {
        self.given().etag.clone()
    }

    /// What `agent` is to send again, for the head of its answer.
    pub fn resend_of(&self, agent: Guid) -> Option<HeaderValue> {
        HeaderValue::from_str(self.given().list.of(agent)?).ok()
    }
}

impl Given {
    fn of(list: Resends) -> Given {
        let json = list.write();
        Given { etag: Resends::etag(&json), json: json.into(), list }
    }
}

/// A beacon keeps reports for its parent.
pub struct KeepReports(pub Data<Gaps>);

impl TakeReports for KeepReports {
    fn take_reports(&self, reports: Vec<GapReport>) -> Pin<Box<dyn Future<Output = bool>>> {
        self.0.keep(reports);
        Box::pin(std::future::ready(true))
    }
}

/// The routes between nodes. `taker` keeps what comes from below.
pub fn gaps(config: &mut ServiceConfig, gaps: Data<Gaps>, taker: Arc<dyn TakeReports>) {
    config.service(
        web::resource("/inventory-beacons/{guid}/status/gaps")
            .app_data(gaps.clone())
            .app_data(Data::from(taker))
            .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
            .route(web::put().to(put)),
    );
    config.service(web::resource("/inventory-beacons/{guid}/resend").app_data(gaps).route(web::get().to(resend)));
}

async fn put(guid: Path<String>, body: Bytes, gaps: Data<Gaps>, taker: Data<dyn TakeReports>) -> HttpResponse {
    let wrong = |message: &str| refuse(&Refusal::new(400, "gaps", message), None);
    if guid.parse::<Guid>().is_err() {
        return wrong("the address names no GUID");
    }
    // Megabytes of text: not on a thread that serves others meanwhile.
    let judged = web::block(move || serde_json::from_slice::<Vec<GapReport>>(&body).map(|reports| gaps.judge(reports)));
    let reports = match judged.await {
        Ok(Ok(reports)) => reports,
        Ok(Err(error)) => return wrong(&format!("not a list of gap reports: {error}")),
        Err(_) => return refuse(&Refusal::new(503, "gaps", "the reports are not read now"), Some(60)),
    };
    match taker.take_reports(reports).await {
        true => HttpResponse::NoContent().finish(),
        false => refuse(&Refusal::new(503, "gaps", "the reports are not kept now"), Some(60)),
    }
}

async fn resend(request: HttpRequest, gaps: Data<Gaps>) -> HttpResponse {
    let given = gaps.given();
    let tags = request.headers().get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok()).unwrap_or_default();
    let tag = (ETAG, given.etag.as_str());
    match names_tag(tags, &given.etag) {
        true => HttpResponse::NotModified().insert_header(tag).finish(),
        false => HttpResponse::Ok().insert_header(tag).content_type("application/json").body(given.json.clone()),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::App;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use muster::formats::marks::Mark;

    use super::*;

    fn guid(n: u8) -> Guid {
        Guid::from_random([n; 16])
    }

    fn node() -> Data<Gaps> {
        Data::new(Gaps::new(guid(1)))
    }

    async fn call(gaps: &Data<Gaps>, request: TestRequest) -> (u16, Option<String>, Bytes) {
        let (own, taker) = (gaps.clone(), Arc::new(KeepReports(gaps.clone())));
        let app = init_service(App::new().configure(|config| super::gaps(config, own, taker))).await;
        let answer = call_service(&app, request.to_request()).await;
        let tag = answer.headers().get(ETAG).map(|tag| tag.to_str().unwrap().to_owned());
        (answer.status().as_u16(), tag, read_body(answer).await)
    }

    #[actix::test]
    async fn a_childs_reports_are_kept_with_the_beacon_that_heard_them_and_bad_ones_are_counted() {
        let gaps = node();
        let body = format!(
            "[{{\"agent\":\"{}\",\"beacon\":\"{}\",\"published\":\"\",\"acked\":\"UsageData/a/=1:2,x\"}}]",
            guid(5),
            guid(6)
        );
        let put = |guid: &str, body: &str| {
            let address = format!("/inventory-beacons/{guid}/status/gaps");
            TestRequest::put().uri(&address).set_payload(body.to_owned())
        };
        assert_eq!(call(&gaps, put(&guid(2).to_string(), &body)).await.0, 204);
        let (_, page) = gaps.page(1 << 20);
        assert_eq!((page.len(), page[0].agent, page[0].beacon), (1, guid(5), guid(6)));
        assert_eq!((&*page[0].acked, gaps.ignored()), ("UsageData/a/=1:2", 1));
        for (guid, body) in [("x", &*body), (&*guid(2).to_string(), "{}"), (&*guid(2).to_string(), "[{\"agent\":1}]")] {
            assert_eq!(call(&gaps, put(guid, body)).await.0, 400, "{body}");
        }
    }

    #[actix::test]
    async fn the_list_is_sent_once_and_then_known_by_its_tag() {
        let gaps = node();
        let get = || TestRequest::get().uri("/inventory-beacons/x/resend");
        let (status, none, _) = call(&gaps, get()).await;
        assert_eq!((status, none.clone().unwrap()), (200, gaps.etag()));
        let mut list = Resends::default();
        list.add(guid(5), &[Mark::one("UsageData/a/".into(), 1, 2)]);
        gaps.ask_for(list.clone());
        let (status, tag, body) = call(&gaps, get().insert_header((IF_NONE_MATCH, none.unwrap()))).await;
        assert_eq!((status, Resends::read(&body).unwrap().of(guid(5))), (200, list.of(guid(5))));
        let (status, _, body) = call(&gaps, get().insert_header((IF_NONE_MATCH, tag.unwrap()))).await;
        assert_eq!((status, body.len()), (304, 0));
        assert_eq!(gaps.resend_of(guid(5)).unwrap(), "UsageData/a/=1:2");
    }
}
