//! What arrives on a link: bytes, then frames, each checked against what was granted there.

use bytes::{Bytes, BytesMut};

use super::link::{Arrival, Assembly, Wire};
use super::pipe::{Address, Cargo, Item, Parcel};
use super::wire::{Frame, Head, MAX_FRAME};
use super::{LinkError, LinkId, Node, Work};

impl Node {
    pub(super) fn receive(&mut self, id: LinkId, bytes: Bytes) {
        if let Some(link) = self.links.get_mut(&id) {
            link.decoder.push(bytes);
        }
        // A frame may close the link.
        while let Some(link) = self.links.get_mut(&id) {
            let handled = match link.decoder.next() {
                Ok(None) => return,
                Ok(Some(frame)) => self.handle_frame(id, frame),
                Err(error) => Err(error),
            };
            if let Err(error) = handled.and_then(|()| self.check_answers(id)) {
                self.fail(id, error);
            }
            self.settle();
        }
    }

    /// Whether the peer reads what it has caused this node to say. (Only asked when it has said
    /// something: what waits because the ports here are busy is no fault of the peer.)
    fn check_answers(&self, id: LinkId) -> Result<(), LinkError> {
        let waiting = self.links.get(&id).map_or(0, |link| link.out.unwritten());
        // Data stops at the link buffer, with what is begun then.
        let data = self
            .limits
            .link_buffer
            .saturating_add(2 * MAX_FRAME as usize);
        if waiting > data.saturating_add(self.limits.unwritten) {
            return Err(LinkError::PeerDoesNotRead(waiting));
        }
        Ok(())
    }

