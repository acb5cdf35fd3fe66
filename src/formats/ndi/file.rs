//! An inventory file in memory: one buffer of text and rows that point into it.

use super::{Access, File, Hardware, Head, Package, Property, Service, ServiceProvider};
use crate::time::Timestamp;

/// A piece of the text; the reading keeps at most 64 MiB, so 32 bits reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) len: u32,
}

/// A run of rows in another table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// `Property`: its name is interned, since a file has many properties and few names.
#[derive(Clone, Copy, Debug)]
pub(super) struct PropertyRow {
    pub(super) name: u32,
    pub(super) value: Span,
}

/// The attributes of an element in the order of its table, one behind the other in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<const N: usize> {
    pub(super) start: u32,
    pub(super) ends: [u32; N],
}

impl<const N: usize> Default for Row<N> {
    fn default() -> Row<N> {
        Row { start: 0, ends: [0; N] }
    }
}

impl<const N: usize> Row<N> {
    fn texts<'a>(&self, text: &'a str) -> [&'a str; N] {
        let (mut texts, mut start) = ([""; N], self.start as usize);
        for (value, end) in texts.iter_mut().zip(self.ends) {
            *value = &text[start..end as usize];
            start = end as usize;
        }
        texts
    }
}

/// An element with properties inside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner<const N: usize> {
    pub(super) row: Row<N>,
    pub(super) properties: Rows,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ProviderRow {
    pub(super) owner: Owner<3>,
    pub(super) depth: u32,
    pub(super) parent: Option<u32>,
}

/// One inventory file, as read. About as large as its values: no struct of its own for each, no markup.
#[derive(Clone, Debug, Default)]
pub struct NdiFile {
    pub(super) text: String,
    pub(super) head: Row<13>,
    pub(super) hardware: Vec<Owner<4>>,
    pub(super) packages: Vec<Owner<8>>,
    pub(super) files: Vec<Row<11>>,
    /// Files that were as good, and of which nothing is kept.
    pub(super) files_left_out: usize,
    pub(super) accesses: Vec<Row<7>>,
    pub(super) services: Vec<Row<5>>,
    pub(super) providers: Vec<ProviderRow>,
    pub(super) property_names: Vec<Span>,
    pub(super) properties: Vec<PropertyRow>,
}

/// A service provider with its place in the tree.
#[derive(Clone, Debug)]
pub struct Provider<'a> {
    /// The element.
    pub provider: ServiceProvider<'a>,
    /// 0 at the root of the file.
    pub depth: u32,
    /// Position of the provider around it in [`NdiFile::providers`].
    pub parent: Option<usize>,
    /// Its own properties.
    pub properties: Properties<'a>,
}

