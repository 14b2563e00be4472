//! A small HTTP/1.1 client that shows everything: connections are kept, nothing is repeated, nothing is hidden.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::PATIENCE;

/// One connection to an HTTP server. It never reconnects by itself.
#[derive(Debug)]
pub struct HttpClient {
    stream: BufReader<TcpStream>,
}

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl HttpClient {
    /// Connects.
    ///
    /// # Errors
    ///
    /// As the system refuses.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends one request, with a JSON body if there is one, and reads its answer.
    ///
    /// # Errors
    ///
    /// When the connection breaks or the answer is not HTTP.
    pub fn request(&mut self, method: &str, path: &str, body: Option<&str>) -> io::Result<Answer> {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        if let Some(body) = body {
            text +=
                &format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        } else {
            text += "\r\n";
        }
        self.send(text.as_bytes())?;
        self.read_answer(method == "HEAD")
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Says that nothing more will be sent.
    ///
    /// # Errors
    ///
    /// When the connection is broken already.
    pub fn end_sending(&self) -> io::Result<()> {
        self.stream.get_ref().shutdown(std::net::Shutdown::Write)
    }

    /// Reads the next answer.
    ///
    /// # Errors
    ///
    /// When the connection ends first, or what comes is not HTTP.
    pub fn read_answer(&mut self, without_body: bool) -> io::Result<Answer> {
        let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let line = self.line()?;
        let status = line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3))
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| wrong(format!("not a status line: {line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) =
                line.split_once(':').ok_or_else(|| wrong(format!("not a header: {line:?}")))?;
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        if without_body || status == 204 || status == 304 {
            return Ok(answer);
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = self.line()?;
                let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
                    .map_err(|_| wrong(format!("not a chunk size: {size:?}")))?;
                let start = answer.body.len();
                answer.body.resize(start + size, 0);
                self.stream.read_exact(&mut answer.body[start..])?;
                self.line()?;
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = answer.header("content-length").map(str::to_owned) {
            let length = length.parse().map_err(|_| wrong(format!("not a length: {length:?}")))?;
            answer.body.resize(length, 0);
            self.stream.read_exact(&mut answer.body)?;
        } else {
            self.stream.read_to_end(&mut answer.body)?;
        }
        Ok(answer)
    }

    /// Whether the server has closed the connection; waits for that or for something to read.
    ///
    /// # Errors
    ///
    /// When nothing happens for as long as patience lasts.
    pub fn is_closed(&mut self) -> io::Result<bool> {
        match self.stream.fill_buf() {
            Ok(bytes) => Ok(bytes.is_empty()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

impl Answer {
    /// The value of a header, whose name is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}), status {}: {}", self.status, self.text()))
    }

    /// The message of the error in the body.
    ///
    /// # Panics
    ///
    /// When the body is not a response with an error.
    pub fn error(&self) -> String {
        let json = self.json();
        json["error"]["message"].as_str().unwrap_or_else(|| panic!("no error in {json}")).to_owned()
    }
}
