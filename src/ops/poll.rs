//! "Did the branch move?": the question that is asked all day, so it must cost next to nothing.
//!
//! Over HTTP it is one request on a connection that is kept, in version 2 of git's protocol: `ls-refs` for one prefix, 65 bytes
//! back, without the advertisement before it. A server that knows only older versions answers something else (Gitea: nothing at
//! all when the header is missing), and is then asked by `git ls-remote`, as SSH remotes always are.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Response};
use secrecy::ExposeSecret as _;

use super::credential::Login;
use super::environment::CA_FILE;
use super::error::OpsError;
use super::pktline::{self, Listed};
use crate::support::http::{self, Times};
use crate::support::ids::CommitId;

/// A server that holds the ops repo, asked in-process.
#[derive(Debug)]
pub(super) struct Server {
    client: Client,
    address: String,
    /// It was seen to answer in an older version only.
    old: AtomicBool,
}

/// What asking in-process came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// An answer; `None`: there is no such branch.
    Head(Option<CommitId>),
    /// This has to be left to git.
    AskGit,
}

/// An answer names one branch and those that begin alike; thousands of them fit.
const ANSWER_LIMIT: usize = 1 << 20;

impl Server {
    /// A client for the repository at `address`, which believes by the certificates in `ca_file` alone, where there is one: as
    /// git does with the same file.
    pub(super) fn new(address: &str, request: Duration, ca_file: Option<&Path>) -> Result<Self, OpsError> {
        let times = Times { connect: Duration::from_secs(10), request };
        let client = match ca_file {
            Some(file) => http::client_trusting_file(address, times, file)?,
            None => http::client(address, times, std::env::var_os(CA_FILE).map(PathBuf::from).as_deref())?,
        };
        Ok(Self { client, address: address.to_owned(), old: AtomicBool::new(false) })
    }

    /// Where `reference` points on the server.
    pub(super) async fn ask(&self, reference: &str, login: Option<&Login>) -> Result<Asked, OpsError> {
        if self.old.load(Ordering::Relaxed) {
            return Ok(Asked::AskGit);
        }
        let response = self.request(reference, login)?.send().await.map_err(poll_error)?;
        let status = response.status();
        if !status.is_success() {
            return Err(OpsError::Status { status: status.as_u16() });
        }
        let body = bounded(response).await?;
        match pktline::listed(&body, reference) {
            Ok(Listed::At(id)) => Ok(Asked::Head(Some(id))),
            Ok(Listed::Absent) => Ok(Asked::Head(None)),
            Ok(Listed::Error(said)) => {
                Err(OpsError::Said { said: login.map_or_else(|| said.clone(), |login| login.scrub(&said)) })
            }
            Err(_) => {
                self.old.store(true, Ordering::Relaxed);
                Ok(Asked::AskGit)
            }
        }
    }

    fn request(&self, reference: &str, login: Option<&Login>) -> Result<reqwest::RequestBuilder, OpsError> {
        let request = self
            .client
            .post(format!("{}/git-upload-pack", self.address))
            .header("Git-Protocol", "version=2")
            .header(CONTENT_TYPE, "application/x-git-upload-pack-request")
            .body(pktline::ls_refs_request(reference));
        let Some(login) = login else { return Ok(request) };
        let value = HeaderValue::from_str(login.header().expose_secret());
        let mut value = value.map_err(|_| OpsError::Said { said: "the login cannot be sent".to_owned() })?;
        value.set_sensitive(true);
        Ok(request.header(AUTHORIZATION, value))
    }
}

fn poll_error(error: reqwest::Error) -> OpsError {
    OpsError::Poll(error.without_url())
}

/// The body, up to the limit; a longer one is cut, and then reads as the unfinished answer that it is.
async fn bounded(mut response: Response) -> Result<Vec<u8>, OpsError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(poll_error)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_LIMIT {
            break;
        }
    }
    Ok(body)
}
