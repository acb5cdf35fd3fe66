//! Tables and lines on stdout, which may be closed at any time: `muster devices list | head`.

use std::io::{self, Write};

use comfy_table::{Table, presets};
use serde_json::Value;

use crate::command::Failure;

/// Why a look-up ends early.
#[derive(Debug)]
pub enum Ended {
    /// Whoever read the output has had enough.
    Closed,
    /// It failed.
    Failed(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Ended {
        Ended::Failed(failure)
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Ended {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Ended::Closed,
            _ => Ended::Failed(Failure { text: format!("cannot write the output: {error}"), exit: 1 }),
        }
    }
}

/// A text, number or nothing, without control characters and those that turn the direction of writing.
pub fn text(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let is_safe = |c: char| {
        !c.is_control() && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_safe(c) { c } else { '\u{fffd}' }).collect()
}

/// `2025-03-14 03:15:22` of an RFC 3339 time in UTC.
pub fn time(value: &Value) -> String {
    let text = text(value);
    match text.split_once('T') {
        Some((day, clock)) => format!("{day} {}", clock.chars().take(8).collect::<String>()),
        None => text,
    }
}

/// Those of the texts that are not empty, joined by blanks.
pub fn words(values: &[&Value]) -> String {
    values.iter().map(|value| text(value)).filter(|text| !text.is_empty()).collect::<Vec<String>>().join(" ")
}

/// Rows with a head, or without one when it is empty.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !head.is_empty() {
        table.set_header(head.to_vec());
    }
    table.add_rows(rows);
    // Lines begin where the terminal does.
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    if table.is_empty() { String::new() } else { table.trim_fmt() }
}

/// Writes a part of the answer with its title in front and an empty line behind; nothing for an empty one.
pub fn part(out: &mut impl Write, title: &str, table: &str) -> Result<(), Ended> {
    if !table.is_empty() {
        writeln!(out, "{title}\n{table}\n")?;
    }
    Ok(())
}

/// Writes a value of its own.
pub fn json(out: &mut impl Write, value: &Value) -> Result<(), Ended> {
    Ok(writeln!(out, "{value}")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_machine_reported_cannot_steer_the_terminal() {
        assert_eq!(
            text(&json!("a\u{1b}[31m\u{9b}0m\n\u{202e}b\u{7f}é")),
            "a\u{fffd}[31m\u{fffd}0m\u{fffd}\u{fffd}b\u{fffd}é"
        );
        assert_eq!((text(&json!(null)), text(&json!(7))), (String::new(), "7".to_owned()));
        let shown = table(&["X"], [vec![text(&json!("\u{1b}]0;title\u{7}"))]]);
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{7}'), "{shown:?}");
    }

    #[test]
    fn times_are_short_and_words_leave_out_what_is_empty() {
        assert_eq!(time(&json!("2025-03-14T03:15:22.000Z")), "2025-03-14 03:15:22");
        assert_eq!((time(&json!(null)), time(&json!("soon"))), (String::new(), "soon".to_owned()));
        assert_eq!(words(&[&json!("a"), &json!(""), &json!(null), &json!("b")]), "a b");
        assert_eq!(table(&["A"], []), "");
    }
}
