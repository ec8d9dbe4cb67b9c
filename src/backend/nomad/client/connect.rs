//! The connection to a server: `http://`, `https://` with our own roots, certificate and server name, or `unix://`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::dns::{Name, Resolve, Resolving};
use reqwest::{Identity, Url};

use super::{ClientSettings, IDLE, REQUEST_TIMEOUT};
use crate::support::http::{self, HttpError, Times};
use crate::support::names;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why no client can be made of the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is none.
    #[error(
        "`{address}` is no address of a Nomad server: write `http://host:4646`, `https://host:4646` or `unix:///path`"
    )]
    Address {
        /// It.
        address: String,
    },
    /// A file of the client certificate cannot be read.
    #[error("reading the client certificate {}", .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificate and key are not such.
    #[error("{} and {} are no PEM certificate with its key", .certificate.display(), .key.display())]
    Identity {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The client itself.
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// A client and the beginning of every URL.
pub(super) struct Connection {
    pub(super) http: reqwest::Client,
    pub(super) base: String,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(settings: &ClientSettings) -> Result<Self, ConnectError> {
        let address = settings.address.trim_end_matches('/');
        let wrong = || ConnectError::Address { address: address.to_owned() };
        let times = Times { connect: CONNECT_TIMEOUT, request: REQUEST_TIMEOUT };
        let builder = http::builder(address, times, settings.ca_cert.as_deref())?;
        // HTTP/1 alone: one request is one connection, so that a bound on requests is one on connections.
        let builder = builder.http1_only().pool_max_idle_per_host(IDLE);
        if let Some(path) = address.strip_prefix("unix://") {
            let path = Path::new(path);
            if !path.is_absolute() {
                return Err(wrong());
            }
            let http = http::build(builder.unix_socket(path))?;
            return Ok(Self { http, base: "http://localhost".to_owned() });
        }
        let mut url = Url::parse(address).map_err(|_| wrong())?;
        let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")).ok_or_else(wrong)?.to_owned();
        let mut builder = builder;
        if let (Some(certificate), Some(key)) = (&settings.client_cert, &settings.client_key) {
            builder = builder.identity(identity(certificate, key)?);
        }
        if let Some(name) = settings.tls_server_name.as_ref().filter(|_| url.scheme() == "https") {
            // The name goes into the URL, so that it is the one that is checked; it is reached where the address says.
            url.set_host(Some(name)).map_err(|_| wrong())?;
            builder = builder.dns_resolver(At { host: host.trim_matches(['[', ']']).to_owned() });
        }
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { http: http::build(builder)?, base })
    }
}

fn identity(certificate: &Path, key: &Path) -> Result<Identity, ConnectError> {
    let read =
        |path: &Path| std::fs::read(path).map_err(|source| ConnectError::Certificate { path: path.to_owned(), source });
    let mut pem = read(certificate)?;
    pem.push(b'\n');
    pem.extend(read(key)?);
    Identity::from_pem(&pem).map_err(|source| ConnectError::Identity {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })
}

/// Resolves every name to the addresses of `host`.
struct At {
    host: String,
}

impl Resolve for At {
    fn resolve(&self, _: Name) -> Resolving {
        names::addresses(self.host.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(address: &str, name: Option<&str>) -> Result<String, String> {
        let settings = ClientSettings {
            address: address.to_owned(),
            tls_server_name: name.map(str::to_owned),
            ..ClientSettings::default()
        };
        Connection::new(&settings).map(|connection| connection.base).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_is_taken_as_it_is_but_for_its_last_slash() {
        assert_eq!(base("http://127.0.0.1:4646/", None).unwrap(), "http://127.0.0.1:4646");
        assert_eq!(base("unix:///run/nomad.sock", None).unwrap(), "http://localhost");
        for wrong in ["127.0.0.1:4646", "ftp://x", "unix://relative", ""] {
            assert!(base(wrong, None).unwrap_err().contains("no address of a Nomad server"), "{wrong}");
        }
    }

    #[test]
    fn a_server_name_is_the_name_that_is_checked() {
        // Without certificates on this machine no client for `https` can be made at all.
        if let Ok(base) = base("https://10.0.0.1:4646", Some("server.global.nomad")) {
            assert_eq!(base, "https://server.global.nomad:4646");
        }
    }
}
