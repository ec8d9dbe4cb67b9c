//! age: making identities, sealing bytes and opening them: values in the files of the `file` provider, envelopes on their way to
//! a runner. Bytes in, bytes out; files are the business of those who have them.
//!
//! Only X25519 recipients (`age1…`), in binary or armored files: what `age -r RECIPIENT -o NAME.enc` makes.

use std::io::{self, Read as _, Write as _};

use age::armor::ArmoredReader;
use age::x25519;
use age::{DecryptError, Decryptor, Encryptor};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

/// What every binary age file begins with.
const BINARY_HEADER: &[u8] = b"age-encryption.org/v1\n";
/// What every armored age file begins with.
const ARMORED_HEADER: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
/// How many bytes of a file [`looks_sealed`] wants to see.
pub const HEADER_BYTES: usize = 64;

/// Why a value could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Not an `age1…` recipient.
    #[error("`{recipient}` is not an age recipient: {why}")]
    Recipient {
        /// The offending text; a recipient is public.
        recipient: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// age refused.
    #[error("the value could not be encrypted")]
    Encrypt(#[source] age::EncryptError),
    /// The encrypted bytes could not be written.
    #[error("the encrypted bytes could not be written")]
    Write(#[source] io::Error),
}

/// Why an encrypted file does not open. Says nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No age file at all.
    #[error("it is not an age file")]
    NotAge,
    /// `age -p`.
    #[error("it is encrypted with a passphrase, not to a recipient")]
    Passphrase,
    /// Encrypted to somebody else.
    #[error("it is encrypted to another recipient than the configured identity")]
    OtherRecipient,
    /// The header or the content was changed or cut off.
    #[error("it is damaged or cut off")]
    Damaged,
}

/// A new identity, as `age-keygen` makes it.
#[derive(Debug)]
pub struct GeneratedIdentity {
    /// The public part, `age1…`: values are sealed for it.
    pub recipient: String,
    /// The content of an identity file. It must be written with mode 0600.
    pub file: SecretString,
}

/// Makes a new identity.
pub fn generate_identity() -> GeneratedIdentity {
    let identity = x25519::Identity::generate();
    let recipient = identity.to_public().to_string();
    let file = format!("# public key: {recipient}\n{}\n", identity.to_string().expose_secret());
    GeneratedIdentity { recipient, file: SecretString::from(file) }
}

/// Whether `recipient` is one (`age1…`).
///
/// # Errors
/// [`SealError::Recipient`].
pub fn check_recipient(recipient: &str) -> Result<(), SealError> {
    parse(recipient).map(drop)
}

fn parse(recipient: &str) -> Result<x25519::Recipient, SealError> {
    recipient.parse().map_err(|why| SealError::Recipient { recipient: recipient.to_owned(), why })
}

/// Encrypts `value` to `recipient` (`age1…`), as a binary age file. Whether a value is fit to be granted is not asked here.
///
/// # Errors
/// Not a recipient, or age refuses.
pub fn seal_for(recipient: &str, value: &[u8]) -> Result<Vec<u8>, SealError> {
    let parsed = parse(recipient)?;
    let encryptor =
        Encryptor::with_recipients(std::iter::once(&parsed as &dyn age::Recipient)).map_err(SealError::Encrypt)?;
    let mut sealed = Vec::new();
    let mut writer = encryptor.wrap_output(&mut sealed).map_err(SealError::Write)?;
    writer.write_all(value).and_then(|()| writer.finish().map(drop)).map_err(SealError::Write)?;
    Ok(sealed)
}

/// Whether a file that begins with `head` can be an age file; `head` is its first [`HEADER_BYTES`] or all of it.
pub fn looks_sealed(head: &[u8]) -> bool {
    head.starts_with(BINARY_HEADER) || head.starts_with(ARMORED_HEADER)
}

/// The identities that open what was sealed for one of them. Not `Debug`: it holds private keys.
pub struct Identities(Vec<x25519::Identity>);

impl Identities {
    /// Reads an identity file: lines of `AGE-SECRET-KEY-…`, empty lines and comments. The error is the number of the first line
    /// that is none of these, or 0 when there is no key at all; never the line.
    ///
    /// # Errors
    /// As said.
    pub fn parse(text: &str) -> Result<Self, usize> {
        let mut keys = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                keys.push(line.parse().map_err(|_| at + 1)?);
            }
        }
        if keys.is_empty() { Err(0) } else { Ok(Self(keys)) }
    }

    /// Decrypts `sealed`. At most `most` bytes are returned: one more than the caller can use, so that it sees that it is too much
    /// without holding all of it.
    ///
    /// # Errors
    /// Why it does not open.
    pub fn open(&self, sealed: &[u8], most: usize) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        if !looks_sealed(sealed) {
            return Err(OpenError::NotAge);
        }
        let decryptor = Decryptor::new_buffered(ArmoredReader::new(sealed)).map_err(|e| cause(&e))?;
        if decryptor.is_scrypt() {
            return Err(OpenError::Passphrase);
        }
        let reader = decryptor.decrypt(self.0.iter().map(|key| key as &dyn age::Identity)).map_err(|e| cause(&e))?;
        // Room for all that can come, which is less than is sealed: a vector that grows leaves copies behind that are not wiped.
        let mut plain = Zeroizing::new(Vec::with_capacity(most.min(sealed.len()) + 1));
        reader.take(most as u64).read_to_end(&mut plain).map_err(|_| OpenError::Damaged)?;
        Ok(plain)
    }
}

