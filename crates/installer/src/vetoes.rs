//! What a response says against being anybody's service worker: it is sandboxed, or a download.

use http::HeaderMap;
use http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY};

use crate::Ignored;

/// Whether a response's own headers veto an install: asked of the response that has the install
/// headers (by [`install_request`](crate::install_request) itself), and then, by the caller, of the
/// script's response.
///
/// Sites that hand out what their users uploaded mark it so; it must not become their worker.
#[must_use]
pub fn script_response_vetoes(headers: &HeaderMap) -> Option<Ignored> {
    if is_sandboxed(headers) {
        Some(Ignored::Sandboxed)
    } else if is_attachment(headers) {
        Some(Ignored::Attachment)
    } else {
        None
    }
}

/// Whether any policy has `sandbox` without `allow-same-origin`. (*CSP*, "parse a response's Content
/// Security Policies"; `Content-Security-Policy-Report-Only` sandboxes nothing.)
fn is_sandboxed(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_SECURITY_POLICY)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(policy_sandboxes)
}

/// *Parse a serialized CSP*, as far as `sandbox` goes: of several directives with one name, the
/// first counts.
fn policy_sandboxes(policy: &[u8]) -> bool {
    let mut tokens = policy
        .split(|byte| *byte == b';')
        .map(tokens)
        .find(|tokens| {
            let name = tokens.clone().next();
            name.is_some_and(|name| name.eq_ignore_ascii_case(b"sandbox"))
        });
    let allowed = |token: &[u8]| token.eq_ignore_ascii_case(b"allow-same-origin");
    tokens
        .as_mut()
        .is_some_and(|directive| !directive.any(allowed))
}

/// The parts of a directive: its name, then its values.
fn tokens(directive: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    directive
        .split(u8::is_ascii_whitespace)
        .filter(|token| !token.is_empty())
}

/// Whether the disposition is `attachment`, or a type that nobody knows, which counts as such.
/// (RFC 6266, §4.2.)
fn is_attachment(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_DISPOSITION).iter().any(|value| {
        let disposition = value.as_bytes().split(|byte| *byte == b';').next();
        let disposition = disposition.unwrap_or_default().trim_ascii();
        !disposition.eq_ignore_ascii_case(b"inline")
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn veto(lines: &[(&'static str, &str)]) -> Option<Ignored> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        script_response_vetoes(&headers)
    }

    #[test]
    fn a_sandbox_without_allow_same_origin_vetoes() {
        let table = [
            ("sandbox", true),
            ("SandBox allow-scripts", true),
            ("default-src 'self'; sandbox\tallow-scripts", true),
            ("default-src *, sandbox", true),
            (";;sandbox;", true),
            ("sandbox allow-same-origin, sandbox", true),
            ("sandbox; sandbox allow-same-origin", true),
            ("sandbox allow-same-origin", false),
            ("sandbox allow-scripts ALLOW-Same-Origin", false),
            ("sandbox allow-same-origin; sandbox", false),
            ("sandboxed", false),
            ("default-src sandbox", false),
            ("script-src 'sandbox'", false),
            ("", false),
            ("é; sandbox", true),
        ];
        for (policy, vetoed) in table {
            let expected = vetoed.then_some(Ignored::Sandboxed);
            assert_eq!(
                veto(&[("content-security-policy", policy)]),
                expected,
                "{policy}"
            );
        }
    }

    #[test]
    fn any_of_several_policies_vetoes_and_report_only_never() {
        let csp = "content-security-policy";
        assert_eq!(
            veto(&[(csp, "default-src *"), (csp, "sandbox")]),
            Some(Ignored::Sandboxed)
        );
        assert_eq!(
            veto(&[("content-security-policy-report-only", "sandbox")]),
            None
        );
    }

    #[test]
    fn a_download_vetoes() {
        let table = [
            ("attachment", true),
            ("Attachment; filename=sw.js", true),
            (" attachment ;filename=\"inline\"", true),
            ("something-new", true),
            ("filename=x", true),
            ("", true),
            ("inline", false),
            ("INLINE; filename=attachment", false),
        ];
        for (disposition, vetoed) in table {
            let expected = vetoed.then_some(Ignored::Attachment);
            let vetoed = veto(&[("content-disposition", disposition)]);
            assert_eq!(vetoed, expected, "{disposition:?}");
        }
    }
}
