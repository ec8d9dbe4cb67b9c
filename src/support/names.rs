//! Names of servers become addresses by the system's own resolver, with what stands in its `hosts`, `resolv.conf` and, under glibc,
//! `nsswitch.conf`. Used by the HTTP client.
//!
//! A resolver of another make would read the same files its own way, and ask servers of its own choice where they are missing: the names of
//! a site's servers would leave the site.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::thread;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

/// Resolves each name that a client asks for.
#[derive(Debug, Clone, Copy)]
pub struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        addresses(name.as_str().to_owned())
    }
}

/// The addresses of `host`, a name or an address; their port is 0, for the client to fill in.
///
/// The system's resolver cannot be interrupted: behind a silent server it takes up to half a minute. So it works in a thread of its own, for
/// which neither the end of the process nor the disk's threads wait. Connections are kept, so that names are rarely asked for.
pub fn addresses(host: String) -> Resolving {
    Box::pin(async move {
        let (answer, answered) = oneshot::channel();
        let ask = move || answer.send((host.as_str(), 0).to_socket_addrs());
        // Whoever asked may have given up by then.
        thread::Builder::new().name("resolver".to_owned()).spawn(|| ask().is_ok())?;
        let found: Vec<SocketAddr> =
            answered.await.map_err(|_| io::Error::other("the thread that resolves names ended"))??.collect();
        Ok(Box::new(found.into_iter()) as Addrs)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_of_the_hosts_file_has_its_address() {
        let found: Vec<SocketAddr> = addresses("localhost".to_owned()).await.unwrap().collect();
        assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
    }

    #[tokio::test]
    async fn an_address_is_its_own() {
        let found: Vec<SocketAddr> = addresses("::1".to_owned()).await.unwrap().collect();
        assert_eq!(found, ["[::1]:0".parse().unwrap()]);
    }

    #[tokio::test]
    async fn what_cannot_be_a_name_is_an_error() {
        assert!(addresses("a..b".to_owned()).await.is_err());
    }
}
