//! The driver: a future that carries bytes between a node and its streams.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Introduction;
use super::stream::Carried;
use super::wake::{Command, LinkWaker, Shared};
use crate::node::{Input, LinkError, LinkId, Node, Output};

/// How often the driver goes round before it lets other tasks run.
const ROUNDS: usize = 32;
/// How often it writes before it looks again for what else there is to do.
const WRITES: usize = 4;
/// How long a stream that takes no more may take to come to its end. (One whose peer has gone does
/// so as soon as the last words of the peer are read.)
const DRAIN: Duration = Duration::from_secs(1);

/// Carries the links of a node; made by [`new`](super::new), to be spawned.
#[must_use = "nothing is carried unless it is polled: spawn it"]
pub struct Driver {
    node: Node,
    shared: Arc<Shared>,
    introduce: Box<dyn FnMut(Introduction) + Send>,
    links: BTreeMap<LinkId, Carried>,
    /// Links that are to be looked at in this round.
    due: Vec<LinkId>,
    /// Links whose streams may take what waits to be written. Those that have refused to are not
    /// here: their wake makes them due.
    writing: Vec<LinkId>,
    /// What the clock said when it was last looked at. A node without a deadline has no use for
    /// the time until a link is opened, so that most polls leave the clock alone.
    now: Instant,
    flushes: Vec<Flush>,
    /// Links whose streams take no more, and when they are given up; the earliest is first.
    draining: VecDeque<(Instant, LinkId)>,
    timeout: Option<Pin<Box<Sleep>>>,
    forsaken: bool,
}

/// Somebody who waits until all is written.
struct Flush {
    /// The links that were not seen with all of it written since.
    links: Vec<LinkId>,
    done: oneshot::Sender<()>,
}

impl Driver {
    pub(super) fn new(
        node: Node,
        shared: Arc<Shared>,
        introduce: Box<dyn FnMut(Introduction) + Send>,
    ) -> Self {
        Self {
            node,
            shared,
            introduce,
            links: BTreeMap::new(),
            due: Vec::new(),
            writing: Vec::new(),
            now: Instant::now(),
            flushes: Vec::new(),
            draining: VecDeque::new(),
            timeout: None,
            forsaken: false,
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Open {
                link,
                kind,
                stream,
                up,
                ended,
            } => {
                self.now = Instant::now();
                let wake = LinkWaker::new(link, Arc::clone(&self.shared));
                self.links
                    .insert(link, Carried::new(stream, wake, up, ended));
                self.input(Input::LinkOpened { link, kind });
                self.due.push(link);
            }
            Command::Close { link } => self.lose(link),
            Command::Vouch { link, token } => self.input(Input::LinkVouched { link, token }),
            Command::Answer {
                introduction,
                tokens,
            } => self.input(Input::Introduction {
                introduction,
                tokens,
            }),
            Command::Flush { link, done } => {
                let all = || self.links.keys().copied().collect();
                let links = link.map_or_else(all, |link| vec![link]);
                self.flushes.push(Flush { links, done });
            }
            // Whoever has asked may have given up.
            Command::Census { answer } => drop(answer.send(self.node.census())),
            Command::Forsaken => self.forsaken = true,
        }
    }

    fn input(&mut self, input: Input) {
        self.node.handle_input(self.now.into_std(), input);
    }

    /// The stream of a link has ended, or is to end.
    fn lose(&mut self, link: LinkId) {
        if let Some(carried) = self.links.remove(&link) {
            self.input(Input::LinkLost { link });
            carried.end(LinkError::Lost);
        }
    }

    /// Reads what has come by the links that are due, which may be written to again as well. Those
    /// that have more to read stay due.
    fn read(&mut self) {
        let mut due = mem::take(&mut self.due);
        // One that has more to read may have been woken as well.
        due.sort_unstable();
        due.dedup();
        due.retain(|link| self.read_link(*link));
        self.due = due;
    }

    /// Whether there may be more to read.
    fn read_link(&mut self, link: LinkId) -> bool {
        if self.links.get(&link).is_some_and(|link| !link.is_written()) {
            self.writing.push(link);
        }
        // Twice, since most streams have nothing after the first read, and have to be asked.
        for _ in 0..2 {
            let Some(carried) = self.links.get_mut(&link) else {
                return false;
            };
            carried.rearm();
            match carried.poll_read() {
                Poll::Pending => return false,
                Poll::Ready(Ok(bytes)) if !bytes.is_empty() => {
                    self.input(Input::Received { link, bytes });
                }
                Poll::Ready(end) => {
                    tracing::debug!(link = link.0, ?end, "a stream has ended");
                    self.lose(link);
                    return false;
                }
            }
        }
        true
    }

