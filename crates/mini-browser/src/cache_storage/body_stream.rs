//! A stored body as a stream: read chunk by chunk, as its reader asks for it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use service_worker::{Body, BodyError};

use super::bodies::Progress;
use super::record::{EntryKey, StoredBody};
use super::thread::{Answer, Place, StoreThread};

/// The body of an entry that was found, and whose readers have been counted up.
pub(super) fn body(
    thread: &StoreThread,
    place: Place,
    entry: EntryKey,
    body: Option<StoredBody>,
) -> Body {
    let Some(body) = body else {
        return Body::empty();
    };
    Body::from_stream(BodyStream {
        lease: Lease {
            thread: thread.clone(),
            place,
            number: body.number,
        },
        entry,
        body,
        state: State::Resting(Progress::new()),
    })
}

struct BodyStream {
    lease: Lease,
    entry: EntryKey,
    body: StoredBody,
    state: State,
}

enum State {
    Resting(Progress),
    Reading(Answer<(Bytes, Progress)>),
    Ended,
}

impl Stream for BodyStream {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let mut reading = match std::mem::replace(&mut this.state, State::Ended) {
            State::Ended => return Poll::Ready(None),
            State::Resting(progress) if progress.is_at_end(this.body) => return Poll::Ready(None),
            State::Resting(progress) => this.read_on(progress),
            State::Reading(reading) => reading,
        };
        let Poll::Ready(read) = Pin::new(&mut reading).poll(cx) else {
            this.state = State::Reading(reading);
            return Poll::Pending;
        };
        Poll::Ready(Some(match read {
            Ok((chunk, progress)) => {
                this.state = State::Resting(progress);
                Ok(chunk)
            }
            Err(error) => Err(BodyError::Broken(error.to_string())),
        }))
    }
}

impl BodyStream {
    fn read_on(&self, mut progress: Progress) -> Answer<(Bytes, Progress)> {
        let (place, entry, body) = (self.lease.place, self.entry.clone(), self.body);
        self.lease.thread.ask(move |shelves| {
            let chunk = shelves.at(place).read(&entry, body, &mut progress)?;
            Ok((chunk, progress))
        })
    }
}

/// Keeps a body from being deleted while it is read.
struct Lease {
    thread: StoreThread,
    place: Place,
    number: u64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (place, number) = (self.place, self.number);
        self.thread.tell(move |shelves| {
            shelves.at(place).end_reading(number);
            Ok(())
        });
    }
}
