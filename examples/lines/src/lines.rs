//! The protocol.

use std::io;
use std::sync::Arc;

use kuzzle_plugin_api::sdk::serde_json::{Value, json};
use kuzzle_plugin_api::sdk::tokio::io::{AsyncWrite, AsyncWriteExt, split};
use kuzzle_plugin_api::sdk::{
    ApiError, Connection, Host, Line, LineReader, PendingReply, Protocol, Received, Reply, WebSocket,
};
use kuzzle_plugin_api::sdk::{Blob, tokio};

kuzzle_plugin_api::settings! {
    /// What the protocol of lines can be told.
    pub struct Settings {
        /// Longest request, without its line end. A longer one is answered with an error and skipped.
        line_max_bytes: integer = 1_048_576, range 64..=67_108_864, unit "bytes";
    }
}

pub struct Lines {
    host: Host,
    line_max_bytes: u64,
}

impl Protocol for Lines {
    type Settings = Settings;
    const WEBSOCKET: Option<WebSocket> = Some(WebSocket::text());

    async fn start(host: Host, settings: Settings) -> Result<Self, ApiError> {
        Ok(Self { host, line_max_bytes: settings.line_max_bytes })
    }

    async fn serve(self: Arc<Self>, connection: Connection) -> io::Result<()> {
        let mut stopping = std::pin::pin!(connection.lifecycle().stopping());
        let opened = self.host.requests().open(&connection.info());
        let (input, mut output) = split(connection);
        let api = match opened {
            Ok(api) => api,
            Err(error) => return say_goodbye(&mut output, &error).await,
        };
        let mut requests = LineReader::new(input, self.line_max_bytes as usize);
        // One request at a time, so that responses come in the order of the requests.
        let (mut answer, mut is_answering) = (PendingReply::ready(Reply::cancelled()), false);
        let goodbye = loop {
            tokio::select! {
                reply = &mut answer, if is_answering => {
                    is_answering = false;
                    write_line(&mut output, &reply.body).await?;
                }
                request = requests.next(), if !is_answering => {
                    answer = match request? {
                        Some(Line::Whole(request)) => api.execute(request),
                        Some(Line::TooLong) => PendingReply::ready(Reply::from_error(&self.too_long())),
                        None => return output.shutdown().await,
                    };
                    is_answering = true;
                }
                received = api.received() => match received {
                    Received::Notification(notification) => write_line(&mut output, &notification.payload).await?,
                    Received::Closed { code, reason } => break ApiError::new(code, "lines.closed", reason),
                },
                () = &mut stopping => break ApiError::new(503, "lines.stopping", "the protocol is being stopped"),
            }
        };
        say_goodbye(&mut output, &goodbye).await
    }

    fn status(&self) -> Value {
        json!({ "memory_bytes": crate::allocator::bytes_in_use() })
    }
}

impl Lines {
    fn too_long(&self) -> ApiError {
        let message = format!("the request is longer than {} bytes; it was skipped", self.line_max_bytes);
        ApiError::new(413, "lines.too_long", message)
    }
}

async fn write_line(output: &mut (impl AsyncWrite + Unpin), json: &Blob) -> io::Result<()> {
    output.write_all(&[json.as_slice(), b"\n"].concat()).await
}

async fn say_goodbye(output: &mut (impl AsyncWrite + Unpin), reason: &ApiError) -> io::Result<()> {
    write_line(output, &Reply::from_error(reason).body).await?;
    output.shutdown().await
}
