//! Reading a request's body within its limits.

use std::fmt;
use std::io::Read;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use futures_util::{Stream, StreamExt};
use serde_json::Value;

/// Why a body cannot be used.
#[derive(Debug)]
pub(super) enum BodyError {
    /// It is longer than so many bytes, as sent or once inflated.
    TooLarge(usize),
    /// It did not arrive in time.
    Late(Duration),
    /// The connection broke.
    Broken(String),
    /// It is compressed in a way that is not understood, or damaged.
    Encoding(String),
    /// It is not JSON.
    Json(String),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(limit) => write!(f, "request entity too large: at most {limit} bytes are taken"),
            Self::Late(limit) => write!(f, "the body did not arrive within {} seconds", limit.as_secs()),
            Self::Broken(reason) => write!(f, "the body could not be read: {reason}"),
            Self::Encoding(reason) => f.write_str(reason),
            Self::Json(reason) => write!(f, "invalid json: {reason}"),
        }
    }
}

/// What a body must keep to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Most bytes, as sent and once inflated.
    pub(super) bytes_max: usize,
    /// Most time until the last byte.
    pub(super) time_max: Duration,
}

/// Reads a whole body. `announced` is its length when the client told it.
pub(super) async fn read<S, B, E>(body: S, announced: Option<u64>, bounds: Bounds) -> Result<Bytes, BodyError>
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
    E: fmt::Display,
{
    if announced
        .is_some_and(|length| usize::try_from(length).map_or(true, |length| length > bounds.bytes_max))
    {
        return Err(BodyError::TooLarge(bounds.bytes_max));
    }
    let whole = async {
        let mut body = std::pin::pin!(body);
        let mut first: Option<Bytes> = None;
        let mut rest = BytesMut::new();
        while let Some(chunk) = body.next().await {
            let mut chunk = chunk.map_err(|error| BodyError::Broken(error.to_string()))?;
            let length = first.as_ref().map_or(0, Bytes::len) + rest.len() + chunk.remaining();
            if length > bounds.bytes_max {
                return Err(BodyError::TooLarge(bounds.bytes_max));
            }
            let chunk = chunk.copy_to_bytes(chunk.remaining());
            // Most bodies come in one chunk, which is then used as it is.
            match &first {
                None => first = Some(chunk),
                Some(_) => rest.extend_from_slice(&chunk),
            }
        }
        let first = first.unwrap_or_default();
        if rest.is_empty() {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(first.len() + rest.len());
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&rest);
        Ok(whole.freeze())
    };
    match tokio::time::timeout(bounds.time_max, whole).await {
        Ok(result) => result,
        Err(_) => Err(BodyError::Late(bounds.time_max)),
    }
}

/// Undoes a `Content-Encoding`.
pub(super) fn inflate(body: Bytes, encoding: Option<&str>, bounds: Bounds) -> Result<Bytes, BodyError> {
    let encoding = encoding.map(str::trim).unwrap_or_default();
    if encoding.is_empty() || encoding.eq_ignore_ascii_case("identity") {
        return Ok(body);
    }
    if encoding.eq_ignore_ascii_case("gzip") {
        return take(GzDecoder::new(body.as_ref()), bounds);
    }
    if encoding.eq_ignore_ascii_case("deflate") {
        // The name means the zlib format, yet some clients send the bare stream; its first byte tells them apart.
        const ZLIB_DEFLATE: u8 = 8;
        return if body.first().is_some_and(|byte| byte & 0x0f == ZLIB_DEFLATE) {
            take(ZlibDecoder::new(body.as_ref()), bounds)
        } else {
            take(DeflateDecoder::new(body.as_ref()), bounds)
        };
    }
    Err(BodyError::Encoding(format!(
        "unsupported content encoding `{encoding}`, expected `gzip`, `deflate` or `identity`"
    )))
}

fn take(decoder: impl Read, bounds: Bounds) -> Result<Bytes, BodyError> {
    let mut inflated = Vec::new();
    let limit = u64::try_from(bounds.bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    decoder
        .take(limit)
        .read_to_end(&mut inflated)
        .map_err(|error| BodyError::Encoding(format!("the compressed body is damaged: {error}")))?;
    if inflated.len() > bounds.bytes_max {
        return Err(BodyError::TooLarge(bounds.bytes_max));
    }
    Ok(inflated.into())
}

/// Parses a payload: an object or an array; none when there are no bytes.
pub(super) fn parse(body: &[u8]) -> Result<Option<Value>, BodyError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    match serde_json::from_slice(body) {
        Ok(payload @ (Value::Object(_) | Value::Array(_))) => Ok(Some(payload)),
        Ok(_) => Err(BodyError::Json("the root must be an object or an array".to_owned())),
        Err(error) => Err(BodyError::Json(error.to_string())),
    }
}

