//! Which package a program belongs to, as lists of files of packages say it.
//!
//! A program is kept as a number made of its path, 16 bytes each, and a package once: 20,000 programs of 2,000 packages
//! take about 700 KB. Two programs of one package are two programs: they differ in the name of their file.

use std::sync::Arc;

use super::usage::{Application, Attribution};
use crate::rng::mix;

/// Programs that are kept. Beyond them the later ones are not attributed.
pub const PROGRAMS_MAX: usize = 1 << 20;
/// Folders that are kept. Beyond them the later ones are not.
pub const FOLDERS_MAX: usize = 1 << 14;
/// Folders that a system with one folder for all programs has twice: `/bin/sh` is `/usr/bin/sh`.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// See the module's head.
#[derive(Debug, Default)]
pub struct Programs {
    /// Without a file's name.
    packages: Vec<Application>,
    /// Number of a path and place of its package, ascending.
    programs: Vec<(u64, u32)>,
    /// Number of a folder and place of the package that everything below is of, ascending.
    folders: Vec<(u64, u32)>,
}

impl Programs {
    /// Adds a package with the paths of its programs. A path that two packages name belongs to the one that was added
    /// first.
    pub fn add(&mut self, application: Application, paths: &[impl AsRef<str>]) {
        self.add_with_folder(application, paths, None);
    }

    /// Adds a package with the paths of its programs and the folder in which everything is the package's that no
    /// package names by its path.
    pub fn add_with_folder(&mut self, application: Application, paths: &[impl AsRef<str>], folder: Option<&str>) {
        let room = PROGRAMS_MAX.saturating_sub(self.programs.len());
        let folder = folder.filter(|_| self.folders.len() < FOLDERS_MAX);
        if (paths.is_empty() || room == 0) && folder.is_none() {
            return;
        }
        let Ok(place) = u32::try_from(self.packages.len()) else { return };
        self.packages.push(application.bounded());
        self.programs.extend(paths.iter().take(room).map(|path| (number(path.as_ref()), place)));
        self.folders.extend(folder.map(|folder| (number(folder.trim_end_matches('/')), place)));
    }

    /// To be called after the last package.
    pub fn sorted(mut self) -> Programs {
        for numbers in [&mut self.programs, &mut self.folders] {
            numbers.sort_unstable();
            numbers.dedup_by_key(|(number, _)| *number);
            numbers.shrink_to_fit();
        }
        self
    }

    /// How many programs it knows by their paths.
    pub fn len(&self) -> usize {
        self.programs.len()
    }

    /// Whether it knows none by its path.
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    /// The package of `path`: the one that names it, else the one with the nearest folder around it.
    fn package(&self, path: &str) -> Option<&Application> {
        let place = |numbers: &[(u64, u32)], path: &str| {
            let wanted = number(path);
            let found = numbers.binary_search_by_key(&wanted, |(number, _)| *number).ok()?;
            Some(numbers[found].1)
        };
        let around = || {
            // Relative steps could lead anywhere; a running program's path has none.
            let is_plain = !self.folders.is_empty() && !path.split('/').any(|part| part == "..");
            let folders = path.match_indices('/').rev().map(|(end, _)| &path[..end]);
            folders.filter(|_| is_plain).find_map(|folder| place(&self.folders, folder))
        };
        self.packages.get(place(&self.programs, path).or_else(around)? as usize)
    }
}

impl Attribution for Programs {
    fn application(&self, path: &str) -> Option<Arc<Application>> {
        let package = self.package(path)?;
        let file_name = path.rsplit('/').next().unwrap_or_default().into();
        Some(Arc::new(Application { file_name, ..package.clone() }.bounded()))
    }
}

