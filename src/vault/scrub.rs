//! The server's own words, made fit to be shown (pure): one short line, without anything that was sent as a secret and without
//! anything that has the form of a token. A server that is not Vault, or a proxy, may well send back what it got.

use secrecy::{ExposeSecret as _, SecretString};

use crate::support::text;

/// So much of what a server says is enough to find it in its documentation.
const MOST: usize = 240;

/// How long the body of a token is at least (Vault: 91 behind its prefix, OpenBao: 24).
const TOKEN_BODY: usize = 20;

/// How tokens begin: service, batch, recovery; and the same in OpenBao and before Vault 1.10.
const PREFIXES: [&str; 6] = ["hvs.", "hvb.", "hvr.", "s.", "b.", "r."];

const GONE: &str = "[redacted]";

/// `errors` in one line.
pub(super) fn words(errors: &[String], hidden: &[&SecretString]) -> String {
    let joined = errors.iter().map(|error| plain(error)).filter(|error| !error.is_empty()).collect::<Vec<_>>();
    let mut words = joined.join("; ");
    for secret in hidden {
        let secret = secret.expose_secret();
        if !secret.is_empty() {
            words = words.replace(secret, GONE);
        }
    }
    let words: Vec<&str> = words.split(' ').map(|word| if holds_token(word) { GONE } else { word }).collect();
    text::clipped(&words.join(" "), MOST)
}

/// Without the frame that Vault's libraries put around a list of errors.
fn plain(error: &str) -> String {
    let lines = error.lines().map(|line| line.trim().trim_start_matches("* ").trim());
    let own = lines.filter(|line| !line.is_empty() && !line.ends_with("occurred:"));
    own.collect::<Vec<_>>().join(", ")
}

fn holds_token(word: &str) -> bool {
    PREFIXES.iter().any(|prefix| {
        word.match_indices(prefix).any(|(at, _)| {
            let body = word.get(at + prefix.len()..).unwrap_or_default();
            body.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)).count() >= TOKEN_BODY
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(error: &str) -> String {
        words(&[error.to_owned()], &[&SecretString::from("s3cret value")])
    }

    #[test]
    fn the_frame_around_vaults_errors_is_taken_away() {
        assert_eq!(
            shown("2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"),
            "permission denied, invalid token"
        );
    }

    #[test]
    fn what_was_sent_as_a_secret_or_looks_like_a_token_is_not_repeated() {
        assert_eq!(shown("cannot use s3cret value here"), "cannot use [redacted] here");
        assert_eq!(shown("bad token \"hvs.CAESIJzG0aZbXyW-abc_0123\"!"), "bad token [redacted]");
        assert_eq!(shown("bad s.0123456789abcdefABCDEFGH"), "bad [redacted]");
        assert_eq!(
            shown("no handler for route \"nomount/x\". route entry not found."),
            "no handler for route \"nomount/x\". route entry not found."
        );
    }

    #[test]
    fn a_long_or_deceptive_text_is_one_short_line() {
        let shown = shown(&format!("\u{1b}[31m{}", "x".repeat(1000)));
        assert!(shown.starts_with("\\u{1b}[31m") && shown.chars().count() <= MOST + 1, "{shown}");
    }
}