fn cause(error: &DecryptError) -> OpenError {
    match error {
        DecryptError::NoMatchingKeys => OpenError::OtherRecipient,
        DecryptError::UnknownFormat => OpenError::NotAge,
        _ => OpenError::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use age::armor::{ArmoredWriter, Format};
    use proptest::prelude::*;

    use super::*;

    fn identity() -> (String, Identities) {
        let made = generate_identity();
        (made.recipient, Identities::parse(made.file.expose_secret()).unwrap_or_else(|at| panic!("line {at}")))
    }

    fn armored(sealed: &[u8]) -> Vec<u8> {
        let mut writer = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).unwrap();
        writer.write_all(sealed).unwrap();
        writer.finish().unwrap()
    }

    fn open(keys: &Identities, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        keys.open(sealed, 4096).map(|plain| plain.to_vec())
    }

    #[test]
    fn an_armored_file_opens_like_a_binary_one() {
        let (recipient, keys) = identity();
        let sealed = seal_for(&recipient, b"hunter2").unwrap();
        assert_eq!(open(&keys, &armored(&sealed)), Ok(b"hunter2".to_vec()));
        let with_crlf = String::from_utf8(armored(&sealed)).unwrap().replace('\n', "\r\n");
        assert_eq!(open(&keys, with_crlf.as_bytes()), Ok(b"hunter2".to_vec()));
    }

    #[test]
    fn every_way_of_not_opening_has_its_own_words() {
        let (recipient, keys) = identity();
        let sealed = seal_for(&recipient, b"hunter2").unwrap();
        let theirs = seal_for(&identity().0, b"hunter2").unwrap();
        let by_passphrase = {
            let mut out = Vec::new();
            let mut recipient = age::scrypt::Recipient::new(SecretString::from("hunter2"));
            recipient.set_work_factor(2);
            let encryptor = Encryptor::with_recipients(std::iter::once(&recipient as _)).unwrap();
            let mut writer = encryptor.wrap_output(&mut out).unwrap();
            writer.write_all(b"hunter2").unwrap();
            writer.finish().unwrap();
            out
        };
        assert_eq!(open(&keys, b"hunter2"), Err(OpenError::NotAge));
        assert_eq!(open(&keys, &theirs), Err(OpenError::OtherRecipient));
        assert_eq!(open(&keys, &by_passphrase), Err(OpenError::Passphrase));
        assert_eq!(open(&keys, &sealed[..sealed.len() - 1]), Err(OpenError::Damaged));
        assert_eq!(open(&keys, BINARY_HEADER), Err(OpenError::Damaged));
    }

    #[test]
    fn no_more_is_opened_than_the_caller_can_use() {
        let (recipient, keys) = identity();
        let sealed = seal_for(&recipient, &[7; 1000]).unwrap();
        assert_eq!(keys.open(&sealed, 10).unwrap().as_slice(), [7; 10]);
    }

    #[test]
    fn an_identity_file_is_keys_and_comments_and_nothing_else() {
        let made = generate_identity();
        let key = made.file.expose_secret().lines().nth(1).unwrap().to_owned();
        assert!(Identities::parse(&format!("# a comment\r\n\n  {key}  \n")).is_ok());
        assert_eq!(Identities::parse(&format!("{key}\nssh-ed25519 AAAA\n")).err(), Some(2));
        assert_eq!(Identities::parse("# only a comment\n").err(), Some(0));
    }

    #[test]
    fn sealing_for_something_that_is_no_recipient_names_it() {
        let error = seal_for("age1nonsense", b"hunter2").unwrap_err();
        assert_eq!(error.to_string(), "`age1nonsense` is not an age recipient: invalid Bech32 encoding");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn whatever_is_sealed_comes_back(value in prop::collection::vec(any::<u8>(), 0..3000)) {
            let (recipient, keys) = identity();
            let sealed = seal_for(&recipient, &value).unwrap();
            prop_assert!(looks_sealed(&sealed));
            prop_assert_eq!(open(&keys, &sealed), Ok(value.clone()));
            prop_assert_eq!(open(&keys, &armored(&sealed)), Ok(value));
        }

        #[test]
        fn a_changed_file_never_opens_to_other_bytes_and_never_panics(
            at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<prop::sample::Index>(),
        ) {
            let (recipient, keys) = identity();
            for file in [seal_for(&recipient, b"hunter2").unwrap(), armored(&seal_for(&recipient, b"hunter2").unwrap())] {
                let mut changed = file.clone();
                changed[at.index(file.len())] = to;
                for broken in [&changed[..], &file[..cut.index(file.len())]] {
                    if let Ok(plain) = open(&keys, broken) {
                        prop_assert_eq!(plain, b"hunter2");
                    }
                }
            }
        }

        #[test]
        fn foreign_bytes_behind_the_header_never_panic(tail in prop::collection::vec(any::<u8>(), 0..300)) {
            let (_, keys) = identity();
            prop_assert!(open(&keys, &[BINARY_HEADER, &tail].concat()).is_err());
            prop_assert!(open(&keys, &[ARMORED_HEADER, b"\n", &tail].concat()).is_err());
        }
    }
}
