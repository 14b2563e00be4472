//! Bytes to frames, incrementally.

use std::{borrow::Cow, fmt};

use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;
use smallvec::SmallVec;

use super::{Command, UnknownEscape, Version, unescape};

/// How large frames may be. Each is met before memory is taken for what is beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLimits {
    /// Headers of a frame, those that repeat included. Default: 256.
    pub headers_max: usize,
    /// Octets of one header's line, or of the command. Default: 16 KiB.
    pub line_max_bytes: usize,
    /// Octets of the command and all headers together. Default: 64 KiB.
    pub head_max_bytes: usize,
    /// Octets of a body. Default: 128 MiB.
    pub body_max_bytes: usize,
}

impl Default for FrameLimits {
    fn default() -> FrameLimits {
        FrameLimits {
            headers_max: 256,
            line_max_bytes: 16 << 10,
            head_max_bytes: 64 << 10,
            body_max_bytes: 128 << 20,
        }
    }
}

/// Bytes that are no frame. The stream cannot be read on behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// What is wrong.
    pub problem: Problem,
    /// The frame's command, as far as it was read, for the text.
    pub command: Command,
}

/// What is wrong with bytes that should be a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// A header's line has no colon, or no name in front of it.
    HeaderWithoutColon,
    /// A carriage return that is not part of a line's end (1.2).
    StrayCarriageReturn,
    /// Command and headers are no UTF-8.
    NotUtf8,
    /// `content-length` is no number.
    ContentLength,
    /// Behind `content-length` octets there is no NUL.
    NoNul,
    /// A line is longer than so many octets.
    LineTooLong(usize),
    /// Command and headers are larger than so many octets.
    HeadTooLarge(usize),
    /// There are more headers than so many.
    TooManyHeaders(usize),
    /// The body is larger than so many octets.
    BodyTooLarge(usize),
    /// An escape that the version does not have.
    Escape,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = if self.command == Command::Unknown { "a" } else { self.command.name() };
        match self.problem {
            Problem::HeaderWithoutColon => {
                write!(f, "{command} frame has a header line without a name and a colon")
            }
            Problem::StrayCarriageReturn => {
                write!(f, "{command} frame has a carriage return within a line, which is written as \\r")
            }
            Problem::NotUtf8 => write!(f, "{command} frame has headers that are not UTF-8"),
            Problem::ContentLength => write!(f, "{command} frame has a content-length that is not a number"),
            Problem::NoNul => {
                write!(
                    f,
                    "{command} frame has no NUL octet behind the body that its content-length announces"
                )
            }
            Problem::LineTooLong(max) => write!(f, "{command} frame has a line of more than {max} octets"),
            Problem::HeadTooLarge(max) => write!(f, "{command} frame has headers of more than {max} octets"),
            Problem::TooManyHeaders(max) => write!(f, "{command} frame has more than {max} headers"),
            Problem::BodyTooLarge(max) => write!(f, "{command} frame has a body of more than {max} octets"),
            Problem::Escape => {
                write!(f, "{command} frame has an escape that is not one of \\n, \\c, \\\\ and \\r")
            }
        }
    }
}

impl std::error::Error for DecodeError {}

/// Where a header stands in its frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Span {
    begin: u32,
    colon: u32,
    end: u32,
}

/// Headers of most frames; more are kept elsewhere.
type Spans = SmallVec<[Span; 8]>;

/// A frame of a client. It keeps the memory of what was read, and copies nothing.
#[derive(Debug, Clone)]
pub struct Frame {
    command: Command,
    /// Command and headers.
    head: ByteString,
    command_end: u32,
    spans: Spans,
    body: Bytes,
    /// How its headers are written.
    version: Version,
}

impl Frame {
    /// What it is for.
    #[must_use]
    pub fn command(&self) -> Command {
        self.command
    }

    /// Its first line, whatever that says.
    #[must_use]
    pub fn command_text(&self) -> &str {
        self.head.get(..self.command_end as usize).unwrap_or_default()
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Names and values as they are written, in their order, repeated ones too. In 1.0 without the spaces in front of a
    /// value.
    pub fn raw_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.spans.iter().map(|span| self.raw(*span))
    }

