//! Lines of bounded length from a stream of bytes.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Reads lines that end in a line feed, for protocols made of them.
///
/// A line that is too long is skipped without being kept, so a client can take no more memory than the limit allows.
pub struct LineReader<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    max_bytes: usize,
}

/// One line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// All of it; never blank.
    Whole(Vec<u8>),
    /// It was longer than the limit, and was skipped.
    TooLong,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// Reads from `input` lines of up to `max_bytes`, their ends not counted.
    pub fn new(input: R, max_bytes: usize) -> Self {
        Self { input: BufReader::new(input), line: Vec::new(), max_bytes }
    }

    /// The next line that is not blank. None at the end of the stream; the last line needs no end.
    ///
    /// Nothing is lost when it is given up half way, as by `select!`: what has come of a line is kept for the next call.
    ///
    /// # Errors
    ///
    /// When reading fails.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let bytes = self.input.fill_buf().await?;
            let is_end_of_stream = bytes.is_empty();
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
            // One byte beyond the longest line is kept, to know that it was there.
            let room = self.max_bytes.saturating_add(1).saturating_sub(self.line.len());
            self.line.extend_from_slice(part.get(..room).unwrap_or(part));
            let taken = end.map_or(bytes.len(), |end| end + 1);
            self.input.consume(taken);
            if end.is_none() && !is_end_of_stream {
                continue;
            }
            let line = std::mem::take(&mut self.line);
            if line.len() > self.max_bytes {
                return Ok(Some(Line::TooLong));
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(Line::Whole(line)));
            }
            if is_end_of_stream {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;

    /// Reads everything that comes in the given pieces, and gives every read up once before it goes on.
    fn read(pieces: &[&[u8]], max_bytes: usize) -> Vec<Line> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut near, far) = tokio::io::duplex(1_024);
            let mut reader = LineReader::new(far, max_bytes);
            let mut lines = Vec::new();
            for piece in pieces {
                near.write_all(piece).await.unwrap();
                while let Ok(next) = tokio::time::timeout(std::time::Duration::ZERO, reader.next()).await {
                    lines.extend(next.unwrap());
                }
            }
            drop(near);
            while let Some(line) = reader.next().await.unwrap() {
                lines.push(line);
            }
            lines
        })
    }

    #[test]
    fn blank_lines_long_lines_and_a_last_half_line() {
        let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
        assert_eq!(read(&[b"\r\n \n"], 4), []);
        assert_eq!(read(&[b"ab", b"cd\n", b"abcde\nx"], 4), [whole("abcd"), Line::TooLong, whole("x")]);
        assert_eq!(read(&[b"a\r\nb"], 4), [whole("a\r"), whole("b")]);
        assert_eq!(read(&[b"abcde"], 4), [Line::TooLong]);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_they_are_cut(
            lines in prop::collection::vec("[a-c ]{0,12}", 0..8),
            cuts in prop::collection::vec(0_usize..100, 0..6),
        ) {
            const MAX: usize = 8;
            let text = lines.join("\n").into_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([text.len()]) {
                pieces.push(&text[from..cut]);
                from = cut;
            }
            let expected: Vec<_> = lines
                .iter()
                .filter(|line| line.len() > MAX || !line.trim().is_empty())
                .map(|line| if line.len() > MAX { Line::TooLong } else { Line::Whole(line.clone().into_bytes()) })
                .collect();
            prop_assert_eq!(read(&pieces, MAX), expected);
        }
    }
}
