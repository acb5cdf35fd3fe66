//! Prints XML that every XML 1.0 parser takes, whatever the values hold.

use std::io::{self, Write};

use super::VALUE_BYTES_MAX;

/// Spaces of one level.
const INDENT: usize = 2;

/// Writes a document element by element, two spaces a level, one element a line.
///
/// Values may hold anything: markup is escaped, tabs and line breaks become numeric references (so that they come back
/// as they were), and what XML 1.0 cannot carry (control characters, U+FFFE, U+FFFF) becomes U+FFFD. A value whose
/// escaped form passes 64 KiB is cut there at a character boundary, so that our own reader takes every document.
///
/// Calls go `open`, any `attribute`, then `empty`, `children` or `text`; `close` ends what `children` began.
pub struct XmlWriter<W> {
    out: W,
    depth: usize,
}

impl<W: Write> XmlWriter<W> {
    /// Begins the document: declaration and, when given, the document type (`Inventory PUBLIC "Inventory" "urn:.."`).
    pub fn new(mut out: W, doctype: Option<&str>) -> io::Result<XmlWriter<W>> {
        out.write_all(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")?;
        if let Some(doctype) = doctype {
            writeln!(out, "<!DOCTYPE {doctype}>")?;
        }
        Ok(XmlWriter { out, depth: 0 })
    }

    /// Open elements at this point.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// `<name`
    pub fn open(&mut self, name: &str) -> io::Result<()> {
        self.indent(0)?;
        write!(self.out, "<{name}")
    }

    /// ` name="value"`
    pub fn attribute(&mut self, name: &str, value: &str) -> io::Result<()> {
        write!(self.out, " {name}=\"")?;
        self.escaped(value)?;
        self.out.write_all(b"\"")
    }

    /// ` name="value"`, or nothing when the value is empty.
    pub fn optional(&mut self, name: &str, value: &str) -> io::Result<()> {
        if value.is_empty() { Ok(()) } else { self.attribute(name, value) }
    }

    /// ` name="number"`, or nothing.
    pub fn number(&mut self, name: &str, value: impl Into<Option<u64>>) -> io::Result<()> {
        match value.into() {
            Some(number) => write!(self.out, " {name}=\"{number}\""),
            None => Ok(()),
        }
    }

    /// Goes on with the attributes of the open tag on a new line, `columns` further in.
    pub fn wrap(&mut self, columns: usize) -> io::Result<()> {
        self.out.write_all(b"\n")?;
        // `attribute` brings one space of its own.
        self.indent(columns.saturating_sub(1))
    }

    /// `/>`
    pub fn empty(&mut self) -> io::Result<()> {
        self.out.write_all(b"/>\n")
    }

    /// `>`; children follow.
    pub fn children(&mut self) -> io::Result<()> {
        self.depth += 1;
        self.out.write_all(b">\n")
    }

    /// `>text</name>`
    pub fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.out.write_all(b">")?;
        self.escaped(text)?;
        writeln!(self.out, "</{name}>")
    }

    /// `</name>`
    pub fn close(&mut self, name: &str) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        self.indent(0)?;
        writeln!(self.out, "</{name}>")
    }

    /// Flushes and gives the output back.
    pub fn into_inner(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn indent(&mut self, further: usize) -> io::Result<()> {
        write!(self.out, "{:width$}", "", width = self.depth * INDENT + further)
    }

    fn escaped(&mut self, value: &str) -> io::Result<()> {
        let mut room = VALUE_BYTES_MAX;
        let mut plain_from = 0;
        for (at, c) in value.char_indices() {
            let escape = escape(c);
            let length = escape.map_or(c.len_utf8(), str::len);
            if length > room {
                return self.out.write_all(&value.as_bytes()[plain_from..at]);
            }
            room -= length;
            if let Some(escape) = escape {
                self.out.write_all(&value.as_bytes()[plain_from..at])?;
                self.out.write_all(escape.as_bytes())?;
                plain_from = at + c.len_utf8();
            }
        }
        self.out.write_all(&value.as_bytes()[plain_from..])
    }
}

fn escape(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\t' => Some("&#9;"),
        '\n' => Some("&#10;"),
        '\r' => Some("&#13;"),
        '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => Some("\u{fffd}"),
        _ => None,
    }
}
