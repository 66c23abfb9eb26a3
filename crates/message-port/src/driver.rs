//! Links over tokio's streams: one future that carries every link of a [`Node`].
//!
//! ```
//! use message_port::driver::{self, Links};
//! use message_port::node::{Limits, LinkKind};
//! use message_port::{Event, Message};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Two nodes in one process; between processes the stream is a socket.
//! let (ours, theirs) = tokio::io::duplex(64 * 1024);
//! let (here, carry_here) = driver::new(Limits::default(), driver::refuse);
//! let (there, carry_there) = driver::new(Limits::default(), driver::refuse);
//! tokio::spawn(carry_here);
//! tokio::spawn(carry_there);
//!
//! let up = here.open(ours, LinkKind::Trusted { initiator: true });
//! let their_up = there.open(theirs, LinkKind::Trusted { initiator: false });
//! let port = up.await?.port.ok_or("no port")?;
//! let mut their_port = their_up.await?.port.ok_or("no port")?;
//!
//! port.post_message(Message::new("across the link"));
//! their_port.start();
//! let Some(Event::Message(message)) = their_port.recv().await else { panic!("nothing came") };
//! assert_eq!(message.payload, "across the link");
//! # Ok(())
//! # }
//! ```
//!
//! What is posted while the future is busy with something else leaves in one write. The future
//! polls only the links that something happened on; a link costs no task of its own.
//!
//! # Links that end
//!
//! A stream that ends, or fails, ends its link: what was read until then is delivered, then each
//! port that led over it is closed. (If a write fails, the stream is still read to its end, or for
//! a second: a peer that has gone may have said something before.) To go in good order, wait for
//! [`Links::flushed`] and then drop the future, or [`close`](Links::close) the links. Over TCP a
//! peer may still lose what it has not read if something that it has sent was not read here: there
//! let it be the one to close.
//!
//! A stream that panics takes the future with it, and so all links of the node.
//!
//! # Direct links
//!
//! When a port goes from one peer to another, this node relays for it until the two have a link of
//! their own, if they may. The function given to [`new`] is asked for one, with an
//! [`Introduction`]. To grant it, the host
//!
//! 1. draws two tokens and [`arrange`](Introduction::arrange)s the introduction with them;
//! 2. gives each of the two processes one end of a stream and its own token: in a message on the
//!    first port of its link, say, with the name of a socket where the other one listens;
//! 3. and each of them opens its end as [`LinkKind::Introduced`] with that token. One that listens
//!    needs none: it opens whatever connects as [`LinkKind::Accepted`], which comes up only if an
//!    introduction proves it.
//!
//! `examples/introduction.rs` does so between real processes. The function should hold no clone of
//! the [`Links`], or the future never ends by itself.

mod carry;
mod stream;
mod wake;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use crate::MessagePort;
use crate::node::{Census, IntroductionId, Limits, LinkError, LinkId, LinkKind, Node, Token};
pub use carry::Driver;
use wake::{Command, Shared};

/// Makes a node: a handle to open its links with, and the future that carries them, which the
/// caller spawns, in a runtime whose time is enabled. The future ends when every [`Links`] was
/// dropped and the last link has ended. Dropped before, it ends all links, as a process that dies.
///
/// `introduce` is called on the future's task when two of the node's peers would profit from a
/// direct link; [`refuse`] is a function that refuses them all, so that this node relays.
pub fn new(
    limits: Limits,
    introduce: impl FnMut(Introduction) + Send + 'static,
) -> (Links, Driver) {
    let shared = Arc::new(Shared::default());
    let woken = Arc::clone(&shared);
    let node = Node::new(limits, move || woken.ports_are_ready());
    let links = Links(Arc::new(Handle(Arc::clone(&shared))));
    (links, Driver::new(node, shared, Box::new(introduce)))
}

/// Refuses an introduction, for [`new`].
pub fn refuse(introduction: Introduction) {
    introduction.refuse();
}

/// A node's links, to be opened and closed from any task or thread.
#[derive(Clone)]
pub struct Links(Arc<Handle>);

/// Tells the driver when the last clone is gone.
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.command(Command::Forsaken);
    }
}