/// The number of a path. That two of a machine's programs have one is less likely than one in a million.
fn number(path: &str) -> u64 {
    let path = match path.strip_prefix("/usr") {
        Some(rest) if MERGED.contains(&rest.trim_start_matches('/').split('/').next().unwrap_or_default()) => rest,
        _ => path,
    };
    path.as_bytes().chunks(8).fold(mix(0x7072_6f67, path.len() as u64), |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mix(hash, u64::from_le_bytes(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str) -> Application {
        Application { name: name.into(), version: "1".into(), evidence: "deb".into(), ..Application::default() }
    }

    fn programs(packages: &[(&str, &[&str])]) -> Programs {
        let mut programs = Programs::default();
        for (name, paths) in packages {
            programs.add(package(name), paths);
        }
        programs.sorted()
    }

    /// Name of the package and of the file.
    fn named(programs: &Programs, path: &str) -> Option<(String, String)> {
        programs.application(path).map(|found| (found.name.to_string(), found.file_name.to_string()))
    }

    #[test]
    fn a_program_is_found_in_the_merged_folder_and_in_the_listed_one() {
        let programs = programs(&[("bash", &["/bin/bash"]), ("draw", &["/usr/bin/draw", "/opt/draw/draw"])]);
        let bash = Some(("bash".to_owned(), "bash".to_owned()));
        assert_eq!((named(&programs, "/bin/bash"), named(&programs, "/usr/bin/bash")), (bash.clone(), bash));
        assert!(named(&programs, "/bin/draw").is_some() && named(&programs, "/opt/draw/draw").is_some());
        for other in ["/usr/opt/draw/draw", "/opt/bin/bash", "/usr/local/bin/bash", "bash", ""] {
            assert_eq!(named(&programs, other), None, "{other}");
        }
    }

    #[test]
    fn two_programs_of_a_package_are_two_that_share_its_name() {
        let programs = programs(&[("coreutils", &["/bin/cat", "/bin/sleep"]), ("ssh", &["/usr/sbin/sshd"])]);
        let of = |package: &str, file: &str| Some((package.to_owned(), file.to_owned()));
        assert_eq!(named(&programs, "/usr/bin/cat"), of("coreutils", "cat"));
        assert_eq!(named(&programs, "/usr/bin/sleep"), of("coreutils", "sleep"));
        assert_eq!(named(&programs, "/sbin/sshd"), of("ssh", "sshd"));
        assert_ne!(programs.application("/bin/cat"), programs.application("/bin/sleep"));
        assert_eq!(programs.application("/bin/cat"), programs.application("/usr/bin/cat"));
    }

    #[test]
    fn a_folder_gives_its_package_what_no_package_names_and_the_nearest_counts() {
        let mut programs = Programs::default();
        programs.add(package("deb"), &["/opt/acme/bin/listed"]);
        programs.add_with_folder(package("suite"), &["/srv/suite"], Some("/opt/acme"));
        programs.add_with_folder(package("again"), &[] as &[&str], Some("/opt/acme"));
        programs.add_with_folder(package("draw"), &[] as &[&str], Some("/opt/acme/draw/"));
        programs.add_with_folder(package("merged"), &[] as &[&str], Some("/usr/lib/merged"));
        let programs = programs.sorted();
        for (path, name) in [
            ("/opt/acme/bin/listed", "deb"),
            ("/opt/acme/bin/other", "suite"),
            ("/opt/acme/x", "suite"),
            ("/srv/suite", "suite"),
            ("/opt/acme/draw/bin/draw", "draw"),
            ("/lib/merged/bin/x", "merged"),
        ] {
            assert_eq!(named(&programs, path).map(|found| found.0).as_deref(), Some(name), "{path}");
        }
        for path in ["/opt/acmes/x", "/opt/acme", "/opt/x", "/srv/suite/x", "/opt/acme/../x", "x", "", "/"] {
            assert_eq!(named(&programs, path), None, "{path}");
        }
    }

    #[test]
    fn the_first_package_that_names_a_path_has_it_and_one_without_programs_takes_no_room() {
        let programs = programs(&[("data", &[]), ("z", &["/bin/x"]), ("a", &["/usr/bin/x"])]);
        assert_eq!(named(&programs, "/bin/x").unwrap().0, "z");
        assert_eq!((programs.len(), programs.packages.len()), (1, 2));
        assert!(!programs.is_empty() && Programs::default().is_empty());
    }
}
