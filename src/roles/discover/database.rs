//! The database servers other than Oracle: PostgreSQL, MySQL, MariaDB, SQL Server.

use super::facts::{Family, HostFacts, Process, families, file_name};
use super::version;

/// A kind of database server, and how it shows.
pub(super) struct Product {
    /// Type of the service.
    pub(super) kind: &'static str,
    /// Name of the service; without its arguments nothing tells one of a kind from another but its port.
    pub(super) name: &'static str,
    /// File names of its program.
    programs: &'static [&'static str],
    /// Its registered port.
    pub(super) port: u16,
    /// Whether a package of this name holds it.
    is_package: fn(&str) -> bool,
}

const POSTGRESQL: Product = Product {
    kind: "PostgreSQL",
    name: "postgresql",
    programs: &["postgres", "postmaster"],
    port: 5432,
    is_package: |name| {
        // `postgresql-15` of Debian, `postgresql15-server` and `postgresql-server` of Red Hat and SUSE.
        let rest = name.strip_prefix("postgresql").map(|rest| rest.strip_prefix('-').unwrap_or(rest));
        rest.is_some_and(|rest| {
            let number = rest.strip_suffix("-server").unwrap_or(rest);
            rest == "server" || (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
        })
    },
};
const MYSQL: Product = Product {
    kind: "MySQL",
    name: "mysql",
    programs: &["mysqld"],
    port: 3306,
    is_package: |name| name.starts_with("mysql-server") || name.starts_with("mysql-community-server"),
};
const MARIADB: Product = Product {
    kind: "MariaDB",
    name: "mariadb",
    programs: &["mariadbd"],
    port: 3306,
    is_package: |name| name.starts_with("mariadb-server") || name == "MariaDB-server",
};
const SQL_SERVER: Product = Product {
    kind: "SQLServer",
    name: "MSSQLSERVER",
    programs: &["sqlservr"],
    port: 1433,
    is_package: |name| name == "mssql-server",
};

const PRODUCTS: [&Product; 4] = [&POSTGRESQL, &MYSQL, &MARIADB, &SQL_SERVER];

/// Whether `process` is one of a database server.
pub(super) fn is_program(process: &Process) -> bool {
    PRODUCTS.iter().any(|product| product.is_program_of(process))
}

/// A database server that runs.
pub(super) struct Database<'f> {
    pub(super) product: &'static Product,
    pub(super) family: Family<'f>,
    pub(super) version: String,
}

/// The database servers that run, by product and number of their first process.
pub(super) fn databases(facts: &HostFacts) -> Vec<Database<'_>> {
    let mut found = Vec::new();
    for product in PRODUCTS {
        for family in families(facts, |process| product.is_program_of(process)) {
            let product = product.as_packaged(facts, &family.head.executable);
            let version = product.version(facts, &family.head.executable);
            found.push(Database { product, family, version });
        }
    }
    found
}

impl Product {
    fn is_program_of(&self, process: &Process) -> bool {
        // Where the path is known it decides: a name can be given to anything.
        let name = match file_name(&process.executable) {
            "" => process.name.as_str(),
            file => file,
        };
        self.programs.contains(&name)
    }

    /// Old MariaDB calls its program `mysqld`; what is installed tells it from MySQL.
    fn as_packaged(&'static self, facts: &HostFacts, executable: &str) -> &'static Product {
        let has = |product: &Product| facts.packages.iter().any(|package| (product.is_package)(bare(&package.name)));
        let is_mariadb = self.kind == MYSQL.kind && is_packaged(executable) && has(&MARIADB) && !has(&MYSQL);
        if is_mariadb { &MARIADB } else { self }
    }

    /// What the path says, or more exactly the package when the program can be from one.
    fn version(&self, facts: &HostFacts, executable: &str) -> String {
        let of_path = version::of_path(executable);
        let of_package = match is_packaged(executable) {
            true => version::of_packages(&facts.packages, &of_path, self.is_package),
            false => String::new(),
        };
        if of_package.is_empty() { of_path } else { of_package }
    }
}

/// The name without the architecture that a Debian system may have added.
fn bare(name: &str) -> &str {
    name.split(':').next().unwrap_or_default()
}

/// Whether a package manager can have put a program there; when the path is not known it can.
fn is_packaged(executable: &str) -> bool {
    let in_system = executable.starts_with("/usr/") && !executable.starts_with("/usr/local/");
    executable.is_empty() || in_system || executable.starts_with("/opt/mssql/")
}
