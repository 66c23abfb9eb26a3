//! What *Update* demands of a main script's response, and the MIME type of a script.

use http::{HeaderMap, HeaderName, StatusCode};
use sw_types::fetch::{is_javascript_mime_essence, mime_essence};
use sw_types::{Origin, ScopeUrl, ScriptUrl};

use url::Url;

use crate::{FetchedScript, JobError};

const SERVICE_WORKER_ALLOWED: HeaderName = HeaderName::from_static("service-worker-allowed");

/// Update, the *performFetch* hook of its fetch, from the response on. (SEMANTICS §1.4, steps 3 and
/// 4.) `is_update`: the job is an update, and not a `register()`.
pub(crate) fn check_main_script(
    response: &FetchedScript,
    script: &ScriptUrl,
    scope: &ScopeUrl,
    is_update: bool,
) -> Result<(), JobError> {
    // A redirect is a network error by the letter of the specification, so a TypeError. Of a
    // `register()`, browsers tell it apart as a SecurityError, and their shared tests expect that.
    if response.status.is_redirection() && response.status != StatusCode::NOT_MODIFIED {
        let why = format!(
            "script {script} is behind a redirect (status {})",
            response.status.as_u16()
        );
        return Err(match is_update {
            true => JobError::Type(why),
            false => JobError::Security(why),
        });
    }
    if !response.status.is_success() {
        return Err(JobError::Type(format!(
            "script {script}: the server answered with status {} (expected 200 to 299)",
            response.status.as_u16()
        )));
    }
    // *Extract a MIME type*, *JavaScript MIME type*.
    let essence = mime_essence(&response.headers);
    if !essence.as_deref().is_some_and(is_javascript_mime_essence) {
        let found = match essence {
            Some(essence) => format!("MIME type {essence}"),
            None => "no valid MIME type".to_owned(),
        };
        return Err(JobError::Security(format!(
            "script {script} has {found} (expected a JavaScript MIME type such as text/javascript)"
        )));
    }
    // *Service-Worker-Allowed*, and *maxScopeString*.
    check_scope(&response.headers, script, scope)
}

/// The response of an imported script. (*Service Workers*, "importScripts": *bad import script
/// response*.)
///
/// # Errors
/// A `NetworkError` in the making: what is bad about it.
pub fn check_import(response: &FetchedScript, url: &Url) -> Result<(), JobError> {
    if !response.status.is_success() {
        return Err(JobError::Type(format!(
            "{url}: the server answered with status {} (expected 200 to 299)",
            response.status.as_u16()
        )));
    }
    let essence = mime_essence(&response.headers);
    if !essence.as_deref().is_some_and(is_javascript_mime_essence) {
        return Err(JobError::Type(format!(
            "{url} is of MIME type {} (expected a JavaScript MIME type)",
            essence.as_deref().unwrap_or("none")
        )));
    }
    Ok(())
}

fn check_scope(headers: &HeaderMap, script: &ScriptUrl, scope: &ScopeUrl) -> Result<(), JobError> {
    let allowed = service_worker_allowed(headers, script)?;
    let max_scope = match allowed {
        // Absent: the folder of the script.
        None => Some(ScopeUrl::default_for(script).url().path().to_owned()),
        Some(allowed) => match script.url().join(allowed) {
            Err(error) => {
                return Err(JobError::Type(format!(
                    "script {script}: Service-Worker-Allowed {allowed:?} is not a valid URL: {error}"
                )));
            }
            // Another origin sets no maximum scope, so nothing is inside it.
            Ok(max) => (Origin::of(&max) == script.origin()).then(|| max.path().to_owned()),
        },
    };
    let given = match allowed {
        None => "Service-Worker-Allowed absent".to_owned(),
        Some(allowed) => format!("Service-Worker-Allowed {allowed:?}"),
    };
    // A plain prefix of the path.
    match max_scope {
        Some(max) if scope.url().path().starts_with(&max) => Ok(()),
        Some(max) => Err(JobError::Security(format!(
            "scope {scope} is outside the maximum scope {max} ({given})"
        ))),
        None => Err(JobError::Security(format!(
            "scope {scope} is outside the maximum scope, which is of another origin than the script {script} ({given})"
        ))),
    }
}

