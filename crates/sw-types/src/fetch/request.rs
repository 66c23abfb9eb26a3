//! The head of a request. (*Fetch*, "request".)

use std::fmt;

use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{ClientId, Origin, Site};

macro_rules! keywords {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[doc = concat!("`", $word, "`")] $variant,)*
        }

        impl $name {
            /// The keyword that scripts and headers use.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The value of a keyword; `None` if there is no such keyword.
            #[must_use]
            pub fn from_keyword(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

keywords! {
    /// What a response will be used for. (*Fetch*, "destination".)
    Destination {
        #[default] None = "",
        Audio = "audio",
        AudioWorklet = "audioworklet",
        Document = "document",
        Embed = "embed",
        Font = "font",
        Frame = "frame",
        Iframe = "iframe",
        Image = "image",
        Json = "json",
        Manifest = "manifest",
        Object = "object",
        PaintWorklet = "paintworklet",
        Report = "report",
        Script = "script",
        ServiceWorker = "serviceworker",
        SharedWorker = "sharedworker",
        Style = "style",
        Track = "track",
        Video = "video",
        WebIdentity = "webidentity",
        Worker = "worker",
        Xslt = "xslt",
    }
}

impl Destination {
    /// *Non-subresource request*: a navigation or a worker's main script.
    #[must_use]
    pub const fn is_non_subresource(self) -> bool {
        matches!(
            self,
            Self::Document
                | Self::Embed
                | Self::Frame
                | Self::Iframe
                | Self::Object
                | Self::Report
                | Self::ServiceWorker
                | Self::SharedWorker
                | Self::Worker
        )
    }
}

keywords! {
    /// A request's mode.
    RequestMode {
        #[default] NoCors = "no-cors",
        Cors = "cors",
        SameOrigin = "same-origin",
        Navigate = "navigate",
        WebSocket = "websocket",
    }
}

keywords! {
    /// A request's credentials mode.
    CredentialsMode {
        #[default] SameOrigin = "same-origin",
        Omit = "omit",
        Include = "include",
    }
}

keywords! {
    /// A request's cache mode.
    CacheMode {
        #[default] Default = "default",
        NoStore = "no-store",
        Reload = "reload",
        NoCache = "no-cache",
        ForceCache = "force-cache",
        OnlyIfCached = "only-if-cached",
    }
}

keywords! {
    /// A request's redirect mode.
    RedirectMode {
        #[default] Follow = "follow",
        Error = "error",
        Manual = "manual",
    }
}

keywords! {
    /// A request's service-workers mode. `foreign` is that of a worker's own `fetch()`: it skips
    /// the requester's own worker and may fall through to another's. (SEMANTICS §5.4.)
    ServiceWorkersMode {
        #[default] All = "all",
        Foreign = "foreign",
        None = "none",
    }
}

keywords! {
    /// A request's look-aside mode. (SEMANTICS §4.2 rows 31 and 32.)
    LookAside {
        #[default] Default = "default",
        None = "none",
        Local = "local",
        Universal = "universal",
    }
}

keywords! {
    /// A referrer policy. (*Referrer Policy*, "referrer policies".)
    ReferrerPolicy {
        NoReferrer = "no-referrer",
        NoReferrerWhenDowngrade = "no-referrer-when-downgrade",
        SameOrigin = "same-origin",
        Origin = "origin",
        StrictOrigin = "strict-origin",
        OriginWhenCrossOrigin = "origin-when-cross-origin",
        #[default] StrictOriginWhenCrossOrigin = "strict-origin-when-cross-origin",
        UnsafeUrl = "unsafe-url",
    }
}

/// On whose behalf a fall-through worker's `fetch(event.request)` is made: never seen by the
/// worker's script, copied with its request. (SEMANTICS §5.4, "Dispatch".)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requester {
    /// The origin that `Origin` and `Sec-Fetch-Site` are about.
    pub origin: Origin,
    /// The site for cookies.
    pub site: Site,
}

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHead {
    /// The method, normalized.
    #[serde(with = "http_serde::method")]
    pub method: Method,
    /// The URL list: the first URL, then one for each redirect. Never empty; see [`Self::url`].
    pub url_list: Vec<Url>,
    /// The header list.
    #[serde(with = "http_serde::header_map")]
    pub headers: HeaderMap,
    /// What the response will be used for.
    pub destination: Destination,
    /// The mode.
    pub mode: RequestMode,
    /// The credentials mode.
    pub credentials: CredentialsMode,
    /// The cache mode.
    pub cache: CacheMode,
    /// The redirect mode.
    pub redirect: RedirectMode,
    /// The service-workers mode.
    pub service_workers: ServiceWorkersMode,
    /// The look-aside mode.
    pub look_aside: LookAside,
    /// The origin that asks.
    pub origin: Origin,
    /// Whether a cross-origin redirect has tainted [`Self::origin`]: it is then sent as `null`.
    pub tainted_origin: bool,
    /// The referrer, as a URL; `None` for no-referrer.
    pub referrer: Option<Url>,
    /// The referrer policy that [`Self::referrer`] was determined with.
    pub referrer_policy: ReferrerPolicy,
    /// The use-CORS-preflight flag.
    pub use_cors_preflight: bool,
    /// Whether this is a navigation by forced reload.
    pub shift_reload: bool,
    /// The reload-navigation flag.
    pub reload_navigation: bool,
    /// The history-navigation flag.
    pub history_navigation: bool,
    /// Of a navigation: the client that is there until it is over; its *replaces client id*.
    pub replaces_client: Option<ClientId>,
    /// Subresource integrity metadata.
    pub integrity: String,
    /// Whether the request outlives its client.
    pub keepalive: bool,
    /// Whether there is a body.
    pub has_body: bool,
    /// The hidden requester, for requests that came from a fall-through event.
    pub requester: Option<Requester>,
}

impl RequestHead {
    /// A `GET` of `url` by `origin`, with the standard's initial values.
    #[must_use]
    pub fn get(url: Url, origin: Origin) -> Self {
        Self {
            method: Method::GET,
            url_list: vec![url],
            headers: HeaderMap::new(),
            destination: Destination::None,
            mode: RequestMode::NoCors,
            credentials: CredentialsMode::SameOrigin,
            cache: CacheMode::Default,
            redirect: RedirectMode::Follow,
            service_workers: ServiceWorkersMode::All,
            look_aside: LookAside::Default,
            origin,
            tainted_origin: false,
            referrer: None,
            referrer_policy: ReferrerPolicy::default(),
            use_cors_preflight: false,
            shift_reload: false,
            reload_navigation: false,
            history_navigation: false,
            replaces_client: None,
            integrity: String::new(),
            keepalive: false,
            has_body: false,
            requester: None,
        }
    }

    /// The current URL: the last of the URL list.
    ///
    /// # Panics
    /// If [`Self::url_list`] has been emptied.
    #[must_use]
    pub fn url(&self) -> &Url {
        self.url_list
            .last()
            .expect("a request's URL list is never empty")
    }

    /// The origin as the `Origin` header and the CORS check have it: the hidden requester's if
    /// there is one, and `null` once a redirect has tainted it.
    #[must_use]
    pub fn serialized_origin(&self) -> &str {
        let origin = self
            .requester
            .as_ref()
            .map_or(&self.origin, |requester| &requester.origin);
        if self.tainted_origin {
            "null"
        } else {
            origin.as_str()
        }
    }

    /// Whether the current URL is of another origin than the one that asks.
    #[must_use]
    pub fn is_cross_origin(&self) -> bool {
        Origin::of(self.url()) != self.origin
    }
}
