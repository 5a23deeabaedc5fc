//! Paths as text: [`text_of`] is unambiguous, and [`paths_of_text`] reverses it.

use std::path::{Path, PathBuf};

/// An unambiguous text for a path: bytes that are not UTF-8 become `\xff`. For display and comparison, never
/// for opening.
pub fn text_of(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// The paths that [`text_of`] could have made `text` from: `text` itself, and the one with its escapes
/// decoded.
pub fn paths_of_text(text: &Path) -> Vec<PathBuf> {
    let mut paths = vec![text.to_path_buf()];
    #[cfg(unix)]
    {
        use std::os::unix::ffi::{OsStrExt, OsStringExt};
        let mut rest = text.as_os_str().as_bytes();
        let mut bytes = Vec::new();
        while let [first, behind @ ..] = rest {
            let code = match rest {
                [b'\\', b'x', high, low, ..] => {
                    std::str::from_utf8(&[*high, *low]).ok().and_then(|code| u8::from_str_radix(code, 16).ok())
                }
                _ => None,
            };
            match code.filter(|code| !code.is_ascii()) {
                Some(code) => {
                    bytes.push(code);
                    rest = rest.get(4..).unwrap_or_default();
                }
                None => {
                    bytes.push(*first);
                    rest = behind;
                }
            }
        }
        let other = PathBuf::from(std::ffi::OsString::from_vec(bytes));
        if other != text {
            paths.push(other);
        }
    }
    paths
}

#[cfg(all(test, unix))]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn paths_that_differ_in_bytes_differ_as_text() {
        let text = |bytes: &[u8]| text_of(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(text("/é/q.db".as_bytes()), "/é/q.db");
        assert_eq!(text(b"/caf\xe9/q.db"), "/caf\\xe9/q.db");
        assert_ne!(text(b"\xfe"), text(b"\xff"));
    }

    #[test]
    fn what_a_text_was_made_of_is_among_its_paths() {
        for bytes in [b"/caf\xe9/q.db".as_slice(), b"/\xff\xfe", "/é/q.db".as_bytes(), b"/a\\xe9", b"/\\x", b"/\\x41"]
        {
            let path = Path::new(OsStr::from_bytes(bytes));
            let paths = paths_of_text(Path::new(&text_of(path)));
            assert!(paths.iter().any(|other| other == path), "{paths:?}");
            assert!(paths.len() <= 2, "{paths:?}");
        }
    }
}
