//! Splits SQL text as SQLite's own tokenizer (`sqlite3GetToken`) does.
//!
//! # Promise
//!
//! Spaces, comments, quoted names, strings and variables are exactly SQLite's: a text that hides a keyword
//! here hides it from SQLite, too. All offsets are bytes.

/// A space to SQLite (CC_BOM), except within a name.
pub const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Whether a name may contain this byte.
pub fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii()
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// Skips spaces and comments.
pub fn skip_space(mut sql: &[u8]) -> &[u8] {
    loop {
        let end = if sql.starts_with(b"--") {
            sql.iter().position(|&byte| byte == b'\n')
        } else if sql.starts_with(b"/*") {
            sql[2..].windows(2).position(|pair| pair == b"*/").map(|at| at + 3)
        } else if sql.first().is_some_and(|&byte| is_space(byte)) {
            Some(0)
        } else if sql.starts_with(BYTE_ORDER_MARK) {
            Some(BYTE_ORDER_MARK.len() - 1)
        } else {
            return sql;
        };
        match end {
            Some(end) => sql = &sql[end + 1..],
            None => return &[],
        }
    }
}

/// The words and punctuation of a statement, without quoted text, variables and comments.
pub struct Words<'a>(pub &'a [u8]);

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let sql = skip_space(self.0);
            let until = |end: u8| sql[1..].iter().position(|&byte| byte == end).map_or(sql.len(), |at| at + 2);
            let (length, counts) = match *sql.first()? {
                // A doubled quote ends one text and begins the next.
                quote @ (b'\'' | b'"' | b'`') => (until(quote), false),
                b'[' => (until(b']'), false),
                b'$' | b'@' | b'#' | b':' => (variable(sql), false),
                byte if is_of_name(byte) => (name(sql), true),
                _ => (1, true),
            };
            let (word, rest) = sql.split_at(length);
            self.0 = rest;
            if counts {
                return Some(word);
            }
        }
    }
}

fn name(sql: &[u8]) -> usize {
    sql.iter().position(|&byte| !is_of_name(byte)).unwrap_or(sql.len())
}

/// The length of a variable. Tcl-style ones may contain colons and end in parentheses. A schema written by
/// hand may contain variables, which are NULL.
fn variable(sql: &[u8]) -> usize {
    let mut at = 1;
    loop {
        at += name(&sql[at..]);
        if sql[at..].starts_with(b"::") {
            at += 2;
        } else if sql.get(at) == Some(&b'(') && sql[1..at].iter().any(|&byte| is_of_name(byte)) {
            let end = sql[at..].iter().position(|&byte| byte == b')' || is_space(byte));
            return end.map_or(sql.len(), |end| at + end + usize::from(sql[at + end] == b')'));
        } else {
            return at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(sql: &str) -> Vec<String> {
        Words(sql.as_bytes()).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    #[test]
    fn words_are_what_sqlite_takes_for_words() {
        assert_eq!(words("RAISE(\u{feff}ROLLBACK,'no')"), ["RAISE", "(", "ROLLBACK", ",", ")"]);
        assert_eq!(words("OR\u{feff}ROLLBACK \u{feff}\u{feff}x\u{a0}y"), ["OR\u{feff}ROLLBACK", "x\u{a0}y"]);
        assert_eq!(words("a\x0b\x0cb/*/ '*/c--'\nd/*"), ["a", "b", "c", "d"]);
        assert_eq!(words("'a''b' \"c\" [d'] `e` f"), ["f"]);
        assert_eq!(words("1.5e_é->>$2"), ["1", ".", "5e_é", "-", ">", ">"]);
    }

    #[test]
    fn a_variable_hides_only_itself() {
        assert_eq!(words("$a('), x(y)"), [",", "x", "(", "y", ")"]);
        assert_eq!(words("@a::b(\"z x)"), ["x", ")"]);
        assert_eq!(words(":a, #1 $ ::(b)"), [",", "(", "b", ")"]);
    }
}
