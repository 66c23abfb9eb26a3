//! Bodies of requests: what can be sent again after a redirect, and what cannot.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use service_worker::Body;

/// A request's body. (*Fetch*, "body", with its source and length.) Its clones are one body.
#[derive(Clone, Default)]
pub struct RequestBody(Inner);

#[derive(Clone)]
enum Inner {
    Bytes(Bytes),
    Source {
        length: Option<u64>,
        open: Arc<dyn Fn() -> Body + Send + Sync>,
    },
    Kept {
        length: u64,
        body: Arc<Mutex<Body>>,
    },
    Stream(Arc<Mutex<Option<Body>>>),
}

/// How much of a body that comes from elsewhere is kept to be sent again, in bytes.
const KEPT: usize = 16 << 20;

impl Default for Inner {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

impl RequestBody {
    /// A body that is read from its source anew whenever it is sent: a blob, a form with files. It
    /// may be longer than memory; `length` is how many bytes `open` gives, if that is known.
    pub fn from_source(
        length: Option<u64>,
        open: impl Fn() -> Body + Send + Sync + 'static,
    ) -> Self {
        Self(Inner::Source {
            length,
            open: Arc::new(open),
        })
    }

    /// A stream whose source is null: it can be sent once, and by the network never over HTTP/1.1.
    #[must_use]
    pub fn from_stream(stream: Body) -> Self {
        Self(Inner::Stream(Arc::new(Mutex::new(Some(stream)))))
    }

    /// A body that comes from elsewhere. If nobody knows how long it is, its source is null, and it is
    /// as [`Self::from_stream`]; else it can be sent again after a redirect as long as no more than
    /// 16 MiB of it was sent before.
    #[must_use]
    pub fn from_body(body: Body) -> Self {
        match (body.bytes(), body.length()) {
            (Some(bytes), _) => bytes.into(),
            (None, Some(length)) => Self(Inner::Kept {
                length,
                body: Arc::new(Mutex::new(body)),
            }),
            (None, None) => Self::from_stream(body),
        }
    }

    /// Whether there is nothing to send again: the source is null.
    pub(super) const fn is_stream(&self) -> bool {
        matches!(self.0, Inner::Stream(_))
    }

    /// Its length in bytes, if that is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match &self.0 {
            Inner::Bytes(bytes) => u64::try_from(bytes.len()).ok(),
            Inner::Source { length, .. } => *length,
            Inner::Kept { length, .. } => Some(*length),
            Inner::Stream(_) => None,
        }
    }

    /// The bytes for whoever may not want them: [`Self::open`] gives all of them again.
    pub(super) fn offer(&self) -> Body {
        match &self.0 {
            Inner::Stream(stream) => {
                let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                let offered = stream.as_mut().map(|body| body.branch(KEPT));
                offered.unwrap_or_default()
            }
            _ => self.open(),
        }
    }

    /// The bytes to send. A stream gives them once.
    pub(super) fn open(&self) -> Body {
        match &self.0 {
            Inner::Bytes(bytes) => Body::from(bytes.clone()),
            Inner::Source { open, length } => open().with_length(*length),
            Inner::Kept { body, .. } => {
                let mut body = body.lock().unwrap_or_else(PoisonError::into_inner);
                body.branch(KEPT)
            }
            Inner::Stream(stream) => {
                let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                stream.take().unwrap_or_default()
            }
        }
    }
}

impl<T: Into<Bytes>> From<T> for RequestBody {
    fn from(bytes: T) -> Self {
        Self(Inner::Bytes(bytes.into()))
    }
}

impl std::fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestBody")
            .field("length", &self.length())
            .field("is_stream", &self.is_stream())
            .finish()
    }
}