    fn handle_frame(&mut self, id: LinkId, frame: Frame) -> Result<(), LinkError> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        if !link.is_up() {
            return match frame {
                Frame::Hello(hello) => self.greeted(id, hello),
                _ => Err(LinkError::UnexpectedFrame),
            };
        }
        let at = |channel| Address { link: id, channel };
        match frame {
            Frame::Hello(_) => Err(LinkError::UnexpectedFrame),
            Frame::Message(channel, head, payload) => self.message(at(channel), head, payload),
            Frame::Head(channel, head, total) => self.head(at(channel), head, total),
            Frame::Chunk(channel, bytes) => self.chunk(at(channel), &bytes),
            Frame::Close(channel, sequence) => {
                // As a message without bytes: it waits in the same queues.
                self.charge(at(channel), 0)?;
                let from = Some(at(channel));
                let arrival = Arrival {
                    sequence: Some(sequence),
                    item: Item::Close { from },
                };
                self.admit(at(channel), arrival)
            }
            Frame::End(channel, close) => self.end(at(channel), close),
            Frame::Switched(channel) => {
                if self.open_wire(at(channel))?.is_assembling() {
                    return Err(LinkError::UnexpectedFrame);
                }
                self.switched(at(channel))
            }
            Frame::Credit(channel, bytes, messages) => {
                let Some(wire) = link.wires.get_mut(&channel) else {
                    // It may cross with the last frame, or follow a marker.
                    return if link.was_allotted(channel) {
                        Ok(())
                    } else {
                        Err(LinkError::UnknownPort(channel))
                    };
                };
                wire.add_credit(bytes, messages);
                link.enqueue(channel);
                Ok(())
            }
            Frame::Adopted(channel, epoch) => self.adopted(id, channel, epoch),
            Frame::Heard(channel, proposals) => {
                if self.open_wire(at(channel))?.has_heard(proposals) {
                    Ok(())
                } else {
                    Err(LinkError::UnexpectedFrame)
                }
            }
            Frame::Propose(channel, proposal) => {
                self.open_wire(at(channel))?;
                self.proposed(at(channel), proposal)
            }
            Frame::Consent(channel, ticket) => {
                self.open_wire(at(channel))?;
                self.consented(at(channel), ticket);
                Ok(())
            }
            Frame::Commit(channel, ticket) => {
                self.open_wire(at(channel))?;
                self.committed(at(channel), ticket)
            }
            Frame::Abort(channel, ticket) => {
                self.open_wire(at(channel))?;
                self.aborted(at(channel), ticket);
                Ok(())
            }
            Frame::Withdraw(channel) => {
                self.open_wire(at(channel))?;
                self.withdrawn(at(channel));
                Ok(())
            }
            Frame::Attach(channel, ticket, token) => self.attached(at(channel), ticket, token),
            Frame::Introduction(introduction) => self.announced(id, introduction),
            Frame::IntroductionUp(introduction) => self.introduction_up(id, introduction),
            Frame::IntroductionDown(introduction) => self.introduction_down(id, introduction),
            Frame::IntroductionGone(introduction) => {
                self.introduction_gone(id, introduction);
                Ok(())
            }
            Frame::Prove(token) => {
                self.proof(id, token);
                Ok(())
            }
            Frame::Stop(channel) => {
                if let Some((pipe, side)) = self.open_wire(at(channel))?.owner() {
                    self.stop(pipe, side);
                }
                Ok(())
            }
        }
    }

    /// The channel that a frame names: granted on this link, and not ended by the peer.
    fn open_wire(&mut self, at: Address) -> Result<&mut Wire, LinkError> {
        let wire = self
            .links
            .get_mut(&at.link)
            .and_then(|link| link.wires.get_mut(&at.channel))
            .ok_or(LinkError::UnknownPort(at.channel))?;
        if wire.got_last {
            return Err(LinkError::UnexpectedFrame);
        }
        Ok(wire)
    }

    /// Charges a message to what the peer may send.
    fn charge(&mut self, at: Address, length: u64) -> Result<(), LinkError> {
        if length > self.limits.max_message {
            return Err(LinkError::OversizedMessage(length));
        }
        let wire = self.open_wire(at)?;
        if wire.is_assembling() {
            return Err(LinkError::UnexpectedFrame);
        }
        if wire.allowed_messages <= 0 || wire.allowed_bytes <= 0 {
            return Err(LinkError::CreditExceeded);
        }
        wire.allowed_messages -= 1;
        wire.allowed_bytes = wire.allowed_bytes.saturating_sub_unsigned(length);
        Ok(())
    }

    fn message(&mut self, at: Address, head: Head, payload: Bytes) -> Result<(), LinkError> {
        self.charge(at, payload.len() as u64)?;
        let payload = if head.grants.is_empty() {
            match self.post_plain(at, head.sequence, payload) {
                Ok(()) => return Ok(()),
                Err(payload) => payload,
            }
        } else {
            payload
        };
        let cargo = self.granted(at.link, &head.grants)?;
        self.admit(at, arrival(at, head.sequence, payload, cargo))
    }

    fn head(&mut self, at: Address, head: Head, total: u64) -> Result<(), LinkError> {
        self.charge(at, total)?;
        if total == 0 {
            return Err(LinkError::MalformedFrame);
        }
        let cargo = self.granted(at.link, &head.grants)?;
        let wire = self.open_wire(at)?;
        if wire.owner.is_none() {
            // Nobody awaits it: its chunks are passed over.
            self.release(Some(at), total, 1);
            self.work.extend(cargo.into_iter().map(Work::Cut));
            return Ok(());
        }
        wire.assemble(Assembly {
            sequence: head.sequence,
            total,
            bytes: BytesMut::new(),
            cargo,
        });
        Ok(())
    }

    fn chunk(&mut self, at: Address, bytes: &Bytes) -> Result<(), LinkError> {
        let wire = self.open_wire(at)?;
        let awaited = wire.owner.is_some();
        let Some(assembly) = wire.assembling() else {
            return if awaited {
                Err(LinkError::UnexpectedFrame)
            } else {
                Ok(())
            };
        };
        let have = (assembly.bytes.len() + bytes.len()) as u64;
        if bytes.is_empty() {
            return Err(LinkError::MalformedFrame);
        }
        if have > assembly.total {
            return Err(LinkError::OversizedMessage(have));
        }
        // Room is made for what has come, not for what was announced.
        assembly.bytes.extend_from_slice(bytes);
        if have < assembly.total {
            return Ok(());
        }
        let Some(whole) = wire.take_assembly() else {
            return Ok(());
        };
        let arrival = arrival(at, whole.sequence, whole.bytes.freeze(), whole.cargo);
        self.admit(at, arrival)
    }

    fn end(&mut self, at: Address, close: bool) -> Result<(), LinkError> {
        let wire = self.open_wire(at)?;
        wire.got_last = true;
        let owner = wire.owner();
        if let Some(link) = self.links.get_mut(&at.link) {
            link.reap(at.channel);
        }
        if owner.is_none() {
            return Ok(());
        }
        let arrival = Arrival {
            sequence: None,
            item: Item::End { close },
        };
        self.admit(at, arrival)
    }
}

fn arrival(at: Address, sequence: u64, payload: Bytes, cargo: Vec<u64>) -> Arrival {
    Arrival {
        sequence: Some(sequence),
        item: Item::Message(Parcel {
            payload,
            cargo: cargo.into_iter().map(Cargo::Side).collect(),
            attachment: None,
            from: Some(at),
        }),
    }
}
