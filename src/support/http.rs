//! The HTTP client that every caller of a server uses: bounded times, no redirects, our own name, the system's CA roots.

use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder};

use super::names;

/// A client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Mostly: the system has no CA certificates.
    #[error("making the HTTPS client (does this system have CA certificates? `SSL_CERT_FILE` names a file of them)")]
    Build(#[source] reqwest::Error),
    /// A file of further roots cannot be read.
    #[error("reading the CA certificates in {file}")]
    Roots {
        /// The file.
        file: String,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// A file of further roots holds something else.
    #[error("{file} is no file of PEM certificates")]
    Pem {
        /// The file.
        file: String,
        /// What went wrong.
        #[source]
        source: reqwest::Error,
    },
    /// A file of further roots has none in it.
    #[error("{file} has no PEM certificate in it")]
    NoCertificate {
        /// The file.
        file: String,
    },
}

/// How long a request may take from its first byte to its last, and how long a connection may take to be made.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// For connecting, TLS included.
    pub connect: Duration,
    /// For the whole request.
    pub request: Duration,
}

/// A client for `url` and its like. Certificates are checked against the system's roots and those in `roots`.
///
/// A client for plain `http` gets no roots at all: it needs none, and a system without any must not stop it.
///
/// # Errors
/// No roots for an `https` address, or an unusable file of them.
pub fn client(url: &str, times: Times, roots: Option<&Path>) -> Result<Client, HttpError> {
    build(builder(url, times, roots)?)
}

/// What [`client`] is built from, for a caller that needs more of it: a client certificate, a socket.
///
/// # Errors
/// An unusable file of roots.
pub fn builder(url: &str, times: Times, roots: Option<&Path>) -> Result<ClientBuilder, HttpError> {
    let builder = bounded(times);
    Ok(if url.starts_with("https:") { with_roots(builder, roots)? } else { builder.tls_certs_only([]) })
}

/// The client.
///
/// # Errors
/// No roots for an `https` address.
pub fn build(builder: ClientBuilder) -> Result<Client, HttpError> {
    builder.build().map_err(HttpError::Build)
}

/// A client that trusts the PEM certificates in `pem` **and no others**: inside a job there need not be any roots of the system.
///
/// # Errors
/// `pem`, which `place` names in the message, holds no certificates.
pub fn client_trusting_only(pem: &str, place: &str, times: Times) -> Result<Client, HttpError> {
    build(bounded(times).tls_certs_only(certificates(pem.as_bytes(), place)?))
}

/// A client for `url` and its like that trusts the PEM certificates in `file` and no others.
///
/// # Errors
/// For an `https` address: a file that cannot be read, or holds no certificates.
pub fn client_trusting_file(url: &str, times: Times, file: &Path) -> Result<Client, HttpError> {
    if !url.starts_with("https:") {
        return client(url, times, None);
    }
    let (pem, name) = read(file)?;
    build(bounded(times).tls_certs_only(certificates(&pem, &name)?))
}

fn bounded(times: Times) -> ClientBuilder {
    use_ring();
    Client::builder()
        .connect_timeout(times.connect)
        .timeout(times.request)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("dispatch/", env!("CARGO_PKG_VERSION")))
        .pool_max_idle_per_host(2)
        .dns_resolver(names::System)
}

fn with_roots(builder: ClientBuilder, roots: Option<&Path>) -> Result<ClientBuilder, HttpError> {
    let Some(file) = roots else { return Ok(builder) };
    let (pem, name) = read(file)?;
    Ok(builder.tls_certs_merge(certificates(&pem, &name)?))
}

/// The content of a file, and its name for messages.
fn read(file: &Path) -> Result<(Vec<u8>, String), HttpError> {
    let name = file.display().to_string();
    let pem = std::fs::read(file).map_err(|source| HttpError::Roots { file: name.clone(), source })?;
    Ok((pem, name))
}

fn certificates(pem: &[u8], place: &str) -> Result<Vec<Certificate>, HttpError> {
    let file = || place.to_owned();
    let found = Certificate::from_pem_bundle(pem).map_err(|source| HttpError::Pem { file: file(), source })?;
    if found.is_empty() { Err(HttpError::NoCertificate { file: file() }) } else { Ok(found) }
}

/// Makes ring the process's cryptography; a second time, or after somebody else did, it does nothing.
fn use_ring() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times { connect: Duration::from_secs(1), request: Duration::from_secs(1) };

    #[test]
    fn a_client_for_plain_http_is_made_whatever_the_roots() {
        assert!(client("http://127.0.0.1/", TIMES, Some(Path::new("/does/not/exist"))).is_ok());
    }

    #[test]
    fn a_text_without_certificates_is_not_taken_for_trust_in_nobody() {
        let error = client_trusting_only("no pem", "the envelope's certificates", TIMES).unwrap_err();
        assert_eq!(error.to_string(), "the envelope's certificates has no PEM certificate in it");
    }

    #[test]
    fn a_missing_file_of_roots_is_named() {
        let error = client("https://127.0.0.1/", TIMES, Some(Path::new("/does/not/exist"))).unwrap_err();
        assert_eq!(error.to_string(), "reading the CA certificates in /does/not/exist");
    }
}
