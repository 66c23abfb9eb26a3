//! Why a worker does not see a request.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $sentence:literal,)*) => {
        /// Why a worker does not see a request: one value for each rule of *Handle Fetch* and of
        /// SEMANTICS §5.4 "When". Displayed, it is a sentence for whoever asks "why did my worker
        /// not see it?".
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum SkipReason {
            $($(#[$doc])* $variant,)*
        }

        impl SkipReason {
            /// Every reason, for tables and counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The sentence, without a full stop.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)* }
            }
        }
    };
}

reasons! {
    /// The URL is neither `http` nor `https`: it never reaches *HTTP fetch*.
    NotHttp = "the URL is neither http nor https",
    /// The service-workers mode is `none`.
    ServiceWorkersModeNone = "the request's service-workers mode is none",
    /// The service-workers mode is `foreign`: a worker's own fetch, or a redirect.
    ServiceWorkersModeForeign =
        "the request comes from a service worker or follows a redirect, so its own worker is skipped",
    /// `lookAside: "local"` for another origin's URL. It must not reach the network either: if no
    /// service of that origin answers, the caller rejects it with a `TypeError`.
    LocalFetch = "lookAside is local and the URL is of another origin, so the own worker is skipped",
    /// The destination is `embed` or `object`.
    EmbedOrObject = "requests of embed and object elements never reach a service worker",
    /// A forced reload.
    ShiftReload = "the page is being reloaded by force",
    /// The client is not a secure context, or a navigation's URL is not trustworthy.
    NotSecure = "the client is not a secure context",
    /// No registration controls the client.
    NoController = "no service worker controls the client",
    /// No registration matches the URL of a navigation, of a worker's script, or of a local fetch.
    NoMatch = "no registration's scope matches the URL",
    /// The registration that matches was made by a response header, and the host lets such ones control
    /// no client.
    ServesOthersOnly =
        "the registration was installed by a header and serves other origins only",
    /// A registration is there, and none of its workers is activating or activated.
    NotActive = "the registration has no active worker",
    /// The worker has no `fetch` listener.
    NoFetchListener = "the worker had no fetch listener when it was first run",
    /// All `fetch` listeners have an empty body. For the own worker: start it in the background.
    EmptyFetchListeners = "all fetch listeners of the worker are empty",
    /// A router rule of the worker names the network.
    RoutedToNetwork = "a router rule of the worker sends it to the network",
    /// A router rule of the worker names a cache. The network follows, if it has nothing.
    RoutedToCache = "a router rule of the worker has it answered from a cache",
    /// The host has turned fall-through off.
    FallThroughOff = "fall-through is turned off",
    /// Reports never fall through.
    Report = "reports never fall through",
    /// WebSocket handshakes never fall through.
    WebSocket = "WebSocket connections never fall through",
    /// Navigations and workers' main scripts never fall through.
    NonSubresource = "only subresource requests fall through",
    /// The request has no client.
    NoClient = "the request has no client",
    /// The requester's own origin is asked.
    SameOrigin = "the requester and the URL have the same origin",
    /// `lookAside: "none"`.
    LookAsideNone = "the request's lookAside is none",
    /// The document answered `Fall-Through: none`, and the request is not `lookAside: "universal"`.
    ForbiddenByPage = "the page forbids fall-through by its Fall-Through header",
    /// The client may use no storage.
    StorageBlocked = "the client's storage is blocked",
    /// The method would need a preflight.
    MethodNotSafelisted = "the method is not CORS-safelisted",
    /// The use-CORS-preflight flag is set.
    PreflightForced = "the request must be preceded by a CORS preflight",
    /// There is a `Range` header.
    RangeHeader = "the request has a Range header",
    /// A header would need a preflight.
    HeaderNotSafelisted = "a header is not CORS-safelisted, or the headers are too long",
    /// No registration of the URL's origin, in the requester's partition, matches.
    NoRegistration = "no registration of the URL's origin matches in the requester's partition",
    /// The registration is the requesting worker's own.
    OwnRegistration = "a worker's own fetch never falls through to its own registration",
    /// No prefix of `handleFallThroughRequests` matches.
    NoPrefix = "the worker asked for no prefix that the URL starts with",
    /// Prefixes match, and none admits the requester.
    RequesterNotAdmitted = "the worker does not admit the requester's origin",
    /// The request is without credentials and the host lets none such through here.
    Uncredentialed =
        "the request is without credentials, and the worker's storage could tell who asks",
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
