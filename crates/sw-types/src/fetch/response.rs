//! The head of a response. (*Fetch*, "response".)

use http::{HeaderMap, HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use url::Url;

/// A response's type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ResponseType {
    /// Made by a script, or not filtered yet.
    #[default]
    Default,
    /// From the same origin.
    Basic,
    /// From another origin, which allowed it to be read.
    Cors,
    /// A network error.
    Error,
    /// From another origin: it may be used and not read.
    Opaque,
    /// A redirect that its requester follows itself.
    OpaqueRedirect,
}

impl ResponseType {
    /// The name that scripts see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Basic => "basic",
            Self::Cors => "cors",
            Self::Error => "error",
            Self::Opaque => "opaque",
            Self::OpaqueRedirect => "opaqueredirect",
        }
    }
}

/// The head of a response: always the *internal* response, with the type of the filter that is laid
/// over it. What a script may see of it is [`Self::visible_status`] and
/// [`Self::visible_headers`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseHead {
    /// Which filter is laid over it.
    pub response_type: ResponseType,
    /// The URL list; empty for a response that a script made.
    pub url_list: Vec<Url>,
    /// The status. (A network error has no head that anyone may read; its status is not used.)
    #[serde(with = "http_serde::status_code")]
    pub status: StatusCode,
    /// The status message.
    pub status_text: String,
    /// The internal header list.
    #[serde(with = "http_serde::header_map")]
    pub headers: HeaderMap,
    /// CORS-exposed header-name list, lower case; only for [`ResponseType::Cors`].
    pub exposed_headers: Vec<String>,
    /// Whether the HTTP cache answered.
    pub from_cache: bool,
    /// Whether the request that brought it carried cookies or authorization. Kept in Cache too.
    /// (SEMANTICS §5.4, "Response".)
    pub requested_with_credentials: bool,
    /// Whether its request asked for a range (*Fetch*, "range-requested flag").
    pub range_requested: bool,
    /// Whether `Timing-Allow-Origin` let the requester see its timing.
    pub timing_allow_passed: bool,
}

impl ResponseHead {
    /// A response of type default with a status and headers, as a script or a network hop makes it.
    #[must_use]
    pub const fn new(status: StatusCode, headers: HeaderMap) -> Self {
        Self {
            response_type: ResponseType::Default,
            url_list: Vec::new(),
            status,
            status_text: String::new(),
            headers,
            exposed_headers: Vec::new(),
            from_cache: false,
            requested_with_credentials: false,
            range_requested: false,
            timing_allow_passed: false,
        }
    }

    /// A network error.
    #[must_use]
    pub fn network_error() -> Self {
        Self {
            response_type: ResponseType::Error,
            ..Self::new(StatusCode::IM_A_TEAPOT, HeaderMap::new())
        }
    }

    /// The URL: the last of the URL list, if any.
    #[must_use]
    pub fn url(&self) -> Option<&Url> {
        self.url_list.last()
    }

    /// The status that scripts see: 0 for errors, opaque responses and opaque redirects.
    #[must_use]
    pub fn visible_status(&self) -> u16 {
        if self.is_hidden() {
            0
        } else {
            self.status.as_u16()
        }
    }

    /// The headers that scripts see. (*Fetch*, the filtered responses.)
    #[must_use]
    pub fn visible_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !self.is_hidden() {
            for (name, value) in self.headers.iter().filter(|(name, _)| self.shows(name)) {
                headers.append(name.clone(), value.clone());
            }
        }
        headers
    }

    fn is_hidden(&self) -> bool {
        matches!(
            self.response_type,
            ResponseType::Error | ResponseType::Opaque | ResponseType::OpaqueRedirect
        )
    }

    fn shows(&self, name: &HeaderName) -> bool {
        match self.response_type {
            ResponseType::Default => true,
            ResponseType::Basic => !is_forbidden_response_header(name),
            ResponseType::Cors => {
                !is_forbidden_response_header(name)
                    && (is_safelisted_response_header(name)
                        || self
                            .exposed_headers
                            .iter()
                            .any(|exposed| name == exposed.as_str()))
            }
            ResponseType::Error | ResponseType::Opaque | ResponseType::OpaqueRedirect => false,
        }
    }
}

/// *Forbidden response-header name.*
fn is_forbidden_response_header(name: &HeaderName) -> bool {
    matches!(name.as_str(), "set-cookie" | "set-cookie2")
}

/// *CORS-safelisted response-header name.*
fn is_safelisted_response_header(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "cache-control"
            | "content-language"
            | "content-length"
            | "content-type"
            | "expires"
            | "last-modified"
            | "pragma"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(response_type: ResponseType) -> ResponseHead {
        let mut headers = HeaderMap::new();
        for name in ["content-type", "set-cookie", "x-open", "x-closed"] {
            headers.insert(name, "1".parse().unwrap());
        }
        ResponseHead {
            response_type,
            exposed_headers: vec!["x-open".into(), "set-cookie".into()],
            ..ResponseHead::new(StatusCode::OK, headers)
        }
    }

    fn visible(response_type: ResponseType) -> Vec<String> {
        response(response_type)
            .visible_headers()
            .keys()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn each_filter_shows_what_the_standard_lets_it_show() {
        assert_eq!(
            visible(ResponseType::Basic),
            ["content-type", "x-open", "x-closed"]
        );
        assert_eq!(visible(ResponseType::Cors), ["content-type", "x-open"]);
        assert_eq!(visible(ResponseType::Opaque), [""; 0]);
        assert_eq!(response(ResponseType::Opaque).visible_status(), 0);
        assert_eq!(response(ResponseType::Cors).visible_status(), 200);
    }
}
