//! Temporary.
#![allow(missing_docs)]
use muster::formats::ndi::*;
use std::io::{self, Write};
pub struct NdiWriter<W: Write>(W);
fn esc(s: &str) -> String {
    s.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
impl<W: Write> NdiWriter<W> {
    pub fn new(mut out: W, h: &Head) -> io::Result<Self> {
        writeln!(
            out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Inventory Tracker=\"{}\" Audience=\"{}\" Scope=\"{}\" MachineName=\"{}\" UserName=\"{}\" DateTime=\"{}\" Type=\"{}\" MachineId=\"{}\">",
            h.tracker,
            h.audience,
            esc(h.scope),
            esc(h.machine_name),
            esc(h.user_name),
            h.date_time,
            h.kind,
            h.machine_id
        )?;
        Ok(Self(out))
    }
    pub fn hardware(&mut self, h: &Hardware, p: &[Property]) -> io::Result<()> {
        writeln!(
            self.0,
            "  <Hardware Class=\"{}\" Name=\"{}\" Occurrence=\"{}\" Evidence=\"{}\">",
            h.class,
            esc(h.name),
            h.occurrence,
            h.evidence
        )?;
        for p in p {
            writeln!(self.0, "    <Property Name=\"{}\" Value=\"{}\"/>", p.name, esc(p.value))?;
        }
        writeln!(self.0, "  </Hardware>")
    }
    pub fn package(&mut self, p: &Package) -> io::Result<()> {
        writeln!(
            self.0,
            "  <Package Name=\"{}\" Version=\"{}\" Publisher=\"{}\" Evidence=\"{}\" InstallDate=\"{}\"/>",
            esc(p.name),
            esc(p.version),
            esc(p.publisher),
            p.evidence,
            p.install_date
        )
    }
    pub fn file(&mut self, f: &File) -> io::Result<()> {
        writeln!(
            self.0,
            "  <File Name=\"{}\" Path=\"{}\" ProductName=\"{}\" ProductVersion=\"{}\" Company=\"{}\" Evidence=\"{}\"/>",
            esc(f.name),
            esc(f.path),
            esc(f.product_name),
            esc(f.product_version),
            esc(f.company),
            f.evidence
        )
    }
    pub fn service(&mut self, s: &Service) -> io::Result<()> {
        writeln!(
            self.0,
            "  <Service Name=\"{}\" State=\"{}\" StartMode=\"{}\" Path=\"{}\" Account=\"{}\"/>",
            esc(s.name),
            s.state,
            s.start_mode,
            esc(s.path),
            esc(s.account)
        )
    }
    pub fn finish(mut self) -> io::Result<W> {
        writeln!(self.0, "</Inventory>")?;
        Ok(self.0)
    }
}
