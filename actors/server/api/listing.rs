//! Lists: `limit`, `after`, `filter` and `sort` of a question, and the page that answers it.
//!
//! ```text
//! filter = term { " " term }                    a row is listed when every term holds
//! term   = field ":" text | field "=" text      the field holds the text | is the text; case does not count
//! text   = word | '"' any characters but '"' '"'
//! sort   = field | "-" field                    descending; rows that are equal stand by their id
//! ```
//!
//! A list is read through once, and only the wanted page and a count are kept: memory does not grow with the fleet.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use actix_web::web::Query;
use muster::config::nearest;
use muster::model::{decimal::Decimal, stored};
use muster::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::problem::{Problem, shorten};
use crate::errors::Hex;

/// Items of a page unless the question says otherwise.
pub const LIMIT: usize = 100;
/// Items of a page at most.
pub const LIMIT_MAX: usize = 1_000;
/// Bytes of a filter at most.
const FILTER_BYTES_MAX: usize = 1_000;
/// Terms of a filter at most.
const TERMS_MAX: usize = 16;
/// Characters of a text that order rows; rows whose texts differ only behind them stand by their id.
const SORT_CHARS_MAX: usize = 100;
/// Bytes of a cursor at most.
const CURSOR_BYTES_MAX: usize = 16 << 10;

/// A value of a row, as filters and orders see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Nothing.
    Null,
    /// A text, or several joined by blanks.
    Text(Cow<'a, str>),
    /// A number.
    Number(i64),
    /// A number with parts.
    Decimal(Decimal),
    /// A time; filters see it as it is shown.
    Time(Timestamp),
}

impl<'a> Cell<'a> {
    /// A text.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Cell<'a> {
        Cell::Text(text.into())
    }

    /// A count.
    pub fn count(count: u64) -> Cell<'a> {
        Cell::Number(i64::try_from(count).unwrap_or(i64::MAX))
    }

    fn lower(&self) -> String {
        match self {
            Cell::Null => String::new(),
            Cell::Text(text) => text.to_lowercase(),
            Cell::Number(number) => number.to_string(),
            Cell::Decimal(number) => number.to_string(),
            Cell::Time(at) => at.to_rfc3339().to_lowercase(),
        }
    }

    fn key(&self) -> SortKey {
        match self {
            Cell::Null => SortKey::Nothing,
            Cell::Text(text) => SortKey::Text(text.chars().take(SORT_CHARS_MAX).flat_map(char::to_lowercase).collect()),
            Cell::Number(number) => SortKey::Number(*number),
            Cell::Decimal(number) => SortKey::Decimal(*number),
            Cell::Time(at) => SortKey::Number(at.0),
        }
    }
}

/// A row that can be filtered and sorted.
pub trait Fields {
    /// The value of a field that the list offers.
    fn cell(&self, field: &str) -> Cell<'_>;
}

/// What a list offers.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Fields that `filter` and `sort` may name.
    pub fields: &'static [&'static str],
    /// Of these, those that are parameters of their own, too: `state=held` is `filter=state=held`.
    pub parameters: &'static [&'static str],
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum SortKey {
    Number(i64),
    Decimal(Decimal),
    Text(String),
    /// Behind everything that has a value.
    Nothing,
}

/// Where a row stands in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    descending: bool,
    key: SortKey,
    id: Vec<u8>,
}

impl Ord for Place {
    fn cmp(&self, other: &Place) -> Ordering {
        let keys = self.key.cmp(&other.key);
        (if self.descending { keys.reverse() } else { keys }).then_with(|| self.id.cmp(&other.id))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Place) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    field: &'static str,
    is_whole: bool,
    /// In lower case.
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sort {
    field: &'static str,
    descending: bool,
}

/// What a cursor says: the order it belongs to, and the last row of the page before.
#[derive(Serialize, Deserialize)]
struct Cursor {
    sort: String,
    key: SortKey,
    id: Vec<u8>,
}

/// The question for a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    limit: usize,
    after: Option<Place>,
    terms: Vec<Term>,
    sort: Option<Sort>,
}

