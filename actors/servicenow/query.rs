//! Encoded queries of the Table API.
//!
//! ```text
//! query  = group { "^NQ" group }          a record matches when any group does
//! group  = clause { "^" clause }          ... when all its clauses do
//! clause = condition { "^OR" condition }  ... when any of its conditions does
//! ```
//!
//! A part that cannot be read, or that names an unknown column, is left out and the rest still runs: that is what
//! ServiceNow does. Source: servicenow reference, section 6.

use std::cmp::Ordering;

use super::schema::{Kind, TableId, schema};
use super::tables::{Record, SysId, Tables};

/// Most conditions of a query; more are left out.
const MAX_CONDITIONS: usize = 200;
/// Most references a dotted name may follow.
const MAX_HOPS: usize = 3;

/// A column, perhaps of a referenced record: `model_id.name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    names: Vec<String>,
    kind: Kind,
}

impl Path {
    /// Reads a dotted name; `None` when a part is unknown.
    pub fn parse(table: TableId, text: &str) -> Option<Path> {
        let mut table = Some(table);
        let mut kind = Kind::Text;
        let mut names = Vec::new();
        for name in text.split('.') {
            if names.len() > MAX_HOPS {
                return None;
            }
            kind = column_of_family(table?, name)?;
            table = match kind {
                Kind::Reference(target) => schema().table(target),
                _ => None,
            };
            names.push(name.to_owned());
        }
        Some(Path { names, kind })
    }

    /// What the column holds.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The value, following references; empty when one leads nowhere.
    pub fn value<'a>(&self, tables: &'a Tables, record: &'a Record) -> &'a str {
        let mut record = record;
        for (depth, name) in self.names.iter().enumerate() {
            let value = record.text(name);
            if depth + 1 == self.names.len() {
                return value;
            }
            let Some((_, Kind::Reference(target))) = schema().column(record.class, name) else { return "" };
            let next = schema().table(target).and_then(|table| tables.get(table, value.parse::<SysId>().ok()?));
            let Some(next) = next else { return "" };
            record = next;
        }
        ""
    }
}

/// A column of the table or of one of its children: a list of `cmdb_ci` may ask for `os`.
fn column_of_family(table: TableId, name: &str) -> Option<Kind> {
    let schema = schema();
    schema.column(table, name).map(|(_, kind)| kind).or_else(|| {
        let mut children = schema.tables().filter(|child| schema.is_a(*child, table));
        children.find_map(|child| schema.column(child, name)).map(|(_, kind)| kind)
    })
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Equal(String),
    NotEqual(String),
    Compare(Vec<Ordering>, String),
    Starts(String),
    Ends(String),
    Contains(String),
    ContainsNot(String),
    Empty,
    NotEmpty,
    Anything,
    Between(String, String),
    Same(Path),
    NotSame(Path),
    In(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    path: Path,
    test: Test,
}

/// A query as it is run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Groups of clauses of conditions.
    groups: Vec<Vec<Vec<Condition>>>,
    /// Columns to order by; `true` is descending.
    order: Vec<(Path, bool)>,
    conditions: usize,
}

impl Query {
    /// Reads an encoded query.
    pub fn parse(table: TableId, text: &str) -> Query {
        let mut query = Query { groups: vec![Vec::new()], ..Query::default() };
        let mut parts = text.split('^').peekable();
        while let Some(part) = parts.next() {
            let mut part = part.to_owned();
            // BETWEEN and IN take `@` and `,`; a `^^` is an escaped caret within a value.
            while parts.peek() == Some(&"") {
                parts.next();
                part.push('^');
                part.push_str(parts.next().unwrap_or_default());
            }
            query.add(table, &part);
        }
        query
    }

