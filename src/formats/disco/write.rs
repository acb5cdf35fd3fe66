//! Writes a discovery file.

use std::io::{self, Write};
use std::net::IpAddr;

use super::{Address, Device, Disco, Service, VERSION};
use crate::formats::xml::XmlWriter;

/// Column of the root's attributes on the lines after the first: below the first attribute.
const ROOT_COLUMN: usize = "<Discovery ".len();

impl Disco {
    /// Prints the file; equal discoveries give equal bytes. Optional attributes that are empty are left out. See
    /// [`XmlWriter`] for what becomes of characters that XML cannot carry. Errors are those of `out`.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let mut xml = XmlWriter::new(out, None)?;
        xml.open("Discovery")?;
        xml.attribute("Version", VERSION)?;
        xml.attribute("Source", self.source.as_str())?;
        xml.attribute("MachineName", &self.machine_name)?;
        xml.attribute("DateTime", &self.collected_at.map(|at| at.to_stamp()).unwrap_or_default())?;
        if self.machine_id.is_some() || !self.tenant_uid.is_empty() {
            xml.wrap(ROOT_COLUMN)?;
            xml.optional("MachineId", &self.machine_id.map(|id| format!("{{{id}}}")).unwrap_or_default())?;
            xml.optional("TenantUID", &self.tenant_uid)?;
        }
        if self.devices.is_empty() {
            xml.empty()?;
        } else {
            xml.children()?;
            self.devices.iter().try_for_each(|device| device.write(&mut xml))?;
            xml.close("Discovery")?;
        }
        xml.into_inner().map(|_| ())
    }
}

impl Device {
    fn write<W: Write>(&self, xml: &mut XmlWriter<W>) -> io::Result<()> {
        xml.open("Device")?;
        xml.attribute("Name", &self.name)?;
        xml.optional("Domain", &self.domain)?;
        xml.optional("DeviceType", &self.device_type)?;
        if self.addresses.is_empty() && self.services.is_empty() {
            return xml.empty();
        }
        xml.children()?;
        self.addresses.iter().try_for_each(|address| address.write(xml))?;
        self.services.iter().try_for_each(|service| service.write(xml))?;
        xml.close("Device")
    }
}

impl Address {
    fn write<W: Write>(&self, xml: &mut XmlWriter<W>) -> io::Result<()> {
        xml.open("Address")?;
        xml.attribute("Type", if matches!(self.value, IpAddr::V4(_)) { "IPv4" } else { "IPv6" })?;
        xml.attribute("Value", &self.value.to_string())?;
        xml.optional("Mac", &self.mac)?;
        xml.optional("Subnet", &self.subnet)?;
        xml.empty()
    }
}

impl Service {
    fn write<W: Write>(&self, xml: &mut XmlWriter<W>) -> io::Result<()> {
        xml.open("Service")?;
        xml.attribute("Type", &self.kind)?;
        xml.attribute("Name", &self.name)?;
        xml.number("Port", self.port.map(u64::from))?;
        xml.optional("Version", &self.version)?;
        xml.optional("State", &self.state)?;
        if self.properties.is_empty() && self.instances.is_empty() {
            return xml.empty();
        }
        xml.children()?;
        for property in &self.properties {
            xml.open("Property")?;
            xml.attribute("Name", &property.name)?;
            xml.attribute("Value", &property.value)?;
            xml.empty()?;
        }
        for instance in &self.instances {
            xml.open("Instance")?;
            xml.attribute("Name", &instance.name)?;
            xml.optional("Status", &instance.status)?;
            xml.empty()?;
        }
        xml.close("Service")
    }
}
