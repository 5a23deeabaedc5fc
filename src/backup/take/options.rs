//! The options of a backup, as passed and as resolved together with the file's name.

use serde::Deserialize;

use super::names;
use crate::backup::artifact::compression::Compression;
use crate::backup::artifact::kind::{BEFORE_RESTORE, Kind, Level};
use crate::error::{Error, Result};

/// The options as passed in JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object such as {\"name\": \"daily\"}")]
pub struct Options {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    compression: Option<String>,
    level: Option<i64>,
    verify: Option<String>,
    overwrite: Option<bool>,
    #[serde(skip)]
    of_a_restore: bool,
}

/// The resolved options.
#[derive(Debug, Clone)]
pub struct ResolvedOptions {
    /// The option `name`.
    pub name: Option<String>,
    pub kind: Kind,
    /// With its level.
    pub compression: (Compression, i32),
    /// The verification before publishing.
    pub verify: Option<Level>,
    pub overwrite: bool,
}

impl Options {
    /// The options for the copy that a restore saves of its target.
    pub fn of_restore() -> Self {
        Self { name: Some(BEFORE_RESTORE.into()), of_a_restore: true, ..Self::default() }
    }

    pub fn is_of_a_restore(&self) -> bool {
        self.of_a_restore
    }

    /// Resolves the options for a backup into `file_name`, or into a generated name.
    pub fn resolve(&self, file_name: Option<&str>) -> Result<ResolvedOptions> {
        if let Some(name) = &self.name {
            names::check_series(name)?;
        }
        let kinds = Kind::ALL.map(Kind::word);
        let kind = choice("type", self.kind.as_deref(), &kinds)?.and_then(Kind::from_word).unwrap_or(Kind::Full);
        let levels = ["none", "checksum", "quick", "full"];
        let verify = choice("verify", self.verify.as_deref(), &levels)?.and_then(Level::from_word);
        Ok(ResolvedOptions {
            name: self.name.clone(),
            kind,
            compression: self.compression(file_name)?,
            verify,
            overwrite: self.overwrite.unwrap_or(false),
        })
    }

    fn compression(&self, file_name: Option<&str>) -> Result<(Compression, i32)> {
        let words = Compression::ALL.map(Compression::word);
        let asked = choice("compression", self.compression.as_deref(), &words)?.and_then(Compression::from_word);
        let named = file_name.map_or(Compression::None, Compression::of_name);
        let compression = match asked {
            Some(asked) if named != Compression::None && named != asked => {
                return Err(Error::usage(format!(
                    "the file's name ends in {}, but the option compression is {}; make them agree, or leave the option \
                     out",
                    named.suffix(),
                    asked.word()
                )));
            }
            asked => asked.unwrap_or(named),
        };
        let (lowest, default, highest) = compression.levels();
        let Some(level) = self.level else { return Ok((compression, default)) };
        match i32::try_from(level) {
            _ if compression == Compression::None => {
                Err(Error::usage("the option level is of use with compression gzip or zstd only; leave it out"))
            }
            Ok(level) if (lowest..=highest).contains(&level) => Ok((compression, level)),
            _ => Err(Error::usage(format!(
                "the option level is {level}; for {} it can be {lowest} to {highest}",
                compression.word()
            ))),
        }
    }
}

fn choice<'a>(option: &str, given: Option<&'a str>, words: &[&str]) -> Result<Option<&'a str>> {
    match given {
        Some(given) if !words.contains(&given) => Err(Error::usage(format!(
            "the option {option} is '{}'; it can be {}",
            given.escape_debug(),
            words.join(", ")
        ))),
        given => Ok(given),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(options: &str, file_name: Option<&str>) -> Result<ResolvedOptions> {
        serde_json::from_str::<Options>(options).unwrap().resolve(file_name)
    }

    #[test]
    fn the_name_and_the_option_decide_the_compression_together() {
        let compression = |options: &str, name| resolved(options, name).map(|resolved| resolved.compression);
        assert_eq!(compression("{}", None).unwrap(), (Compression::None, 0));
        assert_eq!(compression("{}", Some("a.db.zst")).unwrap(), (Compression::Zstd, 3));
        assert_eq!(compression("{\"compression\":\"gzip\"}", None).unwrap(), (Compression::Gzip, 6));
        assert_eq!(compression("{\"compression\":\"gzip\",\"level\":9}", Some("a.gz")).unwrap().1, 9);
        assert!(compression("{\"compression\":\"none\"}", Some("a.db.zst")).is_err());
        assert!(compression("{\"compression\":\"zstd\"}", Some("a.db.gz")).is_err());
        assert!(compression("{\"level\":3}", None).is_err());
        for level in [-1, 0, 20, i64::MAX] {
            let options = format!("{{\"compression\":\"zstd\",\"level\":{level}}}");
            assert!(compression(&options, None).unwrap_err().message().contains("1 to 19"), "{level}");
        }
    }

    #[test]
    fn unknown_words_are_refused_with_the_known_ones() {
        for options in ["{\"type\":\"delta\"}", "{\"verify\":\"yes\"}", "{\"compression\":\"xz\"}"] {
            assert!(resolved(options, None).unwrap_err().message().contains("it can be"), "{options}");
        }
        assert!(resolved("{\"name\":\"a/b\"}", None).is_err());
    }
}
