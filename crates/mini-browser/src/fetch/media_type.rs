//! Whether a script or a style sheet may have the type that it says. (*Fetch*, "Should response to
//! request be blocked due to its MIME type" and "… due to nosniff"; *MIME Sniffing*.)

use http::HeaderMap;
use http::header::X_CONTENT_TYPE_OPTIONS;
use service_worker::types::fetch::{
    Destination, ResponseHead, is_javascript_mime_essence, mime_essence,
};

use super::FetchErrorReason;

/// Checks a response's type for a destination.
pub(super) fn check(
    destination: Destination,
    response: &ResponseHead,
) -> Result<(), FetchErrorReason> {
    let essence = mime_essence(&response.headers).unwrap_or_default();
    let nosniff = is_nosniff(&response.headers);
    let is_worker = matches!(destination, Destination::Worker | Destination::SharedWorker);
    let is_http = response
        .url()
        .is_some_and(|url| matches!(url.scheme(), "http" | "https"));
    let wanted = match destination {
        // *HTML*, "fetch a classic worker script", and the same of module scripts.
        _ if is_worker && is_http && !is_javascript_mime_essence(&essence) => Some("worker"),
        destination if is_script_like(destination) => {
            let never = ["audio/", "image/", "video/"]
                .iter()
                .any(|kind| essence.starts_with(kind))
                || essence == "text/csv";
            (never || (nosniff && !is_javascript_mime_essence(&essence))).then_some("script")
        }
        Destination::Style => (nosniff && essence != "text/css").then_some("style sheet"),
        _ => None,
    };
    match wanted {
        None => Ok(()),
        Some(wanted) => Err(FetchErrorReason::MediaType {
            media_type: essence,
            wanted,
        }),
    }
}

/// *Determine nosniff*.
fn is_nosniff(headers: &HeaderMap) -> bool {
    headers
        .get(X_CONTENT_TYPE_OPTIONS)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(',').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("nosniff"))
}

/// *Script-like*.
const fn is_script_like(destination: Destination) -> bool {
    matches!(
        destination,
        Destination::AudioWorklet
            | Destination::PaintWorklet
            | Destination::Script
            | Destination::ServiceWorker
            | Destination::SharedWorker
            | Destination::Worker
    )
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http::header::CONTENT_TYPE;

    use super::*;

    #[test]
    fn a_type_that_cannot_be_a_script_or_style_sheet_is_refused() {
        use Destination::{Font, Script, Style};
        let table = [
            (Script, "text/javascript", true, true),
            (Script, "TEXT/JavaScript; charset=utf-8", true, true),
            (Script, "text/plain", false, true),
            (Script, "text/plain", true, false),
            (Script, "image/png", false, false),
            (Script, "text/csv", false, false),
            (Script, "text/javascript, image/png", false, false),
            (Script, "nonsense", false, true),
            (Style, "text/plain", false, true),
            (Style, "text/plain", true, false),
            (Style, "text/css", true, true),
            (Font, "image/png", true, true),
        ];
        for (destination, content_type, nosniff, allowed) in table {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
            if nosniff {
                headers.insert(X_CONTENT_TYPE_OPTIONS, "NoSniff".parse().unwrap());
            }
            let response = ResponseHead::new(StatusCode::OK, headers);
            let checked = check(destination, &response);
            assert_eq!(checked.is_ok(), allowed, "{destination} {content_type}");
        }
    }

    #[test]
    fn a_worker_of_the_network_must_say_that_it_is_javascript() {
        for (url, content_type, allowed) in [
            ("https://a.test/", "text/javascript", true),
            ("https://a.test/", "text/plain", false),
            ("https://a.test/", "", false),
            ("blob:https://a.test/1", "", true),
            ("data:,x", "text/plain", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
            let mut response = ResponseHead::new(StatusCode::OK, headers);
            response.url_list = vec![url::Url::parse(url).unwrap()];
            let checked = check(Destination::Worker, &response);
            assert_eq!(checked.is_ok(), allowed, "{url} {content_type}");
        }
    }
}
