//! Reads lists that others may write, up to the [bounds](crate::bounds).
//!
//! # Promise
//!
//! - A catalog, a list of pointers and a hash file's object are read up to their bounds. An error names the
//!   file, the exceeded bound and the remedy. The memory used is proportional to the bound, not to the
//!   content.
//! - Written files stay below the bounds, with room for later notes: nothing is written that could not be
//!   read again.
//!
//! # How
//!
//! [`each`] takes a JSON array's elements one by one as text, and checks each one's length and nesting before
//! it is parsed. Parsed values can take a hundred times the memory of their text (an object with one short
//! field takes 700 bytes), so unknown fields are kept as text ([`object`](crate::json::object)).

use std::fmt;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::bounds::{A_STATUS_BYTES, CATALOG_BYTES, CATALOG_ENTRIES, ENTRY_BYTES, NESTING, ROOM, STATUSES_BYTES};
use crate::error::{Error, Result};
use crate::memory;
use crate::queue::counts::Counts;

/// Why a file is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// The file is too long.
    Length(u64),
    Elements(usize),
    /// The element at this index, from 1, is too long.
    Element(usize, usize),
    /// The element at this index is nested too deep.
    Nesting(usize),
}

impl fmt::Display for Exceeded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(most) => write!(out, "is longer than {most} bytes"),
            Self::Elements(most) => write!(out, "has more than {most} entries"),
            Self::Element(place, length) => {
                write!(
                    out,
                    "has an entry (number {place}) of {length} bytes, and none may have more than {ENTRY_BYTES}"
                )
            }
            Self::Nesting(place) => {
                write!(
                    out,
                    "has an entry (number {place}) with more than {NESTING} objects and lists within each other"
                )
            }
        }
    }
}

/// The error of a catalog that exceeds a bound.
pub fn refusal(path: &Path, why: Exceeded) -> Error {
    Error::corrupt(format!(
        "'{}' {why}; queuekeeper did not write that, so it is not read, and nothing was changed; move it away, and the catalog is rebuilt \
         from the .hashes files beside it, or correct it",
        path.display()
    ))
}

/// The result of reading a list.
#[derive(Debug, PartialEq, Eq)]
pub enum Listed<T> {
    /// All elements.
    All(Vec<T>),
    /// No list, or with an invalid element.
    Foreign,
    Beyond(Exceeded),
}

/// Parses the elements of a JSON array, at most `most`.
pub fn each<T>(text: &[u8], most: usize, parse: impl FnMut(&str) -> Option<T>) -> Result<Listed<T>> {
    let (mut beyond, mut lacking) = (None, None);
    let list = List { most, parse, beyond: &mut beyond, lacking: &mut lacking };
    let mut input = serde_json::Deserializer::from_slice(text);
    let found = list.deserialize(&mut input).and_then(|found| input.end().map(|()| found));
    if let Some(error) = lacking {
        return Err(error);
    }
    Ok(match (found, beyond) {
        (_, Some(why)) => Listed::Beyond(why),
        (Ok(found), None) => Listed::All(found),
        (Err(_), None) => Listed::Foreign,
    })
}

struct List<'a, P> {
    most: usize,
    parse: P,
    beyond: &'a mut Option<Exceeded>,
    lacking: &'a mut Option<Error>,
}

impl<'de, T, P: FnMut(&str) -> Option<T>> DeserializeSeed<'de> for List<'_, P> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> std::result::Result<Vec<T>, D::Error> {
        input.deserialize_seq(self)
    }
}

impl<'de, T, P: FnMut(&str) -> Option<T>> Visitor<'de> for List<'_, P> {
    type Value = Vec<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut input: A) -> std::result::Result<Vec<T>, A::Error> {
        let mut found = Vec::new();
        while let Some(text) = input.next_element::<&RawValue>()? {
            let text = text.get();
            if let Some(why) = exceeded(text, found.len(), self.most) {
                *self.beyond = Some(why);
                return Err(A::Error::custom("beyond a bound"));
            }
            if let Err(error) = memory::grow(&mut found, 1) {
                *self.lacking = Some(error);
                return Err(A::Error::custom("out of memory"));
            }
            found.push((self.parse)(text).ok_or_else(|| A::Error::custom("no element"))?);
        }
        Ok(found)
    }
}

