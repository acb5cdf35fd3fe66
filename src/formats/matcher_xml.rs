//! The file of Matchers: XML to the Matchers as written.
//!
//! ```text
//! <Matchers>
//!   <Matcher Order="integer" Name="text, optional">
//!     <Conditions> <Condition Property=".." Method=".." Value=".."/> .. </Conditions>     at most one
//!     <Rules>      <Rule      Property=".." Method=".." Value=".."/> .. </Rules>          exactly one, not empty
//!   </Matcher> ..
//! </Matchers>
//! ```
//!
//! Attributes and elements of other names are skipped with all they hold. A known element at a place where it would be
//! overlooked is an error, because a Condition that is dropped in silence changes which records are one device. What a
//! property is, and which tests make sense together, is decided in `matching`.
//!
//! Source: matching reference, section 4.

use std::fmt;
use std::str::FromStr;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::id::shorten;

/// Largest file that is read, in bytes; the standard one has 9 KB.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// Most Matchers in one file: each of them costs a pass over the pool.
pub const MATCHERS_MAX: usize = 1_000;
/// Most Conditions and Rules of one Matcher, together.
pub const TESTS_MAX: usize = 64;
/// Longest attribute that is read, in bytes.
pub const ATTRIBUTE_BYTES_MAX: usize = 4_096;
/// Most attributes of one element, so that the search for twins stays cheap.
const ATTRIBUTES_MAX: usize = 64;
/// Deepest nesting, skipped elements included.
const DEPTH_MAX: usize = 64;

/// How a Condition or a Rule compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Method {
    /// The default: same value without regard to ASCII case.
    Equal,
    /// Set, and a different value.
    NotEqual,
    /// SQL LIKE with `%` and `_`.
    Like,
    /// The value holds the given text anywhere.
    Contains,
    /// One of a comma-separated list.
    InRange,
    /// Not null.
    Set,
    /// Null.
    NotSet,
    /// The same UUID in either byte order.
    BigOrLittleEndianEqual,
    /// Null in one or both records of a pair.
    NullInEither,
}

impl Method {
    /// Every method, in the order of the reference.
    pub const ALL: [Method; 9] = [
        Method::Equal,
        Method::NotEqual,
        Method::Like,
        Method::Contains,
        Method::InRange,
        Method::Set,
        Method::NotSet,
        Method::BigOrLittleEndianEqual,
        Method::NullInEither,
    ];

    /// The name in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Equal => "Equal",
            Method::NotEqual => "NotEqual",
            Method::Like => "Like",
            Method::Contains => "Contains",
            Method::InRange => "InRange",
            Method::Set => "Set",
            Method::NotSet => "NotSet",
            Method::BigOrLittleEndianEqual => "BigOrLittleEndianEqual",
            Method::NullInEither => "NullInEither",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Method {
    type Err = ();

    /// Reads a name without regard to ASCII case, spaces, `_` and `-`.
    fn from_str(text: &str) -> Result<Method, ()> {
        let bare: String = text.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).collect();
        if bare.eq_ignore_ascii_case("NullInEitherOrBoth") {
            return Ok(Method::NullInEither);
        }
        Method::ALL.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(&bare)).ok_or(())
    }
}

/// A Condition or a Rule as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestElement {
    /// Name of the property, unchecked.
    pub property: String,
    /// How it compares.
    pub method: Method,
    /// `Value`, when the attribute is there.
    pub value: Option<String>,
}

/// A Matcher as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatcherElement {
    /// Lower ones run first.
    pub order: i64,
    /// Its title; empty when there is none.
    pub name: String,
    /// In file order.
    pub conditions: Vec<TestElement>,
    /// In file order; never empty.
    pub rules: Vec<TestElement>,
}

/// Which of the two lists of a Matcher an element stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Place {
    /// `<Conditions>`.
    Condition,
    /// `<Rules>`.
    Rule,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Condition => "Condition",
            Place::Rule => "Rule",
        })
    }
}

/// How an error names the Matcher it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatcherName {
    /// Its place in the file, from 1.
    pub nth: usize,
    /// Its Order, once that was readable.
    pub order: Option<i64>,
}

