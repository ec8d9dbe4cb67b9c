//! As much HTTP/1.1 as a proxy needs that spoils answers: heads, bodies by length, by chunks, or to the end of the connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// How much body follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Length(u64),
    Chunks,
    ToTheEnd,
}

/// A request or an answer.
#[derive(Debug)]
pub(crate) struct Message {
    /// The first line and the header lines, without their line ends.
    lines: Vec<String>,
    /// As it was on the wire, chunks and all.
    body: Vec<u8>,
}

impl Message {
    /// `None`: the other side has closed the connection in good order.
    pub(crate) fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return if lines.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            match line.trim_end() {
                "" if lines.is_empty() => {}
                "" => return Ok(Some(Self { lines, body: Vec::new() })),
                line => lines.push(line.to_owned()),
            }
        }
    }

    /// The head of the real answer, after any 1xx.
    pub(crate) fn read_answer_head(reader: &mut impl BufRead) -> io::Result<Self> {
        loop {
            let mut head = Self::read_head(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if !head.status().starts_with('1') {
                // The server's connection is not the client's.
                head.remove("connection");
                return Ok(head);
            }
        }
    }

    pub(crate) fn with_body(mut self, reader: &mut impl BufRead, size: impl Fn(&Self) -> Body) -> io::Result<Self> {
        let size = size(&self);
        let mut body = Vec::new();
        copy(reader, &mut body, size)?;
        self.body = body;
        Ok(self)
    }

    /// Passes this head and then the body on, as it comes.
    pub(crate) fn stream_body(
        mut self,
        reader: &mut impl BufRead,
        mut client: &TcpStream,
        head_only: bool,
    ) -> io::Result<()> {
        let size = Body::of_answer(&self, head_only);
        if size == Body::ToTheEnd {
            self.lines.push("Connection: close".to_owned());
        }
        client.write_all(&self.bytes())?;
        copy(reader, &mut client, size)?;
        // The end of such a body is the end of the connection, which is thereby not an error.
        if size == Body::ToTheEnd { client.shutdown(std::net::Shutdown::Write) } else { Ok(()) }
    }

    pub(crate) fn method(&self) -> &str {
        self.lines[0].split(' ').next().unwrap_or_default()
    }

    /// `METHOD path?query`
    pub(crate) fn target(&self) -> String {
        self.lines[0].rsplit_once(' ').unwrap_or_default().0.to_owned()
    }

    pub(crate) fn expects_continue(&self) -> bool {
        self.header("expect").is_some()
    }

    /// The bytes of a request that has its connection for itself.
    pub(crate) fn for_one_connection(&self) -> Vec<u8> {
        let mut lines = self.lines.clone();
        lines.retain(|line| !is_header(line, "connection") && !is_header(line, "expect"));
        lines.push("Connection: close".to_owned());
        Self { lines, body: self.body.clone() }.bytes()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        [(self.lines.join("\r\n") + "\r\n\r\n").as_bytes(), &self.body].concat()
    }

    /// The whole head, and half of the body (half of the head when there is no body).
    pub(crate) fn half(&self) -> Vec<u8> {
        let mut bytes = self.bytes();
        let cut = if self.body.is_empty() { bytes.len() / 2 } else { bytes.len() - self.body.len().div_ceil(2) };
        bytes.truncate(cut);
        bytes
    }

    fn status(&self) -> &str {
        self.lines[0].split(' ').nth(1).unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.lines[1..].iter().find(|line| is_header(line, name)).map(|line| line[name.len() + 1..].trim())
    }

    fn remove(&mut self, name: &str) {
        self.lines.retain(|line| !is_header(line, name));
    }
}

impl Body {
    pub(crate) fn of_request(head: &Message) -> Self {
        Self::said(head).unwrap_or(Self::Length(0))
    }

    pub(crate) fn of_answer(head: &Message, head_only: bool) -> Self {
        if head_only || matches!(head.status(), "204" | "304") {
            return Self::Length(0);
        }
        Self::said(head).unwrap_or(Self::ToTheEnd)
    }

    fn said(head: &Message) -> Option<Self> {
        if head.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return Some(Self::Chunks);
        }
        head.header("content-length").map(|length| Self::Length(length.parse().unwrap()))
    }
}

fn is_header(line: &str, name: &str) -> bool {
    line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
}

/// Copies a body of that size, each piece as soon as it is there.
fn copy(reader: &mut impl BufRead, writer: &mut impl Write, size: Body) -> io::Result<()> {
    match size {
        Body::Length(length) => copy_exactly(reader, writer, length),
        Body::ToTheEnd => io::copy(reader, writer).map(drop),
        Body::Chunks => loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let length = line.split(';').next().unwrap_or_default().trim();
            let length = u64::from_str_radix(length, 16).map_err(io::Error::other)?;
            writer.write_all(line.as_bytes())?;
            // Each chunk, also the last and empty one, ends with an empty line; nobody here sends trailers.
            copy_exactly(reader, writer, length + 2)?;
            if length == 0 {
                return Ok(());
            }
        },
    }
}

fn copy_exactly(reader: &mut impl Read, writer: &mut impl Write, length: u64) -> io::Result<()> {
    if io::copy(&mut reader.take(length), writer)? == length {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// What a server says that failed after its work.
pub(crate) fn error(status: u16) -> Vec<u8> {
    let text = "broken on purpose";
    let head = format!("HTTP/1.1 {status} Error\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n", text.len());
    format!("{head}Connection: close\r\n\r\n{text}").into_bytes()
}

/// What a portal on the way says.
pub(crate) fn page() -> Vec<u8> {
    let text = "<html><body>Please sign in</body></html>";
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n", text.len());
    format!("{head}Connection: close\r\n\r\n{text}").into_bytes()
}

/// Returns when the client has closed its side.
pub(crate) fn until_closed(client: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    while !reader.fill_buf()?.is_empty() {
        let read = reader.buffer().len();
        reader.consume(read);
    }
    Ok(())
}

/// The end of the connection is a reset, as from a machine that went away.
pub(crate) fn reset_on_close(client: &TcpStream) -> io::Result<()> {
    rustix::net::sockopt::set_socket_linger(client, Some(std::time::Duration::ZERO))?;
    Ok(())
}