impl Asked {
    /// Reads the parameters of a question to a list of this form.
    pub fn of(query: &str, form: &Form) -> Result<Asked, Problem> {
        let pairs = Query::<Vec<(String, String)>>::from_query(query);
        let pairs = pairs.map_err(|_| Problem::wrong("query", "the query is no list of parameters"))?.into_inner();
        let known = || ["limit", "after", "filter", "sort"].into_iter().chain(form.parameters.iter().copied());
        let (mut limit, mut after, mut sort, mut terms) = (LIMIT, None, None, Vec::new());
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in &pairs {
            let Some(name) = known().find(|known| known == name) else {
                return Err(unknown("parameter", name, &known().collect::<Vec<_>>()));
            };
            if seen.contains(&name) {
                return Err(Problem::wrong("query", format!("`{name}` is given twice")));
            }
            seen.push(name);
            match name {
                "limit" => limit = read_limit(value)?,
                "after" => after = Some(value),
                "filter" => terms.extend(read_filter(value, form.fields)?),
                "sort" => sort = Some(read_sort(value, form.fields)?),
                field => terms.push(Term { field, is_whole: true, text: value.to_lowercase() }),
            }
        }
        let mut asked = Asked { limit, after: None, terms, sort };
        asked.after = after.map(|text| asked.read_cursor(text)).transpose()?;
        Ok(asked)
    }

    /// Items of the page at most.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Whether rows are wanted as they stand, all of them.
    pub fn is_plain(&self) -> bool {
        self.terms.is_empty() && self.sort.is_none()
    }

    /// The id behind which a plain page begins.
    pub fn after(&self) -> Option<&[u8]> {
        self.after.as_ref().map(|place| &place.id[..])
    }

    /// Whether filter or order look at one of these fields.
    pub fn looks_at(&self, fields: &[&str]) -> bool {
        let sort = self.sort.map(|sort| sort.field);
        self.terms.iter().map(|term| term.field).chain(sort).any(|field| fields.contains(&field))
    }

    /// The whole texts that `field` is asked to be, in lower case.
    pub fn wholes(&self, field: &str) -> impl Iterator<Item = &str> {
        self.terms.iter().filter(move |term| term.is_whole && term.field == field).map(|term| term.text.as_str())
    }

    /// Refuses words for `field` that stand for none of `known`: they would find nothing, which reads like an answer.
    pub fn check(&self, field: &str, known: &[&str]) -> Result<(), Problem> {
        let mut words = self.wholes(field);
        let strange = words.find(|word| !known.iter().any(|known| known.eq_ignore_ascii_case(word)));
        strange.map_or(Ok(()), |word| Err(unknown(field, word, known)))
    }

    fn takes(&self, row: &impl Fields) -> bool {
        self.terms.iter().all(|term| {
            let value = row.cell(term.field).lower();
            if term.is_whole { value == term.text } else { value.contains(&term.text) }
        })
    }

    fn place(&self, id: &[u8], row: &impl Fields) -> Place {
        let key = self.sort.map_or(SortKey::Nothing, |sort| row.cell(sort.field).key());
        Place { descending: self.sort.is_some_and(|sort| sort.descending), key, id: id.to_vec() }
    }

    fn sort_text(&self) -> String {
        self.sort.map_or(String::new(), |sort| format!("{}{}", if sort.descending { "-" } else { "" }, sort.field))
    }

    fn cursor(&self, place: &Place) -> String {
        let cursor = Cursor { sort: self.sort_text(), key: place.key.clone(), id: place.id.clone() };
        Hex(&stored::pack(&cursor)).to_string()
    }

    fn read_cursor(&self, text: &str) -> Result<Place, Problem> {
        let wrong = || Problem::wrong("cursor", "`after` is no cursor: take it from `next` of the page before");
        let bytes = from_hex(text).ok_or_else(wrong)?;
        let Cursor { sort, key, id } = stored::unpack(&bytes).map_err(|_| wrong())?;
        if sort != self.sort_text() {
            return Err(Problem::wrong("cursor", "`after` is from a list of another order: begin anew without it"));
        }
        Ok(Place { descending: self.sort.is_some_and(|sort| sort.descending), key, id })
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() > CURSOR_BYTES_MAX || !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |c: u8| (c as char).to_digit(16);
    text.as_bytes().chunks_exact(2).map(|pair| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8)).collect()
}

/// Takes a parameter that is no field of the list's rows out of a question: its text, and the question without it.
pub fn take_parameter<'q>(query: &'q str, name: &str) -> Result<(Option<&'q str>, String), Problem> {
    let text_of = |part: &&'q str| part.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
    let mut texts = query.split('&').filter_map(|part| text_of(&part));
    let text = texts.next();
    if texts.next().is_some() {
        return Err(Problem::wrong("query", format!("`{name}` is given twice")));
    }
    let rest: Vec<&str> = query.split('&').filter(|part| text_of(part).is_none()).collect();
    Ok((text, rest.join("&")))
}

/// 400 for a word that is none of those known, naming the one that was perhaps meant.
pub fn unknown(what: &str, word: &str, known: &[&str]) -> Problem {
    let word = shorten(word);
    let hint = match nearest(&word, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => "this list has none".to_owned(),
        None => format!("known: {}", known.join(", ")),
    };
    Problem::wrong("query", format!("unknown {what} `{word}`: {hint}")).with_detail(json!({ "known": known }))
}