impl fmt::Display for MatcherName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.order {
            Some(order) => write!(f, "Matcher with Order {order} (number {} in the file)", self.nth),
            None => write!(f, "Matcher number {} in the file", self.nth),
        }
    }
}

/// What is wrong with one Matcher's form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatcherProblem {
    /// No `Order`.
    #[error("it has no `Order`; give it a whole number")]
    OrderMissing,
    /// An `Order` that is no integer of 64 bits.
    #[error("its Order `{0}` is not a whole number")]
    OrderNotInteger(String),
    /// More than one `<Conditions>` or `<Rules>`.
    #[error("it has more than one `{0}`; put all of them into one")]
    Twice(&'static str),
    /// No `<Rules>`, or none in it.
    #[error("it has no Rule; give it `Rules` with at least one `Rule`")]
    NoRule,
    /// A Condition or Rule without `Property`.
    #[error("a {0} has no `Property`")]
    PropertyMissing(Place),
    /// A method nobody knows.
    #[error(
        "unknown Method `{method}` for property `{property}`; known are Equal, NotEqual, Like, Contains, InRange, \
             Set, NotSet, BigOrLittleEndianEqual, NullInEither"
    )]
    UnknownMethod {
        /// As written.
        property: String,
        /// As written.
        method: String,
    },
    /// Over [`TESTS_MAX`].
    #[error("it has more than {TESTS_MAX} Conditions and Rules")]
    TooManyTests,
}

/// Why a file of Matchers cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatcherXmlError {
    /// Over [`FILE_BYTES_MAX`].
    #[error("the file has {0} bytes; at most {FILE_BYTES_MAX} are read")]
    TooLarge(usize),
    /// Not XML, or beyond a limit of nesting or attributes.
    #[error("the XML is wrong in line {line}: {what}")]
    Xml {
        /// Counted from 1.
        line: u64,
        /// What the reader met.
        what: String,
    },
    /// A DTD could define entities without bound, and no Matcher needs one.
    #[error("a document type declaration is not allowed; remove it")]
    DocType,
    /// Another root element, or none.
    #[error("the root element is `{0}`; it must be `Matchers`")]
    Root(String),
    /// A known element where it would be overlooked.
    #[error(
        "in line {line}: `{element}` does not belong here, or is not written so; see the form of the standard file"
    )]
    Misplaced {
        /// Counted from 1.
        line: u64,
        /// Its name.
        element: String,
    },
    /// Over [`MATCHERS_MAX`].
    #[error("the file has more than {MATCHERS_MAX} Matchers")]
    TooManyMatchers,
    /// One Matcher's form is wrong.
    #[error("{matcher}: {problem}")]
    Matcher {
        /// Which one.
        matcher: MatcherName,
        /// What to mend.
        problem: MatcherProblem,
    },
}

/// Reads the Matchers of a file, in file order. Cost: one pass; limits are the constants of this module.
pub fn read_matchers(text: &str) -> Result<Vec<MatcherElement>, MatcherXmlError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(MatcherXmlError::TooLarge(text.len()));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut counted, mut line) = (0, 1);
    let mut line_at = |at: u64| {
        let piece = text.as_bytes().get(counted..at as usize).unwrap_or_default();
        (counted, line) = (counted + piece.len(), line + memchr::memchr_iter(b'\n', piece).count() as u64);
        line
    };
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut file = FileReader::default();
    loop {
        let at = line_at(reader.buffer_position());
        let event = reader.read_event().map_err(|error| wrong(line_at(reader.error_position()), error))?;
        match event {
            Event::Start(element) => file.open(at, &element)?,
            Event::End(_) => file.close()?,
            Event::DocType(_) => return Err(MatcherXmlError::DocType),
            Event::Text(text) if text.iter().all(u8::is_ascii_whitespace) => {}
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) if file.inside.is_empty() => {
                return Err(wrong(at, "text outside the root element"));
            }
            Event::Eof if !file.inside.is_empty() => return Err(wrong(at, "the file ends inside an element")),
            Event::Eof if !file.root_seen => return Err(MatcherXmlError::Root(String::new())),
            Event::Eof => return Ok(file.matchers),
            _ => {}
        }
    }
}

