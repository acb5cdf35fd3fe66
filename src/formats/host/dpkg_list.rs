//! `var/lib/dpkg/info/NAME.list`: the files of one package, a full path in each line, folders among them.
//!
//! Few of them are programs; the others are data, libraries and manuals. What cannot run is left out by its place and
//! its ending, without a look at the file.
//!
//! Source: dpkg 1.21, manual page `dpkg(1)`, section "Files".

use super::lines;

/// Longest path that is taken, as the kernel has it.
const PATH_BYTES_LIMIT: usize = 4_096;
/// Folders that hold only programs.
const PROGRAMS: [&str; 4] = ["bin", "sbin", "libexec", "games"];
/// Places that programs with folders of their own are installed to.
const HOMES: [&str; 5] = ["opt", "lib", "lib64", "share", "local"];

/// Gives each path of a list that may be a program's to `each`, in the order of the list.
pub fn programs(bytes: &[u8], mut each: impl FnMut(&str)) {
    lines(bytes).filter(|line| may_run(line)).for_each(|line| each(&line));
}

/// Whether a file of this path may be a program.
pub(super) fn may_run(path: &str) -> bool {
    if path.len() > PATH_BYTES_LIMIT || path.chars().any(char::is_control) {
        return false;
    }
    let Some((folder, name)) = path.rsplit_once('/').filter(|(_, name)| !name.is_empty()) else { return false };
    if folder.split('/').any(|part| PROGRAMS.contains(&part)) {
        return true;
    }
    let mut parts = folder.trim_start_matches('/').split('/').skip_while(|part| *part == "usr");
    match parts.next() {
        // Vendors call their programs as they like.
        Some("opt") => !name.contains(".so"),
        // `libexec` stands here under another name: programs have no ending, or that of a version.
        Some(home) if HOMES.contains(&home) => {
            let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
            !name.contains(".so") && ending.bytes().all(|byte| byte.is_ascii_digit()) && parts.next() != Some("doc")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn programs_are_told_from_data_by_place_and_ending() {
        for path in [
            "/bin/bash",
            "/usr/sbin/sshd",
            "/usr/bin/python3.11",
            "/usr/games/chess",
            "/usr/libexec/git-core/git-daemon",
            "/usr/lib/postgresql/15/bin/postgres",
            "/usr/lib/chromium/chromium",
            "/usr/share/code/code",
            "/opt/acme/draw.bin",
            "/opt/acme/bin/draw",
        ] {
            assert!(may_run(path), "{path}");
        }
        for path in [
            "/.",
            "",
            "/usr/bin/",
            "/etc/ssh/sshd_config",
            "/usr/lib/x86_64-linux-gnu/libc.so.6",
            "/usr/lib/python3/dist-packages/apt.py",
            "/usr/share/doc/bash/copyright",
            "/usr/share/man/man1/bash.1.gz",
            "/var/lib/dpkg/status",
            "/opt/acme/lib/libdraw.so",
        ] {
            assert!(!may_run(path), "{path}");
        }
    }

    #[test]
    fn a_list_gives_its_programs_in_order() {
        let mut found = Vec::new();
        programs(b"/.\n/usr\n/usr/bin/b\n/usr/share/doc/b/copyright\n/bin/a\r\n", |path| found.push(path.to_owned()));
        assert_eq!(found, ["/usr/bin/b", "/bin/a"]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            programs(&bytes, |path| assert!(path.contains('/')));
        }
    }
}
