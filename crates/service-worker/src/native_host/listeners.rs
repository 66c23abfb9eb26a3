//! A native worker: the listeners that its script, were it one, would add.

use std::sync::Arc;

use message_port::MessagePort;
use sw_types::{EventId, EventType, EventTypes};

use super::{Connection, Reaction, Scope, StashedEvent};
use crate::{FetchDispatch, MessageDetail};

pub(super) type OnLifecycle =
    Arc<dyn Fn(Scope, EventId) -> Reaction<Result<(), String>> + Send + Sync>;
pub(super) type OnConnect = Arc<dyn Fn(Scope, Connection) -> Reaction<()> + Send + Sync>;
pub(super) type OnMessage = Arc<dyn Fn(Scope, StashedEvent) -> Reaction<()> + Send + Sync>;
pub(super) type OnPosted =
    Arc<dyn Fn(Scope, MessageDetail<MessagePort>) -> Reaction<()> + Send + Sync>;
pub(super) type OnFetch = Arc<dyn Fn(Scope, FetchDispatch) -> Reaction<()> + Send + Sync>;

/// A worker: its listeners.
#[derive(Clone, Default)]
pub struct NativeWorker {
    pub(super) install: Option<OnLifecycle>,
    pub(super) activate: Option<OnLifecycle>,
    pub(super) fetch: Option<OnFetch>,
    pub(super) connect: Option<OnConnect>,
    pub(super) posted: Option<OnPosted>,
    pub(super) message: Option<OnMessage>,
    pub(super) close: Option<OnMessage>,
}

impl NativeWorker {
    /// A worker that listens to nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens to `install`; the future is what `waitUntil` is given.
    #[must_use]
    pub fn on_install<F>(
        mut self,
        listener: impl Fn(Scope, EventId) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.install = Some(Arc::new(move |scope, event| {
            Box::pin(listener(scope, event))
        }));
        self
    }

    /// Listens to `activate`; the future is what `waitUntil` is given.
    #[must_use]
    pub fn on_activate<F>(
        mut self,
        listener: impl Fn(Scope, EventId) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.activate = Some(Arc::new(move |scope, event| {
            Box::pin(listener(scope, event))
        }));
        self
    }

    /// Listens to `fetch`; whoever drops the dispatch without an answer has died.
    #[must_use]
    pub fn on_fetch<F>(
        mut self,
        listener: impl Fn(Scope, FetchDispatch) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.fetch = Some(Arc::new(move |scope, dispatch| {
            Box::pin(listener(scope, dispatch))
        }));
        self
    }

    /// Listens to `connect`; the future is what `waitUntil` is given.
    #[must_use]
    pub fn on_connect<F>(
        mut self,
        listener: impl Fn(Scope, Connection) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.connect = Some(Arc::new(move |scope, connection| {
            Box::pin(listener(scope, connection))
        }));
        self
    }

    /// Listens to `message` at the global; the future is what `waitUntil` is given.
    #[must_use]
    pub fn on_post<F>(
        mut self,
        listener: impl Fn(Scope, MessageDetail<MessagePort>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.posted = Some(Arc::new(move |scope, detail| {
            Box::pin(listener(scope, detail))
        }));
        self
    }

    /// Listens to `message` at stashed ports. The message is consumed once the future was polled for
    /// the first time; the rest of it is what `waitUntil` is given.
    #[must_use]
    pub fn on_message<F>(
        mut self,
        listener: impl Fn(Scope, StashedEvent) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.message = Some(Arc::new(move |scope, event| {
            Box::pin(listener(scope, event))
        }));
        self
    }

    /// Listens to `close` at stashed ports.
    #[must_use]
    pub fn on_close<F>(
        mut self,
        listener: impl Fn(Scope, StashedEvent) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.close = Some(Arc::new(move |scope, event| {
            Box::pin(listener(scope, event))
        }));
        self
    }

    pub(super) fn event_types(&self) -> EventTypes {
        [
            self.install.as_ref().map(|_| EventType::Install),
            self.activate.as_ref().map(|_| EventType::Activate),
            self.fetch.as_ref().map(|_| EventType::Fetch),
            self.connect.as_ref().map(|_| EventType::Connect),
            self.posted.as_ref().map(|_| EventType::Message),
            self.message.as_ref().map(|_| EventType::Message),
            self.close.as_ref().map(|_| EventType::Close),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