/// Parses the payload of an import: an array, or its lines one after the other, as `_bulk` of Elasticsearch takes them.
pub(super) fn parse_lines(body: &[u8]) -> Result<Option<Value>, BodyError> {
    if body.iter().find(|byte| !byte.is_ascii_whitespace()).is_none_or(|first| *first == b'[') {
        return parse(body);
    }
    let lines: Result<Vec<Value>, _> = serde_json::Deserializer::from_slice(body).into_iter().collect();
    let lines = lines.map_err(|error| BodyError::Json(error.to_string()))?;
    match lines.as_slice() {
        // The only line that can stand alone; another object is a body like any other.
        [Value::Object(fields)] if !(fields.len() == 1 && fields.contains_key("delete")) => parse(body),
        _ => Ok(Some(Value::Array(lines))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use std::io::Write;

    const BOUNDS: Bounds = Bounds { bytes_max: 100, time_max: Duration::from_secs(5) };

    async fn read_chunks(chunks: &[&'static str], announced: Option<u64>) -> Result<Bytes, BodyError> {
        let chunks: Vec<_> =
            chunks.iter().map(|chunk| Ok::<_, String>(Bytes::from_static(chunk.as_bytes()))).collect();
        read(futures_util::stream::iter(chunks), announced, BOUNDS).await
    }

    #[tokio::test]
    async fn chunks_are_joined_and_counted() {
        assert_eq!(read_chunks(&["ab", "", "c"], None).await.unwrap(), "abc");
        assert_eq!(read_chunks(&[], None).await.unwrap(), "");
        let long: &'static str = Box::leak("x".repeat(60).into_boxed_str());
        assert!(matches!(read_chunks(&[long, long], None).await, Err(BodyError::TooLarge(100))));
        assert!(matches!(read_chunks(&[], Some(101)).await, Err(BodyError::TooLarge(100))));
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let endless = futures_util::stream::pending::<Result<Bytes, String>>();
        let bounds = Bounds { time_max: Duration::from_millis(20), ..BOUNDS };
        assert!(matches!(read(endless, None, bounds).await, Err(BodyError::Late(_))));
    }

    #[test]
    fn compressed_bodies_are_inflated_within_the_limit() {
        let gzip = |text: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(text).unwrap();
            Bytes::from(encoder.finish().unwrap())
        };
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(b"{}").unwrap();
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
        bare.write_all(b"[1]").unwrap();
        assert_eq!(inflate(gzip(b"{}"), Some("GZip"), BOUNDS).unwrap(), "{}");
        assert_eq!(inflate(zlib.finish().unwrap().into(), Some("deflate"), BOUNDS).unwrap(), "{}");
        assert_eq!(inflate(bare.finish().unwrap().into(), Some("deflate"), BOUNDS).unwrap(), "[1]");
        let bomb = gzip(&vec![b' '; 1 << 20]);
        assert!(matches!(inflate(bomb, Some("gzip"), BOUNDS), Err(BodyError::TooLarge(100))));
        assert!(matches!(inflate("no".into(), Some("gzip"), BOUNDS), Err(BodyError::Encoding(_))));
        assert!(matches!(inflate("no".into(), Some("br"), BOUNDS), Err(BodyError::Encoding(_))));
    }

    #[test]
    fn an_import_may_come_in_lines() {
        let lines = |text: &str| parse_lines(text.as_bytes()).map(Option::unwrap_or_default);
        let two = serde_json::json!([{"index": {}}, {"a": 1}]);
        for text in
            ["{\"index\":{}}\n{\"a\":1}\n", "{\"index\":{}}\r\n\r\n{\"a\":1}", "[{\"index\":{}},{\"a\":1}]"]
        {
            assert_eq!(lines(text).unwrap(), two, "{text}");
        }
        assert_eq!(lines("{\"delete\":{}}\n").unwrap(), serde_json::json!([{"delete": {}}]));
        assert_eq!(lines("{\"body\":[]}").unwrap(), serde_json::json!({"body": []}));
        assert_eq!(lines("\n").unwrap(), Value::Null);
        let torn = lines("{\"index\":{}}\n{\"a\":").unwrap_err().to_string();
        assert!(torn.contains("line 2"), "{torn}");
    }

    #[test]
    fn the_root_is_an_object_or_an_array() {
        assert_eq!(parse(b" \n").unwrap(), None);
        assert!(parse(b"[1]").unwrap().is_some());
        assert!(matches!(parse(b"1"), Err(BodyError::Json(_))));
        assert!(parse(b"{\"a\":").unwrap_err().to_string().contains("line 1 column"));
    }
}
