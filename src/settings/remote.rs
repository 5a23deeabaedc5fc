//! Which off-site remotes may be stored in a database.
//!
//! # Promise
//!
//! [`accept`] is pure. It accepts a plain path and `name:path`, where rclone's own configuration defines
//! `name`. It refuses connection strings (`:sftp,ssh=…:path`, `name,option=value:path`): they choose the
//! program that rclone starts and the server that it contacts, which a row of a database must not choose for
//! whoever runs a command on it. Such remotes come from a flag or the environment. Texts with a password are
//! refused too, as settings are in every backup.
//!
//! The Python package, which uses the value, checks it by the same rule (`_remotes.py`), as rows can be
//! written without `queue_set()`.

/// Describes what is accepted, for errors.
pub const WORDS: &str = "a path, or a remote of rclone's own configuration such as 'gdrive:Backups' (run rclone config; a remote with \
                         options or a password in it may come from --remote or QUEUEKEEPER_REMOTE only)";

/// Whether a text is a plain path or `name:path`, without a secret.
pub fn accept(text: &str) -> bool {
    let text = text.trim();
    let plain = !text.is_empty() && !text.starts_with('-') && !text.chars().any(char::is_control);
    // Up to the first '/' or ':' it is a remote's name, or the first part of a path.
    plain
        && text.split_once(['/', ':']).is_none_or(|(first, _)| is_path(text, first) || is_name(first))
        && !secret_address(text)
}

fn is_path(text: &str, first: &str) -> bool {
    text[first.len()..].starts_with('/') && !first.contains([',', '='])
}

/// rclone's rule (<https://rclone.org/docs/#valid-remote-names>), not limited to ASCII.
fn is_name(first: &str) -> bool {
    let fine = |letter: char| letter.is_alphanumeric() || "_-.+@ ".contains(letter);
    !first.is_empty() && !first.ends_with(' ') && first.chars().all(fine)
}

fn secret_address(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let password = host.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
        let signed = rest.to_ascii_lowercase();
        password || ["sig=", "signature=", "token=", "key="].iter().any(|word| signed.contains(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_names_are_remotes() {
        for fine in [
            "gdrive:AI Assistant Backups",
            "s3:bucket/queue",
            "größe 2:x",
            "a@b.c+d_e-f:",
            "/mnt/nas/backups",
            "/mnt/a:b,c=d:e",
            "backups/elsewhere",
            "backups",
            "C:\\Backups",
            "gdrive:a,b=c:d",
        ] {
            assert!(accept(fine), "{fine}");
        }
    }

    #[test]
    fn connection_strings_are_none() {
        for bad in [
            "",
            "  ",
            "-v",
            "a\0b",
            "a\nb",
            ":",
            ":sftp,ssh=/tmp/x/evil.sh:x",
            ":local:/tmp",
            " :local:/tmp",
            "gdrive,root_folder_id=abc:",
            "gdrive,ssh=/tmp/evil.sh:x",
            "gdrive,ssh='a/b':x",
            "gdrive,ssh=/tmp:x",
            "gdrive :x",
            "\"a\":x",
            "a,x/y:b",
            ":webdav,url='https://dav.example.org/queue',vendor=other:",
            "https://queue:abc@example.org/",
            "https://example.org/?token=abc",
        ] {
            assert!(!accept(bad), "{bad}");
        }
    }
}
