//! Unit files of systemd services: which program a service runs, and as whom.
//!
//! Of a command line only the executable's path is taken; its arguments hold passwords often enough that they are not
//! kept even in memory. Nothing of `Environment=` is read.
//!
//! Source: manual pages `systemd.syntax(7)`, `systemd.service(5)`, section "Command lines".

use super::lines;

/// Unit files are a page or two; a longer one is not read to its end.
pub const UNIT_BYTES_LIMIT: usize = 256 * 1024;

/// A path or account longer than this is none.
const WORD_BYTES_LIMIT: usize = 400;

/// What one service is. Empty text where its files say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// Executable of the first `ExecStart=`, without arguments.
    pub executable: String,
    /// `User=`; empty for root.
    pub user: String,
    /// `DynamicUser=yes`: an account made up while the service runs.
    pub has_dynamic_user: bool,
}

impl Unit {
    /// The account the service `name` runs as.
    pub fn account(&self, name: &str) -> String {
        match (self.user.as_str(), self.has_dynamic_user) {
            ("", true) => name.split('@').next().unwrap_or_default().trim_end_matches(".service").into(),
            ("", false) => "root".into(),
            (user, _) => user.into(),
        }
    }
}

/// Reads the unit file in `bytes`, or a drop-in, over what earlier files said of the same unit.
pub fn read_unit(bytes: &[u8], mut unit: Unit) -> Unit {
    let mut in_service = false;
    for line in logical_lines(&bytes[..bytes.len().min(UNIT_BYTES_LIMIT)]) {
        let line = line.trim();
        if line.starts_with('[') {
            in_service = line == "[Service]";
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| in_service) else { continue };
        match (key.trim(), value.trim()) {
            // An empty assignment forgets the earlier ones, as drop-ins do to replace a command.
            ("ExecStart", "") => unit.executable.clear(),
            ("ExecStart", command) if unit.executable.is_empty() => unit.executable = executable(command).into(),
            ("User", user) if user.len() <= WORD_BYTES_LIMIT && !user.contains(char::is_whitespace) => {
                unit.user = user.into()
            }
            ("DynamicUser", value) => unit.has_dynamic_user = matches!(value, "yes" | "true" | "on" | "1"),
            _ => {}
        }
    }
    unit
}

/// Lines with those joined that end in a backslash; comments are dropped, also between joined lines.
fn logical_lines(bytes: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    let mut joined = String::new();
    for line in lines(bytes) {
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(start) => {
                joined.push_str(start);
                joined.push(' ');
            }
            None => {
                joined.push_str(&line);
                out.push(std::mem::take(&mut joined));
            }
        }
    }
    out.push(joined);
    out
}

/// The program of a command line, without prefix characters, quotes and arguments; empty when it is not plainly one.
///
/// The first white space ends it even inside quotes. A path with a space in it loses its tail by that, but a quoted
/// command line cannot bring its arguments along.
fn executable(command: &str) -> &str {
    let command = command.trim_start_matches(['@', '-', ':', '+', '!', '|']).trim_start_matches(['"', '\'']);
    let end = command.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\')).unwrap_or(command.len());
    let word = &command[..end];
    let is_plain_name = word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+'));
    if word.len() <= WORD_BYTES_LIMIT && (word.starts_with('/') || is_plain_name) { word } else { "" }
}

/// The unit file of an instance: `getty@.service` for `getty@tty1.service`; `None` for a unit that is no instance.
pub fn template_of(name: &str) -> Option<String> {
    let (prefix, instance) = name.strip_suffix(".service")?.split_once('@')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.service"))
}

/// Whether `name` is a template, which never runs itself.
pub fn is_template(name: &str) -> bool {
    name.ends_with("@.service")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SSH: &str = "\
[Unit]
Description=OpenBSD Secure Shell server
ExecStart=/not/in/this/section

[Service]
EnvironmentFile=-/etc/default/ssh
Environment=TOKEN=s3cret
ExecStartPre=/usr/sbin/sshd -t
# ExecStart=/commented/out
ExecStart=-/usr/sbin/sshd \\
    -D $SSHD_OPTS \\
# a comment between
    --password=s3cret
ExecStart=/usr/bin/second
KillMode=process

[Install]
WantedBy=multi-user.target
Alias=sshd.service
";

    #[test]
    fn the_program_is_read_without_its_arguments() {
        let unit = read_unit(SSH.as_bytes(), Unit::default());
        assert_eq!(unit, Unit { executable: "/usr/sbin/sshd".into(), ..Unit::default() });
        assert_eq!(unit.account("ssh.service"), "root");
    }

    #[test]
    fn a_drop_in_replaces_the_command_and_the_account() {
        let unit = read_unit(SSH.as_bytes(), Unit::default());
        let unit = read_unit(b"[Service]\nExecStart=\nExecStart=/opt/sshd -x\nUser=sshd\n", unit);
        assert_eq!((unit.executable.as_str(), unit.account("ssh.service").as_str()), ("/opt/sshd", "sshd"));
    }

    #[test]
    fn no_way_of_writing_a_command_brings_an_argument_along() {
        for (command, program) in [
            ("@/usr/bin/a argv0 s3cret", "/usr/bin/a"),
            ("!!/usr/bin/a s3cret", "/usr/bin/a"),
            ("\"/usr/bin/a --password=s3cret\"", "/usr/bin/a"),
            ("'/usr/bin/a' s3cret", "/usr/bin/a"),
            ("\"/usr/bin/a\"s3cret", "/usr/bin/a"),
            ("/usr/bin/a\\x20s3cret", "/usr/bin/a"),
            ("TOKEN=s3cret /usr/bin/a", ""),
            ("${PROGRAM} s3cret", ""),
            ("/bin/sh -c 'TOKEN=s3cret exec a'", "/bin/sh"),
            ("sh -c s3cret", "sh"),
        ] {
            assert_eq!(executable(command), program, "{command}");
        }
    }

    #[test]
    fn an_account_made_up_at_run_time_has_the_units_name() {
        let unit = read_unit(b"[Service]\nDynamicUser=yes\n", Unit::default());
        assert_eq!(unit.account("acmed@7.service"), "acmed");
    }

    #[test]
    fn instances_know_their_template() {
        assert_eq!(template_of("getty@tty1.service").as_deref(), Some("getty@.service"));
        assert_eq!(template_of("getty@.service"), None);
        assert_eq!(template_of("ssh.service"), None);
        assert!(is_template("getty@.service"));
    }

    proptest! {
        #[test]
        fn any_bytes_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            read_unit(&bytes, Unit::default());
        }

        #[test]
        fn an_argument_never_shows(prefix in "[-@:+!]{0,3}", quote in "[\"']?", gap in "( |\t|\\\\\n|\" | ')+") {
            let text = format!("[Service]\nExecStart={prefix}{quote}/usr/bin/a{gap}s3cret{quote}\n");
            let unit = read_unit(text.as_bytes(), Unit::default());
            prop_assert!(!format!("{unit:?}").contains("s3cret"), "{text}");
        }
    }
}
