//! Which values can be kept out of a log at all: the one rule for it, asked when a grant is made and again where it is used.

use super::forms::{self, SHORTEST};

/// Why a value cannot be granted. The texts never hold the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// It would blot out ordinary text.
    #[error("it is shorter than {SHORTEST} characters, surrounding space not counted: too short to be masked in logs")]
    Short,
    /// No environment variable can hold it: the formula would get a part of it.
    #[error("it holds a NUL byte, which no environment variable can carry")]
    Nul,
}

/// Whether `value` can be granted and kept out of the log.
///
/// # Errors
/// What is wrong with it.
pub fn fit(value: &str) -> Result<(), Unfit> {
    match forms::measure(value) {
        _ if value.contains('\0') => Err(Unfit::Nul),
        0 => Err(Unfit::Empty),
        length if length < SHORTEST => Err(Unfit::Short),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_the_length_without_surrounding_space_and_line_breaks() {
        for (value, why) in [
            ("", Unfit::Empty),
            (" \n ", Unfit::Empty),
            (" abcde ", Unfit::Short),
            ("äöüäö", Unfit::Short),
            ("a\nb\nc\nd\ne", Unfit::Short),
            ("abc\0defg", Unfit::Nul),
        ] {
            assert_eq!(fit(value), Err(why), "{value:?}");
        }
        assert_eq!((fit("abcdef"), fit(" äöüäöü\n")), (Ok(()), Ok(())));
    }
}