    /// An equality filter: the `name=value` parameters of a request without `sysparm_query`.
    pub fn equal<'a>(table: TableId, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Query {
        let mut query = Query { groups: vec![Vec::new()], ..Query::default() };
        for (name, value) in pairs {
            if let Some(path) = Path::parse(table, name) {
                query.push(Condition { path, test: Test::Equal(value.to_owned()) }, false);
            }
        }
        query
    }

    fn add(&mut self, table: TableId, part: &str) {
        if let Some(name) = part.strip_prefix("ORDERBYDESC") {
            self.order.extend(Path::parse(table, name).map(|path| (path, true)));
        } else if let Some(name) = part.strip_prefix("ORDERBY") {
            self.order.extend(Path::parse(table, name).map(|path| (path, false)));
        } else if part == "EQ" {
        } else if let Some(rest) = part.strip_prefix("NQ") {
            self.groups.push(Vec::new());
            self.add(table, rest);
        } else if let Some(condition) = condition(table, part) {
            self.push(condition, false);
        } else if let Some(condition) = part.strip_prefix("OR").and_then(|rest| condition(table, rest)) {
            self.push(condition, true);
        }
    }

    fn push(&mut self, condition: Condition, or: bool) {
        if self.conditions == MAX_CONDITIONS {
            return;
        }
        self.conditions += 1;
        let Some(group) = self.groups.last_mut() else { return };
        match group.last_mut() {
            Some(clause) if or => clause.push(condition),
            _ => group.push(vec![condition]),
        }
    }

    /// Whether it takes every record.
    pub fn is_everything(&self) -> bool {
        self.groups.iter().any(Vec::is_empty)
    }

    /// Whether it wants an order of its own.
    pub fn is_ordered(&self) -> bool {
        !self.order.is_empty()
    }

    /// Whether it takes the record.
    pub fn matches(&self, tables: &Tables, record: &Record) -> bool {
        let holds = |condition: &Condition| condition.holds(tables, record);
        self.groups.iter().any(|group| group.iter().all(|clause| clause.iter().any(holds)))
    }

    /// The order of two records; `sys_id` decides where the query does not.
    pub fn compare(&self, tables: &Tables, left: &Record, right: &Record) -> Ordering {
        for (path, descending) in &self.order {
            let order = compare_values(path.kind, path.value(tables, left), path.value(tables, right));
            let order = if *descending { order.reverse() } else { order };
            if order != Ordering::Equal {
                return order;
            }
        }
        left.sys_id.cmp(&right.sys_id)
    }
}

/// Operators, longer ones before those they begin with.
const OPERATORS: [&str; 25] = [
    "NOT LIKE",
    "ISNOTEMPTY",
    "ISEMPTY",
    "EMPTYSTRING",
    "ANYTHING",
    "STARTSWITH",
    "ENDSWITH",
    "NSAMEAS",
    "SAMEAS",
    "BETWEEN",
    "NOTLIKE",
    "LIKE",
    "IN",
    "!=",
    "<=",
    ">=",
    "!*",
    "=",
    "<",
    ">",
    "%",
    "*",
    "DOES NOT CONTAIN",
    "CONTAINS",
    "NOT IN",
];

fn condition(table: TableId, part: &str) -> Option<Condition> {
    // The name ends where an operator begins; names are lower case, word operators upper case.
    let end = part.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.'))?;
    let path = Path::parse(table, &part[..end])?;
    let rest = &part[end..];
    let operator = OPERATORS.into_iter().filter(|operator| rest.starts_with(operator)).max_by_key(|text| text.len())?;
    let value = rest[operator.len()..].to_owned();
    let test = match operator {
        "=" => Test::Equal(value),
        "!=" => Test::NotEqual(value),
        "<" => Test::Compare(vec![Ordering::Less], value),
        "<=" => Test::Compare(vec![Ordering::Less, Ordering::Equal], value),
        ">" => Test::Compare(vec![Ordering::Greater], value),
        ">=" => Test::Compare(vec![Ordering::Greater, Ordering::Equal], value),
        "STARTSWITH" => Test::Starts(value.to_lowercase()),
        "ENDSWITH" | "%" => Test::Ends(value.to_lowercase()),
        "LIKE" | "*" | "CONTAINS" => Test::Contains(value.to_lowercase()),
        "NOT LIKE" | "NOTLIKE" | "!*" | "DOES NOT CONTAIN" => Test::ContainsNot(value.to_lowercase()),
        "ISEMPTY" | "EMPTYSTRING" => Test::Empty,
        "ISNOTEMPTY" => Test::NotEmpty,
        "ANYTHING" => Test::Anything,
        "BETWEEN" => {
            let (low, high) = value.split_once('@')?;
            Test::Between(low.to_owned(), high.to_owned())
        }
        "SAMEAS" => Test::Same(Path::parse(table, &value)?),
        "NSAMEAS" => Test::NotSame(Path::parse(table, &value)?),
        "IN" => Test::In(value.split(',').map(str::to_owned).collect()),
        _ => return None,
    };
    Some(Condition { path, test })
}

