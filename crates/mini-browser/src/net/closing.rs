//! How a TLS connection may end.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A TLS stream whose peer may close it without saying so in TLS, as browsers allow: many servers
/// do. A response whose length is known (by `Content-Length` or by chunks) is still seen to be cut
/// short; one that lasts until the connection closes cannot be told from a whole one, which RFC
/// 9112, section 9.8, has clients refuse and no browser does.
pub(super) struct MayEndWithoutNotice<T>(pub(super) T);

impl<T: AsyncRead + Unpin> AsyncRead for MayEndWithoutNotice<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0)
            .poll_read(cx, buffer)
            .map(|read| match read {
                // What rustls says when TCP ended and TLS did not.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(()),
                read => read,
            })
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for MayEndWithoutNotice<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