impl NdiFile {
    /// Attributes of the root.
    pub fn head(&self) -> Head<'_> {
        let [tracker, audience, scope, machine_name, user_name, hardware, software, service_providers, rest @ ..] =
            self.head.texts(&self.text);
        let [date_time, kind, machine_id, site, tenant_uid] = rest;
        let flag = |text: &str| text.eq_ignore_ascii_case("true");
        Head {
            tracker,
            audience,
            scope,
            machine_name,
            user_name,
            has_hardware: flag(hardware),
            has_software: flag(software),
            has_service_providers: flag(service_providers),
            date_time,
            kind,
            machine_id,
            site,
            tenant_uid,
        }
    }

    /// Hardware objects with their properties, in document order.
    pub fn hardware(&self) -> impl ExactSizeIterator<Item = (Hardware<'_>, Properties<'_>)> {
        self.hardware.iter().map(|row| {
            let [class, name, occurrence, evidence] = row.row.texts(&self.text);
            let occurrence = occurrence.parse().unwrap_or(0);
            (Hardware { class, name, occurrence, evidence }, self.properties(row.properties))
        })
    }

    /// Packages with their properties, in document order.
    pub fn packages(&self) -> impl ExactSizeIterator<Item = (Package<'_>, Properties<'_>)> {
        self.packages.iter().map(|row| {
            let [name, version, publisher, evidence, product_code, install_date, install_path, user_name] =
                row.row.texts(&self.text);
            let package =
                Package { name, version, publisher, evidence, product_code, install_date, install_path, user_name };
            (package, self.properties(row.properties))
        })
    }

    /// Files, in document order.
    pub fn files(&self) -> impl ExactSizeIterator<Item = File<'_>> {
        self.files.iter().map(|row| {
            let [name, path, version, company, description, product_name, rest @ ..] = row.texts(&self.text);
            let [product_version, size, md5, last_modified, evidence] = rest;
            let size = size.parse().ok();
            File {
                name,
                path,
                version,
                company,
                description,
                product_name,
                product_version,
                size,
                md5,
                last_modified,
                evidence,
            }
        })
    }

    /// How many files there were, whether they are kept or not.
    pub fn files_met(&self) -> usize {
        self.files.len() + self.files_left_out
    }

    /// Access evidence, in document order.
    pub fn accesses(&self) -> impl ExactSizeIterator<Item = Access<'_>> {
        self.accesses.iter().map(|row| {
            let [product, version, mode, count, last_access, user_name, client_name] = row.texts(&self.text);
            Access { product, version, mode, count: count.parse().ok(), last_access, user_name, client_name }
        })
    }

    /// Services, in document order.
    pub fn services(&self) -> impl ExactSizeIterator<Item = Service<'_>> {
        self.services.iter().map(|row| {
            let [name, state, start_mode, path, account] = row.texts(&self.text);
            Service { name, state, start_mode, path, account }
        })
    }

    /// Service providers, each before those nested in it.
    pub fn providers(&self) -> impl ExactSizeIterator<Item = Provider<'_>> {
        self.providers.iter().map(|provider| {
            let [kind, name, version] = provider.owner.row.texts(&self.text);
            Provider {
                provider: ServiceProvider { kind, name, version },
                depth: provider.depth,
                parent: provider.parent.map(|parent| parent as usize),
                properties: self.properties(provider.owner.properties),
            }
        })
    }

    /// Bytes this file holds in memory, for budgets.
    pub fn memory_bytes(&self) -> usize {
        fn bytes<T>(rows: &Vec<T>) -> usize {
            rows.capacity() * size_of::<T>()
        }
        size_of::<NdiFile>()
            + self.text.capacity()
            + bytes(&self.hardware)
            + bytes(&self.packages)
            + bytes(&self.files)
            + bytes(&self.accesses)
            + bytes(&self.services)
            + bytes(&self.providers)
            + bytes(&self.property_names)
            + bytes(&self.properties)
    }

    fn text(&self, span: Span) -> &str {
        &self.text[span.start as usize..][..span.len as usize]
    }

    fn properties(&self, rows: Rows) -> Properties<'_> {
        Properties { file: self, rows: self.properties[rows.start as usize..rows.end as usize].iter() }
    }
}

/// Properties of one element, in document order.
#[derive(Clone, Debug)]
pub struct Properties<'a> {
    file: &'a NdiFile,
    rows: std::slice::Iter<'a, PropertyRow>,
}

impl<'a> Properties<'a> {
    /// The value of property `name`, the first of them that this iterator still holds; case counts.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.clone().find(|property| property.name == name).map(|property| property.value)
    }
}

impl<'a> Iterator for Properties<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Property<'a>> {
        let row = self.rows.next()?;
        let name = self.file.text(self.file.property_names[row.name as usize]);
        Some(Property { name, value: self.file.text(row.value) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rows.size_hint()
    }
}

impl ExactSizeIterator for Properties<'_> {}

impl Head<'_> {
    /// When it was collected: `DateTime` as UTC, with or without a trailing `Z`. `None` when it cannot be read.
    pub fn collected_at(&self) -> Option<Timestamp> {
        Timestamp::from_stamp(self.date_time)
    }
}
