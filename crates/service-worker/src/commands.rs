//! What goes to the host, in order: commands, and between them the answers that scripts wait for.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_channel::{mpsc, oneshot};
use futures_core::Stream;
use message_port::MessagePort;

use crate::HostCommand;
use crate::endpoint::WorkerInbox;

/// A command for the host; with the inbox of the worker that it starts, if it starts one.
pub type Commanded = (HostCommand<MessagePort>, Option<WorkerInbox>);

/// What the host is to do, in order: a stream of commands, with the inbox of each worker that is
/// started. Ends when the driver ends.
///
/// The futures of [`Handle`](crate::Handle) that settle promises of scripts do so here, in their
/// place among the commands: when the host has taken those before, and before it takes those
/// behind. So a page that is told of everything in the order in which it comes sees `ready` resolve
/// after its worker's state has changed, and `register()` before `updatefound`.
#[derive(Debug)]
pub struct HostCommands(mpsc::UnboundedReceiver<ToHost>);

/// The driver's end.
#[derive(Clone)]
pub(crate) struct CommandSender(mpsc::UnboundedSender<ToHost>);

enum ToHost {
    Command(Commanded),
    /// Whoever waits for this hears it now.
    Answer(Box<dyn FnOnce() + Send>),
}

pub(crate) fn channel() -> (CommandSender, HostCommands) {
    let (sender, receiver) = mpsc::unbounded();
    (CommandSender(sender), HostCommands(receiver))
}

impl CommandSender {
    /// Sends a command, or gives it back if the host takes none any more.
    pub(crate) fn command(&self, commanded: Commanded) -> Result<(), HostCommand<MessagePort>> {
        let Err(refused) = self.0.unbounded_send(ToHost::Command(commanded)) else {
            return Ok(());
        };
        match refused.into_inner() {
            ToHost::Command((command, _inbox)) => Err(command),
            ToHost::Answer(_) => Ok(()),
        }
    }

    /// Answers when the host has taken the commands so far; at once if it takes none any more.
    /// Whoever does not wait any more does not want to know.
    pub(crate) fn answer<T: Send + 'static>(&self, reply: oneshot::Sender<T>, answer: T) {
        let answering = ToHost::Answer(Box::new(move || {
            let _gone = reply.send(answer);
        }));
        if let Err(refused) = self.0.unbounded_send(answering) {
            refused.into_inner().answer();
        }
    }

    /// The host is to do nothing more.
    pub(crate) fn close(&self) {
        self.0.close_channel();
    }
}

impl ToHost {
    fn answer(self) -> Option<Commanded> {
        match self {
            Self::Command(commanded) => Some(commanded),
            Self::Answer(answer) => {
                answer();
                None
            }
        }
    }
}

impl Stream for HostCommands {
    type Item = Commanded;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Commanded>> {
        loop {
            match Pin::new(&mut self.0).poll_next(cx) {
                Poll::Ready(Some(next)) => {
                    if let Some(commanded) = next.answer() {
                        return Poll::Ready(Some(commanded));
                    }
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// The host is gone: what it has not come to is still answered.
impl Drop for HostCommands {
    fn drop(&mut self) {
        self.0.close();
        while let Ok(next) = self.0.try_recv() {
            drop(next.answer());
        }
    }
}

impl fmt::Debug for ToHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command((command, _)) => f.debug_tuple("Command").field(command).finish(),
            Self::Answer(_) => f.write_str("Answer"),
        }
    }
}