fn read_limit(text: &str) -> Result<usize, Problem> {
    let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| Problem::wrong("limit", format!("`limit` is a number from 1 to {LIMIT_MAX}")))
}

fn field(word: &str, fields: &'static [&'static str]) -> Result<&'static str, Problem> {
    fields.iter().find(|field| **field == word).copied().ok_or_else(|| unknown("field", word, fields))
}

fn read_sort(text: &str, fields: &'static [&'static str]) -> Result<Sort, Problem> {
    let (descending, word) = text.strip_prefix('-').map_or((false, text), |word| (true, word));
    Ok(Sort { field: field(word, fields)?, descending })
}

fn read_filter(text: &str, fields: &'static [&'static str]) -> Result<Vec<Term>, Problem> {
    let wrong = |message: String| Problem::wrong("filter", message);
    if text.len() > FILTER_BYTES_MAX {
        return Err(wrong(format!("`filter` has more than {FILTER_BYTES_MAX} bytes")));
    }
    let (mut terms, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        let Some(end) = rest.find([':', '=', ' ']).filter(|&end| !rest[end..].starts_with(' ')) else {
            let word = shorten(rest.split(' ').next().unwrap_or_default());
            return Err(wrong(format!("`{word}` is no term: write field:text (holds it) or field=text (is it)")));
        };
        let field = field(&rest[..end], fields)?;
        let (is_whole, value) = (rest[end..].starts_with('='), &rest[end + 1..]);
        let (text, behind) = match value.strip_prefix('"') {
            Some(quoted) => {
                quoted.split_once('"').ok_or_else(|| wrong(format!("the text of `{field}` lacks its second quote")))?
            }
            None => value.split_once(' ').unwrap_or((value, "")),
        };
        terms.push(Term { field, is_whole, text: text.to_lowercase() });
        if terms.len() > TERMS_MAX {
            return Err(wrong(format!("`filter` has more than {TERMS_MAX} terms")));
        }
        rest = behind.trim_start();
    }
    Ok(terms)
}

/// Collects one page from rows in any order.
pub struct Window<'q, T> {
    asked: &'q Asked,
    kept: BTreeMap<Place, T>,
    total: u64,
}

impl<'q, T> Window<'q, T> {
    /// An empty page.
    pub fn new(asked: &'q Asked) -> Window<'q, T> {
        Window { asked, kept: BTreeMap::new(), total: 0 }
    }

    /// Offers a row with the id `id`, unique in the list; `item` is made of it when it may be on the page.
    pub fn offer<R: Fields>(&mut self, id: &[u8], row: R, item: impl FnOnce(R) -> T) {
        if !self.asked.takes(&row) {
            return;
        }
        self.total += 1;
        let place = self.asked.place(id, &row);
        let is_before = self.asked.after.as_ref().is_some_and(|after| place <= *after);
        // One more than the page holds: whether there is a next one.
        let is_full = self.kept.len() > self.asked.limit;
        if is_before || (is_full && self.kept.last_key_value().is_some_and(|(last, _)| *last < place)) {
            return;
        }
        self.kept.insert(place, item(row));
        if self.kept.len() > self.asked.limit + 1 {
            self.kept.pop_last();
        }
    }

    /// The page.
    pub fn page(mut self) -> Page<T> {
        let more = self.kept.len() > self.asked.limit;
        if more {
            self.kept.pop_last();
        }
        let next = self.kept.last_key_value().filter(|_| more).map(|(last, _)| self.asked.cursor(last));
        Page { items: self.kept.into_values().collect(), next, total: self.total }
    }
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Its items.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<String>,
    /// Items of all pages.
    pub total: u64,
}

impl<T> Page<T> {
    /// A plain page of rows that stand by their ids: `rows` are those behind the cursor, one more than the limit if
    /// there are so many; `total` all there are.
    pub fn plain(asked: &Asked, mut rows: Vec<T>, total: u64, id: impl Fn(&T) -> Vec<u8>) -> Page<T> {
        let more = rows.len() > asked.limit;
        rows.truncate(asked.limit);
        let place = |row| Place { descending: false, key: SortKey::Nothing, id: id(row) };
        let next = rows.last().filter(|_| more).map(|last| asked.cursor(&place(last)));
        Page { items: rows, next, total }
    }

