//! git's packet lines, and the answer of `ls-refs` in version 2 of its protocol; pure.
//!
//! A packet is four hex digits of length, these four included, and its bytes; lengths 0 to 2 are marks without bytes.
//! Source: git's `gitprotocol-common(5)` and `gitprotocol-v2(5)`.

use crate::support::ids::CommitId;

/// One packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Bytes.
    Data(&'a [u8]),
    /// `0000`: the end of a message.
    Flush,
    /// `0001`: between the parts of one.
    Delimiter,
    /// `0002`: the end of an answer over a connection without state.
    ResponseEnd,
}

/// The bytes are not packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The length is not four hex digits, or is 3.
    #[error("a packet's length is not one")]
    Length,
    /// The bytes end before the packet does.
    #[error("a packet is cut short")]
    Short,
    /// A ref line is no `<object id> <name>`.
    #[error("a line names no ref")]
    Line,
    /// The answer ends without its closing mark: also what a server gives that knows only older versions.
    #[error("the answer has no end")]
    Unfinished,
}

/// Takes one packet from the front of `bytes`; `None` when they are used up.
///
/// # Errors
/// `Length` or `Short`.
pub fn next(bytes: &[u8]) -> Result<Option<(Packet<'_>, &[u8])>, Malformed> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (digits, rest) = bytes.split_at_checked(4).ok_or(Malformed::Short)?;
    let packet = match length(digits)? {
        0 => (Packet::Flush, rest),
        1 => (Packet::Delimiter, rest),
        2 => (Packet::ResponseEnd, rest),
        3 => return Err(Malformed::Length),
        n => rest.split_at_checked(n - 4).map(|(data, rest)| (Packet::Data(data), rest)).ok_or(Malformed::Short)?,
    };
    Ok(Some(packet))
}

fn length(digits: &[u8]) -> Result<usize, Malformed> {
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Malformed::Length);
    }
    let text = std::str::from_utf8(digits).map_err(|_| Malformed::Length)?;
    usize::from_str_radix(text, 16).map_err(|_| Malformed::Length)
}

/// What `ls-refs` said about one ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// The ref points here.
    At(CommitId),
    /// There is no such ref.
    Absent,
    /// The server's own error.
    Error(String),
}

/// Reads the whole answer of `ls-refs` for the ref named exactly `name` (the server matches prefixes and sends others too).
///
/// # Errors
/// The answer is no answer in version 2 of the protocol.
pub fn listed(mut answer: &[u8], name: &str) -> Result<Listed, Malformed> {
    let mut found = Listed::Absent;
    while let Some((packet, rest)) = next(answer)? {
        answer = rest;
        match packet {
            Packet::Flush => return Ok(found),
            Packet::Delimiter | Packet::ResponseEnd => return Err(Malformed::Line),
            Packet::Data(line) => {
                if let Some(said) = line.strip_prefix(b"ERR ") {
                    return Ok(Listed::Error(String::from_utf8_lossy(said).trim().to_owned()));
                }
                let (id, named) = ref_line(line)?;
                if named == name.as_bytes() {
                    found = Listed::At(id);
                }
            }
        }
    }
    Err(Malformed::Unfinished)
}

/// `<object id> SP <name>`, then perhaps attributes, each after a space.
fn ref_line(line: &[u8]) -> Result<(CommitId, &[u8]), Malformed> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut parts = line.split(|b| *b == b' ');
    let id = parts.next().and_then(|id| std::str::from_utf8(id).ok()).and_then(|id| id.parse().ok());
    id.zip(parts.next()).ok_or(Malformed::Line)
}

/// The body of a request for the refs that begin with `name`.
pub fn ls_refs_request(name: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(96);
    line(&mut body, "command=ls-refs\n");
    line(&mut body, "object-format=sha1");
    body.extend_from_slice(b"0001");
    line(&mut body, &format!("ref-prefix {name}\n"));
    body.extend_from_slice(b"0000");
    body
}

fn line(into: &mut Vec<u8>, text: &str) {
    into.extend_from_slice(format!("{:04x}", text.len() + 4).as_bytes());
    into.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "0123456789012345678901234567890123456789";

    fn answer(lines: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for text in lines {
            line(&mut bytes, text);
        }
        bytes.extend_from_slice(b"0000");
        bytes
    }

    #[test]
    fn the_request_is_the_one_that_servers_were_seen_to_answer() {
        let expected = "0014command=ls-refs\n0016object-format=sha10001001fref-prefix refs/heads/main\n0000";
        assert_eq!(ls_refs_request("refs/heads/main"), expected.as_bytes());
    }

    #[test]
    fn a_branch_whose_name_only_begins_alike_is_not_taken_for_it() {
        let other = "9999999999999999999999999999999999999999 refs/heads/main-2\n";
        let bytes = answer(&[other, &format!("{ID} refs/heads/main\n"), other]);
        assert_eq!(listed(&bytes, "refs/heads/main"), Ok(Listed::At(ID.parse().unwrap())));
        assert_eq!(listed(&answer(&[other]), "refs/heads/main"), Ok(Listed::Absent));
    }

    #[test]
    fn attributes_behind_the_name_are_not_part_of_it() {
        let bytes = answer(&[&format!("{ID} HEAD symref-target:refs/heads/main\n")]);
        assert_eq!(listed(&bytes, "HEAD"), Ok(Listed::At(ID.parse().unwrap())));
    }

    #[test]
    fn an_empty_or_cut_answer_is_not_taken_for_an_absent_branch() {
        assert_eq!(listed(b"", "refs/heads/main"), Err(Malformed::Unfinished));
        let whole = answer(&[&format!("{ID} refs/heads/main\n")]);
        for end in 0..whole.len() {
            assert!(listed(&whole[..end], "refs/heads/main").is_err(), "{end}");
        }
    }

    #[test]
    fn the_servers_own_error_is_passed_on() {
        let bytes = answer(&["ERR access denied\n"]);
        assert_eq!(listed(&bytes, "x"), Ok(Listed::Error("access denied".to_owned())));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            let _ = listed(&bytes, "refs/heads/main");
        }

        #[test]
        fn what_is_written_is_read_back(text in "[ -~]{1,200}") {
            let mut bytes = Vec::new();
            line(&mut bytes, &text);
            prop_assert_eq!(next(&bytes), Ok(Some((Packet::Data(text.as_bytes()), &b""[..]))));
        }
    }
}
