//! What may come in random histories, and when.

use service_worker::EventDetail;
use service_worker::message_port::{Event, MessagePort};
use service_worker::stash::EntryId;
use service_worker::types::WorkerId;

use super::{At, End, World, both};

impl World {
    /// A worker's event is dispatched.
    pub(super) fn dispatch(&mut self, worker: WorkerId) {
        let Some(known) = self.workers.get_mut(&worker) else {
            return;
        };
        if known.events.is_empty() {
            return;
        }
        let (event, detail) = known.events.remove(0);
        match detail {
            EventDetail::StashedMessage {
                entry,
                message,
                redelivered,
                ..
            } if !self.retired.contains(&entry) => {
                let text = String::from_utf8(message.payload.to_vec()).unwrap();
                self.came(&text, redelivered, message.ports, Some(entry));
            }
            EventDetail::StashedClose { entry, .. } if !self.retired.contains(&entry) => {
                let end = self.stashed_as(entry);
                self.heard_close(end);
            }
            // It was closed while this was on its way.
            EventDetail::StashedMessage { .. } | EventDetail::StashedClose { .. } => {}
            other => panic!("{other:?}"),
        }
        self.settled(worker, event);
    }

    pub(super) fn stashed_as(&self, entry: EntryId) -> (usize, usize) {
        let is_it = |end: &End| matches!(end.at, At::Stashed(id, _) if id == entry);
        for (channel, ends) in self.channels.iter().enumerate() {
            if let Some(end) = ends.iter().position(is_it) {
                return (channel, end);
            }
        }
        panic!("{entry} is no end that is stashed: {:#?}", self.told)
    }

    pub(super) fn heard_close(&mut self, (channel, end): (usize, usize)) {
        self.told.push(format!("{channel}.{end} hears close"));
        let told = &self.told;
        let [it, other] = both(&mut self.channels[channel], end);
        assert!(!it.closed, "close twice: {told:#?}");
        assert!(
            it.uncertain || matches!(other.at, At::Gone | At::Travels),
            "a close that nobody sent: {told:#?}"
        );
        it.closed = true;
        it.at = At::Gone;
    }

    /// A message came at an end, by its text: `channel.end.number`.
    pub(super) fn came(
        &mut self,
        text: &str,
        redelivered: bool,
        ports: Vec<MessagePort>,
        entry: Option<EntryId>,
    ) {
        self.told.push(format!("comes {text} {redelivered}"));
        let mut parts = text.split(['.', '+']);
        let mut part = || parts.next().unwrap().parse::<usize>().unwrap();
        let (channel, end, number) = (part(), part(), part());
        let number = u32::try_from(number).unwrap();
        if let Some(entry) = entry {
            assert_eq!(self.stashed_as(entry), (channel, end), "{:#?}", self.told);
        }
        let it = &mut self.channels[channel][end];
        let told = &self.told;
        assert!(!it.closed, "{text} after close: {told:#?}");
        assert!(number <= it.posted, "{text} was not posted");
        assert!(
            number > it.seen_in_run,
            "{text} came twice or too late in one run: {told:#?}"
        );
        assert!(
            number > it.over || it.uncertain,
            "{text} was consumed: {told:#?}"
        );
        if number <= it.seen {
            // A message at an ordinary port cannot say so.
            let unmarked = !redelivered && entry.is_some() && number > it.taken && !it.uncertain;
            assert!(!unmarked, "{text} is a repeat: {told:#?}");
        } else if number > it.seen + 1 {
            // Nothing is missing but what was posted right before the power was cut.
            assert!(
                it.ends_of_runs.contains(&(number - 1)) || it.uncertain,
                "{text} came before {}: {told:#?}",
                it.seen + 1
            );
        }
        it.seen_in_run = number;
        it.seen = it.seen.max(number);
        let skipped = it.owed.first().is_some_and(|owed| *owed < number);
        assert!(!skipped, "{text} came before what was owed: {told:#?}");
        it.owed.remove(&number);
        self.given += 1;
        self.redelivered += u32::from(redelivered);
        let travelled: Vec<usize> = text
            .split('+')
            .skip(1)
            .map(|part| part.parse().unwrap())
            .collect();
        assert_eq!(ports.len(), travelled.len() / 2);
        for (mut port, end) in ports.into_iter().zip(travelled.chunks(2)) {
            port.start();
            let it = &mut self.channels[end[0]][end[1]];
            match it.at {
                At::Travels => it.at = At::Live(port),
                // It comes again, and what it carried is closed; or its partner was gone.
                _ => drop(port),
            }
        }
    }

    /// What has come at live ends.
    pub(super) fn receive(&mut self) {
        for channel in 0..self.channels.len() {
            for end in 0..2 {
                while let At::Live(port) = &mut self.channels[channel][end].at {
                    match port.try_recv() {
                        Ok(Event::Message(message)) => {
                            let text = String::from_utf8(message.payload.to_vec()).unwrap();
                            let ports = message.ports.into_iter().map(|port| port.receive());
                            self.came(&text, false, ports.collect(), None);
                        }
                        Ok(Event::Close) => self.heard_close((channel, end)),
                        Err(_) => break,
                    }
                }
            }
        }
    }
}
