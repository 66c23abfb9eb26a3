//! A server on loopback, for HTTP/2 and HTTP/1.1 over TLS or HTTP/1.1 without, that keeps a log of what it was asked and
//! what it sent.
//!
//! ```
//! use mini_browser::net::server::{Server, ServerRequest, ServerResponse};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let server = Server::start("127.0.0.1:0".parse()?, None, async |request: ServerRequest| {
//!     match request.path() {
//!         "/" => ServerResponse::ok("text/plain", "hello"),
//!         _ => ServerResponse::status(http::StatusCode::NOT_FOUND),
//!     }
//! })
//! .await?;
//! println!("listening on http://{}/", server.local_addr());
//! assert!(server.log().is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod exchange;
mod log;

pub use exchange::{ServerRequest, ServerResponse};
pub use log::LogEntry;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use self::exchange::{Exchange, Handler};
use self::log::Log;

const MAX_HEAD_BYTES: u32 = 256 * 1024;
const HTTP_2: &[u8] = b"h2";
const MAX_HEAD_FIELDS: usize = 256;
/// How long a client may take for the TLS handshake, and for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long answers that have begun may take once the server is to stop.
const GRACE: Duration = Duration::from_secs(5);

/// A running server. Dropping it stops it: it takes no more connections, and answers that have
/// begun have five seconds to end.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    log: Log,
    stop: watch::Sender<Stop>,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    No,
    Graceful,
    AtOnce,
}

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Its address is not to be had.
    #[error("cannot listen on {address}: {source} ({advice})")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
        /// What to do about it.
        advice: &'static str,
    },
}

impl Server {
    /// Listens on `address` (port 0: any free one) and answers every request with what `handler`
    /// gives. Needs a tokio runtime with its I/O and time drivers.
    ///
    /// # Errors
    /// [`ServerError::Bind`], if the address is in use or is none of this machine's.
    pub async fn start<H, F>(
        address: SocketAddr,
        tls: Option<ServerConfig>,
        handler: H,
    ) -> Result<Self, ServerError>
    where
        H: Fn(ServerRequest) -> F + Send + Sync + 'static,
        F: Future<Output = ServerResponse> + Send + 'static,
    {
        let bind_error = |source: io::Error| ServerError::Bind {
            address,
            advice: advice(&source),
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(bind_error)?;
        let local_addr = listener.local_addr().map_err(bind_error)?;
        let log = Log::default();
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        let acceptor = Acceptor {
            scheme: if tls.is_some() { "https" } else { "http" },
            tls: tls.map(|config| TlsAcceptor::from(Arc::new(config))),
            handler,
            log: log.clone(),
        };
        let (stop, stopping) = watch::channel(Stop::No);
        Ok(Self {
            local_addr,
            log,
            stop,
            task: tokio::spawn(serve(listener, acceptor, stopping)),
        })
    }

    /// The address that it listens on, with its port.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What was asked and sent so far, in the order in which the requests came. It is kept, and
    /// grows, for as long as the server.
    #[must_use]
    pub fn log(&self) -> Vec<LogEntry> {
        self.log.entries()
    }

    /// Takes no more connections, lets answers end that have begun (at most five seconds), and
    /// gives the log.
    pub async fn stop(self) -> Vec<LogEntry> {
        self.end(Stop::Graceful).await
    }

    /// Cuts every connection, as a server does that dies, and gives the log.
    pub async fn kill(self) -> Vec<LogEntry> {
        self.end(Stop::AtOnce).await
    }

    async fn end(mut self, how: Stop) -> Vec<LogEntry> {
        self.stop.send_replace(how);
        if let Err(error) = (&mut self.task).await {
            tracing::error!(%error, "the server did not end by itself");
        }
        self.log.entries()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_if_modified(|stop| {
            let runs = *stop == Stop::No;
            if runs {
                *stop = Stop::Graceful;
            }
            runs
        });
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "something listens there already: end it, or choose another port; port 0 takes any \
             that is free"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 are the system's: choose a higher one; port 0 takes any that is free"
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address: use 127.0.0.1",
        _ => "try 127.0.0.1 and port 0",
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Acceptor {
    scheme: &'static str,
    tls: Option<TlsAcceptor>,
    handler: Handler,
    log: Log,
}

async fn serve(listener: TcpListener, acceptor: Acceptor, mut stopping: watch::Receiver<Stop>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(acceptor.clone().connection(stream, stopping.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, mostly: some are free again a little later.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
            Some(ended) = connections.join_next() => trace_panic(ended),
            () = told_to_stop(&mut stopping) => break,
        }
    }
    drop(listener);
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            trace_panic(ended);
        }
    };
    tokio::select! {
        () = all_ended => {}
        () = tokio::time::sleep(GRACE) => {}
        Ok(_) = stopping.wait_for(|stop| *stop == Stop::AtOnce) => {}
    }
    connections.shutdown().await;
}

async fn told_to_stop(stopping: &mut watch::Receiver<Stop>) {
    // An error means that the server is gone, which is no other thing.
    drop(stopping.wait_for(|stop| *stop != Stop::No).await);
}

fn trace_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task did not end by itself");
    }
}

impl Acceptor {
    async fn connection(self, stream: TcpStream, stopping: watch::Receiver<Stop>) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "Nagle's algorithm stays on");
        }
        let Some(tls) = self.tls.clone() else {
            return self.http1(stream, stopping).await;
        };
        match tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) => {
                self.http2(stream, stopping).await;
            }
            Ok(Ok(stream)) => self.http1(stream, stopping).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    async fn http1(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        mut stopping: watch::Receiver<Stop>,
    ) {
        let service = service_fn(move |request| self.exchange().answer(request));
        let connection = http1::Builder::new()
            .max_header_size(MAX_HEAD_BYTES as usize)
            .max_headers(MAX_HEAD_FIELDS)
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = told_to_stop(&mut stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        trace_end(ended);
    }

    async fn http2(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        mut stopping: watch::Receiver<Stop>,
    ) {
        let service = service_fn(move |request| self.exchange().answer(request));
        let connection = http2::Builder::new(TokioExecutor::new())
            .max_header_list_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = told_to_stop(&mut stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        trace_end(ended);
    }

    fn exchange(&self) -> Exchange {
        Exchange {
            scheme: self.scheme,
            handler: Arc::clone(&self.handler),
            log: self.log.clone(),
        }
    }
}

fn trace_end(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(error = super::describe(&error), "a connection ended");
    }
}