/// The element we are in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Matchers,
    Matcher,
    List(Place),
    Test,
    Skipped,
}

#[derive(Default)]
struct FileReader {
    root_seen: bool,
    /// Open elements, outermost first.
    inside: Vec<Inside>,
    matchers: Vec<MatcherElement>,
    /// Whether the open Matcher has had its `<Conditions>` and its `<Rules>`.
    lists_seen: [bool; 2],
}

impl FileReader {
    fn open(&mut self, at: u64, element: &BytesStart<'_>) -> Result<(), MatcherXmlError> {
        if self.inside.len() == DEPTH_MAX {
            return Err(wrong(at, "elements are nested too deeply"));
        }
        let qualified = element.name();
        let name = str::from_utf8(qualified.as_ref()).map_err(|error| wrong(at, error))?;
        let ours = "Matchers Matcher Conditions Rules Condition Rule";
        let is_ours = ours.split(' ').any(|ours| ours.eq_ignore_ascii_case(name));
        let entered = match (self.inside.last(), name) {
            (None, _) if self.root_seen => return Err(wrong(at, "a second root element")),
            (None, "Matchers") => Inside::Matchers,
            (None, _) => return Err(MatcherXmlError::Root(shorten(name))),
            (Some(Inside::Skipped), _) => Inside::Skipped,
            (Some(Inside::Matchers), "Matcher") => self.open_matcher(at, element)?,
            (Some(Inside::Matcher), "Conditions") => self.open_list(Place::Condition, "Conditions")?,
            (Some(Inside::Matcher), "Rules") => self.open_list(Place::Rule, "Rules")?,
            (Some(Inside::List(Place::Condition)), "Condition") => self.open_test(at, Place::Condition, element)?,
            (Some(Inside::List(Place::Rule)), "Rule") => self.open_test(at, Place::Rule, element)?,
            // Nor is one left out in silence because it is written in other letters.
            (Some(_), _) if is_ours => return Err(MatcherXmlError::Misplaced { line: at, element: shorten(name) }),
            (Some(_), _) => Inside::Skipped,
        };
        self.root_seen = true;
        self.inside.push(entered);
        Ok(())
    }

    fn close(&mut self) -> Result<(), MatcherXmlError> {
        let left = self.inside.pop();
        if left == Some(Inside::Matcher) && self.matchers.last().is_some_and(|matcher| matcher.rules.is_empty()) {
            return Err(self.problem(MatcherProblem::NoRule));
        }
        Ok(())
    }

    fn open_matcher(&mut self, at: u64, element: &BytesStart<'_>) -> Result<Inside, MatcherXmlError> {
        if self.matchers.len() == MATCHERS_MAX {
            return Err(MatcherXmlError::TooManyMatchers);
        }
        let [order, name] = attributes(at, element, ["Order", "Name"])?;
        let problem = |problem| {
            let matcher = MatcherName { nth: self.matchers.len() + 1, order: None };
            MatcherXmlError::Matcher { matcher, problem }
        };
        let order = order.ok_or_else(|| problem(MatcherProblem::OrderMissing))?;
        let order = order.trim().parse().map_err(|_| problem(MatcherProblem::OrderNotInteger(shorten(&order))))?;
        let name = name.unwrap_or_default();
        self.matchers.push(MatcherElement { order, name, conditions: Vec::new(), rules: Vec::new() });
        self.lists_seen = [false; 2];
        Ok(Inside::Matcher)
    }

    fn open_list(&mut self, place: Place, name: &'static str) -> Result<Inside, MatcherXmlError> {
        if std::mem::replace(&mut self.lists_seen[place as usize], true) {
            return Err(self.problem(MatcherProblem::Twice(name)));
        }
        Ok(Inside::List(place))
    }

