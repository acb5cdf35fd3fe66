//! Who used what, and who reached which server product.
//!
//! Neither makes an installation. Source: reconcile-files reference, section 2, `usage.csv` and `access.csv`.

use super::{Number, Slot};
use crate::model::decimal::Decimal;

/// Use of an application on a device by a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Used {
    /// The application.
    pub application: Number,
    /// Where.
    pub device: Number,
    /// By whom.
    pub user: Number,
    /// How much.
    pub quantity: Decimal,
}

/// All use, ascending by application, device and user, each once with its largest quantity.
#[derive(Clone, Debug, Default)]
pub struct Usage(Vec<Used>);

impl Usage {
    /// Sorts rows in; of repeated ones the largest quantity stays.
    pub fn new(mut rows: Vec<Used>) -> Usage {
        rows.sort_unstable_by(|a, b| b.cmp(a));
        // Descending, so the largest of its key comes first and stays.
        rows.dedup_by_key(|used| (used.application, used.device, used.user));
        rows.reverse();
        Usage(rows)
    }

    /// All of it.
    pub fn rows(&self) -> &[Used] {
        &self.0
    }

    /// Use of `application`, ascending by device, then user.
    pub fn of_application(&self, application: Number) -> &[Used] {
        let start = self.0.partition_point(|used| used.application < application);
        let end = self.0.partition_point(|used| used.application <= application);
        &self.0[start..end]
    }

    /// Use of `application` on `device`, ascending by user.
    pub fn of(&self, application: Number, device: Number) -> &[Used] {
        on_device(self.of_application(application), device)
    }
}

/// Of the use of one application that on `device`.
pub fn on_device(used: &[Used], device: Number) -> &[Used] {
    if used.is_empty() {
        return used;
    }
    let start = used.partition_point(|used| used.device < device);
    let length = used[start..].partition_point(|used| used.device == device);
    &used[start..start + length]
}

/// Somebody reached an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    /// The application.
    pub application: Number,
    /// From where.
    pub device: Option<Slot>,
    /// Who.
    pub user: Option<Slot>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_repeated_rows_the_largest_quantity_stays() {
        let used =
            |application, device, user, quantity: u64| Used { application, device, user, quantity: quantity.into() };
        let usage =
            Usage::new(vec![used(1, 2, 3, 6), used(1, 2, 3, 13), used(1, 1, 9, 1), used(0, 2, 3, 1), used(1, 2, 3, 7)]);
        assert_eq!(usage.of(1, 2), [used(1, 2, 3, 13)]);
        assert_eq!(usage.of_application(1), [used(1, 1, 9, 1), used(1, 2, 3, 13)]);
        assert!(usage.of(1, 3).is_empty() && usage.of(7, 1).is_empty());
    }
}
