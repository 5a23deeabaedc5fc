//! Conversions of setting values. A number written as text is a number.

use rusqlite::types::Value;

/// A text without NUL.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) if !text.contains('\0') => Some(text.clone()),
        _ => None,
    }
}

/// A number, or a text of one.
pub fn real(value: &Value) -> Option<f64> {
    match value {
        #[allow(clippy::cast_precision_loss)] // Thresholds stay far below 2^53.
        Value::Integer(number) => Some(*number as f64),
        Value::Real(number) => Some(*number),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number: &f64| number.is_finite())
}

/// An integer, or a text of one.
pub fn whole(value: &Value) -> Option<i64> {
    /// 2^53: up to here every integer has a REAL of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Integer(number) => Some(*number),
        #[allow(clippy::cast_possible_truncation)] // The range was checked.
        Value::Real(number) if number.fract() == 0.0 && number.abs() <= EXACT => Some(*number as i64),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}
