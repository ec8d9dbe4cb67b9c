//! `vault/allowed_signers`: who may sign, for people to see; pure. What counts is decided by `ssh-keygen` reading the same bytes.
//!
//! A line is `principals [options] key-type base64-key [comment]` (`ssh-keygen(1)`, ALLOWED SIGNERS).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Its names, in order.
    pub principals: Vec<String>,
    /// `namespaces="git"`, `valid-before="…"` and the like, as written.
    pub options: Vec<String>,
    /// `ssh-ed25519` and the like.
    pub key_type: String,
    /// `SHA256:…`, as `ssh-keygen -l` and [`super::Signature`] show it.
    pub fingerprint: String,
}

/// A line that is no signer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct BadLine {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Reads every line that is neither empty nor a comment.
pub fn parse(bytes: &[u8]) -> Vec<Result<Signer, BadLine>> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(line, text)| signer(text).map_err(|what| BadLine { line, what })).collect()
}

/// Every name that the file gives to the key with this fingerprint.
pub fn principals(bytes: &[u8], fingerprint: &str) -> Vec<String> {
    let signers = parse(bytes).into_iter().flatten();
    signers.filter(|signer| signer.fingerprint == fingerprint).flat_map(|signer| signer.principals).collect()
}

fn signer(line: &str) -> Result<Signer, &'static str> {
    let mut words = words(line).into_iter();
    let principals = words.next().ok_or("it is empty")?;
    let second = words.next().ok_or("there is no key behind the principals")?;
    let (options, key_type) = if is_key_type(&second) {
        (Vec::new(), second)
    } else {
        (
            split(&second),
            words.next().filter(|word| is_key_type(word)).ok_or("there is no key type behind the options")?,
        )
    };
    let key = words.next().ok_or("there is no key behind the key type")?;
    let key = STANDARD.decode(key).map_err(|_| "the key is not base64")?;
    if !names_its_type(&key, &key_type) {
        return Err("the key is of another type than the line says");
    }
    let principals = split(&principals).iter().map(|name| name.trim_matches('"').to_owned()).collect();
    let fingerprint = format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&key)));
    Ok(Signer { principals, options, key_type, fingerprint })
}

fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|start| word.starts_with(start))
}

/// A public key begins with the length and the name of its type.
fn names_its_type(key: &[u8], key_type: &str) -> bool {
    let Some((length, rest)) = key.split_first_chunk::<4>() else { return false };
    usize::try_from(u32::from_be_bytes(*length)).ok().and_then(|n| rest.get(..n)) == Some(key_type.as_bytes())
}

/// Cut at blanks outside quotes.
fn words(line: &str) -> Vec<String> {
    cut(line, |c| c == ' ' || c == '\t')
}

/// Cut at commas outside quotes.
fn split(word: &str) -> Vec<String> {
    cut(word, |c| c == ',')
}

fn cut(text: &str, at: impl Fn(char) -> bool) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        quoted ^= c == '"';
        match parts.last_mut() {
            Some(part) if quoted || !at(c) => part.push(c),
            _ => parts.push(String::new()),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    #[test]
    fn a_line_with_several_names_options_and_a_comment_is_read() {
        let text = format!(
            "# who may sign\n\nalice@x,release@x namespaces=\"git,file\",valid-before=\"2030\" {KEY} a comment\n"
        );
        let signer = parse(text.as_bytes()).remove(0).unwrap();
        assert_eq!(signer.principals, ["alice@x", "release@x"]);
        assert_eq!(signer.options, ["namespaces=\"git,file\"", "valid-before=\"2030\""]);
        assert!(signer.fingerprint.starts_with("SHA256:"));
        assert_eq!(principals(text.as_bytes(), &signer.fingerprint), ["alice@x", "release@x"]);
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let text =
            format!("alice@x {KEY}\nbob@x ssh-ed25519 !!\ncarol@x\ndan@x {}\n", KEY.replace("ssh-ed25519", "ssh-rsa"));
        let bad: Vec<String> =
            parse(text.as_bytes()).into_iter().filter_map(Result::err).map(|e| e.to_string()).collect();
        assert_eq!(
            bad,
            [
                "line 2: the key is not base64",
                "line 3: there is no key behind the principals",
                "line 4: the key is of another type than the line says"
            ]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
