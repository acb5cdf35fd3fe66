//! The INI form: sections of `key=value` lines.

use super::{ENTRIES_MAX, FailoverError, LINE_BYTES_MAX};

/// One section of an INI text.
pub(super) struct Section<'a> {
    pub(super) name: &'a str,
    /// Its number, counted from 1.
    pub(super) line: usize,
    entries: Vec<(&'a str, &'a str)>,
}

impl<'a> Section<'a> {
    /// The value of `key`; the last one counts when it is there twice.
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.entries.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|&(_, value)| value)
    }
}

/// Sections of one text, unknown ones counted.
const SECTIONS_MAX: usize = 2 * ENTRIES_MAX;

/// Sections with their entries. Comments, and lines that are neither section nor entry, are skipped.
pub(super) fn sections(text: &str) -> Result<Vec<Section<'_>>, FailoverError> {
    let mut sections: Vec<Section> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.len() > LINE_BYTES_MAX {
            return Err(FailoverError::Line { line: number + 1, met: line.len() });
        }
        let line = line.trim();
        if line.starts_with([';', '#']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            // Without its bracket it is a section all the same, of no known name: what follows is not the one before's.
            let name = name.strip_suffix(']').unwrap_or("");
            if sections.len() == SECTIONS_MAX {
                return Err(FailoverError::Entries);
            }
            sections.push(Section { name, line: number + 1, entries: Vec::new() });
        } else if let (Some(section), Some((key, value))) = (sections.last_mut(), line.split_once('=')) {
            section.entries.push((key.trim(), value.trim()));
        }
    }
    Ok(sections)
}

/// An INI text that is written.
#[derive(Default)]
pub(super) struct Ini {
    pub(super) text: String,
}

impl Ini {
    pub(super) fn section(&mut self, name: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text += &format!("[{name}]\n");
    }

    pub(super) fn entry(&mut self, key: &str, value: &str) {
        self.text += key;
        self.text.push('=');
        self.text.extend(value.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }));
        self.text.push('\n');
    }

    pub(super) fn optional(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.entry(key, value);
        }
    }
}
