//! Tables that belong to no licence: rules of points, and steps. A bad cell in them refuses the folder.
//!
//! Source: reconcile-files reference, section 3.

use std::collections::BTreeMap;

use super::cells::BadCell;
use super::table::{FolderError, Form, Keys, Row, Table};
use crate::model::licensing::{PointsRule, PointsSet, Step, Steps};
use crate::model::pattern::Pattern;

/// `points_rules.csv`.
pub const POINTS_RULES: Form = Form {
    file: "points_rules.csv",
    columns: &[
        "set",
        "rule",
        "vendor",
        "family",
        "model",
        "os",
        "hosted_in",
        "sockets_min",
        "sockets_max",
        "bought_before",
        "points",
    ],
    required: &["set", "rule", "points"],
    key: &["set", "rule"],
};
/// `steps.csv`.
pub const STEPS: Form =
    Form { file: "steps.csv", columns: &["set", "up_to", "rate"], required: &["set", "rate"], key: &[] };

/// Rules of points, by the name of their set, each set ascending by number.
pub fn read_points(table: &Table<'_>) -> Result<Vec<PointsSet>, FolderError> {
    let (mut sets, mut keys): (BTreeMap<Box<str>, Vec<PointsRule>>, _) = (BTreeMap::new(), Keys::default());
    table.rows(|row| {
        let rule = read_rule(row).map_err(|bad| bad.refused(row))?;
        keys.check_texts(row, vec![row.text(0).into(), rule.number.to_string().into()])?;
        sets.entry(row.text(0).into()).or_default().push(rule);
        Ok(())
    })?;
    let set = |(name, mut rules): (Box<str>, Vec<PointsRule>)| {
        rules.sort_by_key(|rule| rule.number);
        PointsSet { name, rules }
    };
    Ok(sets.into_iter().map(set).collect())
}

fn read_rule(row: &Row<'_, '_>) -> Result<PointsRule, BadCell> {
    let mut patterns = [None, None, None, None, None];
    for (place, pattern) in patterns.iter_mut().enumerate() {
        let column = place + 2;
        if !row.text(column).is_empty() {
            let read =
                Pattern::new(row.text(column)).map_err(|error| BadCell { column, problem: error.to_string() })?;
            *pattern = Some(read);
        }
    }
    Ok(PointsRule {
        number: row.integer(1)?.unwrap_or_default(),
        patterns,
        sockets_min: row.integer(7)?,
        sockets_max: row.integer(8)?,
        bought_before: row.date(9)?,
        points: row.number(10)?.unwrap_or_default(),
    })
}

/// Steps, by the name of their set.
pub fn read_steps(table: &Table<'_>) -> Result<Vec<Steps>, FolderError> {
    let mut sets: BTreeMap<Box<str>, Vec<Step>> = BTreeMap::new();
    table.rows(|row| {
        let read = || Ok(Step { up_to: row.number(1)?, rate: row.number(2)?.unwrap_or_default() });
        let step = read().map_err(|bad: BadCell| bad.refused(row))?;
        sets.entry(row.text(0).into()).or_default().push(step);
        Ok(())
    })?;
    Ok(sets.into_iter().map(|(name, steps)| Steps::new(&name, steps)).collect())
}
