//! Who asks: what a browser knows of a window or a worker. (*HTML*, "environment settings object".)

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{ClientId, EphemeralId, Origin, Site};

/// The kind of a client. (*Service Workers*, `ClientType`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "a closed set of the specification")]
pub enum ClientType {
    /// A window, top-level or framed.
    Window,
    /// A dedicated worker.
    Worker,
    /// A shared worker.
    SharedWorker,
    /// A service worker: it makes requests and connects, and is never controlled.
    ServiceWorker,
}

/// The *frame type* of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "the values of the specification")]
pub enum FrameType {
    /// A top-level window that another opened.
    Auxiliary,
    /// A top-level window.
    TopLevel,
    /// A frame.
    Nested,
    /// A worker.
    None,
}

impl FrameType {
    /// The value of `Client.frameType`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auxiliary => "auxiliary",
            Self::TopLevel => "top-level",
            Self::Nested => "nested",
            Self::None => "none",
        }
    }
}

/// What a browser knows of whoever makes requests: a window, a worker, or a navigation's reserved
/// client. The browser's own knowledge, never a script's claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Its id.
    pub id: ClientId,
    /// What kind of client it is.
    pub client_type: ClientType,
    /// Where its document is. (*Service Workers*, "FrameType".)
    pub frame_type: FrameType,
    /// Its creation URL.
    pub creation_url: Url,
    /// What registrations match instead of the creation URL: of a worker with a `blob:` URL, which is
    /// in no scope, its creator's URL. (The specification has nothing of the kind; browsers agree.)
    #[serde(default)]
    pub matched_as: Option<Url>,
    /// Its origin. Opaque for a sandboxed document.
    pub origin: Origin,
    /// The site of its top-level document, which partitions its storage.
    pub top_level_site: Site,
    /// Whether any document between it and the top level, itself included, is cross-site.
    pub cross_site_ancestor: bool,
    /// Whether it is a secure context.
    pub secure_context: bool,
    /// Whether it may use no storage at all.
    pub storage_blocked: bool,
    /// The private session that it belongs to.
    pub ephemeral: Option<EphemeralId>,
    /// Whether its document answered `Fall-Through: none`. (SEMANTICS §5.4, "Page opt-out".)
    pub fall_through_forbidden: bool,
}

impl Environment {
    /// The environment of a top-level document at `url`, as a navigation creates it: its origin is
    /// the URL's, its context is secure exactly if that origin is potentially trustworthy, and no
    /// policy restricts it.
    #[must_use]
    pub fn top_level(id: ClientId, url: Url) -> Self {
        let origin = Origin::of(&url);
        Self {
            id,
            client_type: ClientType::Window,
            frame_type: FrameType::TopLevel,
            top_level_site: Site::of(&origin),
            cross_site_ancestor: false,
            secure_context: origin.is_potentially_trustworthy(),
            storage_blocked: false,
            ephemeral: None,
            fall_through_forbidden: false,
            creation_url: url,
            matched_as: None,
            origin,
        }
    }

    /// The URL that the scope of a registration has to match for this client to be its.
    #[must_use]
    pub fn matched_url(&self) -> &Url {
        self.matched_as.as_ref().unwrap_or(&self.creation_url)
    }
}