impl Condition {
    fn holds(&self, tables: &Tables, record: &Record) -> bool {
        let value = self.path.value(tables, record);
        let compare = |other: &str| compare_values(self.path.kind, value, other);
        match &self.test {
            Test::Equal(other) => compare(other) == Ordering::Equal,
            Test::NotEqual(other) => compare(other) != Ordering::Equal,
            Test::Compare(orders, other) => !value.is_empty() && orders.contains(&compare(other)),
            Test::Starts(other) => value.to_lowercase().starts_with(other),
            Test::Ends(other) => value.to_lowercase().ends_with(other),
            Test::Contains(other) => value.to_lowercase().contains(other),
            Test::ContainsNot(other) => !value.to_lowercase().contains(other),
            Test::Empty => value.is_empty(),
            Test::NotEmpty => !value.is_empty(),
            Test::Anything => true,
            Test::Between(low, high) => {
                !value.is_empty() && compare(low) != Ordering::Less && compare(high) != Ordering::Greater
            }
            Test::Same(path) => value == path.value(tables, record),
            Test::NotSame(path) => value != path.value(tables, record),
            Test::In(values) => values.iter().any(|other| compare(other) == Ordering::Equal),
        }
    }
}

fn compare_values(kind: Kind, left: &str, right: &str) -> Ordering {
    if kind == Kind::Number
        && let (Ok(left), Ok(right)) = (left.parse::<f64>(), right.parse::<f64>())
        && let Some(order) = left.partial_cmp(&right)
    {
        return order;
    }
    left.cmp(right)
}

#[cfg(test)]
mod tests {
    use super::super::tables::Change;
    use super::*;

    fn fixture() -> Tables {
        let mut tables = Tables::default();
        let rows = [
            (1u128, "core_company", vec![("name", "Dell Inc.")]),
            (2, "cmdb_ci_computer", vec![("name", "PC-1"), ("ram", "8192"), ("os", "Windows 11")]),
            (3, "cmdb_ci_linux_server", vec![("name", "web-2"), ("ram", "900"), ("os", "Debian")]),
            (4, "cmdb_ci_linux_server", vec![("name", "web-10"), ("os", "Debian")]),
        ];
        for (id, table, set) in rows {
            let mut set: std::collections::BTreeMap<String, String> =
                set.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            if id == 2 {
                set.insert("manufacturer".into(), format!("{:032x}", 1));
            }
            let sys_id = format!("{id:032x}").parse().unwrap();
            tables.apply(&Change { table: table.to_owned(), sys_id, set: Some(set) });
        }
        tables
    }

    fn names(text: &str) -> Vec<String> {
        let tables = fixture();
        let table = schema().table("cmdb_ci_computer").unwrap();
        let query = Query::parse(table, text);
        let mut found: Vec<&Record> = tables.all(table).filter(|record| query.matches(&tables, record)).collect();
        found.sort_by(|left, right| query.compare(&tables, left, right));
        found.iter().map(|record| record.text("name").to_owned()).collect()
    }

    #[test]
    fn operators_select_as_documented() {
        for (text, expected) in [
            ("", vec!["PC-1", "web-2", "web-10"]),
            ("name=PC-1", vec!["PC-1"]),
            ("name=pc-1", vec![]),
            ("nameSTARTSWITHweb", vec!["web-2", "web-10"]),
            ("nameENDSWITH-1^ORname=web-2", vec!["PC-1", "web-2"]),
            ("osLIKEdeb^ram=900", vec!["web-2"]),
            ("os*Win^NQname=web-10", vec!["PC-1", "web-10"]),
            ("ram>1000", vec!["PC-1"]),
            ("ramBETWEEN100@1000", vec!["web-2"]),
            ("ramISEMPTY", vec!["web-10"]),
            ("ramISNOTEMPTY^osNOT LIKEwin", vec!["web-2"]),
            ("nameINweb-2,PC-1", vec!["PC-1", "web-2"]),
            ("manufacturer.name=Dell Inc.", vec!["PC-1"]),
            ("ORDERBYDESCram", vec!["PC-1", "web-2", "web-10"]),
            ("ORDERBYname", vec!["PC-1", "web-10", "web-2"]),
            ("osNSAMEASname^osANYTHING^name!=PC-1^ORDERBYDESCname", vec!["web-2", "web-10"]),
        ] {
            assert_eq!(names(text), expected, "{text}");
        }
    }

    #[test]
    fn a_part_that_cannot_be_read_is_left_out_and_the_rest_runs() {
        assert_eq!(names("nmae=PC-1"), ["PC-1", "web-2", "web-10"]);
        assert_eq!(names("nmae=PC-1^ram>1000"), ["PC-1"]);
        assert_eq!(names("^^^ram~3^^"), ["PC-1", "web-2", "web-10"]);
    }

    proptest::proptest! {
        #[test]
        fn no_query_makes_the_reader_panic(text in "[a-zA-Z_.^=<>!*%@,0-9ü ]{0,60}") {
            names(&text);
        }
    }
}
