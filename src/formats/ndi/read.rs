//! Reads an inventory file as a stream.

use std::io::{BufRead, Read};

use super::columns::{self, Column, KEY_BYTES_MAX, Rule, SHAPES, Shape};
use super::elements::SWID_TAG;
use super::error::{NdiError, PROPERTY_NAMES_MAX};
use super::file::{NdiFile, Owner, PropertyRow, ProviderRow, Row, Rows, Span};
use super::finding::{Finding, FindingKind, Findings};
use super::names::{PropertyNames, SymbolColumns};
use crate::formats::gzip::Inflate;
use crate::formats::xml::{Kept, Tag, Token, XmlReader};
use crate::id::shorten;
use crate::time::Timestamp;

/// What is kept of a file that is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Keep {
    #[default]
    All,
    /// What a server looks at: no access evidence, no services, and of files the SWID tags.
    Titles,
}

/// Reads the XML of an inventory file.
///
/// The document is read as a stream and must be well-formed to its end. One pass; memory is that of the result plus
/// one token. Findings tell what was left out or changed.
pub fn read_ndi(xml: impl Read) -> Result<(NdiFile, Vec<Finding>), NdiError> {
    read(xml, Keep::All)
}

/// Reads an inventory file as it is uploaded: gzip around the XML.
pub fn read_ndi_gz(gzip: impl BufRead) -> Result<(NdiFile, Vec<Finding>), NdiError> {
    read(Inflate::new(gzip), Keep::All)
}

/// The same, but rows that say nothing of the machine or its titles are not kept: access evidence, services, and files that
/// are no SWID tags. They are checked and counted as if they were, so that the same files are refused with the same findings.
pub fn read_ndi_gz_titles(gzip: impl BufRead) -> Result<(NdiFile, Vec<Finding>), NdiError> {
    read(Inflate::new(gzip), Keep::Titles)
}

fn read(xml: impl Read, keep: Keep) -> Result<(NdiFile, Vec<Finding>), NdiError> {
    let mut xml = XmlReader::new(xml);
    let mut builder = Builder { keep, ..Builder::default() };
    loop {
        match xml.next_token()? {
            Token::Open(tag) => builder.open(&tag)?,
            Token::Close { .. } => builder.close(),
            Token::End => return Ok((builder.file, builder.findings.into_vec())),
        }
        builder.at = xml.position();
    }
}

/// An open element; what it may hold follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Inventory,
    Hardware,
    Software,
    Package,
    /// Number of the provider.
    Provider(u32),
    /// Anything inside is skipped.
    Skipped,
}

#[derive(Default)]
struct Builder {
    keep: Keep,
    file: NdiFile,
    /// Of each shape.
    columns: [SymbolColumns; SHAPES],
    findings: Findings,
    kept: Kept,
    names: PropertyNames,
    /// Open elements; the XML reader bounds them.
    places: Vec<Place>,
    /// Where the tag at hand begins, for findings.
    at: u64,
    /// Properties of providers, with the provider's number: nested providers may stand between them.
    provider_properties: Vec<(u32, PropertyRow)>,
}

impl Builder {
    fn open(&mut self, tag: &Tag) -> Result<(), NdiError> {
        let place = match (self.places.last().copied(), tag.name()) {
            (None, "Inventory") => {
                self.root(tag)?;
                Place::Inventory
            }
            (None, other) => return Err(NdiError::Root(shorten(other))),
            (Some(Place::Hardware), "Property") => self.property(tag, None)?,
            (Some(Place::Package), "Property") => self.property(tag, None)?,
            (Some(Place::Provider(owner)), "Property") => self.property(tag, Some(owner))?,
            (Some(Place::Software), "Package") => match self.row(tag, &columns::PACKAGE)? {
                Some(row) => {
                    let properties = self.no_properties();
                    self.file.packages.push(Owner { row, properties });
                    Place::Package
                }
                None => Place::Skipped,
            },
            (Some(Place::Software), "File") => {
                let found = self.found(tag, &columns::FILE);
                if self.keep == Keep::All || found[columns::FILE_EVIDENCE] == Some(SWID_TAG) {
                    let row = self.row_of(&columns::FILE, found)?;
                    self.file.files.extend(row);
                } else {
                    self.file.files_left_out += usize::from(self.leave_out(&columns::FILE, found)?);
                }
                Place::Skipped
            }
            (Some(Place::Software), "Access") => {
                let found = self.found(tag, &columns::ACCESS);
                if self.keep == Keep::All {
                    let row = self.row_of(&columns::ACCESS, found)?;
                    self.file.accesses.extend(row);
                } else {
                    self.leave_out(&columns::ACCESS, found)?;
                }
                Place::Skipped
            }
            (Some(Place::Inventory), "Hardware") => match self.row(tag, &columns::HARDWARE)? {
                Some(row) => {
                    let properties = self.no_properties();
                    self.file.hardware.push(Owner { row, properties });
                    Place::Hardware
                }
                None => Place::Skipped,
            },
            (Some(Place::Inventory), "Software") => Place::Software,
            (Some(Place::Inventory), "Service") => {
                let found = self.found(tag, &columns::SERVICE);
                if self.keep == Keep::All {
                    let row = self.row_of(&columns::SERVICE, found)?;
                    self.file.services.extend(row);
                } else {
                    self.leave_out(&columns::SERVICE, found)?;
                }
                Place::Skipped
            }
            (Some(Place::Inventory), "ServiceProvider") => self.provider(tag, None)?,
            (Some(Place::Provider(parent)), "ServiceProvider") => self.provider(tag, Some(parent))?,
            (Some(_), _) => Place::Skipped,
        };
        self.places.push(place);
        Ok(())
    }