/// *Extract header list values* of `Service-Worker-Allowed`: one, or failure.
fn service_worker_allowed<'a>(
    headers: &'a HeaderMap,
    script: &ScriptUrl,
) -> Result<Option<&'a str>, JobError> {
    let mut values = headers.get_all(SERVICE_WORKER_ALLOWED).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(JobError::Type(format!(
            "script {script}: more than one Service-Worker-Allowed header (expected one)"
        )));
    }
    match std::str::from_utf8(value.as_bytes()) {
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(JobError::Type(format!(
            "script {script}: Service-Worker-Allowed {value:?} is not a URL"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&str, &str)], scope: &str) -> Result<(), JobError> {
        let mut map = HeaderMap::new();
        map.insert("content-type", "text/javascript".parse().unwrap());
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, value.parse().unwrap());
        }
        let response = FetchedScript {
            status: StatusCode::OK,
            headers: map,
            body: bytes::Bytes::new(),
            from_cache: false,
        };
        check_main_script(
            &response,
            &ScriptUrl::parse("https://a.test/js/sw.js", None).unwrap(),
            &ScopeUrl::parse(scope, None).unwrap(),
            false,
        )
    }

    #[test]
    fn without_the_header_the_folder_of_the_script_is_the_maximum() {
        assert_eq!(check(&[], "https://a.test/js/x"), Ok(()));
        assert_eq!(check(&[], "https://a.test/js/"), Ok(()));
        assert_eq!(
            check(&[], "https://a.test/x").unwrap_err().to_string(),
            "SecurityError: scope https://a.test/x is outside the maximum scope /js/ (Service-Worker-Allowed absent)"
        );
        assert!(matches!(
            check(&[], "https://a.test/js"),
            Err(JobError::Security(_))
        ));
    }

    #[test]
    fn the_header_widens_and_narrows_as_a_plain_prefix() {
        let allowed = |value, scope| check(&[("service-worker-allowed", value)], scope);
        assert_eq!(allowed("/", "https://a.test/x"), Ok(()));
        assert_eq!(allowed("/foo", "https://a.test/foobar"), Ok(()));
        assert_eq!(allowed("..", "https://a.test/x"), Ok(()));
        assert_eq!(allowed("https://a.test/y", "https://a.test/y/z"), Ok(()));
        let error = allowed("/js/deep/", "https://a.test/js/").unwrap_err();
        assert_eq!(
            error.to_string(),
            "SecurityError: scope https://a.test/js/ is outside the maximum scope /js/deep/ (Service-Worker-Allowed \"/js/deep/\")"
        );
    }

    #[test]
    fn a_maximum_scope_of_another_origin_admits_nothing() {
        let error = check(
            &[("service-worker-allowed", "https://b.test/")],
            "https://a.test/js/",
        );
        assert!(
            matches!(&error, Err(JobError::Security(text)) if text.contains("another origin")),
            "{error:?}"
        );
    }

    #[test]
    fn a_header_that_makes_no_sense_is_a_type_error() {
        for headers in [
            &[("service-worker-allowed", "https://[")][..],
            &[
                ("service-worker-allowed", "/"),
                ("service-worker-allowed", "/js/"),
            ],
        ] {
            let error = check(headers, "https://a.test/js/");
            assert!(
                matches!(&error, Err(JobError::Type(text)) if text.contains("Service-Worker-Allowed")),
                "{error:?}"
            );
        }
    }

    #[test]
    fn the_essence_is_that_of_the_last_valid_content_type() {
        let essence = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(http::header::CONTENT_TYPE, value.parse().unwrap());
            }
            mime_essence(&headers)
        };
        assert_eq!(
            essence(&["Text/JavaScript; charset=utf-8"]).as_deref(),
            Some("text/javascript")
        );
        assert_eq!(
            essence(&["text/html, text/javascript"]).as_deref(),
            Some("text/javascript")
        );
        assert_eq!(
            essence(&["text/javascript", "*/*"]).as_deref(),
            Some("text/javascript")
        );
        assert_eq!(
            essence(&["text/javascript;x=\"a,text/html\""]).as_deref(),
            Some("text/javascript")
        );
        for bad in ["", "text", "text/", "/javascript", "te xt/javascript", ";"] {
            assert_eq!(essence(&[bad]), None, "{bad}");
        }
        assert_eq!(essence(&[]), None);
    }
}
