//! The frames of a log: JSON objects back to back, without anything between them, cut anywhere by the network. Pure.
//!
//! A frame says from which file its bytes are. It also says at which offset, and that is wrong for short frames (25 of 83, seen on 1.11.3);
//! so bytes are counted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// Something else than frames came: the server has put an error text behind them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log is no sequence of frames: {0}")]
pub(super) struct NoFrame(String);

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// `{}`: nothing new for a second.
    Idle,
    /// Bytes of the file with this number.
    Bytes { file: u32, data: Vec<u8> },
    /// Something happened to a file: it was collected.
    FileEvent,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raw {
    data: Option<String>,
    file: Option<String>,
    file_event: Option<String>,
}

/// Bytes that are not yet a whole frame.
#[derive(Debug, Default)]
pub(super) struct Frames(Vec<u8>);

impl Frames {
    /// The frames that are whole with `bytes`.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, NoFrame> {
        self.0.extend_from_slice(bytes);
        let mut stream = serde_json::Deserializer::from_slice(&self.0).into_iter::<Raw>();
        let (mut frames, mut done) = (Vec::new(), 0);
        loop {
            match stream.next() {
                None => break,
                Some(Ok(raw)) => {
                    frames.push(frame(raw)?);
                    done = stream.byte_offset();
                }
                Some(Err(error)) if error.is_eof() => break,
                Some(Err(_)) => {
                    let said = self.0.get(done..).unwrap_or_default();
                    return Err(NoFrame(String::from_utf8_lossy(said).chars().take(200).collect()));
                }
            }
        }
        self.0.drain(..done);
        Ok(frames)
    }
}

fn frame(raw: Raw) -> Result<Frame, NoFrame> {
    let Some(name) = raw.file else { return Ok(Frame::Idle) };
    if raw.file_event.is_some_and(|event| !event.is_empty()) {
        return Ok(Frame::FileEvent);
    }
    let number = name.rsplit('.').next().and_then(|number| number.parse().ok());
    let data = STANDARD.decode(raw.data.unwrap_or_default()).ok();
    match (number, data) {
        (Some(file), Some(data)) => Ok(Frame::Bytes { file, data }),
        _ => Err(NoFrame(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_put_together_however_the_network_cut_them() {
        let text = br#"{"Data":"bGluZSAxCg==","File":"alloc/logs/runner.stdout.2","Offset":7}{}{"Data":"eA==","File":"alloc/logs/runner.stdout.3"}"#;
        for cut in 1..text.len() {
            let (mut frames, mut all) = (Frames::default(), Vec::new());
            for part in [&text[..cut], &text[cut..]] {
                all.extend(frames.take(part).unwrap());
            }
            let expected = [
                Frame::Bytes { file: 2, data: b"line 1\n".to_vec() },
                Frame::Idle,
                Frame::Bytes { file: 3, data: b"x".to_vec() },
            ];
            assert_eq!(all, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_text_behind_the_frames_is_an_error_with_its_words() {
        let mut frames = Frames::default();
        let deleted = br#"{"File":"alloc/logs/runner.stdout.0","FileEvent":"file deleted"}"#;
        assert_eq!(frames.take(deleted).unwrap(), [Frame::FileEvent]);
        let error = frames.take(b"failed to list entries: open").unwrap_err();
        assert!(error.to_string().contains("failed to list entries"), "{error}");
    }
}
