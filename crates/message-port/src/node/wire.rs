//! The wire format, version 1: frames, their encoding, and a decoder that takes bytes as they come.
//!
//! A stream begins with the four bytes `MPrt` and the version (16 bits, big-endian). Frames follow:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | the length of all after it, big-endian, at most 262,144 |
//! | 1 | the kind |
//! | rest | the fields of that kind, in this order; a payload is what remains of the frame |
//!
//! Numbers are unsigned LEB128 of at most 64 bits. Flags are one byte, 0 or 1. Tokens are 16 bytes,
//! big-endian. A frame whose fields do not fill it exactly is malformed.
//!
//! | kind | frame | fields |
//! |---|---|---|
//! | 0 | Hello | bits (1: initiator, 2: has a token), window in bytes, window in messages, longest message, queued ports, channels, token if any |
//! | 1 | Message | channel, head, payload |
//! | 2 | Head | channel, length of the whole payload, head |
//! | 3 | Chunk | channel, payload |
//! | 4 | Close | channel, sequence |
//! | 5 | End | channel, whether a `close` is fired (flag) |
//! | 6 | Switched | channel |
//! | 7 | Credit | channel, bytes, messages |
//! | 8 | Adopted | channel, epoch (32 bits) |
//! | 9 | Propose | channel, then 0 and the other channel (Fold); or 1 (Open) or 2 (Await), introduction, ticket |
//! | 10–12 | Consent, Commit, Abort | channel, ticket |
//! | 13 | Withdraw | channel |
//! | 14 | Attach | channel, ticket, token |
//! | 15 | Introduction | number, initiator (flag), token to show, token to expect |
//! | 16, 17 | IntroductionUp, IntroductionDown | number, as the reader has given it |
//! | 18 | Prove | token |
//! | 19 | Stop | channel |
//! | 20 | IntroductionGone | number, as the writer has given it |
//! | 21 | Heard | channel, how many proposals about it the writer has read |
//!
//! A *head* is: sequence, how many ports, and for each: channel, epoch (32 bits), links passed since a
//! user has moved it (32 bits), sequence of the first event that it will receive, and of the first
//! that it will send, whether it has heard that it has no partner (flag).
//!
//! The side that has opened the link allots even channels, the other one odd, each in order without
//! a gap; on a trusted link channel 0 is there from the start.

use std::mem;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{LinkError, Token};

pub(super) const VERSION: u16 = 1;
const MAGIC: [u8; 4] = *b"MPrt";
/// The length of the length of a frame.
const PREFIX: usize = 4;
/// The longest frame, without its length.
pub(super) const MAX_FRAME: u32 = 256 * 1024;
/// The longest piece of a payload in one frame.
pub(super) const CHUNK: usize = 64 * 1024;
/// The most ports in one message: their grants fit a frame, whatever their numbers are.
pub(super) const MAX_GRANTS: usize = 4096;
/// The most links that a message with ports passes. One that has passed so many runs after a port
/// that travels in itself (or in one that does), which nobody could ever receive.
pub(super) const MAX_HOPS: u32 = 128;
/// Payloads shorter than this are copied out of what was read, so that they do not pin it. (A driver
/// reads some 128 KiB at a time: what is queued pins no more than eight times its length.)
const COPY_BELOW: usize = 16 * 1024;

