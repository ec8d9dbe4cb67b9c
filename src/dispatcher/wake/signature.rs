//! Whether whoever sent a body knows the secret: HMAC-SHA256 over the body as it came, compared in constant time. Pure.

use axum::http::HeaderMap;
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// The headers in which Gitea, Forgejo and GitHub's kind put it; the last one with `sha256=` before it.
const HEADERS: [&str; 3] = ["x-gitea-signature", "x-forgejo-signature", "x-hub-signature-256"];

/// The 32 bytes that a sender claims to be the code of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Signature([u8; 32]);

impl Signature {
    /// The signature in `headers`: the first header that carries one decides. `None`: there is none, or it has not its form.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = HEADERS.iter().find_map(|name| headers.get(*name))?.to_str().ok()?;
        Self::parse(text.strip_prefix("sha256=").unwrap_or(text))
    }

    fn parse(hex: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let (digits, rest) = hex.as_bytes().as_chunks::<2>();
        if digits.len() != bytes.len() || !rest.is_empty() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits) {
            let [high, low] =
                pair.map(|digit| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
            *byte = high? << 4 | low?;
        }
        Some(Self(bytes))
    }

    /// Whether it is the code of `body` under `secret`. An empty secret signs nothing: anybody could make its codes.
    pub(super) fn proves(&self, body: &[u8], secret: &SecretString) -> bool {
        let secret = secret.expose_secret().as_bytes();
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return false };
        mac.update(body);
        // `verify_slice` compares with `subtle`: how long it takes tells nothing of how much is right.
        !secret.is_empty() && mac.verify_slice(&self.0).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// `printf 'what happened' | openssl dgst -sha256 -hmac 'a secret'`
    const CODE: &str = "2a96d42e04d0965c843ecc250ee9a3dec80eb45a62845570b67ccee73cb4c31e";

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn the_code_of_a_body_proves_that_body_under_that_secret_alone() {
        let signature = Signature::of(&headers("x-gitea-signature", CODE)).unwrap();
        let secret = SecretString::from("a secret");
        assert!(signature.proves(b"what happened", &secret));
        assert!(!signature.proves(b"what happened!", &secret));
        assert!(!signature.proves(b"what happened", &SecretString::from("another")));
    }

    #[test]
    fn each_of_the_three_headers_is_understood_and_what_has_not_its_form_is_none() {
        for name in HEADERS {
            assert!(Signature::of(&headers(name, CODE)).is_some(), "{name}");
            assert!(Signature::of(&headers(name, &format!("sha256={}", CODE.to_uppercase()))).is_some(), "{name}");
            let (short, long, other) = (CODE.replacen('2', "", 1), format!("{CODE}0"), CODE.replace('b', "g"));
            for wrong in ["", "sha256=", &short, &long, &other] {
                assert!(Signature::of(&headers(name, wrong)).is_none(), "{wrong}");
            }
        }
        assert!(Signature::of(&headers("x-hub-signature", CODE)).is_none(), "SHA-1 proves nothing");
    }

    #[test]
    fn an_empty_secret_proves_nothing() {
        let mac = Hmac::<Sha256>::new_from_slice(b"").unwrap().finalize().into_bytes();
        assert!(!Signature(mac.into()).proves(b"", &SecretString::default()));
    }
}
