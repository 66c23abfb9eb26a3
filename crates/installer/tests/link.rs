//! What `Link` headers install, rule by rule.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may panic as they may"
)]

use http::{HeaderMap, HeaderValue, StatusCode};
use installer::{
    Ignored, InstallHeader, InstallRequest, Malformed, ResponseContext, ResponseSource,
    link_install_requests,
};
use sw_types::fetch::Destination;
use sw_types::{ClientId, Environment, HeaderInstall, UpdateViaCache, WorkerType};
use url::Url;

const IMAGE: &str = "https://api.thirdparty.org/share/assets/pak.png#x";

fn asked(links: &[&str], policy: HeaderInstall) -> Vec<Result<InstallRequest, Ignored>> {
    let mut headers = HeaderMap::new();
    for link in links {
        headers.append("link", HeaderValue::from_bytes(link.as_bytes()).unwrap());
    }
    let page = Environment::top_level(ClientId(1), Url::parse("https://acme.com/").unwrap());
    link_install_requests(&ResponseContext {
        url: &Url::parse(IMAGE).unwrap(),
        status: StatusCode::OK,
        headers: &headers,
        destination: Destination::Image,
        source: ResponseSource::Network,
        client: Some(&page),
        controls_clients: false,
        policy,
    })
}

fn one(link: &str) -> Result<InstallRequest, Ignored> {
    let mut asked = asked(&[link], HeaderInstall::Full);
    assert_eq!(asked.len(), 1, "{link}: {asked:?}");
    asked.pop().unwrap()
}

#[test]
fn a_link_names_the_script_and_its_scope_is_relative_to_the_script() {
    let install = one("</js/sw.js>; rel=serviceworker; scope=\"app/\"").unwrap();
    assert_eq!(
        install.script.as_str(),
        "https://api.thirdparty.org/js/sw.js"
    );
    assert_eq!(install.scope.as_str(), "https://api.thirdparty.org/js/app/");
    assert_eq!(install.worker_type, WorkerType::Classic);
    assert_eq!(install.update_via_cache, UpdateViaCache::Imports);
    assert!(install.controls_clients);
    assert_eq!(install.referrer.fragment(), None);

    // Relative to the response; the scope is the script's directory.
    let install = one("<sw.js>; rel=\"Preload ServiceWorker\"").unwrap();
    let script = "https://api.thirdparty.org/share/assets/sw.js";
    assert_eq!(install.script.as_str(), script);
    assert_eq!(
        install.scope.as_str(),
        "https://api.thirdparty.org/share/assets/"
    );
}

#[test]
fn the_later_options_of_register_are_there() {
    let install = one("</sw.js>;rel=serviceworker;UpdateViaCache=NONE;workertype=module").unwrap();
    assert_eq!(install.update_via_cache, UpdateViaCache::None);
    assert_eq!(install.worker_type, WorkerType::Module);
    for (link, parameter) in [
        (
            "</sw.js>; rel=serviceworker; updateviacache=some",
            "updateviacache",
        ),
        (
            "</sw.js>; rel=serviceworker; updateviacache",
            "updateviacache",
        ),
        ("</sw.js>; rel=serviceworker; workertype=\"\"", "workertype"),
    ] {
        let header = InstallHeader::Link;
        let why = Malformed::Keyword(parameter);
        assert_eq!(one(link), Err(Ignored::Malformed { header, why }), "{link}");
    }
}

#[test]
fn other_links_ask_for_nothing() {
    for links in [
        &[][..],
        &["</style.css>; rel=preload"],
        &["</sw.js>"],
        &["</sw.js>; rel=serviceworkers"],
        // The first relation counts, and a link about something else is not about the response.
        &["</sw.js>; rel=preload; rel=serviceworker"],
        &["</sw.js>; rel=serviceworker; anchor=\"/other\""],
    ] {
        assert_eq!(asked(links, HeaderInstall::Full), [], "{links:?}");
    }
}

#[test]
fn what_cannot_be_a_worker_is_ignored_with_its_reason() {
    let header = InstallHeader::Link;
    let malformed = |why| Ignored::Malformed { header, why };
    for (link, why) in [
        ("<>; rel=serviceworker", malformed(Malformed::Empty)),
        ("</a b>; rel=serviceworker", malformed(Malformed::Byte)),
        ("sw.js; rel=serviceworker", malformed(Malformed::NoLink)),
        (
            "<https://evil.test/sw.js>; rel=serviceworker",
            Ignored::CrossOrigin(header),
        ),
        (
            "</sw.js>; rel=serviceworker; scope=https://evil.test/",
            Ignored::CrossOrigin(header),
        ),
    ] {
        assert_eq!(one(link), Err(why), "{link}");
    }
    for link in [
        "</a%2fb.js>; rel=serviceworker",
        "<data:text/javascript,1>; rel=serviceworker",
    ] {
        let refused = one(link).unwrap_err();
        let url = |why: &Malformed| matches!(why, Malformed::Url(_));
        assert!(
            matches!(&refused, Ignored::Malformed { why, .. } if url(why)),
            "{refused}"
        );
    }
}

#[test]
fn the_hosts_policy_is_the_headers() {
    let link = "</sw.js>; rel=serviceworker";
    assert_eq!(
        asked(&[link], HeaderInstall::Off),
        [Err(Ignored::PolicyOff)]
    );
    let installs = asked(&[link], HeaderInstall::ServiceOnly);
    assert!(!installs[0].as_ref().unwrap().controls_clients);
}

#[test]
fn several_links_install_several_workers_and_no_more_than_four() {
    let link = |name: &str| format!("</{name}/sw.js>; rel=serviceworker");
    let (a, b) = (link("a"), link("b"));
    let scopes: Vec<_> = asked(&[&format!("{a}, {b}"), &link("c")], HeaderInstall::Full)
        .into_iter()
        .map(|install| install.unwrap().scope.url().path().to_owned())
        .collect();
    assert_eq!(scopes, ["/a/", "/b/", "/c/"]);
    let many = vec![a.as_str(); 9];
    let installs = asked(&many, HeaderInstall::Full);
    assert_eq!(installs.len(), 5);
    assert_eq!(installs[4], Err(Ignored::TooManyLinks));
}
