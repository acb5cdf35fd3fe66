//! Passwords and tokens: made of the system's random numbers, kept in files of mode 0600, compared without a hint.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use muster::id::Digest;
use rand::TryRng;
use rand::rngs::SysRng;

/// Longest secret read from a file, in bytes.
const SECRET_BYTES_MAX: u64 = 4_096;
/// Without characters that look alike; 57 of them.
const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";

/// 16 random bytes.
pub fn random_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    // Without the system's random numbers no secret can be made at all, and none is better than a known one.
    SysRng.try_fill_bytes(&mut bytes).expect("the system gives random numbers");
    bytes
}

/// 64 random bits.
pub fn random_u64() -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = random_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// A secret of `length` characters, 5.8 bits each.
pub fn random_text(length: usize) -> String {
    let mut text = String::with_capacity(length);
    while text.len() < length {
        // Bytes from 228 on would favour the first letters.
        let fair = random_bytes().into_iter().filter(|byte| *byte < 228);
        text.extend(fair.map(|byte| ALPHABET[byte as usize % ALPHABET.len()] as char).take(length - text.len()));
    }
    text
}

/// Whether two secrets are equal, in a time that says nothing about where they differ.
pub fn equal(left: &str, right: &str) -> bool {
    Digest::of(left.as_bytes()) == Digest::of(right.as_bytes())
}

/// The first line of a file that only its owner may read, without the line's end.
pub fn read(path: &Path) -> io::Result<String> {
    let file = fs::File::open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "others may read it: set its mode to 0600"));
    }
    let mut text = String::new();
    file.take(SECRET_BYTES_MAX).read_to_string(&mut text)?;
    let line = text.lines().next().unwrap_or_default().trim().to_owned();
    if line.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file's first line is empty"));
    }
    Ok(line)
}

/// The secret in `path`; a new one of `length` characters is made and kept there when there is none. The flag says that
/// it is new.
pub fn read_or_make(path: &Path, length: usize) -> io::Result<(String, bool)> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other.map(|secret| (secret, false)),
    }
    let secret = random_text(length);
    let temporary = path.with_extension("tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    Ok((secret, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let (secret, new) = read_or_make(&path, 24).unwrap();
        assert!(new && secret.len() == 24);
        assert_eq!(read_or_make(&path, 24).unwrap(), (secret, false));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "\n").unwrap();
        assert!(read_or_make(&path, 24).is_err());
        assert_ne!(random_text(86), random_text(86));
    }
}
