//! Prints a usage file.

use std::io::{self, Write};

use super::file::{AppUsage, Mmi, Period};
use crate::formats::xml::XmlWriter;

/// Columns of the attributes on the lines after an element's first: below its first attribute.
const PERIOD_COLUMN: usize = "<USAGE ".len();
const APPLICATION_COLUMN: usize = "<APPUSAGE ".len();

impl Mmi {
    /// Prints the file, `MD` around the periods; equal values give equal bytes. Optional texts that are empty are left
    /// out. See [`XmlWriter`] for what becomes of characters that XML cannot carry. Errors are those of `out`.
    pub fn write<W: Write>(&self, out: W) -> io::Result<W> {
        let mut xml = XmlWriter::new(out, Some(r#"USAGE PUBLIC "USAGE" "urn:muster:usage""#))?;
        xml.open("USAGE")?;
        xml.optional("VERSION", &self.version)?;
        xml.optional("USAGEAGENT", &self.usage_agent)?;
        xml.children()?;
        xml.open("MD")?;
        xml.attribute("NAME", &self.device.name)?;
        xml.optional("DOMAIN", &self.device.domain)?;
        if let Some(guid) = self.device.guid {
            xml.attribute("GUID", &format!("{{{guid}}}"))?;
        }
        xml.children()?;
        for period in &self.periods {
            period.write(&mut xml)?;
        }
        xml.close("MD")?;
        xml.close("USAGE")?;
        xml.into_inner()
    }
}

impl Period {
    fn write(&self, xml: &mut XmlWriter<impl Write>) -> io::Result<()> {
        xml.open("USAGE")?;
        xml.attribute("USER", &self.user)?;
        xml.optional("DOMAIN", &self.domain)?;
        xml.attribute("TYPE", self.kind.as_str())?;
        xml.attribute("STARTDATE", &self.start.to_stamp())?;
        xml.wrap(PERIOD_COLUMN)?;
        xml.attribute("GUID", &format!("{{{}}}", self.guid))?;
        xml.children()?;
        for application in &self.applications {
            application.write(xml)?;
        }
        xml.close("USAGE")
    }
}

impl AppUsage {
    fn write(&self, xml: &mut XmlWriter<impl Write>) -> io::Result<()> {
        xml.open("APPUSAGE")?;
        xml.attribute("NAME", &self.name)?;
        xml.optional("VERSION", &self.version)?;
        xml.optional("FILENAME", &self.file_name)?;
        xml.optional("FILECOMPANY", &self.file_company)?;
        let about_file = [
            ("FILEDESCRIPTION", &self.file_description),
            ("FILEPRODUCTNAME", &self.file_product_name),
            ("FILEPRODUCTVERSION", &self.file_product_version),
        ];
        if about_file.iter().any(|(_, text)| !text.is_empty()) {
            xml.wrap(APPLICATION_COLUMN)?;
            for (attribute, text) in about_file {
                xml.optional(attribute, text)?;
            }
        }
        xml.wrap(APPLICATION_COLUMN)?;
        xml.number("RUNS", u64::from(self.runs))?;
        xml.number("RUNTIME", u64::from(self.run_secs))?;
        xml.number("ACTIVETIME", u64::from(self.active_secs))?;
        if let Some(last_used) = self.last_used {
            xml.attribute("LASTUSED", &last_used.to_stamp())?;
        }
        xml.optional("EVIDENCE", &self.evidence)?;
        xml.empty()
    }
}