/// What one node says to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Hello(Hello),
    /// A whole message.
    Message(u64, Head, Bytes),
    /// The beginning of a message of so many bytes, which chunks follow.
    Head(u64, Head, u64),
    Chunk(u64, Bytes),
    /// A `close` event of a former partner: the port goes on. With its sequence number. It takes
    /// credit as a message without bytes does.
    Close(u64, u64),
    /// The last frame on a channel: the port at this side is gone; whether a `close` is fired.
    End(u64, bool),
    /// The last frame on a channel: what follows takes another way.
    Switched(u64),
    /// So many bytes and messages more may be sent on a channel.
    Credit(u64, u64, u64),
    /// A granted port has left the queues of this node: received, granted on, or dropped. Channel
    /// and epoch, by which a second acknowledgement is recognized.
    Adopted(u64, u32),
    /// How many proposals about a channel the writer has read. Said before it makes one itself, if
    /// there are more than it has said before: whoever has made one that is not counted knows that
    /// the two have crossed.
    Heard(u64, u64),
    /// A stub asks the reader to go on without it.
    Propose(u64, Proposal),
    /// With the ticket of the proposal, so that a late answer is not taken for another's.
    Consent(u64, u64),
    /// Both neighbours of the stub have consented: the reader may attach.
    Commit(u64, u64),
    /// The writer cannot take part: it has no direct link by that introduction.
    Abort(u64, u64),
    /// The stub takes its proposal back. (Never after a commit.)
    Withdraw(u64),
    /// A new channel, in the place of one that a stub has issued a ticket for.
    /// The token shows by which introduction the ticket came.
    Attach(u64, u64, Token),
    /// The reader and another peer of the writer should have a direct link.
    Introduction(Introduction),
    /// To the introducer: the direct link is there, or is not there any more.
    IntroductionUp(u64),
    IntroductionDown(u64),
    /// The introducer has forgotten the introduction: it has failed at the other node.
    IntroductionGone(u64),
    /// This link, which is there already, serves an introduction as well.
    Prove(Token),
    /// Nobody is there any more to receive what is sent on this channel; what is still to come by
    /// it comes.
    Stop(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) initiator: bool,
    pub(super) window_bytes: u64,
    pub(super) window_messages: u64,
    pub(super) max_message: u64,
    pub(super) queued_ports: u64,
    pub(super) channels: u64,
    pub(super) token: Option<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) sequence: u64,
    pub(super) grants: Vec<Grant>,
}

/// A port that travels in a message: a channel that is granted to the reader of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) channel: u64,
    /// How many moves across links this end has made, with this one.
    pub(super) epoch: u32,
    /// How many links the port has passed since a user has moved it, with this one.
    pub(super) hops: u32,
    /// The sequence number of the first event that the port will receive, and send.
    pub(super) incoming: u64,
    pub(super) outgoing: u64,
    /// The port has no partner, since it has ended that itself or has heard its `close`: it fires none
    /// when its queue has come, nor if this link is lost before.
    pub(super) quiet: bool,
}

