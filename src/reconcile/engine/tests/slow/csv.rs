//! Comma-separated text (section 1), and how it is written again (section 8).

/// One line of cells; a quoted cell may run over several lines of the file, the row has the number of its first.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// 1 is the first line of the file.
    pub line: usize,
    /// Trimmed.
    pub cells: Vec<String>,
}

/// "UTF-8 (a byte order mark is allowed), comma, quotes as in RFC 4180, LF or CRLF ... Cells are trimmed (Unicode
/// White_Space). Blank lines are skipped" (section 1).
///
/// A quote opens a quoted cell at its beginning only. What follows the closing quote is added as it stands, a cell that is
/// never closed ends with the file: the reference names no error for either.
pub fn parse(text: &str) -> Vec<Row> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let characters: Vec<char> = text.chars().collect();
    let (mut rows, mut at, mut line) = (Vec::new(), 0, 1);
    while at < characters.len() {
        let (row, blank, next, lines) = parse_row(&characters, at, line);
        if !blank {
            rows.push(row);
        }
        at = next;
        line += lines;
    }
    rows
}

/// One row from `at` on: the row, whether its line is blank, where the next one begins, how many lines it took.
fn parse_row(characters: &[char], mut at: usize, line: usize) -> (Row, bool, usize, usize) {
    let (mut cells, mut cell, mut lines, mut quoted) = (Vec::new(), String::new(), 1, false);
    let mut at_start_of_cell = true;
    while at < characters.len() {
        match characters[at] {
            '"' if at_start_of_cell => {
                quoted = true;
                at += 1;
                while at < characters.len() {
                    if characters[at] == '"' {
                        if characters.get(at + 1) != Some(&'"') {
                            break;
                        }
                        at += 1;
                    }
                    lines += usize::from(characters[at] == '\n');
                    cell.push(characters[at]);
                    at += 1;
                }
                at += 1;
                at_start_of_cell = false;
            }
            ',' => {
                cells.push(cell.trim().to_string());
                cell.clear();
                at_start_of_cell = true;
                at += 1;
            }
            '\n' => {
                at += 1;
                break;
            }
            '\r' if characters.get(at + 1) == Some(&'\n') => at += 1,
            character => {
                cell.push(character);
                at_start_of_cell = false;
                at += 1;
            }
        }
    }
    let blank = cells.is_empty() && !quoted && cell.trim().is_empty();
    cells.push(cell.trim().to_string());
    (Row { line, cells }, blank, at.min(characters.len()), lines)
}

/// "LF, quotes only where needed" (section 8).
pub fn line<T: AsRef<str>>(cells: &[T]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| quoted(cell.as_ref())).collect();
    cells.join(",") + "\n"
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_string() }
}

#[cfg(test)]
mod tests {
    use super::{Row, line, parse};

    fn row(line: usize, cells: &[&str]) -> Row {
        Row { line, cells: cells.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn quotes_breaks_and_blanks_are_read() {
        assert_eq!(
            parse("\u{feff}a , b\r\n\n \t\n\" x \"\"y\"\",\n\", z\u{a0}\n,\nlast"),
            [row(1, &["a", "b"]), row(4, &["x \"y\",", "z"]), row(6, &["", ""]), row(7, &["last"])]
        );
        assert_eq!(parse(""), []);
        assert_eq!(parse("a\"b\n\"open"), [row(1, &["a\"b"]), row(2, &["open"])]);
    }

    #[test]
    fn a_cell_is_quoted_only_where_needed() {
        assert_eq!(line(&["a b", "", "c,d", "e\"f", "g\nh"]), "a b,,\"c,d\",\"e\"\"f\",\"g\nh\"\n");
    }
}