    fn open_test(&mut self, at: u64, place: Place, element: &BytesStart<'_>) -> Result<Inside, MatcherXmlError> {
        let [property, method, value] = attributes(at, element, ["Property", "Method", "Value"])?;
        let property = property.ok_or_else(|| self.problem(MatcherProblem::PropertyMissing(place)))?;
        let method = match method {
            None => Method::Equal,
            Some(text) => text.parse().map_err(|()| {
                let (property, method) = (shorten(&property), shorten(&text));
                self.problem(MatcherProblem::UnknownMethod { property, method })
            })?,
        };
        let too_many = self.problem(MatcherProblem::TooManyTests);
        if let Some(matcher) = self.matchers.last_mut() {
            if matcher.conditions.len() + matcher.rules.len() == TESTS_MAX {
                return Err(too_many);
            }
            let list = if place == Place::Condition { &mut matcher.conditions } else { &mut matcher.rules };
            list.push(TestElement { property, method, value });
        }
        Ok(Inside::Test)
    }

    /// `problem` of the Matcher that is open.
    fn problem(&self, problem: MatcherProblem) -> MatcherXmlError {
        let order = self.matchers.last().map(|matcher| matcher.order);
        MatcherXmlError::Matcher { matcher: MatcherName { nth: self.matchers.len(), order }, problem }
    }
}

/// The wanted attributes of an element. quick-xml's own search for twins is quadratic without a bound, so we count first.
fn attributes<const N: usize>(
    at: u64,
    element: &BytesStart<'_>,
    wanted: [&str; N],
) -> Result<[Option<String>; N], MatcherXmlError> {
    let (mut found, mut names) = ([const { None }; N], Vec::new());
    for attribute in element.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| wrong(at, error))?;
        let name = attribute.key.into_inner();
        if names.len() == ATTRIBUTES_MAX {
            return Err(wrong(at, "an element has too many attributes"));
        }
        if names.contains(&name) {
            return Err(wrong(at, "an attribute is given twice"));
        }
        names.push(name);
        let Some(place) = wanted.iter().position(|wanted| wanted.as_bytes() == name) else { continue };
        if attribute.value.len() > ATTRIBUTE_BYTES_MAX {
            return Err(wrong(at, "an attribute is too long"));
        }
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| wrong(at, error))?;
        found[place] = Some(value.into_owned());
    }
    Ok(found)
}

