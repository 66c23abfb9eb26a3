//! What scripts ask of the facade about connections and stashed ports: the rest of the seam.

use service_worker::message_port::{Message, MessagePort, TransferredPort};
use service_worker::types::{ClientId, WorkerId};
use service_worker::{ConnectError, ConnectOptions, EntryId, StashError};

use super::seam::Pending;

/// The operations of the facade's `Handle` on connections and stashed ports. Who has no service
/// workers need not write any: connects are refused then, and nothing is stashed.
pub trait Connections {
    /// `navigator.connect()`
    fn connect(
        &self,
        _: ClientId,
        _: ConnectOptions,
    ) -> Pending<Result<MessagePort, ConnectError>> {
        Box::pin(std::future::ready(Err(ConnectError::Abort)))
    }

    /// `ports.add()` and `stashPort()`: the entry, or none if nothing can come of the port any more.
    ///
    /// # Errors
    /// [`StashError`], with the port as it was.
    fn stash_port(
        &self,
        _: WorkerId,
        _: &str,
        port: MessagePort,
    ) -> Result<Option<EntryId>, (StashError, MessagePort)> {
        Err((StashError::InvalidState, port))
    }

    /// `ports.match()` and `getStashedPorts()`
    fn match_stashed(&self, _: WorkerId, _: &str) -> Vec<EntryId> {
        Vec::new()
    }

    /// `postMessage()` of a view of an entry.
    fn post_stashed(&self, _: WorkerId, _: EntryId, _: Message) {}

    /// A view of an entry is transferred: its port; none if the entry is gone.
    fn transfer_stashed(&self, _: WorkerId, _: EntryId) -> Option<TransferredPort> {
        None
    }

    /// Whether `ports.add()` with `whenStopped` may.
    ///
    /// # Errors
    /// As [`Self::stash_port`] would be refused now.
    fn may_stash(&self, _: WorkerId) -> Result<(), StashError> {
        Err(StashError::InvalidState)
    }

    /// The name of an entry, `StashedMessagePort.name`; none if the entry is gone.
    fn stashed_name(&self, _: WorkerId, _: EntryId) -> Option<String> {
        None
    }

    /// A view of an entry is stashed again.
    ///
    /// # Errors
    /// [`StashError`]
    fn rename_stashed(&self, _: WorkerId, _: EntryId, _: &str) -> Result<(), StashError> {
        Err(StashError::InvalidState)
    }

    /// `close()` of a view of an entry.
    fn close_stashed(&self, _: WorkerId, _: EntryId) {}
}
