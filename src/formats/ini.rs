//! The INI form of files that policy delivers: sections of `key=value` lines.
//!
//! Names of keys are compared without regard to ASCII case; the last one counts when it is there twice. Comments, and
//! lines that are neither section nor entry, are skipped.
//!
//! Source: `agent-beacon-batch` reference, section 7.

/// Bytes of one line.
pub(super) const LINE_BYTES_MAX: usize = 4 << 10;
/// Sections of one text, unknown ones counted.
pub(super) const SECTIONS_MAX: usize = 2_000;

/// Why a text is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IniError {
    /// Not UTF-8.
    Encoding,
    /// A line that is too long.
    Line {
        /// Its number, counted from 1.
        line: usize,
        /// Its length.
        met: usize,
    },
    /// More than [`SECTIONS_MAX`] sections.
    Sections,
}

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

/// Sections with their entries, a byte order mark in front skipped. The caller bounds the bytes.
pub(super) fn sections(bytes: &[u8]) -> Result<Vec<Section<'_>>, IniError> {
    let text = std::str::from_utf8(bytes).map_err(|_| IniError::Encoding)?;
    let mut sections: Vec<Section> = Vec::new();
    for (number, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        if line.len() > LINE_BYTES_MAX {
            return Err(IniError::Line { line: number + 1, met: line.len() });
        }
        let line = line.trim();
        if line.starts_with([';', '#']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            // Without its bracket it is a section all the same, of no known name: what follows is not the one before's.
            let name = name.strip_suffix(']').unwrap_or("");
            if sections.len() == SECTIONS_MAX {
                return Err(IniError::Sections);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_key_counts_and_a_broken_head_begins_a_section_of_no_name() {
        let read = sections(b"stray=1\n[A]\nk=1\nK = 2\n; k=3\n[B\nk=4\n").unwrap();
        let found: Vec<_> = read.iter().map(|section| (section.name, section.line, section.get("k"))).collect();
        assert_eq!(found, [("A", 2, Some("2")), ("", 6, Some("4"))]);
    }

    #[test]
    fn lines_and_sections_are_bounded() {
        let error = |text: String| sections(text.as_bytes()).err();
        assert_eq!(error("[a]\n".repeat(SECTIONS_MAX)), None);
        assert_eq!(error("[a]\n".repeat(SECTIONS_MAX + 1)), Some(IniError::Sections));
        assert_eq!(error("x".repeat(LINE_BYTES_MAX)), None);
        assert_eq!(
            error(format!("\n{}", "x".repeat(LINE_BYTES_MAX + 1))),
            Some(IniError::Line { line: 2, met: LINE_BYTES_MAX + 1 })
        );
    }

    #[test]
    fn what_is_written_cannot_break_out_of_its_line() {
        let mut ini = Ini::default();
        ini.section("A");
        ini.entry("k", "1\n[B]\nk=2");
        ini.optional("absent", "");
        let read = sections(ini.text.as_bytes()).unwrap();
        assert_eq!((read.len(), read[0].get("k"), read[0].get("absent")), (1, Some("1\u{fffd}[B]\u{fffd}k=2"), None));
    }
}