impl Links {
    /// Opens a link over `stream`. Which side of a trusted link is the initiator, and what proves
    /// an introduced one, is said at [`LinkKind`].
    pub fn open<S>(&self, stream: S, kind: LinkKind) -> Opening
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (up, opened) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        let link = self.0.0.next_link();
        self.0.0.command(Command::Open {
            link,
            kind,
            stream: Box::pin(stream),
            up,
            ended,
        });
        Opening { link, opened, end }
    }

    /// Ends a link: its stream is dropped, and what was posted over it and is not written yet is
    /// lost, as when the peer dies. Wait for [`flushed`](Self::flushed) first to lose nothing.
    pub fn close(&self, link: LinkId) {
        self.0.0.command(Command::Close { link });
    }

    /// That a link which is up leads to whom an introduction is about
    /// ([`Input::LinkVouched`](crate::node::Input::LinkVouched)).
    pub fn vouch(&self, link: LinkId, token: Token) {
        self.0.0.command(Command::Vouch { link, token });
    }

    /// Waits until all that could be sent is written: what was posted before this call, except on
    /// ports whose receiver has more queued than the limits permit.
    ///
    /// A peer that reads nothing is waited for until its link has ended: give the wait an end of
    /// your own, or wait for some links only ([`flushed_to`](Self::flushed_to)).
    pub async fn flushed(&self) {
        self.flush(None).await;
    }

    /// As [`flushed`](Self::flushed), for what goes over one link. Ready at once if it is no more.
    pub async fn flushed_to(&self, link: LinkId) {
        self.flush(Some(link)).await;
    }

    async fn flush(&self, link: Option<LinkId>) {
        let (done, flushed) = oneshot::channel();
        self.0.0.command(Command::Flush { link, done });
        // Dropped with the driver: then nothing will be written any more.
        drop(flushed.await);
    }

    /// How much the node holds at the moment; `None` if its driver is gone.
    pub async fn census(&self) -> Option<Census> {
        let (answer, census) = oneshot::channel();
        self.0.0.command(Command::Census { answer });
        census.await.ok()
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").finish_non_exhaustive()
    }
}

/// A link that is being opened: gives the link once the peer has greeted.
///
/// Dropping it, as a wait with a time limit does, leaves the link open and only closes its first
/// port: [`close`](Links::close) the [`link`](Self::link) to give it up.
#[derive(Debug)]
#[must_use = "the first port of the link comes out of it"]
pub struct Opening {
    link: LinkId,
    opened: oneshot::Receiver<Option<MessagePort>>,
    end: oneshot::Receiver<LinkError>,
}

impl Opening {
    /// The link's name, known from the start.
    #[must_use]
    pub fn link(&self) -> LinkId {
        self.link
    }
}

impl Future for Opening {
    type Output = Result<Opened, LinkError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.opened).poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(port)) => {
                let (_, never) = oneshot::channel();
                let end = std::mem::replace(&mut self.end, never);
                Poll::Ready(Ok(Opened {
                    link: self.link,
                    port,
                    ended: Ended(end),
                }))
            }
            // The link ended before it was up.
            Poll::Ready(Err(_)) => Pin::new(&mut self.end)
                .poll(cx)
                .map(|error| Err(error.unwrap_or(LinkError::Lost))),
        }
    }
}

/// A link that is up.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened {
    /// Its name.
    pub link: LinkId,
    /// Over a trusted link: a port that is entangled with the peer's first one.
    pub port: Option<MessagePort>,
    /// Gives the reason when the link has ended. Dropping it changes nothing.
    pub ended: Ended,
}

/// The end of a link, to be awaited: [`LinkError::Lost`] if its stream ended or it was
/// [closed](Links::close), else what the peer has done.
#[derive(Debug)]
pub struct Ended(oneshot::Receiver<LinkError>);

impl Future for Ended {
    type Output = LinkError;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LinkError> {
        let end = Pin::new(&mut self.0).poll(cx);
        end.map(|error| error.unwrap_or(LinkError::Lost))
    }
}

/// Two peers that would profit from a direct link. Dropped, it is refused.
pub struct Introduction {
    introduction: IntroductionId,
    links: [LinkId; 2],
    shared: Option<Arc<Shared>>,
}

impl Introduction {
    fn new(introduction: IntroductionId, links: [LinkId; 2], shared: Arc<Shared>) -> Self {
        Self {
            introduction,
            links,
            shared: Some(shared),
        }
    }

    /// The links to the two peers.
    #[must_use]
    pub fn links(&self) -> [LinkId; 2] {
        self.links
    }

    /// There will be a direct link, which the two prove by these tokens, in the order of
    /// [`links`](Self::links), fresh from a source of randomness that nobody can guess. Whoever
    /// calls this gives each of the two an end of a stream, to open with
    /// [`LinkKind::Introduced`] and its token, or [`vouch`](Links::vouch)es for a link that they
    /// have already.
    pub fn arrange(mut self, tokens: [Token; 2]) {
        self.answer(Some(tokens));
    }

    /// There will be no direct link: this node relays between the two.
    pub fn refuse(mut self) {
        self.answer(None);
    }

    fn answer(&mut self, tokens: Option<[Token; 2]>) {
        if let Some(shared) = self.shared.take() {
            shared.command(Command::Answer {
                introduction: self.introduction,
                tokens,
            });
        }
    }
}

impl Drop for Introduction {
    fn drop(&mut self) {
        self.answer(None);
    }
}

impl fmt::Debug for Introduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introduction")
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}
