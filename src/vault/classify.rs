//! Which refusal an answer is (pure). Vault has few statuses and says the rest in words, so some of these are told apart by
//! its texts, as 1.21 has them and OpenBao documents them; a text that is not known here is shown, and never taken for success.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::RETRY_AFTER;
use rustify::enums::RequestMethod;

use super::error::Why;

/// 500s about the request: Go's and Vault's own words for JSON that they do not take.
const MALFORMED: [&str; 6] = [
    "invalid character",
    "duplicate key",
    "exceeds allowed",
    "unexpected end of JSON",
    "failed to parse JSON",
    "cannot unmarshal",
];

/// A longer wait than this is no rate limit but a mistake.
const LONGEST_WAIT: u64 = 3600;

/// What an answer says besides its status and body, and what was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    retry_after: Option<Duration>,
    capability: &'static str,
}

impl Refusal {
    pub(super) fn of(response: &Response, method: &RequestMethod) -> Self {
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let seconds = header.and_then(|text| text.trim().parse::<u64>().ok());
        Self {
            retry_after: seconds.map(|seconds| Duration::from_secs(seconds.min(LONGEST_WAIT))),
            capability: capability(method),
        }
    }

    /// What `status` with `errors` means; `words` are the same, fit to be shown.
    pub(super) fn why(self, status: u16, errors: &[String], words: String, path: &str) -> Why {
        let says = |text: &str| errors.iter().any(|error| error.contains(text));
        let path = || path.trim().trim_start_matches('/').to_owned();
        match status {
            403 if says("invalid token") => Why::TokenDead,
            403 if errors == ["permission denied"] => Why::NoToken,
            403 => Why::Denied { capability: self.capability, path: path() },
            400 if says("wrapping token is not valid") => Why::WrappingGone,
            // The second of a token that is used up, and whose accessor the server still has.
            400 if says("invalid accessor") || says("token not found") => Why::NoSuchAccessor,
            // A login by JWT, whose method cannot ask the issuer (Nomad) for its keys now.
            400 if says("fetching keys") => Why::Server { status, words },
            404 => Why::NotFound { path: path(), words },
            413 => Why::Malformed { words },
            429 => Why::Busy { retry_after: self.retry_after },
            503 if says("Vault is sealed") => Why::Sealed,
            472..=474 => Why::NoLeader,
            500 if says("active cluster node not found") => Why::NoLeader,
            500 if MALFORMED.iter().any(|text| says(text)) => Why::Malformed { words },
            500.. => Why::Server { status, words },
            400..=499 => Why::Refused { status, words },
            _ => Why::Unexpected { expected: "status 200" },
        }
    }
}

fn capability(method: &RequestMethod) -> &'static str {
    match method {
        RequestMethod::GET => "read",
        RequestMethod::LIST => "list",
        RequestMethod::DELETE => "delete",
        _ => "update",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(status: u16, errors: &[&str]) -> Why {
        let errors: Vec<String> = errors.iter().map(|&error| error.to_owned()).collect();
        let refusal = Refusal { retry_after: Some(Duration::from_secs(5)), capability: "update" };
        refusal.why(status, &errors, errors.join("; "), "auth/token/create/runner")
    }

    #[test]
    fn each_refusal_of_the_real_server_is_told_apart() {
        let denied = "1 error occurred:\n\t* permission denied\n\n";
        let dead = "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n";
        assert!(matches!(why(403, &[denied]), Why::Denied { capability: "update", .. }));
        assert!(matches!(why(403, &[dead]), Why::TokenDead));
        assert!(matches!(why(403, &["permission denied"]), Why::NoToken));
        assert!(matches!(why(400, &["wrapping token is not valid or does not exist"]), Why::WrappingGone));
        assert!(matches!(why(400, &["1 error occurred:\n\t* invalid accessor\n\n"]), Why::NoSuchAccessor));
        assert!(matches!(why(400, &["token not found"]), Why::NoSuchAccessor));
        assert!(matches!(why(400, &["unknown role norole"]), Why::Refused { status: 400, .. }));
        let no_keys = "error validating token: error verifying token signature: fetching keys oidc: get keys failed Get \"http://n\"";
        assert!(matches!(why(400, &[no_keys]), Why::Server { status: 400, .. }));
        assert!(matches!(why(404, &[]), Why::NotFound { .. }));
        assert!(matches!(why(503, &["Vault is sealed"]), Why::Sealed));
        assert!(matches!(why(503, &[]), Why::Server { status: 503, .. }));
        assert!(matches!(why(474, &[]), Why::NoLeader));
        assert!(matches!(why(500, &["local node not active but active cluster node not found"]), Why::NoLeader));
        assert!(matches!(why(500, &["1 error occurred:\n\t* internal error\n\n"]), Why::Server { status: 500, .. }));
        assert!(matches!(why(500, &["JSON string value exceeds allowed length"]), Why::Malformed { .. }));
        assert!(matches!(why(500, &["duplicate key 'data' in object"]), Why::Malformed { .. }));
        assert!(matches!(why(413, &["http: request body too large"]), Why::Malformed { .. }));
        assert_eq!(why(429, &["rate limit quota exceeded"]).retry_after(), Some(Duration::from_secs(5)));
        assert!(matches!(why(202, &[]), Why::Unexpected { .. }));
    }

    #[test]
    fn a_refusal_names_the_path_and_the_capability() {
        let words = why(403, &["1 error occurred:\n\t* permission denied\n\n"]).to_string();
        assert!(words.contains("`update` on `auth/token/create/runner`"), "{words}");
    }
}