    fn raw(&self, span: Span) -> (&str, &str) {
        let name = self.head.get(span.begin as usize..span.colon as usize).unwrap_or_default();
        let value = self.head.get(span.colon as usize + 1..span.end as usize).unwrap_or_default();
        let value = if self.version == Version::V1_0 { value.trim_start_matches(' ') } else { value };
        (name, value)
    }

    /// The version whose escapes its headers have: 1.0, which has none, for `CONNECT`.
    fn escapes(&self) -> Version {
        if self.command == Command::Connect { Version::V1_0 } else { self.version }
    }

    /// Names and values, unescaped, in their order. Of headers that repeat, the first counts (1.2, "Repeated Header
    /// Entries").
    pub fn headers(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        let is_first = |index: usize, span: Span| {
            let (name, _) = self.raw(span);
            self.spans[..index].iter().all(|before| self.raw(*before).0 != name)
        };
        self.spans.iter().enumerate().filter(move |(index, span)| is_first(*index, **span)).filter_map(
            |(_, span)| {
                let (name, value) = self.raw(*span);
                Some((unescape(name, self.escapes()).ok()?, unescape(value, self.escapes()).ok()?))
            },
        )
    }

    /// The value of a header, unescaped; of those that repeat, the first. `name` is one that has nothing to escape.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        let value = self.raw_headers().find_map(|(found, value)| (found == name).then_some(value))?;
        unescape(value, self.escapes()).ok()
    }

    fn check_escapes(&self) -> Result<(), UnknownEscape> {
        if self.escapes() == Version::V1_0 || memchr::memchr(b'\\', self.head.as_bytes()).is_none() {
            return Ok(());
        }
        for (name, value) in self.raw_headers() {
            unescape(name, self.escapes())?;
            unescape(value, self.escapes())?;
        }
        Ok(())
    }
}

/// Where the decoder stands within a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Line ends between frames are skipped.
    Between,
    /// The line that begins at this offset is read.
    Line { begin: usize },
    /// The body begins at `begin` and has `length` octets.
    Counted { begin: usize, length: usize },
    /// The body begins at `begin` and goes to the next NUL.
    ToNul { begin: usize },
}

/// Takes frames out of a buffer. What it has looked at it does not look at again, however the bytes come.
#[derive(Debug)]
pub struct Decoder {
    part: Part,
    /// Octets that are known to hold no end of what is looked for.
    scanned: usize,
    command: Command,
    command_end: usize,
    spans: Spans,
    /// The first `content-length`.
    length: Option<usize>,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    #[must_use]
    pub fn new() -> Decoder {
        Decoder {
            part: Part::Between,
            scanned: 0,
            command: Command::Unknown,
            command_end: 0,
            spans: Spans::new(),
            length: None,
        }
    }

    /// Whether the input ends within a frame.
    #[must_use]
    pub fn is_within_frame(&self) -> bool {
        self.part != Part::Between
    }

    /// Takes the next frame from the front of `input`, which holds what the last call left and what was read since. `None`
    /// when it is not whole yet. Line ends between frames, which are heart-beats, are taken away.
    ///
    /// # Errors
    /// When the bytes are no frame, or one beyond the limits. Nothing can be read behind it.
    pub fn decode(
        &mut self,
        input: &mut BytesMut,
        version: Version,
        limits: &FrameLimits,
    ) -> Result<Option<Frame>, DecodeError> {
        self.advance(input, version, limits).map_err(|problem| DecodeError { problem, command: self.command })
    }

