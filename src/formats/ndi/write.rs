//! Writes an inventory file as a stream.

use std::io::{self, Write};

use super::{Access, File, Hardware, Head, Package, Property, Service, ServiceProvider};
use crate::formats::xml::{DEPTH_MAX, XmlWriter};

/// Column of the root's attributes on the lines after the first: below the first attribute.
const ROOT_COLUMN: usize = "<Inventory ".len();

/// Prints the elements in the order of the calls; what is printed is valid XML 1.0 whatever the values hold (see
/// [`XmlWriter`] for what becomes of characters that XML cannot carry and of values over 64 KiB).
///
/// `package`, `file` and `access` open the `Software` section by themselves, and any other element ends it; since a
/// file has one such section, their calls have to come in one run. Attributes that are empty text are left out unless
/// they are required. Errors are those of `out`.
///
/// ```
/// use muster::formats::ndi::{Hardware, Head, NdiWriter, Package, Property};
///
/// let head = Head { tracker: "0.1.0", audience: "Machine", machine_name: "web07", ..Head::default() };
/// let mut ndi = NdiWriter::new(Vec::new(), &head)?;
/// let bios = Hardware { class: "MGS_BIOS", name: "BIOS", evidence: "dmi", ..Hardware::default() };
/// ndi.hardware(&bios, &[Property { name: "SerialNumber", value: "AM-0099317" }])?;
/// ndi.package(&Package { name: "zlib", version: "1.3", evidence: "deb", ..Package::default() }, &[])?;
/// let bytes = ndi.finish()?;
/// assert!(bytes.ends_with(b"</Inventory>\n"));
/// # std::io::Result::Ok(())
/// ```
pub struct NdiWriter<W> {
    xml: XmlWriter<W>,
    software: Software,
    providers: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Software {
    Before,
    Open,
    After,
}

impl<W: Write> NdiWriter<W> {
    /// Begins a file.
    pub fn new(out: W, head: &Head) -> io::Result<NdiWriter<W>> {
        let mut xml = XmlWriter::new(out, Some(r#"Inventory PUBLIC "Inventory" "urn:muster:inventory""#))?;
        let flag = |present: bool| if present { "True" } else { "False" };
        xml.open("Inventory")?;
        xml.attribute("Tracker", head.tracker)?;
        xml.attribute("Audience", head.audience)?;
        xml.optional("Scope", head.scope)?;
        xml.attribute("MachineName", head.machine_name)?;
        xml.wrap(ROOT_COLUMN)?;
        xml.attribute("UserName", head.user_name)?;
        xml.attribute("Hardware", flag(head.has_hardware))?;
        xml.attribute("Software", flag(head.has_software))?;
        xml.attribute("ServiceProviders", flag(head.has_service_providers))?;
        xml.wrap(ROOT_COLUMN)?;
        xml.attribute("DateTime", head.date_time)?;
        xml.attribute("Type", head.kind)?;
        if !(head.machine_id.is_empty() && head.site.is_empty() && head.tenant_uid.is_empty()) {
            xml.wrap(ROOT_COLUMN)?;
            xml.optional("MachineId", head.machine_id)?;
            xml.optional("Site", head.site)?;
            xml.optional("TenantUID", head.tenant_uid)?;
        }
        xml.children()?;
        Ok(NdiWriter { xml, software: Software::Before, providers: 0 })
    }

    /// One hardware object.
    pub fn hardware(&mut self, hardware: &Hardware, properties: &[Property]) -> io::Result<()> {
        self.assert_outside_providers();
        self.end_software()?;
        self.xml.open("Hardware")?;
        self.xml.attribute("Class", hardware.class)?;
        self.xml.attribute("Name", hardware.name)?;
        self.xml.number("Occurrence", u64::from(hardware.occurrence))?;
        self.xml.optional("Evidence", hardware.evidence)?;
        self.properties("Hardware", properties)
    }

    /// One package.
    pub fn package(&mut self, package: &Package, properties: &[Property]) -> io::Result<()> {
        self.begin_software()?;
        self.xml.open("Package")?;
        self.xml.attribute("Name", package.name)?;
        self.xml.optional("Version", package.version)?;
        self.xml.optional("Publisher", package.publisher)?;
        self.xml.attribute("Evidence", package.evidence)?;
        self.xml.optional("ProductCode", package.product_code)?;
        self.xml.optional("InstallDate", package.install_date)?;
        self.xml.optional("InstallPath", package.install_path)?;
        self.xml.optional("UserName", package.user_name)?;
        self.properties("Package", properties)
    }

    /// One file.
    pub fn file(&mut self, file: &File) -> io::Result<()> {
        self.begin_software()?;
        self.xml.open("File")?;
        self.xml.attribute("Name", file.name)?;
        self.xml.optional("Path", file.path)?;
        self.xml.optional("Version", file.version)?;
        self.xml.optional("Company", file.company)?;
        self.xml.optional("Description", file.description)?;
        self.xml.optional("ProductName", file.product_name)?;
        self.xml.optional("ProductVersion", file.product_version)?;
        self.xml.number("Size", file.size)?;
        self.xml.optional("MD5", file.md5)?;
        self.xml.optional("LastModified", file.last_modified)?;
        self.xml.optional("Evidence", file.evidence)?;
        self.xml.empty()
    }

    /// Who reached a server product.
    pub fn access(&mut self, access: &Access) -> io::Result<()> {
        self.begin_software()?;
        self.xml.open("Access")?;
        self.xml.attribute("Product", access.product)?;
        self.xml.optional("Version", access.version)?;
        self.xml.attribute("Mode", access.mode)?;
        self.xml.number("Count", access.count)?;
        self.xml.optional("LastAccess", access.last_access)?;
        self.xml.optional("UserName", access.user_name)?;
        self.xml.optional("ClientName", access.client_name)?;
        self.xml.empty()
    }

    /// One service.
    pub fn service(&mut self, service: &Service) -> io::Result<()> {
        self.assert_outside_providers();
        self.end_software()?;
        self.xml.open("Service")?;
        self.xml.attribute("Name", service.name)?;
        self.xml.optional("State", service.state)?;
        self.xml.optional("StartMode", service.start_mode)?;
        self.xml.optional("Path", service.path)?;
        self.xml.optional("Account", service.account)?;
        self.xml.empty()
    }

    /// A provider, inside the one that is open. Only providers nest in it, until [`NdiWriter::end_provider`].
    pub fn begin_provider(&mut self, provider: &ServiceProvider, properties: &[Property]) -> io::Result<()> {
        // Its own properties are one level further in.
        assert!(self.xml.depth() + 2 <= DEPTH_MAX, "service providers are nested deeper than a reader takes");
        self.end_software()?;
        self.xml.open("ServiceProvider")?;
        self.xml.attribute("Type", provider.kind)?;
        self.xml.attribute("Name", provider.name)?;
        self.xml.optional("Version", provider.version)?;
        self.xml.children()?;
        self.providers += 1;
        self.property_elements(properties)
    }

    /// Ends the provider that was begun last.
    pub fn end_provider(&mut self) -> io::Result<()> {
        assert!(self.providers > 0, "a service provider is ended that was not begun");
        self.providers -= 1;
        self.xml.close("ServiceProvider")
    }

    /// Ends what is open and gives the flushed output back.
    pub fn finish(mut self) -> io::Result<W> {
        while self.providers > 0 {
            self.end_provider()?;
        }
        self.end_software()?;
        self.xml.close("Inventory")?;
        self.xml.into_inner()
    }

    fn properties(&mut self, element: &str, properties: &[Property]) -> io::Result<()> {
        if properties.is_empty() {
            return self.xml.empty();
        }
        self.xml.children()?;
        self.property_elements(properties)?;
        self.xml.close(element)
    }

    fn property_elements(&mut self, properties: &[Property]) -> io::Result<()> {
        for property in properties {
            self.xml.open("Property")?;
            self.xml.attribute("Name", property.name)?;
            self.xml.attribute("Value", property.value)?;
            self.xml.empty()?;
        }
        Ok(())
    }

    fn begin_software(&mut self) -> io::Result<()> {
        match self.software {
            Software::Open => Ok(()),
            Software::Before => {
                self.assert_outside_providers();
                self.software = Software::Open;
                self.xml.open("Software")?;
                self.xml.children()
            }
            Software::After => panic!("packages, files and accesses are not written in one run"),
        }
    }

    fn assert_outside_providers(&self) {
        assert!(self.providers == 0, "only service providers nest in a service provider");
    }

    fn end_software(&mut self) -> io::Result<()> {
        if self.software == Software::Open {
            self.software = Software::After;
            self.xml.close("Software")?;
        }
        Ok(())
    }
}
