//! Which off-site remotes may be stored in a database: those that carry no secret.
//!
//! # Promise
//!
//! [`accept`] is pure. It takes whatever rclone could take for a remote, and refuses a text with a password, a key or a token
//! in it: settings are in every backup, and so in the hands of whoever gets hold of one. Such a remote belongs into rclone's own
//! configuration, whose name for it may be stored, or into the environment.
//!
//! # How
//!
//! Secrets hide in two places: in the options of a connection string (`:webdav,url=…,pass=…:path`), known by the options'
//! names, and in an address, before its `@` or behind its `?`.

/// What may be stored, for errors.
pub const WORDS: &str = "a remote of rclone without a password, key or token in it, such as 'gdrive:Backups' (rclone's own \
                         configuration keeps the secrets: run rclone config)";

/// What the names of options contain whose values are secret.
const SECRETS: [&str; 9] = ["pass", "secret", "token", "key", "cred", "sas", "cookie", "session", "header"];
/// A file's name, and the public half of a pair of keys, are no secrets.
const HARMLESS: [&str; 2] = ["_file", "_id"];

/// Whether a text could be a remote and has no secret in it.
pub fn accept(text: &str) -> bool {
    let text = text.trim();
    let plain = !text.is_empty() && !text.starts_with('-') && !text.contains(['\0', '\n', '\r']);
    plain && !secret_option(text) && !secret_address(text)
}

fn secret_option(text: &str) -> bool {
    // The options are behind commas; what stands in quotes may look like one, and is refused then, too.
    text.split(',').skip(1).any(|option| {
        let name = option.split(['=', ':']).next().unwrap_or_default().to_ascii_lowercase();
        let harmless = HARMLESS.iter().any(|ending| name.ends_with(ending));
        !harmless && SECRETS.iter().any(|word| name.contains(word))
    })
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
    fn remotes_without_a_secret() {
        for fine in [
            "gdrive:AI Assistant Backups",
            "s3:bucket/queue",
            ":webdav,url='https://dav.example.org/queue',vendor=other:",
            ":s3,provider=AWS,env_auth=true,access_key_id=AKIA:bucket",
            ":sftp,host=example.org,user=queue,key_file=/home/queue/.ssh/id_ed25519:backups",
            "/mnt/nas/backups",
            "C:\\Backups",
            "drive,root_folder_id=abc:",
            ":http,url='https://queue@example.org/':",
        ] {
            assert!(accept(fine), "{fine}");
        }
    }

    #[test]
    fn remotes_with_a_secret_or_none_at_all() {
        for bad in [
            "",
            "  ",
            "-v",
            "a\0b",
            "a\nb",
            ":webdav,url='https://dav.example.org',user=u,pass=abc:",
            ":s3,provider=Other,secret_access_key=abc:bucket",
            ":drive,token='{\"access_token\":\"abc\"}':",
            ":sftp,host=h,key_pem='abc':",
            ":azureblob,account=a,key=abc:container",
            ":azureblob,sas_url='https://a.blob.core.windows.net/c?sv=1&sig=abc':",
            ":http,url='https://queue:abc@example.org/':",
            ":http,url='https://example.org/?token=abc':",
            ":webdav,url='https://dav.example.org',PASS=abc:",
            "s3,session_token=abc:bucket",
        ] {
            assert!(!accept(bad), "{bad}");
        }
    }
}