    /// Does what the node wants done, and writes as much as the streams take.
    ///
    /// Who takes all at once while somebody posts would keep this going for ever: what is left then
    /// is in `writing`.
    fn write(&mut self) {
        // One that was left may have been woken as well.
        self.writing.sort_unstable();
        self.writing.dedup();
        for _ in 0..WRITES {
            while let Some(output) = self.node.poll_output() {
                self.output(output);
            }
            let mut progress = false;
            let mut writing = mem::take(&mut self.writing);
            writing.retain(|link| {
                let more = self.write_link(*link);
                progress |= more;
                more
            });
            self.writing = writing;
            if !progress {
                return;
            }
        }
    }

    /// Writes once: whether there is more to do by that.
    fn write_link(&mut self, link: LinkId) -> bool {
        let Some(carried) = self.links.get_mut(&link) else {
            return false;
        };
        match carried.poll_write() {
            Poll::Pending | Poll::Ready(Ok(0)) => return false,
            Poll::Ready(Ok(count)) => self.input(Input::Written { link, count }),
            Poll::Ready(Err(error)) => {
                // Its peer may be gone, and have said something before that is still to be read.
                tracing::debug!(link = link.0, %error, "a stream takes no more");
                carried.write_no_more();
                self.draining.push_back((Instant::now() + DRAIN, link));
            }
        }
        true
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Write { link, bytes } => {
                if let Some(carried) = self.links.get_mut(&link) {
                    if carried.is_written() {
                        self.writing.push(link);
                    }
                    carried.push(bytes);
                }
            }
            Output::LinkUp { link, port } => {
                let carried = self.links.get_mut(&link);
                if let Some(up) = carried.and_then(|carried| carried.up.take()) {
                    // A port that nobody awaits any more is closed.
                    drop(up.send(port));
                }
            }
            Output::LinkClosed { link, error } => {
                if let Some(carried) = self.links.remove(&link) {
                    carried.end(error);
                }
            }
            Output::Introduce { introduction, a, b } => {
                let shared = Arc::clone(&self.shared);
                (self.introduce)(Introduction::new(introduction, [a, b], shared));
            }
        }
    }

    /// Whether a deadline has passed. If not, it is awaited.
    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let greeting = self.node.poll_timeout().map(Instant::from_std);
        let draining = self.draining.front().map(|(deadline, _)| *deadline);
        let Some(deadline) = greeting.into_iter().chain(draining).min() else {
            self.timeout = None;
            return Poll::Pending;
        };
        let timeout = self
            .timeout
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timeout.deadline() != deadline {
            timeout.as_mut().reset(deadline);
        }
        timeout.as_mut().poll(cx)
    }

    fn timed_out(&mut self) {
        let now = Instant::now();
        self.node.handle_timeout(now.into_std());
        while let Some((deadline, link)) = self.draining.front().copied() {
            if deadline > now {
                return;
            }
            self.draining.pop_front();
            self.lose(link);
        }
    }

    /// Tells those whose links have written everything, each at some time since they asked.
    fn answer_flushes(&mut self) {
        for mut flush in mem::take(&mut self.flushes) {
            let carried = |link: &LinkId| self.links.get(link);
            flush
                .links
                .retain(|link| carried(link).is_some_and(|link| !link.is_written()));
            if flush.links.is_empty() {
                flush.done.send(()).ok(); // Whoever awaited it may have given up.
            } else {
                self.flushes.push(flush);
            }
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let driver = &mut *self;
        if driver.node.poll_timeout().is_some() {
            driver.now = Instant::now();
        }
        for _ in 0..ROUNDS {
            let news = driver.shared.take(cx.waker(), &mut driver.due);
            let idle = news.is_none() && driver.due.is_empty() && driver.writing.is_empty();
            for command in news.into_iter().flatten() {
                driver.command(command);
            }
            if driver.poll_timeout(cx).is_ready() {
                driver.timed_out();
            } else if idle {
                return Poll::Pending;
            }
            driver.read();
            driver.write();
            driver.answer_flushes();
            if driver.forsaken && driver.links.is_empty() {
                return Poll::Ready(());
            }
        }
        // There is more, but others want to run as well.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}
