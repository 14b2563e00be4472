//! One accepted connection: HTTP until it ends or becomes a WebSocket.

use std::{convert::Infallible, sync::Arc};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    http::{self, Upgrade, UpgradeSlot},
    server::{Peer, Shared},
    websocket,
};

/// Largest head of an HTTP request.
const HEAD_MAX_BYTES: usize = 16 * 1024;

/// Serves a connection until it ends.
pub(crate) async fn serve<S>(server: Shared, peer: Peer, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Each stage is boxed, so that a WebSocket does not carry the room that its HTTP exchange needed.
    let Some(upgrade) = Box::pin(exchange(server.clone(), peer, stream)).await else { return };
    let stream = match upgrade.stream.await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%peer, %error, "upgrade to a WebSocket failed");
            return;
        }
    };
    let Ok(parts) = stream.downcast::<TokioIo<S>>() else {
        tracing::error!(%peer, "an upgraded connection is not the one that was served");
        return;
    };
    let (stream, read) = (parts.io.into_inner(), parts.read_buf);
    let connection = match upgrade.session {
        Some(session) => Box::pin(websocket::take_over(server, peer, session, stream, read)).await,
        None => Box::pin(websocket::start(server, peer, upgrade.revision, stream, read)).await,
    };
    if let Some(connection) = connection {
        Box::pin(websocket::serve(connection)).await;
    }
}

/// Answers HTTP requests until the connection ends, or asks to become a WebSocket.
async fn exchange<S>(server: Shared, peer: Peer, stream: S) -> Option<Upgrade>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let slot = UpgradeSlot::default();
    let service = service_fn(|request| {
        let answer = http::answer(server.clone(), peer, Arc::clone(&slot), request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(server.settings.header_timeout_secs)
            .max_buf_size(HEAD_MAX_BYTES)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = server.lifecycle().draining() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "HTTP connection ended");
    }
    Mutex::lock(&slot).take()
}
