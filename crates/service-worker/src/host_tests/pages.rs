//! The network of the checks: the scripts of the host under test, and a few fixed answers.

use std::collections::BTreeMap;

use futures_channel::mpsc;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use url::Url;

use super::host::{HostUnderTest, Script};
use crate::{
    Network, NetworkError, NetworkErrorKind, NetworkFuture, NetworkRequest, NetworkResponse,
};

pub(super) const ALL: [Script; 11] = [
    Script::ListensToNothing,
    Script::AnswersHello,
    Script::LetsGo,
    Script::ThrowsAtStart,
    Script::RejectsInstall,
    Script::NeverAnswers,
    Script::AnswersAndGoesOn,
    Script::RejectsFetch,
    Script::Cancels,
    Script::FallsThrough,
    Script::Loops,
];

/// Serves the scripts at [`path`] of every host, `from the network` at `/` and `/data`, nothing at
/// `/seen`; and tells which paths were asked for.
pub(super) struct Pages {
    scripts: BTreeMap<String, String>,
    asked: mpsc::UnboundedSender<String>,
}

/// Where a script is served.
pub(super) fn path(script: Script) -> String {
    format!("/{script:?}.js")
}

impl Pages {
    pub(super) fn new(under_test: &impl HostUnderTest) -> (Self, mpsc::UnboundedReceiver<String>) {
        let (asked, paths) = mpsc::unbounded();
        let scripts = ALL.into_iter().filter_map(|script| {
            let text = under_test.script(script)?;
            Some((path(script), text))
        });
        let scripts = scripts.collect();
        (Self { scripts, asked }, paths)
    }

    fn answer(&self, url: &Url) -> Option<(&'static str, String)> {
        match url.path() {
            "/" | "/data" => Some(("text/plain", "from the network".to_owned())),
            "/seen" => Some(("text/plain", String::new())),
            path => Some(("text/javascript", self.scripts.get(path)?.clone())),
        }
    }
}

impl Network for Pages {
    fn send(&self, request: NetworkRequest) -> NetworkFuture {
        // A check that is over no longer wants to know.
        let _over = self.asked.unbounded_send(request.url.path().to_owned());
        let answer = self.answer(&request.url);
        Box::pin(async move {
            let Some((content_type, body)) = answer else {
                return Err(NetworkError {
                    url: request.url,
                    kind: NetworkErrorKind::Connect("there is no such page".to_owned()),
                });
            };
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            Ok(NetworkResponse {
                status: StatusCode::OK,
                status_text: "OK".into(),
                headers,
                body: body.into(),
                from_cache: false,
                sent_credentials: false,
                protocol: "http/1.1",
            })
        })
    }
}