    fn close(&mut self) {
        let rows = self.file.properties.len() as u32;
        match self.places.pop() {
            Some(Place::Hardware) => end_rows(self.file.hardware.last_mut(), rows),
            Some(Place::Package) => end_rows(self.file.packages.last_mut(), rows),
            Some(Place::Inventory) => self.place_provider_properties(),
            _ => {}
        }
    }

    fn root(&mut self, tag: &Tag) -> Result<(), NdiError> {
        let shape = &columns::INVENTORY;
        let mut found = [None; 13];
        for (name, value) in tag.attributes() {
            // The public script writes `Username`, so the root's names are read without regard to case.
            let hit = shape.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
            if let Some(column) = hit {
                found[column].get_or_insert(value);
            }
        }
        if let Some(missing) = missing(shape, &found) {
            return Err(NdiError::RootAttribute(missing));
        }
        self.file.head = self.keep_row(shape, found)?;
        if Timestamp::from_stamp(self.file.head().date_time).is_none() {
            self.findings.add(FindingKind::NotATime, shape.element, "DateTime", self.at);
        }
        Ok(())
    }

    fn provider(&mut self, tag: &Tag, parent: Option<u32>) -> Result<Place, NdiError> {
        let Some(row) = self.row(tag, &columns::PROVIDER)? else { return Ok(Place::Skipped) };
        let depth = parent.map_or(0, |parent| self.file.providers[parent as usize].depth + 1);
        let number = self.file.providers.len() as u32;
        self.kept.add(size_of::<ProviderRow>())?;
        self.file.providers.push(ProviderRow { owner: Owner { row, properties: Rows::default() }, depth, parent });
        Ok(Place::Provider(number))
    }

    fn property(&mut self, tag: &Tag, provider: Option<u32>) -> Result<Place, NdiError> {
        let [name, value] = &columns::PROPERTY.columns;
        let found = self.found(tag, &columns::PROPERTY);
        let [Some(found_name), Some(text)] = found else {
            let missing = if found[0].is_none() { name.name } else { value.name };
            self.findings.add(FindingKind::Missing, columns::PROPERTY.element, missing, self.at);
            return Ok(Place::Skipped);
        };
        let (name, key) = self.property_name(found_name)?;
        // Only machines and what they hold are told apart by properties; those of a package describe it.
        let in_package = self.places.last() == Some(&Place::Package);
        let column = match key {
            Some(key) if !in_package => &Column { name: key, required: true, rule: Rule::Key(KEY_BYTES_MAX as u32) },
            _ => value,
        };
        let value = self.value(text, columns::PROPERTY.element, column);
        self.kept.add(value.len as usize)?;
        let row = PropertyRow { name, value };
        match provider {
            Some(owner) => {
                self.kept.add(size_of::<(u32, PropertyRow)>() + size_of::<PropertyRow>())?;
                self.provider_properties.push((owner, row));
            }
            None => {
                self.kept.add(size_of::<PropertyRow>())?;
                self.file.properties.push(row);
            }
        }
        Ok(Place::Skipped)
    }

    /// The number of a property's name, and its spelling as a key when it is one.
    fn property_name(&mut self, name: &str) -> Result<(u32, Option<&'static str>), NdiError> {
        if let Some(known) = self.names.find(name) {
            return Ok(known);
        }
        if self.file.property_names.len() == PROPERTY_NAMES_MAX {
            return Err(NdiError::PropertyNames);
        }
        let span = self.value(name, columns::PROPERTY.element, &columns::PROPERTY.columns[0]);
        // The map owns a second copy of the name.
        self.kept.add(2 * name.len() + size_of::<Span>())?;
        let number = self.file.property_names.len() as u32;
        self.file.property_names.push(span);
        let key = columns::key_property(name);
        self.names.learn(name, number, key);
        Ok((number, key))
    }

    /// The attributes that `shape` knows, or `None` with a finding when a required one is missing.
    fn row<const N: usize>(&mut self, tag: &Tag, shape: &'static Shape<N>) -> Result<Option<Row<N>>, NdiError> {
        let found = self.found(tag, shape);
        self.row_of(shape, found)
    }

    fn row_of<const N: usize>(
        &mut self,
        shape: &'static Shape<N>,
        found: [Option<&str>; N],
    ) -> Result<Option<Row<N>>, NdiError> {
        if self.is_missing(shape, &found) { Ok(None) } else { self.keep_row(shape, found).map(Some) }
    }

