//! The rows of the business files in force, with the source of each.
//!
//! The rows stand in the packages that the facts name, and are read through for each question: memory is that of one
//! package, whatever the sources are. A source whose package cannot be read is named, and leaves the others.

use std::io::BufReader;

use muster::formats::gzip::Inflate;
use muster::id::Digest;
use muster::model::business::{
    BusinessFile, BusinessKey, BusinessKind, BusinessReader, BusinessRow, SOURCES_MAX, Spelling,
};
use muster::model::fact::{FactKey, FactKind};
use tracing::error;

use super::books::Books;
use super::fleet::{Fleet, FleetError};
use crate::errors::Chain;
use crate::log::PackageIndex;

/// See the module's head. Made for each question.
pub struct BusinessRows {
    /// Whose files.
    pub books: Books,
    /// Where their packages are.
    pub packages: PackageIndex,
}

type Rows = BusinessReader<BufReader<Inflate<std::io::Cursor<bytes::Bytes>>>>;

impl BusinessRows {
    /// Shows every row of a kind, source by source, of those that are wanted; which sources cannot be read.
    pub fn each(
        &self,
        kind: BusinessKind,
        is_wanted: impl Fn(&str) -> bool,
        mut see: impl FnMut(&str, BusinessRow),
    ) -> Result<Vec<String>, FleetError> {
        let mut unreadable = Vec::new();
        for (source, file) in self.in_force(kind)? {
            if !is_wanted(&source) {
                continue;
            }
            let rows = self.rows(&file).and_then(|mut reader| {
                while let Some(row) = reader.next_row().map_err(|error| Chain(&error).to_string())? {
                    see(&source, row.map_err(|error| error.to_string())?);
                }
                Ok(())
            });
            if let Err(error) = rows {
                error!(%source, %kind, package = %file.package.digest, error, "the business file in force cannot be read");
                unreadable.push(source);
            }
        }
        Ok(unreadable)
    }

    /// The files in force of a kind, ascending by source.
    fn in_force(&self, kind: BusinessKind) -> Result<Vec<(String, BusinessFile)>, FleetError> {
        let tenant = &self.books.tenant;
        let mut files = Vec::new();
        for (encoded, _) in self.books.facts.keys(&FactKind::Business.prefix(Some(tenant)), None, SOURCES_MAX as usize)
        {
            let Some(FactKey::Business(_, key @ BusinessKey { .. })) = FactKey::decode(&encoded) else { continue };
            if key.kind == kind {
                let source = key.source.to_string();
                let file = Fleet::of(&self.books).fact(&FactKey::Business(tenant.clone(), key))?;
                files.extend(file.map(|file| (source, file)));
            }
        }
        files.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(files)
    }

    /// The rows of a file, checked against its digest once more. Error: why there are none.
    fn rows(&self, file: &BusinessFile) -> Result<Rows, String> {
        let held =
            self.packages.find(&file.package.encode(&self.books.tenant)).ok_or("its package is not held here")?;
        let record = match self.packages.read(held.handle) {
            Some(Ok(record)) => record,
            Some(Err(error)) => return Err(Chain(&error).to_string()),
            None => return Err("its package is not held here".into()),
        };
        if Digest::of(&record.body) != file.package.digest {
            return Err("its bytes are not the ones that were received".into());
        }
        let bytes = BufReader::new(Inflate::new(std::io::Cursor::new(record.body)));
        BusinessReader::open(bytes, None, Spelling::canonical()).map_err(|error| Chain(&error).to_string())
    }
}
