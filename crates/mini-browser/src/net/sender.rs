//! The sending half of a connection, of whichever protocol TLS has agreed on.

use std::future::Future;

use futures_channel::oneshot;
use futures_util::future::Either;
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioExecutor;
use service_worker::NetworkErrorKind;

use super::client::Limits;
use super::describe;
use super::message::{Message, RequestBody};

/// How much of one response may have come that nobody has read, in bytes: a slow reader holds the server
/// back by that much.
const STREAM_WINDOW: u32 = 1 << 20;

/// How much of all responses of a connection together: so many times as much that readers who wait for one
/// another do not hold up the connection.
const CONNECTION_WINDOW: u32 = 64 << 20;

/// Sends requests over a connection.
pub(super) enum Sender {
    /// One after another.
    Http1(http1::SendRequest<RequestBody>),
    /// As many at once as the server allows.
    Http2(http2::SendRequest<RequestBody>),
}

/// A request as hyper has it.
type Request = hyper::Request<RequestBody>;

impl Sender {
    /// An HTTP/1.1 connection over `io`.
    pub(super) async fn http1(
        io: impl Read + Write + Unpin + Send + 'static,
        limits: &Limits,
    ) -> Result<Self, NetworkErrorKind> {
        let (sender, connection) = http1::Builder::new()
            .max_header_size(limits.max_head_bytes)
            .max_headers(limits.max_head_fields)
            .handshake(io)
            .await
            .map_err(|error| NetworkErrorKind::Http(describe(&error)))?;
        drive(connection);
        Ok(Self::Http1(sender))
    }

    /// An HTTP/2 connection over `io`.
    pub(super) async fn http2(
        io: impl Read + Write + Unpin + Send + 'static,
        limits: &Limits,
    ) -> Result<Self, NetworkErrorKind> {
        let max_head_bytes = u32::try_from(limits.max_head_bytes).unwrap_or(u32::MAX);
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(max_head_bytes)
            .handshake(io)
            .await
            .map_err(|error| NetworkErrorKind::Http(describe(&error)))?;
        drive(connection);
        Ok(Self::Http2(sender))
    }

    /// Whether it can send a request at once, as far as one can know.
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_ready(),
            Self::Http2(sender) => sender.is_ready(),
        }
    }

    /// Ends when it can send the next request; whether it ever can.
    pub(super) async fn becomes_ready(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Another half of the same connection, if it can carry several requests at once.
    pub(super) fn shared(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }

    /// Sends; with what is done when all of the request has been sent.
    pub(super) fn send(
        &mut self,
        message: Message,
    ) -> (
        impl Future<Output = Result<Response<Incoming>, TrySendError<Request>>> + use<>,
        oneshot::Receiver<()>,
    ) {
        match self {
            Self::Http1(sender) => {
                let (request, sent) = message.into_http1();
                (Either::Left(sender.try_send_request(request)), sent)
            }
            Self::Http2(sender) => {
                let (request, sent) = message.into_http2();
                (Either::Right(sender.try_send_request(request)), sent)
            }
        }
    }
}

/// Lets a connection run until its senders, and the bodies that it reads, are gone.
fn drive(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = describe(&error), "a connection ended");
        }
    });
}
