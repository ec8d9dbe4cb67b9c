//! What may be a secret's value. Pure, and careful never to say what it has seen.

use secrecy::SecretString;

use crate::runner::redact;

/// The longest value, in bytes, after the trailing newline is gone. An environment variable holds at most 128 KiB on Linux.
pub const MAX_BYTES: usize = 64 * 1024;

/// Why a text cannot be a secret's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It cannot be kept out of a log.
    #[error(transparent)]
    Unmaskable(#[from] redact::Unfit),
    /// More than [`MAX_BYTES`].
    #[error("it is longer than 64 KiB")]
    TooLong,
    /// An environment variable is text.
    #[error("it is not UTF-8 text")]
    NotUtf8,
}

/// Takes `plain` as a value, without its one trailing newline (`\n` or `\r\n`): files made by `echo … | age` have one, and
/// nobody means it. A value that must end in a newline, as some keys do, gets it back from the formula.
pub fn fit(plain: &[u8]) -> Result<SecretString, Unfit> {
    let value = without_newline(plain);
    if value.len() > MAX_BYTES {
        return Err(Unfit::TooLong);
    }
    let text = std::str::from_utf8(value).map_err(|_| Unfit::NotUtf8)?;
    redact::fit::fit(text)?;
    // From a slice, so that the copy has its exact size at once: growing or shrinking would leave one behind that is not wiped.
    Ok(SecretString::from(text))
}

fn without_newline(plain: &[u8]) -> &[u8] {
    match plain.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => plain,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn text_of(plain: &[u8]) -> Result<String, Unfit> {
        fit(plain).map(|value| value.expose_secret().to_owned())
    }

    #[test]
    fn exactly_one_trailing_newline_is_taken_away() {
        assert_eq!(text_of(b"hunter2"), Ok("hunter2".to_owned()));
        assert_eq!(text_of(b"hunter2\n"), Ok("hunter2".to_owned()));
        assert_eq!(text_of(b"hunter2\r\n"), Ok("hunter2".to_owned()));
        assert_eq!(text_of(b"hunter2\n\n"), Ok("hunter2\n".to_owned()));
        assert_eq!(text_of(b"\n hunter2 "), Ok("\n hunter2 ".to_owned()));
    }

    #[test]
    fn what_cannot_be_masked_or_handed_over_is_refused() {
        for (plain, why) in [
            (&b"\n"[..], redact::Unfit::Empty.into()),
            (b"12345\n", redact::Unfit::Short.into()),
            (b" 12345  ", redact::Unfit::Short.into()),
            (b"secret\0tail", redact::Unfit::Nul.into()),
            (b"secret\xff", Unfit::NotUtf8),
        ] {
            assert_eq!(text_of(plain), Err(why), "{plain:?}");
        }
    }

    #[test]
    fn the_bounds_themselves_are_within() {
        assert!(fit("äöüäöü".as_bytes()).is_ok());
        let mut longest = vec![b'x'; MAX_BYTES];
        longest.push(b'\n');
        assert!(fit(&longest).is_ok());
        longest.push(b'\n');
        assert_eq!(text_of(&longest), Err(Unfit::TooLong));
    }

    proptest! {
        #[test]
        fn a_fit_value_is_the_plain_text_but_for_its_newline(plain in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(value) = text_of(&plain) {
                let rest = plain.strip_prefix(value.as_bytes()).unwrap();
                prop_assert!(matches!(rest, b"" | b"\n" | b"\r\n"));
                prop_assert_eq!(redact::fit::fit(&value), Ok(()));
            }
        }
    }
}
