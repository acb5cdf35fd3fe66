//! Which package a program belongs to, as lists of files of packages say it.
//!
//! A program is kept as a number made of its path, 16 bytes each, and a package as one [`Application`]: 20,000 programs
//! of 2,000 packages take about 700 KB. All programs of a package are one application, so that time during which two of
//! them run counts once.

use std::sync::Arc;

use super::usage::{Application, Attribution};
use crate::rng::mix;

/// Programs that are kept. Beyond them the later ones are not attributed.
pub const PROGRAMS_MAX: usize = 1 << 20;
/// Folders that a system with one folder for all programs has twice: `/bin/sh` is `/usr/bin/sh`.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// See the module's head.
#[derive(Debug, Default)]
pub struct Programs {
    packages: Vec<Arc<Application>>,
    /// Number of a path and place of its package, ascending.
    programs: Vec<(u64, u32)>,
}

impl Programs {
    /// Adds a package with the paths of its programs. Its application has the file name of the program that is called
    /// like the package, or of its only one. A path that two packages name belongs to the one that was added first.
    pub fn add(&mut self, mut application: Application, paths: &[impl AsRef<str>]) {
        let room = PROGRAMS_MAX.saturating_sub(self.programs.len());
        if paths.is_empty() || room == 0 {
            return;
        }
        let file_names = || paths.iter().map(|path| path.as_ref().rsplit('/').next().unwrap_or_default());
        let own = file_names().find(|name| *name == &*application.name);
        let only = file_names().next().filter(|_| paths.len() == 1);
        application.file_name = own.or(only).unwrap_or_default().into();
        let Ok(place) = u32::try_from(self.packages.len()) else { return };
        self.packages.push(Arc::new(application.bounded()));
        self.programs.extend(paths.iter().take(room).map(|path| (number(path.as_ref()), place)));
    }

    /// To be called after the last package.
    pub fn sorted(mut self) -> Programs {
        self.programs.sort_unstable();
        self.programs.dedup_by_key(|(number, _)| *number);
        self.programs.shrink_to_fit();
        self
    }

    /// How many programs it knows.
    pub fn len(&self) -> usize {
        self.programs.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }
}

impl Attribution for Programs {
    fn application(&self, path: &str) -> Option<Arc<Application>> {
        let wanted = number(path);
        let found = self.programs.binary_search_by_key(&wanted, |(number, _)| *number).ok()?;
        self.packages.get(self.programs[found].1 as usize).cloned()
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

    /// Name of the package and of its main program.
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
    fn all_programs_of_a_package_are_one_application_named_after_its_main_one() {
        let programs = programs(&[
            ("chromium", &["/usr/bin/chromium", "/usr/lib/chromium/crashpad"]),
            ("coreutils", &["/bin/cat", "/bin/ls"]),
            ("openssh-server", &["/usr/sbin/sshd"]),
        ]);
        assert_eq!(programs.application("/usr/lib/chromium/crashpad"), programs.application("/usr/bin/chromium"));
        for (path, file) in [("/usr/bin/chromium", "chromium"), ("/bin/ls", ""), ("/sbin/sshd", "sshd")] {
            assert_eq!(named(&programs, path).unwrap().1, file);
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
