//! The text of a git remote: which transport it means, and whether it carries a credential, which is refused.

use super::leaf::Wrong;

/// How git reaches a remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `http://` or `https://`.
    Http,
    /// `ssh://` or `user@host:path`.
    Ssh,
    /// `file://` or a path.
    Local,
}

/// The transport of `remote`; `None` where it is one that dispatch does not use.
pub fn transport(remote: &str) -> Option<Transport> {
    match remote.split_once("://") {
        Some(("http" | "https", rest)) if !rest.is_empty() => Some(Transport::Http),
        Some(("ssh", rest)) if !rest.is_empty() => Some(Transport::Ssh),
        Some(("file", rest)) if rest.starts_with('/') => Some(Transport::Local),
        Some(_) => None,
        None if remote.contains("::") => None,
        None if is_path(remote) => Some(Transport::Local),
        None => Some(Transport::Ssh),
    }
}

/// Whether `remote` is a path: git's rule, a colon before the first slash makes it a host.
pub(super) fn is_path(remote: &str) -> bool {
    !remote.contains("://") && remote.split('/').next().is_none_or(|head| !head.contains(':'))
}

pub(super) fn check(remote: &str) -> Result<(), Wrong> {
    if remote.starts_with('-') {
        return Err(Wrong::new("a remote cannot begin with `-`"));
    }
    let Some(transport) = transport(remote) else {
        return Err(Wrong::new("this kind of remote is not supported")
            .help("use https://, http://, ssh://, user@host:path, file:///… or a path"));
    };
    if credential_span(remote).is_some() {
        return Err(Wrong::new("a remote must not carry a credential").help(match transport {
            Transport::Ssh => "use a key: `ops.ssh_key`",
            _ => "put the login into [ops.credential]: `username`, and `password_file` or `password_env`",
        }));
    }
    Ok(())
}

/// Where in `url` a credential stands: over HTTP whatever is before the `@`, else what follows the user's name.
fn credential_span(url: &str) -> Option<std::ops::Range<usize>> {
    let start = url.find("://")? + 3;
    let rest = url.get(start..)?;
    let host_end = rest.find(['/', '?', '#', '"', '\'', ' ', '\n', '\t']).unwrap_or(rest.len());
    let user_end = rest.get(..host_end)?.rfind('@')?;
    let user = rest.get(..user_end)?;
    if url.starts_with("http") {
        return Some(start..start + user_end);
    }
    user.find(':').map(|colon| start + colon + 1..start + user_end)
}

/// `text` with each credential in a URL overwritten by as many `*`, so that offsets stay as they are.
pub(super) fn mask(text: &str) -> String {
    let mut out = text.to_owned();
    for (at, _) in text.match_indices("://") {
        let scheme: usize =
            text.get(..at).map_or(0, |head| head.chars().rev().take_while(char::is_ascii_alphabetic).count());
        let Some(url) = text.get(at - scheme..) else { continue };
        if let Some(span) = credential_span(url) {
            let stars = "*".repeat(span.len());
            out.replace_range(at - scheme + span.start..at - scheme + span.end, &stars);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transport_is_told_as_git_tells_it() {
        for (remote, expected) in [
            ("https://forge.example/ops.git", Some(Transport::Http)),
            ("ssh://git@forge.example/ops.git", Some(Transport::Ssh)),
            ("git@forge.example:ops.git", Some(Transport::Ssh)),
            ("file:///srv/ops.git", Some(Transport::Local)),
            ("../ops.git", Some(Transport::Local)),
            ("./a:b", Some(Transport::Local)),
            ("ext::sh -c id", None),
            ("ftp://x/y", None),
        ] {
            assert_eq!(transport(remote), expected, "{remote}");
        }
    }

    #[test]
    fn a_credential_in_a_remote_is_refused_and_a_user_name_over_ssh_is_not() {
        for bad in ["https://u:p@h/x", "https://token@h/x", "ssh://u:p@h/x", "http://a@b@h/x"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        for good in ["https://h/x", "ssh://git@h/x", "git@h:x", "https://h/@x"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn no_byte_of_a_credential_is_left_after_masking_and_the_length_stays() {
        let text = "[ops]\nremote = \"https://bob:hünter2@forge/x\" # and ssh://git:pw@h/y\n";
        let masked = mask(text);
        assert_eq!(masked.len(), text.len());
        assert!(!masked.contains("nter2") && !masked.contains("bob") && !masked.contains("pw@"), "{masked}");
        assert!(masked.contains("@forge/x") && masked.contains("ssh://git:**@h/y"));
    }
}
