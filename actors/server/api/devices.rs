//! `GET /devices`: the list of devices.

use muster::id::DeviceId;
use muster::roles::server::DeviceRow;
use muster::time::{SECOND_MS, Timestamp};

use super::device::item;
use super::listing::{Asked, Cell, Fields, Form, LIMIT_MAX, Page, Window};
use super::problem::Problem;
use super::remembered::Remembered;
use super::{Answer, Api, Question};
use crate::log::Position;
use crate::server::fleet::Fleet;

/// Number of devices, by how far the view has come.
pub type DeviceCount = Remembered<(Position, u64), u64>;

const FORM: Form = Form {
    fields: &[
        "id",
        "name",
        "domain",
        "manufacturer",
        "model",
        "serial",
        "uuid",
        "os",
        "type",
        "last_inventory",
        "sources",
        "records",
    ],
    parameters: &[],
};

impl Fields for DeviceRow {
    fn cell(&self, field: &str) -> Cell<'_> {
        match field {
            "id" => Cell::count(self.id.0),
            "name" => Cell::text(&self.name),
            "domain" => Cell::text(&self.domain),
            "manufacturer" => Cell::text(&self.manufacturer),
            "model" => Cell::text(&self.model),
            "serial" => Cell::text(&self.serial),
            "uuid" => Cell::text(&self.uuid),
            "os" => Cell::text(&self.os),
            "type" => Cell::text(&self.device_type),
            "last_inventory" => Cell::Time(Timestamp(self.last_inventory.saturating_mul(SECOND_MS))),
            "sources" => Cell::text(self.sources.join(" ")),
            "records" => Cell::count(u64::from(self.records)),
            _ => Cell::Null,
        }
    }
}

pub(super) fn list(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let page = page(api, &Asked::of(&question.query, &FORM)?)?;
    Ok(Answer::Json(page.json(|row| item(&row))))
}

/// The page that is shown first.
pub(super) fn first(api: &Api) -> Result<Page<DeviceRow>, Problem> {
    page(api, &Asked::of("", &FORM)?)
}

fn page(api: &Api, asked: &Asked) -> Result<Page<DeviceRow>, Problem> {
    if asked.is_plain() {
        let after = asked.after().and_then(|id| id.try_into().ok()).map(u64::from_be_bytes).map(DeviceId);
        let rows = Fleet::of(&api.books).rows(after, asked.limit() + 1)?;
        return Ok(Page::plain(asked, rows, count(api)?, |row| id_of(row).to_vec()));
    }
    let mut window = Window::new(asked);
    each(api, |row| window.offer(&id_of(&row), row, |row| row))?;
    Ok(window.page())
}

fn id_of(row: &DeviceRow) -> [u8; 8] {
    row.id.0.to_be_bytes()
}

fn count(api: &Api) -> Result<u64, Problem> {
    let view = &api.books.view;
    api.kept.devices.get((view.applied(), view.rebuilt()), || {
        let mut count = 0;
        each(api, |_| count += 1)?;
        Ok(count)
    })
}

fn each(api: &Api, mut each: impl FnMut(DeviceRow)) -> Result<(), Problem> {
    let (fleet, mut after) = (Fleet::of(&api.books), None);
    loop {
        let rows = fleet.rows(after, LIMIT_MAX)?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some(last.id);
        rows.into_iter().for_each(&mut each);
    }
}
