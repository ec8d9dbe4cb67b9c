//! Why no TLS connection comes about, for a person: what does not fit, and which setting to look at. Pure.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError, Error as TlsError};

/// What is wrong, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distrust {
    /// What is wrong.
    pub what: &'static str,
    /// What to do.
    pub fix: &'static str,
}

/// What of `error` is a matter of certificates; `None` for any other trouble.
pub(super) fn distrust(error: &(dyn Error + 'static)) -> Option<Distrust> {
    of(tls_error(error)?)
}

/// The first error of TLS among `error` and what caused it.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        // What an I/O error wraps is not among its sources: only what that was caused by is.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let found = inner.and_then(|inner| inner.downcast_ref()).or_else(|| error.downcast_ref());
        if found.is_some() {
            return found;
        }
        next = inner
            .and_then(|inner| tls_error(inner).map(|tls| tls as &(dyn Error + 'static)))
            .or_else(|| error.source());
    }
    None
}

fn of(error: &TlsError) -> Option<Distrust> {
    let (what, fix) = match error {
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer) => (
            "the server's certificate is of no CA that is trusted here",
            "name the PEM file of its CA in backends.nomad.ca_cert (NOMAD_CACERT)",
        ),
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => (
            "the server's certificate is for another name than the address",
            "name it in backends.nomad.tls_server_name (NOMAD_TLS_SERVER_NAME): `server.<region>.nomad`, unless it was made otherwise",
        ),
        TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            ("the server's certificate is out of date", "renew it, or see to this machine's clock")
        }
        TlsError::AlertReceived(AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure) => (
            "the server wants a client certificate",
            "name it and its key in backends.nomad.client_cert and client_key (NOMAD_CLIENT_CERT, NOMAD_CLIENT_KEY)",
        ),
        TlsError::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError,
        ) => (
            "the server does not take the client certificate",
            "see that backends.nomad.client_cert (NOMAD_CLIENT_CERT) is of a CA that the servers trust, and in date",
        ),
        TlsError::InvalidMessage(_) => (
            "the server does not speak TLS",
            "write `http://` in backends.nomad.address (NOMAD_ADDR), or enable TLS there",
        ),
        _ => return None,
    };
    Some(Distrust { what, fix })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_found_however_deep_it_lies() {
        let tls = TlsError::InvalidCertificate(CertificateError::UnknownIssuer);
        let deep = io::Error::other(io::Error::other(tls));
        assert!(distrust(&deep).unwrap().fix.contains("ca_cert"));
        assert_eq!(distrust(&io::Error::other("reset")), None);
    }
}