    fn advance(
        &mut self,
        input: &mut BytesMut,
        version: Version,
        limits: &FrameLimits,
    ) -> Result<Option<Frame>, Problem> {
        loop {
            match self.part {
                Part::Between => {
                    let ends = input.iter().take_while(|octet| matches!(octet, b'\n' | b'\r')).count();
                    input.advance(ends);
                    if input.is_empty() {
                        return Ok(None);
                    }
                    self.scanned = 0;
                    self.command = Command::Unknown;
                    self.command_end = 0;
                    self.length = None;
                    self.spans.clear();
                    self.part = Part::Line { begin: 0 };
                }
                Part::Line { begin } => {
                    let Some(at) = memchr::memchr(b'\n', &input[self.scanned..]) else {
                        self.scanned = input.len();
                        check_line(begin, input.len(), limits)?;
                        return Ok(None);
                    };
                    let end = self.scanned + at;
                    check_line(begin, end, limits)?;
                    self.scanned = end + 1;
                    self.part = Part::Line { begin: end + 1 };
                    let line = &input[begin..end];
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    if begin == 0 {
                        self.command = Command::of(line);
                        self.command_end = line.len();
                    } else if line.is_empty() {
                        self.part = self.body(end + 1, limits)?;
                    } else {
                        self.header(line, begin, version, limits)?;
                    }
                }
                Part::Counted { begin, length } => {
                    let end = begin + length;
                    match input.get(end) {
                        None => return Ok(None),
                        Some(0) => return self.frame(input, begin, end, version).map(Some),
                        Some(_) => return Err(Problem::NoNul),
                    }
                }
                Part::ToNul { begin } => {
                    let Some(at) = memchr::memchr(0, &input[self.scanned..]) else {
                        self.scanned = input.len();
                        if input.len() - begin > limits.body_max_bytes {
                            return Err(Problem::BodyTooLarge(limits.body_max_bytes));
                        }
                        return Ok(None);
                    };
                    let end = self.scanned + at;
                    if end - begin > limits.body_max_bytes {
                        return Err(Problem::BodyTooLarge(limits.body_max_bytes));
                    }
                    return self.frame(input, begin, end, version).map(Some);
                }
            }
        }
    }

    fn header(
        &mut self,
        line: &[u8],
        begin: usize,
        version: Version,
        limits: &FrameLimits,
    ) -> Result<(), Problem> {
        if self.spans.len() >= limits.headers_max {
            return Err(Problem::TooManyHeaders(limits.headers_max));
        }
        let colon =
            memchr::memchr(b':', line).filter(|colon| *colon > 0).ok_or(Problem::HeaderWithoutColon)?;
        if version == Version::V1_2 && memchr::memchr(b'\r', line).is_some() {
            return Err(Problem::StrayCarriageReturn);
        }
        if self.length.is_none() && &line[..colon] == b"content-length" {
            let digits = std::str::from_utf8(&line[colon + 1..]).map_err(|_| Problem::NotUtf8)?;
            let length = digits.trim_matches(' ');
            if length.is_empty() || !length.bytes().all(|digit| digit.is_ascii_digit()) {
                return Err(Problem::ContentLength);
            }
            // More digits than a size has are too many octets.
            self.length = Some(length.parse().unwrap_or(usize::MAX));
        }
        let place = |offset: usize| u32::try_from(begin + offset).unwrap_or(u32::MAX);
        self.spans.push(Span { begin: place(0), colon: place(colon), end: place(line.len()) });
        Ok(())
    }

    fn body(&self, begin: usize, limits: &FrameLimits) -> Result<Part, Problem> {
        match self.length {
            Some(length) if length > limits.body_max_bytes => {
                Err(Problem::BodyTooLarge(limits.body_max_bytes))
            }
            Some(length) => Ok(Part::Counted { begin, length }),
            None => Ok(Part::ToNul { begin }),
        }
    }

    fn frame(
        &mut self,
        input: &mut BytesMut,
        begin: usize,
        end: usize,
        version: Version,
    ) -> Result<Frame, Problem> {
        self.part = Part::Between;
        let mut bytes = input.split_to(end + 1).freeze();
        bytes.truncate(end);
        let body = bytes.split_off(begin);
        let head = ByteString::try_from(bytes).map_err(|_| Problem::NotUtf8)?;
        let frame = Frame {
            command: self.command,
            head,
            command_end: u32::try_from(self.command_end).unwrap_or(u32::MAX),
            spans: std::mem::take(&mut self.spans),
            body,
            version,
        };
        frame.check_escapes().map_err(|UnknownEscape| Problem::Escape)?;
        Ok(frame)
    }
}

/// Whether the line from `begin` to `end` is within the limits. The one that is met first is told, so that it does not
/// depend on how the bytes came.
fn check_line(begin: usize, end: usize, limits: &FrameLimits) -> Result<(), Problem> {
    let line_end = begin.saturating_add(limits.line_max_bytes);
    if end > line_end && line_end <= limits.head_max_bytes {
        return Err(Problem::LineTooLong(limits.line_max_bytes));
    }
    if end > limits.head_max_bytes {
        return Err(Problem::HeadTooLarge(limits.head_max_bytes));
    }
    Ok(())
}
