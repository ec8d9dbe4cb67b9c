//! `ops.remote`: which kind of address it is, and which are refused before git ever sees them.

use std::path::{Path, PathBuf};

use super::error::OpsError;

/// An address that is safe to hand to git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    address: String,
    transport: Transport,
}

/// How git gets there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Transport {
    /// A folder on this machine.
    Local(PathBuf),
    /// A shell on another one.
    Ssh,
    /// `http://`
    Http,
    /// `https://`
    Https,
}

impl Transport {
    /// git's name for it, as `GIT_ALLOW_PROTOCOL` wants it.
    pub(super) fn protocol(&self) -> &'static str {
        match self {
            Self::Local(_) => "file",
            Self::Ssh => "ssh",
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Remote {
    /// Reads `address`; a relative path is taken from the working directory of the dispatcher.
    pub(super) fn parse(address: &str) -> Result<Self, OpsError> {
        if address.is_empty() || address.starts_with('-') || address.chars().any(char::is_control) {
            return Err(refused("it is empty, begins with `-` or holds control characters"));
        }
        let Some((scheme, rest)) = address.split_once("://") else { return without_scheme(address) };
        let transport = match scheme {
            "file" => Transport::Local(PathBuf::from(rest)),
            "ssh" => ssh(rest)?,
            "http" => web(rest, Transport::Http)?,
            "https" => web(rest, Transport::Https)?,
            _ => return Err(refused("it must be a path, file://, ssh://, user@host:path, http:// or https://")),
        };
        Ok(Self { address: address.trim_end_matches('/').to_owned(), transport })
    }

    /// The address as git gets it; it holds no credential.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// How git gets there.
    pub(super) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Whether a login is sent with HTTP requests.
    pub(super) fn is_web(&self) -> bool {
        matches!(self.transport, Transport::Http | Transport::Https)
    }
}

fn refused(why: &str) -> OpsError {
    OpsError::Remote { why: why.to_owned() }
}

/// `user@host:path`, or a path. `helper::address` would make git run a program of that name and is refused.
fn without_scheme(address: &str) -> Result<Remote, OpsError> {
    let colon = address.find(':').unwrap_or(usize::MAX);
    if colon < address.find('/').unwrap_or(usize::MAX) {
        let (host, path) = address.split_once(':').unwrap_or((address, ""));
        if path.starts_with(':') || host.contains(['[', ' ']) {
            return Err(refused("it must be a path, file://, ssh://, user@host:path, http:// or https://"));
        }
        host_is_plain(host)?;
        return Ok(Remote { address: address.to_owned(), transport: Transport::Ssh });
    }
    let path = std::path::absolute(Path::new(address)).map_err(OpsError::io("finding the folder of `ops.remote`"))?;
    let address = path.to_str().ok_or_else(|| refused("its path is not UTF-8"))?.to_owned();
    Ok(Remote { address, transport: Transport::Local(path) })
}

fn ssh(rest: &str) -> Result<Transport, OpsError> {
    let authority = rest.split('/').next().unwrap_or(rest);
    if authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
        return Err(refused("it holds a password; use a key or an agent"));
    }
    host_is_plain(authority)?;
    Ok(Transport::Ssh)
}

fn web(rest: &str, transport: Transport) -> Result<Transport, OpsError> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    if authority.contains('@') {
        return Err(refused("it holds a login; put the name and the place of the password into `ops.credential`"));
    }
    if authority.is_empty() || rest.contains(['?', '#', ' ']) {
        return Err(refused("it has no host, or a `?`, `#` or space in it"));
    }
    Ok(transport)
}

/// A host or user that begins with `-` would be read by ssh as an option.
fn host_is_plain(authority: &str) -> Result<(), OpsError> {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.is_empty() || host.starts_with('-') || authority.starts_with('-') {
        return Err(refused("its host is empty or begins with `-`"));
    }
    Ok(())
}

/// Whether `name` may be the primary branch: what `git check-ref-format --branch` allows, in the plain alphabet of forges.
pub(super) fn branch_is_valid(name: &str) -> bool {
    #[expect(clippy::case_sensitive_file_extension_comparisons, reason = "git's rule is this very suffix")]
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    name.len() <= 200
        && !name.starts_with('-')
        && name.split('/').all(part)
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+#=,".contains(&b))
        && !name.contains("..")
        && !name.ends_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(address: &str) -> Transport {
        Remote::parse(address).unwrap().transport
    }

    #[test]
    fn each_form_of_address_is_known() {
        assert_eq!(transport("file:///srv/ops.git"), Transport::Local("/srv/ops.git".into()));
        assert_eq!(transport("/srv/ops.git"), Transport::Local("/srv/ops.git".into()));
        assert_eq!(transport("ssh://git@host:2222/ops.git"), Transport::Ssh);
        assert_eq!(transport("git@host:ops.git"), Transport::Ssh);
        assert_eq!(transport("http://host/o/r.git"), Transport::Http);
        assert_eq!(transport("https://host:8443/o/r.git/"), Transport::Https);
        assert_eq!(Remote::parse("https://h/o/r.git/").unwrap().address(), "https://h/o/r.git");
    }

    #[test]
    fn a_login_in_the_address_is_refused_and_not_repeated() {
        for bad in ["https://bot:s3cr3t@host/o/r.git", "http://s3cr3t@host/r", "ssh://bot:s3cr3t@host/r"] {
            let error = Remote::parse(bad).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{bad}");
        }
    }

    #[test]
    fn an_address_that_would_run_a_program_or_become_an_option_is_refused() {
        for bad in [
            "ext::sh -c id",
            "--upload-pack=id",
            "-oProxyCommand=id:x",
            "ssh://-oProxyCommand=id/x",
            "git@-x:y",
            "ftp://h/x",
            "git://h/x",
            "",
            "a\nb",
            "http:///x",
            "https://h/x?y",
        ] {
            assert!(Remote::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_branch_name_cannot_be_an_option_a_range_or_another_ref() {
        for good in ["main", "release/1.2", "feature_x-1", "a+b"] {
            assert!(branch_is_valid(good), "{good}");
        }
        for bad in [
            "", "-f", "a..b", "a b", "a:b", "+a:b", "/a", "a/", "a//b", ".a", "a.lock", "a~1", "a^", "*", "a\\b",
            "@{u}",
        ] {
            assert!(!branch_is_valid(bad), "{bad}");
        }
    }
}
