//! Requests that `vaultrs` lacks, or has without a field that is needed. They go the same way as its own endpoint types.

use rustify::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use serde_json::Value;

/// A method, a path below `/v1` and a body.
pub struct Call {
    method: RequestMethod,
    path: String,
    body: Option<Value>,
}

impl Call {
    /// Reads `path`.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: RequestMethod::GET, path: path.into(), body: None }
    }

    /// Lists what is below `path`.
    pub fn list(path: impl Into<String>) -> Self {
        Self { method: RequestMethod::LIST, path: path.into(), body: None }
    }

    /// Writes `body` to `path`.
    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: RequestMethod::POST, path: path.into(), body: Some(body) }
    }

    /// Posts to `path` without a body: for an unwrap, whose token stands in the header alone. In both places it would be spent
    /// before it is used.
    pub fn post_nothing(path: impl Into<String>) -> Self {
        Self { method: RequestMethod::POST, path: path.into(), body: None }
    }

    /// Removes what is at `path`.
    pub fn delete(path: impl Into<String>) -> Self {
        Self { method: RequestMethod::DELETE, path: path.into(), body: None }
    }
}

impl Endpoint for Call {
    /// Never decoded by rustify: its errors carry the whole body.
    type Response = Value;
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        self.path.clone()
    }

    fn method(&self) -> RequestMethod {
        self.method.clone()
    }

    fn body(&self) -> Result<Option<Vec<u8>>, ClientError> {
        Ok(self.body.as_ref().map(|body| body.to_string().into_bytes()))
    }
}