/// What a stub asks of a neighbour: to go on without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proposal {
    /// The stub's other channel leads to the neighbour as well: join the two there.
    Fold { other: u64 },
    /// Take the link of this introduction instead: open a channel there once told to commit.
    Open { introduction: u64, ticket: u64 },
    /// Take the link of this introduction instead: await a channel there, with this ticket.
    Await { introduction: u64, ticket: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Introduction {
    pub(super) introduction: u64,
    pub(super) initiator: bool,
    pub(super) show: Token,
    pub(super) expect: Token,
}

/// What a stream begins with.
pub(super) fn encode_preface(out: &mut BytesMut) {
    out.put_slice(&MAGIC);
    out.put_u16(VERSION);
}

/// Encodes all of a frame but the payload of a `Message` or `Chunk`, which has to follow.
pub(super) fn encode(frame: &Frame, out: &mut BytesMut) {
    let start = out.len();
    out.put_u32(0);
    let mut payload = 0;
    match frame {
        Frame::Hello(hello) => {
            out.put_u8(0);
            out.put_u8(u8::from(hello.initiator) | (u8::from(hello.token.is_some()) << 1));
            put(out, hello.window_bytes);
            put(out, hello.window_messages);
            put(out, hello.max_message);
            put(out, hello.queued_ports);
            put(out, hello.channels);
            if let Some(token) = hello.token {
                out.put_u128(token.0);
            }
        }
        Frame::Message(channel, head, bytes) => {
            kind(out, 1, *channel);
            put_head(out, head);
            payload = bytes.len();
        }
        Frame::Head(channel, head, total) => {
            kind(out, 2, *channel);
            put(out, *total);
            put_head(out, head);
        }
        Frame::Chunk(channel, bytes) => {
            kind(out, 3, *channel);
            payload = bytes.len();
        }
        Frame::Close(channel, sequence) => {
            kind(out, 4, *channel);
            put(out, *sequence);
        }
        Frame::End(channel, close) => {
            kind(out, 5, *channel);
            out.put_u8(u8::from(*close));
        }
        Frame::Switched(channel) => kind(out, 6, *channel),
        Frame::Credit(channel, bytes, messages) => {
            kind(out, 7, *channel);
            put(out, *bytes);
            put(out, *messages);
        }
        Frame::Adopted(channel, epoch) => {
            kind(out, 8, *channel);
            put(out, u64::from(*epoch));
        }
        Frame::Propose(channel, proposal) => {
            kind(out, 9, *channel);
            put_proposal(out, proposal);
        }
        Frame::Consent(channel, ticket) => {
            kind(out, 10, *channel);
            put(out, *ticket);
        }
        Frame::Commit(channel, ticket) => {
            kind(out, 11, *channel);
            put(out, *ticket);
        }
        Frame::Abort(channel, ticket) => {
            kind(out, 12, *channel);
            put(out, *ticket);
        }
        Frame::Withdraw(channel) => kind(out, 13, *channel),
        Frame::Attach(channel, ticket, token) => {
            kind(out, 14, *channel);
            put(out, *ticket);
            out.put_u128(token.0);
        }
        Frame::Introduction(introduction) => {
            kind(out, 15, introduction.introduction);
            out.put_u8(u8::from(introduction.initiator));
            out.put_u128(introduction.show.0);
            out.put_u128(introduction.expect.0);
        }
        Frame::IntroductionUp(introduction) => kind(out, 16, *introduction),
        Frame::IntroductionDown(introduction) => kind(out, 17, *introduction),
        Frame::Prove(token) => {
            out.put_u8(18);
            out.put_u128(token.0);
        }
        Frame::Stop(channel) => kind(out, 19, *channel),
        Frame::IntroductionGone(introduction) => kind(out, 20, *introduction),
        Frame::Heard(channel, proposals) => {
            kind(out, 21, *channel);
            put(out, *proposals);
        }
    }
    let length = u32::try_from(out.len() - start - 4 + payload).unwrap_or(u32::MAX);
    debug_assert!(length <= MAX_FRAME, "a frame of {length} bytes was made");
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Bytes in, frames out. Frames are read where the bytes are; only one that comes in several
/// pieces is put together.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The beginning of a frame, or of the preface.
    begun: BytesMut,
    /// What comes after it.
    read: Bytes,
    past_preface: bool,
}

impl Decoder {
    /// More bytes. Take [`next`](Self::next) until `None` before the next ones.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if self.read.is_empty() {
            self.read = bytes;
        } else {
            self.read = [&self.read[..], &bytes[..]].concat().into();
        }
    }

    /// The next frame, if all of it has come.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, LinkError> {
        if !self.past_preface && !self.read_preface()? {
            return Ok(None);
        }
        if self.begun.is_empty() {
            let length = frame_length(&self.read)?;
            if let Some(length) = length.filter(|length| *length <= self.read.len()) {
                let frame = decode(&self.read, &self.read[PREFIX..length])?;
                self.skip(length);
                return Ok(Some(frame));
            }
        }
        if self.gather(PREFIX) {
            if let Some(length) = frame_length(&self.begun)? {
                if self.gather(length) {
                    let whole = mem::take(&mut self.begun).freeze();
                    return decode(&whole, &whole[PREFIX..]).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn read_preface(&mut self) -> Result<bool, LinkError> {
        let complete = self.gather(MAGIC.len() + 2);
        let magic = &self.begun[..self.begun.len().min(MAGIC.len())];
        if !MAGIC.starts_with(magic) {
            return Err(LinkError::Garbage);
        }
        if !complete {
            return Ok(false);
        }
        match mem::take(&mut self.begun).split_off(MAGIC.len()).get_u16() {
            VERSION => self.past_preface = true,
            other => return Err(LinkError::WrongVersion(other)),
        }
        Ok(true)
    }

    /// Gathers the first bytes of what has begun; whether there are so many.
    fn gather(&mut self, count: usize) -> bool {
        let missing = count.saturating_sub(self.begun.len());
        let piece = missing.min(self.read.len());
        if piece > 0 {
            // Room for all of it: a frame has no more than `MAX_FRAME`.
            self.begun.reserve(missing);
            self.begun.extend_from_slice(&self.read[..piece]);
            self.skip(piece);
        }
        piece == missing
    }

    /// What was read is pinned by nobody here once all of it is skipped.
    fn skip(&mut self, count: usize) {
        self.read.advance(count);
        if self.read.is_empty() {
            self.read = Bytes::new();
        }
    }
}

/// The length of a frame, its own length included; `None` if that has not come.
fn frame_length(bytes: &[u8]) -> Result<Option<usize>, LinkError> {
    let Some(length) = bytes.first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length);
    if length > MAX_FRAME {
        return Err(LinkError::OversizedFrame(length));
    }
    Ok(Some(PREFIX + length as usize))
}

/// Decodes a frame that is a part of `bytes`.
fn decode(bytes: &Bytes, mut frame: &[u8]) -> Result<Frame, LinkError> {
    let from = &mut frame;
    let kind = byte(from)?;
    if kind == 0 {
        let hello = take_hello(from)?;
        return end(from, Frame::Hello(hello));
    }
    if kind == 18 {
        let token = take_token(from)?;
        return end(from, Frame::Prove(token));
    }
    if kind > 21 {
        return Err(LinkError::UnknownFrame(kind));
    }
    let channel = take(from)?;
    let decoded = match kind {
        1 => {
            let head = take_head(from)?;
            return Ok(Frame::Message(channel, head, rest(bytes, from)));
        }
        2 => {
            let total = take(from)?;
            Frame::Head(channel, take_head(from)?, total)
        }
        3 => return Ok(Frame::Chunk(channel, rest(bytes, from))),
        4 => Frame::Close(channel, take(from)?),
        5 => Frame::End(channel, flag(from)?),
        6 => Frame::Switched(channel),
        7 => Frame::Credit(channel, take(from)?, take(from)?),
        8 => Frame::Adopted(channel, take_u32(from)?),
        9 => Frame::Propose(channel, take_proposal(from)?),
        10 => Frame::Consent(channel, take(from)?),
        11 => Frame::Commit(channel, take(from)?),
        12 => Frame::Abort(channel, take(from)?),
        13 => Frame::Withdraw(channel),
        14 => Frame::Attach(channel, take(from)?, take_token(from)?),
        15 => Frame::Introduction(Introduction {
            introduction: channel,
            initiator: flag(from)?,
            show: take_token(from)?,
            expect: take_token(from)?,
        }),
        16 => Frame::IntroductionUp(channel),
        17 => Frame::IntroductionDown(channel),
        19 => Frame::Stop(channel),
        20 => Frame::IntroductionGone(channel),
        21 => Frame::Heard(channel, take(from)?),
        other => return Err(LinkError::UnknownFrame(other)),
    };
    end(from, decoded)
}

fn end(from: &[u8], frame: Frame) -> Result<Frame, LinkError> {
    if from.is_empty() {
        Ok(frame)
    } else {
        Err(LinkError::MalformedFrame)
    }
}

fn rest(bytes: &Bytes, payload: &[u8]) -> Bytes {
    if payload.len() < COPY_BELOW {
        Bytes::copy_from_slice(payload)
    } else {
        bytes.slice_ref(payload)
    }
}

fn take_hello(from: &mut &[u8]) -> Result<Hello, LinkError> {
    let flags = byte(from)?;
    if flags > 3 {
        return Err(LinkError::MalformedFrame);
    }
    Ok(Hello {
        initiator: flags & 1 != 0,
        window_bytes: take(from)?,
        window_messages: take(from)?,
        max_message: take(from)?,
        queued_ports: take(from)?,
        channels: take(from)?,
        token: if flags & 2 == 0 {
            None
        } else {
            Some(take_token(from)?)
        },
    })
}

fn put_head(out: &mut BytesMut, head: &Head) {
    put(out, head.sequence);
    put(out, head.grants.len() as u64);
    for grant in &head.grants {
        put(out, grant.channel);
        put(out, u64::from(grant.epoch));
        put(out, u64::from(grant.hops));
        put(out, grant.incoming);
        put(out, grant.outgoing);
        out.put_u8(u8::from(grant.quiet));
    }
}

fn take_head(from: &mut &[u8]) -> Result<Head, LinkError> {
    let sequence = take(from)?;
    let count = take(from)?;
    // Each grant is six bytes at least: nothing is reserved for what cannot be there.
    if count > MAX_GRANTS as u64 || count * 6 > from.len() as u64 {
        return Err(LinkError::MalformedFrame);
    }
    let mut grants = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    for _ in 0..count {
        grants.push(Grant {
            channel: take(from)?,
            epoch: take_u32(from)?,
            hops: take_u32(from)?,
            incoming: take(from)?,
            outgoing: take(from)?,
            quiet: flag(from)?,
        });
    }
    Ok(Head { sequence, grants })
}

fn put_proposal(out: &mut BytesMut, proposal: &Proposal) {
    let (kind, introduction, ticket) = match proposal {
        Proposal::Fold { other } => {
            out.put_u8(0);
            return put(out, *other);
        }
        Proposal::Open {
            introduction,
            ticket,
        } => (1, introduction, ticket),
        Proposal::Await {
            introduction,
            ticket,
        } => (2, introduction, ticket),
    };
    out.put_u8(kind);
    put(out, *introduction);
    put(out, *ticket);
}

fn take_proposal(from: &mut &[u8]) -> Result<Proposal, LinkError> {
    Ok(match byte(from)? {
        0 => Proposal::Fold { other: take(from)? },
        1 => Proposal::Open {
            introduction: take(from)?,
            ticket: take(from)?,
        },
        2 => Proposal::Await {
            introduction: take(from)?,
            ticket: take(from)?,
        },
        _ => return Err(LinkError::MalformedFrame),
    })
}

fn kind(out: &mut BytesMut, kind: u8, channel: u64) {
    out.put_u8(kind);
    put(out, channel);
}

fn put(out: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

fn take(from: &mut &[u8]) -> Result<u64, LinkError> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let next = byte(from)?;
        if shift == 63 && next > 1 {
            break;
        }
        number |= u64::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(LinkError::MalformedFrame)
}

fn take_u32(from: &mut &[u8]) -> Result<u32, LinkError> {
    u32::try_from(take(from)?).map_err(|_| LinkError::MalformedFrame)
}

fn take_token(from: &mut &[u8]) -> Result<Token, LinkError> {
    if from.len() < 16 {
        return Err(LinkError::MalformedFrame);
    }
    Ok(Token(from.get_u128()))
}

fn flag(from: &mut &[u8]) -> Result<bool, LinkError> {
    match byte(from)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(LinkError::MalformedFrame),
    }
}

fn byte(from: &mut &[u8]) -> Result<u8, LinkError> {
    if from.is_empty() {
        return Err(LinkError::MalformedFrame);
    }
    Ok(from.get_u8())
}