fn wrong(at: u64, what: impl fmt::Display) -> MatcherXmlError {
    MatcherXmlError::Xml { line: at, what: what.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = r#"<Rules><Rule Property="UUID"/></Rules>"#;

    fn matcher(inner: &str) -> Result<Vec<MatcherElement>, MatcherXmlError> {
        read_matchers(&format!(r#"<Matchers><Matcher Order="7">{inner}</Matcher></Matchers>"#))
    }

    fn problem(inner: &str) -> MatcherProblem {
        match matcher(inner) {
            Err(MatcherXmlError::Matcher { matcher: MatcherName { nth: 1, order: Some(7) }, problem }) => problem,
            other => panic!("{inner}: {other:?}"),
        }
    }

    fn test(property: &str, method: Method, value: Option<&str>) -> TestElement {
        TestElement { property: property.into(), method, value: value.map(Into::into) }
    }

    #[test]
    fn a_file_reads_as_it_is_written() {
        let text = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>
            <Matchers xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' Extra='1'><!-- a -->
              <Matcher Order=' 25 ' Name='a &lt; b' Colour='red'>
                <Note><Condition Property='Foo'/></Note>
                <Conditions><Condition Property='VMType' Method='in range' Value='a, b' Unit='x'/><x/></Conditions>
                <Rules><Rule Property='UUID'><deep/></Rule><Rule Property='HostID' Method='NOT_equal'></Rule></Rules>
              </Matcher>
              <Matcher Order='-3'><Rules><Rule Property='uuid' Method='Like' Value='&#37;&quot;'/></Rules></Matcher>
            </Matchers> <?pi?>";
        let expected = vec![
            MatcherElement {
                order: 25,
                name: "a < b".into(),
                conditions: vec![test("VMType", Method::InRange, Some("a, b"))],
                rules: vec![test("UUID", Method::Equal, None), test("HostID", Method::NotEqual, None)],
            },
            MatcherElement {
                order: -3,
                name: String::new(),
                conditions: vec![],
                rules: vec![test("uuid", Method::Like, Some("%\""))],
            },
        ];
        assert_eq!(read_matchers(text), Ok(expected));
        assert_eq!(read_matchers("<Matchers/>"), Ok(vec![]));
    }

    #[test]
    fn method_names_read_without_regard_to_case_spaces_underscores_and_hyphens() {
        for method in Method::ALL {
            assert_eq!(method.as_str(), format!("{method:?}"));
            assert_eq!(method.as_str().parse(), Ok(method));
            assert_eq!(method.as_str().to_uppercase().parse(), Ok(method));
        }
        for (text, method) in [
            ("not set", Method::NotSet),
            ("Not-Set", Method::NotSet),
            ("big_or little-endian EQUAL", Method::BigOrLittleEndianEqual),
            ("nullineitherorboth", Method::NullInEither),
            ("Null in either or both", Method::NullInEither),
        ] {
            assert_eq!(text.parse(), Ok(method), "{text}");
        }
        for text in ["", "Equals", "Not.Set", "NullInBoth"] {
            assert_eq!(text.parse::<Method>(), Err(()), "{text}");
        }
    }

    #[test]
    fn a_wrong_root_is_refused() {
        for (text, name) in [
            ("<Matcher Order='1'/>", "Matcher"),
            ("<matchers/>", "matchers"),
            ("<x:Matchers/>", "x:Matchers"),
            ("", ""),
            ("<!-- only this -->", ""),
        ] {
            assert_eq!(read_matchers(text), Err(MatcherXmlError::Root(name.into())), "{text}");
        }
    }

    #[test]
    fn an_order_that_is_missing_or_no_integer_is_refused() {
        let order = |attribute: &str| {
            let second = format!("<Matcher {attribute}>{RULE}</Matcher>");
            read_matchers(&format!("<Matchers><Matcher Order='1'>{RULE}</Matcher>{second}</Matchers>"))
        };
        let error = |problem| Err(MatcherXmlError::Matcher { matcher: MatcherName { nth: 2, order: None }, problem });
        assert_eq!(order("order='1'"), error(MatcherProblem::OrderMissing));
        for text in ["", "1.0", "1e3", "ten", "9223372036854775808"] {
            let problem = MatcherProblem::OrderNotInteger(text.into());
            assert_eq!(order(&format!("Order='{text}'")), error(problem), "{text}");
        }
        assert!(order("Order='-1'").is_ok());
    }

    #[test]
    fn a_matcher_without_a_rule_is_refused() {
        for inner in ["", "<Rules/>", "<Rules><x/></Rules>", "<Conditions><Condition Property='UUID'/></Conditions>"] {
            assert_eq!(problem(inner), MatcherProblem::NoRule, "{inner}");
        }
    }

    #[test]
    fn a_second_list_of_one_kind_is_refused() {
        assert_eq!(problem(&format!("{RULE}{RULE}")), MatcherProblem::Twice("Rules"));
        assert_eq!(problem("<Conditions/><Conditions/>"), MatcherProblem::Twice("Conditions"));
    }

    #[test]
    fn a_test_without_property_or_with_an_unknown_method_is_refused() {
        assert_eq!(problem("<Rules><Rule/></Rules>"), MatcherProblem::PropertyMissing(Place::Rule));
        let condition = "<Conditions><Condition property='UUID'/></Conditions>";
        assert_eq!(problem(condition), MatcherProblem::PropertyMissing(Place::Condition));
        let unknown = MatcherProblem::UnknownMethod { property: "UUID".into(), method: "Same".into() };
        assert_eq!(problem("<Rules><Rule Property='UUID' Method='Same'/></Rules>"), unknown);
    }

    #[test]
    fn a_known_element_at_a_wrong_place_is_refused_and_not_overlooked() {
        for inner in [
            "<Condition Property='UUID'/>",
            "<Rule Property='UUID'/>",
            "<Conditions><Rule Property='UUID'/></Conditions>",
            "<Rules><Condition Property='UUID'/></Rules>",
            "<Rules><Rule Property='UUID'><Rule Property='HostID'/></Rule></Rules>",
            "<Matcher Order='8'/>",
        ] {
            let result = matcher(inner);
            assert!(matches!(result, Err(MatcherXmlError::Misplaced { .. })), "{inner}: {result:?}");
        }
    }

    #[test]
    fn a_document_type_is_refused() {
        let text = "<!DOCTYPE Matchers [<!ENTITY a 'b'>]><Matchers/>";
        assert_eq!(read_matchers(text), Err(MatcherXmlError::DocType));
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for text in [
            "<Matchers>",
            "<Matchers></Matcher>",
            "<Matchers/><Matchers/>",
            "<Matchers/>text",
            "text<Matchers/>",
            "<Matchers/><![CDATA[x]]>",
            "<Matchers/>&amp;",
            "<Matchers><Matcher Order='1' Order='2'/></Matchers>",
            "<Matchers><Matcher x='1' x='2' Order='2'/></Matchers>",
            "<Matchers><Matcher Order='&custom;'/></Matchers>",
            "<Matchers><Matcher Order=1/></Matchers>",
            "<Matchers><",
        ] {
            let result = read_matchers(text);
            assert!(matches!(result, Err(MatcherXmlError::Xml { .. })), "{text}: {result:?}");
        }
    }

    #[test]
    fn each_limit_holds_at_its_bound_and_refuses_one_more() {
        let tests = |n: usize| matcher(&format!("<Rules>{}</Rules>", "<Rule Property='UUID'/>".repeat(n)));
        assert_eq!(tests(TESTS_MAX).unwrap()[0].rules.len(), TESTS_MAX);
        assert!(matches!(
            tests(TESTS_MAX + 1),
            Err(MatcherXmlError::Matcher { problem: MatcherProblem::TooManyTests, .. })
        ));

        let one = format!("<Matcher Order='1'>{RULE}</Matcher>");
        let matchers = |n: usize| read_matchers(&format!("<Matchers>{}</Matchers>", one.repeat(n)));
        assert_eq!(matchers(MATCHERS_MAX).unwrap().len(), MATCHERS_MAX);
        assert_eq!(matchers(MATCHERS_MAX + 1), Err(MatcherXmlError::TooManyMatchers));

        let name = |n: usize| {
            read_matchers(&format!("<Matchers><Matcher Order='1' Name='{}'>{RULE}</Matcher></Matchers>", "x".repeat(n)))
        };
        assert!(name(ATTRIBUTE_BYTES_MAX).is_ok() && name(ATTRIBUTE_BYTES_MAX + 1).is_err());

        let many = |n: usize| {
            let names: String = (0..n).map(|i| format!(" a{i}=''")).collect();
            read_matchers(&format!("<Matchers><Matcher Order='1'{names}>{RULE}</Matcher></Matchers>"))
        };
        assert!(many(ATTRIBUTES_MAX - 1).is_ok() && many(ATTRIBUTES_MAX).is_err());

        let deep = |n: usize| read_matchers(&format!("<Matchers>{}{}</Matchers>", "<x>".repeat(n), "</x>".repeat(n)));
        assert!(deep(DEPTH_MAX - 1).is_ok() && deep(DEPTH_MAX).is_err());

        let padded = |n: usize| read_matchers(&format!("<Matchers>{}</Matchers>", " ".repeat(n)));
        assert!(padded(FILE_BYTES_MAX - 21).is_ok());
        assert_eq!(padded(FILE_BYTES_MAX - 20), Err(MatcherXmlError::TooLarge(FILE_BYTES_MAX + 1)));
    }

    #[test]
    fn an_error_names_the_matcher_and_what_to_mend() {
        let text = matcher(&format!("{RULE}<Rules/>")).unwrap_err().to_string();
        assert_eq!(
            text,
            "Matcher with Order 7 (number 1 in the file): it has more than one `Rules`; put all of them into one"
        );
    }
}