/// The parser reports what is no object.
fn exceeded(text: &str, before: usize, most: usize) -> Option<Exceeded> {
    if !text.starts_with('{') {
        return None;
    }
    if before >= most {
        Some(Exceeded::Elements(most))
    } else if text.len() > ENTRY_BYTES {
        Some(Exceeded::Element(before + 1, text.len()))
    } else if is_deep(text) {
        Some(Exceeded::Nesting(before + 1))
    } else {
        None
    }
}

/// Whether a JSON text is nested deeper than [`NESTING`].
pub fn is_deep(text: &str) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTING {
            return true;
        }
    }
    false
}

/// Refuses to write a catalog that could not be read again; with a `new` entry, it must leave more room.
pub fn check_written(directory: &Path, entries: usize, bytes: usize, new: bool) -> Result<()> {
    let share = if new { ROOM - 1 } else { ROOM };
    let most_bytes = usize::try_from(CATALOG_BYTES).unwrap_or(usize::MAX) / ROOM * share;
    let most_entries = CATALOG_ENTRIES / ROOM * share;
    if entries <= most_entries && bytes <= most_bytes {
        return Ok(());
    }
    Err(Error::usage(format!(
        "the catalog in '{}' would have {entries} backups in {bytes} bytes, and may have {most_entries} in {most_bytes}; delete backups \
         (queue_rotate), or use another directory",
        directory.display()
    )))
}

/// Whether there are too many statuses for an entry.
pub fn has_too_many(counts: &Counts) -> bool {
    counts.keys().map(|status| status.len() + A_STATUS_BYTES).sum::<usize>() > STATUSES_BYTES
}

/// Refuses to write a new entry that could not be read again.
pub fn check_new_entry(bytes: usize) -> Result<()> {
    let most = ENTRY_BYTES / ROOM * (ROOM - 1);
    if bytes <= most {
        return Ok(());
    }
    Err(Error::usage(format!(
        "the backup's entry in the catalog would have {bytes} bytes, and may have {most}; shorten the longest of its texts: paths, name"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Listed<usize> {
        each(text.as_bytes(), 3, |text| text.starts_with('{').then_some(text.len())).unwrap()
    }

    #[test]
    fn a_list_ends_at_the_first_bound_that_is_exceeded() {
        assert_eq!(of(r#" [{}, {"a":1} ]"#), Listed::All(vec![2, 7]));
        assert_eq!(of("[]"), Listed::All(Vec::new()));
        for foreign in ["", "[", "[{}", "[{}]x", "{}", r#"{"o":[{}]}"#, "[1]", "[{},[]]", "null", "[{},]"] {
            assert_eq!(of(foreign), Listed::Foreign, "{foreign}");
        }
        assert_eq!(of("[{},{},{},{}]"), Listed::Beyond(Exceeded::Elements(3)));
        let long = format!(r#"[{{}},{{"a":"{}"}}]"#, "x".repeat(ENTRY_BYTES));
        assert_eq!(of(&long), Listed::Beyond(Exceeded::Element(2, ENTRY_BYTES + 8)));
        let nested = |depth: usize| format!(r#"[{{"a":{}{}}}]"#, "[".repeat(depth), "]".repeat(depth));
        assert!(matches!(of(&nested(NESTING - 1)), Listed::All(_)));
        assert_eq!(of(&nested(NESTING)), Listed::Beyond(Exceeded::Nesting(1)));
        assert_eq!(of(&"[".repeat(1 << 20)), Listed::Foreign);
    }

    #[test]
    fn brackets_in_texts_are_no_nesting() {
        let brackets = "[".repeat(1000);
        assert!(!is_deep(&format!(r#"{{"a":"\"{brackets}\\","b":[]}}"#)));
        assert!(is_deep(&format!(r#"{{"a":"\\",{brackets}"#)));
    }

    #[test]
    fn what_is_written_can_be_marked_and_read_again() {
        let directory = Path::new("/b");
        let bytes = usize::try_from(CATALOG_BYTES).unwrap();
        assert!(check_written(directory, CATALOG_ENTRIES, bytes, false).is_ok());
        assert!(check_written(directory, CATALOG_ENTRIES, bytes, true).is_err());
        assert!(check_written(directory, CATALOG_ENTRIES + 1, 1, false).is_err());
        assert!(check_written(directory, 1, bytes + 1, false).is_err());
        assert!(check_new_entry(ENTRY_BYTES).is_err() && check_new_entry(ENTRY_BYTES / 2).is_ok());
    }
}