    /// Looks at what would be kept, and counts it as if it were; whether it would be.
    fn leave_out<const N: usize>(
        &mut self,
        shape: &'static Shape<N>,
        found: [Option<&str>; N],
    ) -> Result<bool, NdiError> {
        if self.is_missing(shape, &found) {
            return Ok(false);
        }
        let mut bytes = size_of::<Owner<N>>();
        for (value, column) in found.into_iter().zip(&shape.columns) {
            bytes += value.map_or(0, |value| self.ruled(value, shape.element, column).len());
        }
        self.kept.add(bytes)?;
        Ok(true)
    }

    /// The attributes of `tag` by the columns of `shape`.
    fn found<'t, const N: usize>(&mut self, tag: &Tag<'t>, shape: &'static Shape<N>) -> [Option<&'t str>; N] {
        let known = &mut self.columns[shape.number];
        let mut found = [None; N];
        for attribute in tag.numbered() {
            let look = || shape.columns.iter().position(|column| column.name == attribute.name());
            let column = match attribute.symbol() {
                Some(symbol) => known.of(symbol, look),
                None => look(),
            };
            if let Some(column) = column {
                found[column] = Some(attribute.value());
            }
        }
        found
    }

    /// Whether a required attribute was not found, with a finding.
    fn is_missing<const N: usize>(&mut self, shape: &'static Shape<N>, found: &[Option<&str>; N]) -> bool {
        let Some(attribute) = missing(shape, found) else { return false };
        self.findings.add(FindingKind::Missing, shape.element, attribute, self.at);
        true
    }

    fn keep_row<const N: usize>(
        &mut self,
        shape: &'static Shape<N>,
        found: [Option<&str>; N],
    ) -> Result<Row<N>, NdiError> {
        let start = self.file.text.len();
        let mut row = Row { start: start as u32, ends: [0; N] };
        for (column, value) in found.into_iter().enumerate() {
            if let Some(value) = value {
                self.value(value, shape.element, &shape.columns[column]);
            }
            row.ends[column] = self.file.text.len() as u32;
        }
        self.kept.add(size_of::<Owner<N>>() + self.file.text.len() - start)?;
        Ok(row)
    }

    /// Keeps `value` as far as the rule of `column` lets it; the caller counts what was kept.
    fn value(&mut self, value: &str, element: &'static str, column: &Column) -> Span {
        let value = self.ruled(value, element, column);
        let start = self.file.text.len() as u32;
        self.file.text.push_str(value);
        Span { start, len: value.len() as u32 }
    }

    /// As much of `value` as the rule of `column` lets through.
    fn ruled<'v>(&mut self, value: &'v str, element: &'static str, column: &Column) -> &'v str {
        let (value, finding) = match column.rule {
            Rule::Free => (value, None),
            Rule::Chars(max) => cut(value, max),
            Rule::Key(max) => {
                if value.len() > KEY_BYTES_MAX || value.chars().any(char::is_control) {
                    ("", Some(FindingKind::Null))
                } else {
                    cut(value, max)
                }
            }
            Rule::Number(max) if value.parse::<u64>().is_ok_and(|number| number <= max) => (value, None),
            Rule::Number(_) => ("", Some(FindingKind::NotANumber)),
        };
        if let Some(kind) = finding {
            self.findings.add(kind, element, column.name, self.at);
        }
        value
    }

    /// An empty run of properties; `close` sets its end.
    fn no_properties(&self) -> Rows {
        let start = self.file.properties.len() as u32;
        Rows { start, end: start }
    }

    /// Puts the properties of each provider behind each other.
    fn place_provider_properties(&mut self) {
        // Stable, so that the order within a provider stays.
        self.provider_properties.sort_by_key(|&(owner, _)| owner);
        let mut from = 0;
        for (number, provider) in self.file.providers.iter_mut().enumerate() {
            let own = &self.provider_properties[from..];
            let count = own.partition_point(|&(owner, _)| owner as usize == number);
            let start = self.file.properties.len() as u32;
            self.file.properties.extend(own[..count].iter().map(|&(_, row)| row));
            provider.owner.properties = Rows { start, end: start + count as u32 };
            from += count;
        }
    }
}

fn end_rows<const N: usize>(owner: Option<&mut Owner<N>>, end: u32) {
    if let Some(owner) = owner {
        owner.properties.end = end;
    }
}

/// The first required attribute that was not found.
fn missing<const N: usize>(shape: &Shape<N>, found: &[Option<&str>; N]) -> Option<&'static str> {
    let absent = |(column, value): &(&Column, &Option<&str>)| column.required && value.is_none();
    shape.columns.iter().zip(found).find(absent).map(|(column, _)| column.name)
}

/// At most `max` characters of `value`.
fn cut(value: &str, max: u32) -> (&str, Option<FindingKind>) {
    let max = max as usize;
    if value.len() <= max {
        return (value, None);
    }
    match value.char_indices().nth(max) {
        Some((end, _)) => (&value[..end], Some(FindingKind::Cut)),
        None => (value, None),
    }
}