    /// As the API answers it.
    pub fn json(self, item: impl FnMut(T) -> Value) -> Value {
        let items: Vec<Value> = self.items.into_iter().map(item).collect();
        json!({ "items": items, "next": self.next, "total": self.total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORM: Form = Form { fields: &["name", "size"], parameters: &["name"] };

    #[derive(Clone, Debug, PartialEq)]
    struct Row(&'static str, i64);

    impl Fields for Row {
        fn cell(&self, field: &str) -> Cell<'_> {
            if field == "name" { Cell::text(self.0) } else { Cell::Number(self.1) }
        }
    }

    const ROWS: [Row; 6] =
        [Row("Web 7", 10), Row("db1", 9), Row("web2", 100), Row("", 9), Row("DB10", -1), Row("web2", 3)];

    fn page(query: &str) -> Result<Page<(u8, Row)>, Problem> {
        let asked = Asked::of(query, &FORM)?;
        let mut window = Window::new(&asked);
        for (number, row) in (0u8..).zip(ROWS) {
            window.offer(&[number], row, |row| (number, row));
        }
        Ok(window.page())
    }

    fn numbers(query: &str) -> Vec<u8> {
        page(query).unwrap().items.into_iter().map(|(number, _)| number).collect()
    }

    #[test]
    fn filters_and_orders_select_as_documented() {
        for (query, expected) in [
            ("", vec![0, 1, 2, 3, 4, 5]),
            ("filter=name:DB", vec![1, 4]),
            ("filter=name=web2", vec![2, 5]),
            ("filter=name:web+size=3", vec![5]),
            ("filter=++name:%22b+7%22++size:1", vec![0]),
            ("filter=name=", vec![3]),
            ("filter=size:-", vec![4]),
            ("name=WEB2", vec![2, 5]),
            ("name=web2&filter=size:0", vec![2]),
            ("sort=size", vec![4, 5, 1, 3, 0, 2]),
            ("sort=-size", vec![2, 0, 1, 3, 5, 4]),
            ("sort=name", vec![3, 1, 4, 0, 2, 5]),
            ("sort=-name&limit=2", vec![2, 5]),
        ] {
            assert_eq!(numbers(query), expected, "{query}");
        }
    }

    #[test]
    fn mistakes_are_told_with_what_is_right() {
        for (query, part) in [
            ("limit=0", "from 1 to 1000"),
            ("limit=1001", "from 1 to 1000"),
            ("limit=1e3", "from 1 to 1000"),
            ("limit=-1", "from 1 to 1000"),
            ("limti=5", "did you mean `limit`?"),
            ("filter=nmae:x", "did you mean `name`?"),
            ("filter=x", "`x` is no term"),
            ("filter=name:%22x", "second quote"),
            ("sort=-sizes", "did you mean `size`?"),
            ("sort=", "unknown field"),
            ("sort=name&sort=name", "given twice"),
            ("after=zz", "no cursor"),
            ("after=1", "no cursor"),
            ("after=ff00", "no cursor"),
        ] {
            let problem = page(query).unwrap_err();
            assert!(problem.to_string().contains(part), "{query}: {problem}");
        }
        let many = "name:x+".repeat(17);
        assert!(page(&format!("filter={many}")).unwrap_err().to_string().contains("16 terms"));
        assert!(page(&format!("filter=name:{}", "x".repeat(1_000))).unwrap_err().to_string().contains("bytes"));
        let other = page("limit=1").unwrap().next.unwrap();
        assert!(page(&format!("sort=name&after={other}")).unwrap_err().to_string().contains("another order"));
    }

    proptest! {
        #[test]
        fn the_pages_of_a_list_are_the_list(
            limit in 1usize..8, sort in "(|sort=-?(name|size))", filter in "(|filter=name:b)",
        ) {
            let whole = page(&format!("{sort}&{filter}").trim_matches('&').replace("&&", "&")).unwrap();
            let (mut walked, mut after) = (Vec::new(), String::new());
            loop {
                let query = [&format!("limit={limit}"), &sort, &filter, &after];
                let query: Vec<&str> = query.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
                let page = page(&query.join("&")).unwrap();
                prop_assert_eq!(page.total, whole.total);
                prop_assert!(page.items.len() <= limit);
                walked.extend(page.items);
                let Some(next) = page.next else { break };
                after = format!("after={next}");
            }
            prop_assert_eq!(walked, whole.items);
        }

        #[test]
        fn no_query_makes_the_reader_panic(query in "[a-z:=&%\" +0-9ü-]{0,60}", raw in ".{0,40}") {
            let _ = (page(&query), page(&raw));
        }

        #[test]
        fn no_cursor_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = page(&format!("after={}", Hex(&bytes)));
            let _ = page(&format!("after={}", Hex(&[&[1][..], &bytes].concat())));
        }
    }
}
