//! Which states of the protocol a simulation has come to: the node traces them, this counts.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// How often each event was traced, by its text and its fields.
#[derive(Clone, Default)]
pub(crate) struct Coverage(Arc<Mutex<BTreeMap<String, u64>>>);

impl Coverage {
    /// Runs `play`, and counts what the nodes of this thread trace meanwhile.
    pub(crate) fn of<T>(&self, play: impl FnOnce() -> T) -> T {
        tracing::subscriber::with_default(self.clone(), play)
    }

    /// How often a state was reached that begins so.
    pub(crate) fn count(&self, state: &str) -> u64 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let matching = counts.range(state.to_owned()..);
        let matching = matching.take_while(|(said, _)| said.starts_with(state));
        matching.map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .iter()
            .try_for_each(|(state, count)| writeln!(f, "{count:>9}  {state}"))
    }
}

impl Subscriber for Coverage {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("message_port::node")
    }

    fn event(&self, event: &Event<'_>) {
        let mut said = Said::default();
        event.record(&mut said);
        let state = said.text + &said.fields;
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(state).or_default() += 1;
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Said {
    text: String,
    fields: String,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = if field.name() == "message" {
            write!(self.text, "{value:?}")
        } else {
            write!(self.fields, ", {}: {value:?}", field.name())
        };
    }

    // Numbers differ from one event to the next.
    fn record_u64(&mut self, _: &Field, _: u64) {}

    fn record_bool(&mut self, field: &Field, value: bool) {
        let _ = write!(self.fields, ", {}: {value}", field.name());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.fields, ", {}: {value}", field.name());
    }
}
