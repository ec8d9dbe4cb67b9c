//! The event stream: news of all runs over one connection. It is a hint and nothing more: it begins with whatever the server
//! still has, without saying what is missing, and one that is refused looks like an empty one (1.11.3).

use std::time::Duration;

use serde::Deserialize;

use super::answer::Call;
use super::types::News;
use super::{Chunks, Client, ClientError, STREAM_TIMEOUT};

const STREAM: Call = Call { does: "following the event stream", needs: "read-job" };

/// The server says `{}` every 30 s; and at once, unless it refuses.
const HEARTBEAT: Duration = Duration::from_secs(45);

/// The longest line that is taken: an allocation with its task's events is about 10 KB.
const LONGEST: usize = 4 << 20;

/// An open stream.
#[derive(Debug)]
pub struct EventStream {
    chunks: Chunks,
    buffer: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Line {
    index: u64,
    events: Option<Vec<Event>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Event {
    payload: Option<Payload>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Payload {
    allocation: Option<About>,
    evaluation: Option<About>,
}

#[derive(Deserialize)]
struct About {
    #[serde(rename = "JobID")]
    job: String,
}

impl Client {
    /// Opens the stream of allocations and evaluations. It is open when its first line has come.
    ///
    /// # Errors
    /// [`ClientError`]; a refusal may show itself as an end before the first line.
    pub async fn events(&self) -> Result<EventStream, ClientError> {
        // `topic` stands twice, which the table of a query cannot say.
        let request = self.get("event/stream?topic=Allocation&topic=Evaluation").within(STREAM_TIMEOUT);
        let (response, room) = self.accepted(STREAM, request).await?;
        Ok(EventStream { chunks: Chunks::new(response, room, HEARTBEAT), buffer: Vec::new() })
    }
}

impl EventStream {
    /// The next line; `None` when the server has ended the stream.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn next(&mut self) -> Result<Option<News>, ClientError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return parse(&line).map(Some);
            }
            if self.buffer.len() > LONGEST {
                return Err(ClientError::NoAnswer { call: STREAM, detail: "a line without an end".to_owned() });
            }
            match self.chunks.next().await? {
                Some(bytes) => self.buffer.extend(bytes),
                None => return Ok(None),
            }
        }
    }
}

fn parse(line: &[u8]) -> Result<News, ClientError> {
    let line: Line = serde_json::from_slice(line).map_err(|source| ClientError::Garbled { call: STREAM, source })?;
    let payloads = line.events.unwrap_or_default().into_iter().filter_map(|event| event.payload);
    let mut news = News { index: line.index, ..News::default() };
    for payload in payloads {
        news.allocations.extend(payload.allocation.map(|about| about.job));
        news.evaluations.extend(payload.evaluation.map(|about| about.job));
    }
    Ok(news)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_jobs_that_it_is_about() {
        let line = br#"{"Index":7,"Events":[
            {"Topic":"Allocation","Payload":{"Allocation":{"ID":"1","JobID":"a/dispatch-1"}}},
            {"Topic":"Evaluation","Payload":{"Evaluation":{"ID":"2","JobID":"a/dispatch-2"}}},
            {"Topic":"Other","Payload":{"Node":{}}}]}"#;
        let news = parse(line).unwrap();
        assert_eq!((news.index, news.allocations), (7, vec!["a/dispatch-1".to_owned()]));
        assert_eq!(news.evaluations, ["a/dispatch-2"]);
        assert_eq!(parse(b"{}\n").unwrap(), News::default());
        assert!(parse(b"Permission denied\n").is_err());
    }
}
