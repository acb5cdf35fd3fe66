//! Reads a discovery file as a stream.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::IpAddr;

use super::finding::{DiscoFinding, DiscoFindingKind, Findings};
use super::{
    ADDRESSES_MAX, Address, DEVICES_MAX, Device, Disco, INSTANCES_MAX, Instance, KEY_BYTES_MAX, PROPERTIES_MAX,
    PROPERTY_NAMES_MAX, SERVICES_MAX, Service, ServiceProperty, VERSION,
};
use crate::formats::xml::{Kept, MissingAttribute, Tag, XmlError, XmlReader};
use crate::id::shorten;
use crate::time::Timestamp;

/// Why a file is refused as a whole. Each text can stand as the reason of a quarantined package.
#[derive(Debug, thiserror::Error)]
pub enum DiscoError {
    /// Not the XML that is read here, or more of it than is read.
    #[error("discovery XML is refused")]
    Xml(#[from] XmlError),
    /// Another kind of document.
    #[error("the root element is `{0}`, not `Discovery`")]
    Root(String),
    /// The root lacks what it must have.
    #[error(transparent)]
    Missing(#[from] MissingAttribute),
    /// A version whose words may mean something else.
    #[error("version `{0}` of a discovery is not known, only `{VERSION}` is")]
    Version(String),
    /// Nobody could tell which earlier file it replaces.
    #[error("source `{0}` of a discovery is not agent, network or ad")]
    Source(String),
    /// Too many names.
    #[error("more than {PROPERTY_NAMES_MAX} distinct property names")]
    PropertyNames,
}

/// Characters that are kept of a value.
#[derive(Clone, Copy)]
enum Rule {
    /// At most so many; cut.
    Chars(usize),
    /// A name or an id: at most [`KEY_BYTES_MAX`] bytes without control characters, else null; then at most so many.
    Key(usize),
}

/// What holds for every attribute that is text. Lengths are those of the same words in an inventory where it has them.
mod rules {
    use super::{KEY_BYTES_MAX, Rule};

    pub(super) const NAME: Rule = Rule::Key(256);
    pub(super) const KEY: Rule = Rule::Key(KEY_BYTES_MAX);
    pub(super) const VERSION: Rule = Rule::Chars(100);
    pub(super) const WORD: Rule = Rule::Chars(64);
    pub(super) const VALUE: Rule = Rule::Chars(4_096);
}

impl Disco {
    /// Reads the XML of a discovery file as a stream; it must be well-formed to its end. Findings tell what was left
    /// out or changed, each kind once, in the order in which it was met first.
    pub fn read(xml: impl Read) -> Result<(Disco, Vec<DiscoFinding>), DiscoError> {
        let mut reader = Reader {
            xml: XmlReader::new(xml),
            notes: Notes { findings: Findings::default(), kept: Kept::default(), at: 0 },
            property_names: PropertyNames::default(),
        };
        let disco = reader.discovery()?;
        // A document that goes on after its root is not well-formed.
        reader.xml.child()?;
        Ok((disco, reader.notes.findings.into_vec()))
    }
}

struct Reader<R> {
    xml: XmlReader<R>,
    notes: Notes,
    property_names: PropertyNames,
}

/// What is kept beside the document: apart from the XML reader, since a tag borrows that.
struct Notes {
    findings: Findings,
    kept: Kept,
    /// Where the tag at hand begins, or shortly before.
    at: u64,
}

impl Notes {
    fn find(&mut self, kind: DiscoFindingKind, element: &'static str, attribute: &'static str) {
        self.findings.add(kind, element, attribute, self.at);
    }

    /// `value` as far as `rule` lets it.
    fn keep(
        &mut self,
        value: &str,
        rule: Rule,
        element: &'static str,
        attribute: &'static str,
    ) -> Result<String, XmlError> {
        let max = match rule {
            Rule::Key(_) if value.len() > KEY_BYTES_MAX || value.chars().any(char::is_control) => {
                self.find(DiscoFindingKind::Null, element, attribute);
                return Ok(String::new());
            }
            Rule::Key(max) | Rule::Chars(max) => max,
        };
        let end = value.char_indices().nth(max).map_or(value.len(), |(end, _)| end);
        if end < value.len() {
            self.find(DiscoFindingKind::Cut, element, attribute);
        }
        self.kept.add(end)?;
        Ok(value[..end].to_owned())
    }

    /// The attribute, empty when it is absent.
    fn text(
        &mut self,
        tag: &Tag,
        rule: Rule,
        element: &'static str,
        attribute: &'static str,
    ) -> Result<String, XmlError> {
        self.keep(tag.get(attribute).unwrap_or(""), rule, element, attribute)
    }

    /// Whether an element is taken: its required attributes are all there, and beside the `count` that were taken there
    /// is room for it. Else a finding.
    fn takes(
        &mut self,
        tag: &Tag,
        element: &'static str,
        required: &[&'static str],
        count: usize,
        max: usize,
    ) -> Result<bool, XmlError> {
        if let Some(missing) = required.iter().find(|name| tag.get(name).is_none()) {
            self.find(DiscoFindingKind::Missing, element, missing);
            return Ok(false);
        }
        if count >= max {
            self.find(DiscoFindingKind::TooMany, element, "");
            return Ok(false);
        }
        // As much as the largest of them takes beside its texts.
        self.kept.add(size_of::<Service>())?;
        Ok(true)
    }
}

impl<R: Read> Reader<R> {
    fn discovery(&mut self) -> Result<Disco, DiscoError> {
        const ELEMENT: &str = "Discovery";
        let notes = &mut self.notes;
        let mut disco = match self.xml.child()? {
            Some(tag) if tag.name() == ELEMENT => {
                let version = tag.required("Version")?;
                if version != VERSION {
                    return Err(DiscoError::Version(shorten(version)));
                }
                let source = tag.required("Source")?;
                let date_time = tag.required("DateTime")?;
                let collected_at = Timestamp::from_stamp(date_time);
                if collected_at.is_none() {
                    notes.find(DiscoFindingKind::NotATime, ELEMENT, "DateTime");
                }
                let machine_id = tag.get("MachineId").filter(|text| !text.is_empty());
                if machine_id.is_some_and(|text| text.parse::<crate::id::Guid>().is_err()) {
                    notes.find(DiscoFindingKind::NotAGuid, ELEMENT, "MachineId");
                }
                Disco {
                    source: source.parse().map_err(|_| DiscoError::Source(shorten(source)))?,
                    machine_name: notes.keep(tag.required("MachineName")?, rules::KEY, ELEMENT, "MachineName")?,
                    collected_at,
                    machine_id: machine_id.and_then(|text| text.parse().ok()),
                    tenant_uid: notes.text(&tag, rules::KEY, ELEMENT, "TenantUID")?,
                    devices: Vec::new(),
                }
            }
            other => return Err(DiscoError::Root(shorten(other.map_or("", |tag| tag.name())))),
        };
        loop {
            self.notes.at = self.xml.position();
            let Some(tag) = self.xml.child()? else { return Ok(disco) };
            let device = match tag.name() {
                "Device" => read_device(&mut self.notes, &tag, disco.devices.len())?,
                _ => None,
            };
            match device {
                Some(mut device) => {
                    self.device_children(&mut device)?;
                    disco.devices.push(device);
                }
                None => self.xml.skip()?,
            }
        }
    }

    fn device_children(&mut self, device: &mut Device) -> Result<(), DiscoError> {
        loop {
            self.notes.at = self.xml.position();
            let Some(tag) = self.xml.child()? else { return Ok(()) };
            let service = match tag.name() {
                "Address" => {
                    device.addresses.extend(read_address(&mut self.notes, &tag, device.addresses.len())?);
                    None
                }
                "Service" => read_service(&mut self.notes, &tag, device.services.len())?,
                _ => None,
            };
            match service {
                Some(mut service) => {
                    self.service_children(&mut service)?;
                    device.services.push(service);
                }
                None => self.xml.skip()?,
            }
        }
    }

    fn service_children(&mut self, service: &mut Service) -> Result<(), DiscoError> {
        loop {
            self.notes.at = self.xml.position();
            let Some(tag) = self.xml.child()? else { return Ok(()) };
            match tag.name() {
                "Property" => {
                    let property = read_property(&mut self.notes, &tag, service.properties.len())?;
                    if let Some(property) = &property {
                        self.property_names.learn(&property.name, &mut self.notes)?;
                    }
                    service.properties.extend(property);
                }
                "Instance" => {
                    service.instances.extend(read_instance(&mut self.notes, &tag, service.instances.len())?);
                }
                _ => {}
            }
            self.xml.skip()?;
        }
    }
}

/// The distinct names of properties met so far.
#[derive(Default)]
struct PropertyNames(BTreeSet<Box<str>>);

impl PropertyNames {
    fn learn(&mut self, name: &str, notes: &mut Notes) -> Result<(), DiscoError> {
        if self.0.contains(name) {
            return Ok(());
        }
        if self.0.len() == PROPERTY_NAMES_MAX {
            return Err(DiscoError::PropertyNames);
        }
        notes.kept.add(name.len() + size_of::<Box<str>>())?;
        self.0.insert(name.into());
        Ok(())
    }
}

fn read_device(notes: &mut Notes, tag: &Tag, count: usize) -> Result<Option<Device>, XmlError> {
    const ELEMENT: &str = "Device";
    if !notes.takes(tag, ELEMENT, &["Name"], count, DEVICES_MAX)? {
        return Ok(None);
    }
    Ok(Some(Device {
        name: notes.text(tag, rules::NAME, ELEMENT, "Name")?,
        domain: notes.text(tag, rules::KEY, ELEMENT, "Domain")?,
        device_type: notes.text(tag, rules::WORD, ELEMENT, "DeviceType")?,
        ..Device::default()
    }))
}

fn read_address(notes: &mut Notes, tag: &Tag, count: usize) -> Result<Option<Address>, XmlError> {
    const ELEMENT: &str = "Address";
    if !notes.takes(tag, ELEMENT, &["Type", "Value"], count, ADDRESSES_MAX)? {
        return Ok(None);
    }
    let value = match (tag.get("Type"), tag.get("Value").map(str::parse)) {
        (Some("IPv4"), Some(Ok(value @ IpAddr::V4(_)))) => value,
        (Some("IPv6"), Some(Ok(value @ IpAddr::V6(_)))) => value,
        _ => {
            notes.find(DiscoFindingKind::NotAnAddress, ELEMENT, "Value");
            return Ok(None);
        }
    };
    let mac = notes.text(tag, rules::WORD, ELEMENT, "Mac")?;
    Ok(Some(Address { value, mac, subnet: notes.text(tag, rules::WORD, ELEMENT, "Subnet")? }))
}

fn read_service(notes: &mut Notes, tag: &Tag, count: usize) -> Result<Option<Service>, XmlError> {
    const ELEMENT: &str = "Service";
    if !notes.takes(tag, ELEMENT, &["Type", "Name"], count, SERVICES_MAX)? {
        return Ok(None);
    }
    let port = tag.get("Port").filter(|text| !text.is_empty());
    let number = port.and_then(|text| text.parse().ok()).filter(|&port: &u16| port > 0);
    if port.is_some() && number.is_none() {
        notes.find(DiscoFindingKind::NotAPort, ELEMENT, "Port");
    }
    Ok(Some(Service {
        kind: notes.text(tag, rules::NAME, ELEMENT, "Type")?,
        name: notes.text(tag, rules::NAME, ELEMENT, "Name")?,
        port: number,
        version: notes.text(tag, rules::VERSION, ELEMENT, "Version")?,
        state: notes.text(tag, rules::WORD, ELEMENT, "State")?,
        ..Service::default()
    }))
}

fn read_property(notes: &mut Notes, tag: &Tag, count: usize) -> Result<Option<ServiceProperty>, XmlError> {
    const ELEMENT: &str = "Property";
    if !notes.takes(tag, ELEMENT, &["Name", "Value"], count, PROPERTIES_MAX)? {
        return Ok(None);
    }
    let name = notes.text(tag, rules::NAME, ELEMENT, "Name")?;
    Ok(Some(ServiceProperty { name, value: notes.text(tag, rules::VALUE, ELEMENT, "Value")? }))
}

fn read_instance(notes: &mut Notes, tag: &Tag, count: usize) -> Result<Option<Instance>, XmlError> {
    const ELEMENT: &str = "Instance";
    if !notes.takes(tag, ELEMENT, &["Name"], count, INSTANCES_MAX)? {
        return Ok(None);
    }
    let name = notes.text(tag, rules::NAME, ELEMENT, "Name")?;
    Ok(Some(Instance { name, status: notes.text(tag, rules::WORD, ELEMENT, "Status")? }))
}
