//! Which responses install what, rule by rule.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may panic as they may"
)]

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use installer::{
    Ignored, InstallHeader, InstallRequest, Malformed, ResponseContext, ResponseSource,
    install_request,
};
use sw_types::fetch::Destination;
use sw_types::{ClientId, ClientType, Environment, HeaderInstall, Origin};
use url::Url;

/// The image of the seed, asked for by a page of acme.com.
struct Scene {
    url: Url,
    status: StatusCode,
    headers: HeaderMap,
    destination: Destination,
    source: ResponseSource,
    client: Option<Environment>,
    controls_clients: bool,
    policy: HeaderInstall,
}

impl Scene {
    fn new() -> Self {
        let mut scene = Self::bare();
        scene.set("service-worker-scope", "/share/");
        scene.set("service-worker-script", "/common/share/sw.js");
        scene
    }

    fn bare() -> Self {
        let page = Url::parse("https://acme.com/").unwrap();
        Self {
            url: Url::parse("https://api.thirdparty.org/share/assets/pak.png").unwrap(),
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            destination: Destination::Image,
            source: ResponseSource::Network,
            client: Some(Environment::top_level(ClientId(1), page)),
            controls_clients: false,
            policy: HeaderInstall::Full,
        }
    }

    fn set(&mut self, name: &'static str, value: &str) {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        self.headers.insert(HeaderName::from_static(name), value);
    }

    fn add(&mut self, name: &'static str, value: &str) {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        self.headers.append(HeaderName::from_static(name), value);
    }

    fn client(&mut self) -> &mut Environment {
        self.client.as_mut().unwrap()
    }

    fn install(&self) -> Result<InstallRequest, Ignored> {
        install_request(&ResponseContext {
            url: &self.url,
            status: self.status,
            headers: &self.headers,
            destination: self.destination,
            source: self.source,
            client: self.client.as_ref(),
            controls_clients: self.controls_clients,
            policy: self.policy,
        })
    }
}

fn after(change: impl FnOnce(&mut Scene)) -> Result<InstallRequest, Ignored> {
    let mut scene = Scene::new();
    change(&mut scene);
    scene.install()
}

type Change = fn(&mut Scene);

#[test]
fn the_seeds_image_installs_the_seeds_worker() {
    // S15 and S16: header names in any case.
    let mut scene = Scene::bare();
    for (name, value) in [
        ("Service-Worker-Scope", "/share/"),
        ("SERVICE-WORKER-SCRIPT", "/common/share/sw.js"),
    ] {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        scene.headers.insert(name, HeaderValue::from_static(value));
    }
    let install = scene.install().unwrap();
    assert_eq!(
        install.script.as_str(),
        "https://api.thirdparty.org/common/share/sw.js"
    );
    assert_eq!(install.scope.as_str(), "https://api.thirdparty.org/share/");
    assert_eq!(install.referrer, scene.url);
    assert!(install.controls_clients);
}

#[test]
fn each_rule_has_its_reason() {
    use Ignored::*;
    let table: &[(&str, Change, Ignored)] = &[
        ("no header", |s| s.headers.clear(), NoHeader),
        (
            "scope alone",
            |s| drop(s.headers.remove("service-worker-script")),
            ScopeAlone,
        ),
        ("off", |s| s.policy = HeaderInstall::Off, PolicyOff),
        (
            "HTTP cache",
            |s| s.source = ResponseSource::HttpCache,
            NotFromNetwork,
        ),
        (
            "worker",
            |s| s.source = ResponseSource::Worker,
            NotFromNetwork,
        ),
        (
            "redirect",
            |s| s.status = StatusCode::FOUND,
            Status(StatusCode::FOUND),
        ),
        (
            "early hints",
            |s| s.status = StatusCode::from_u16(103).unwrap(),
            Status(StatusCode::from_u16(103).unwrap()),
        ),
        (
            "404",
            |s| s.status = StatusCode::NOT_FOUND,
            Status(StatusCode::NOT_FOUND),
        ),
        (
            "a worker's script",
            |s| s.destination = Destination::ServiceWorker,
            ServiceWorkerScript,
        ),
        (
            "insecure URL",
            |s| s.url = Url::parse("http://api.thirdparty.org/x").unwrap(),
            NotTrustworthy,
        ),
        (
            "data URL",
            |s| s.url = Url::parse("data:image/png,x").unwrap(),
            OpaqueOrigin,
        ),
        (
            "sandboxed frame",
            |s| {
                s.destination = Destination::Iframe;
                s.client().origin = Origin::opaque(1);
            },
            OpaqueOrigin,
        ),
        ("no client", |s| s.client = None, NoClient),
        (
            "insecure client",
            |s| s.client().secure_context = false,
            NotSecure,
        ),
        (
            "blocked storage",
            |s| s.client().storage_blocked = true,
            StorageBlocked,
        ),
        (
            "worker without clients",
            |s| s.client().client_type = ClientType::ServiceWorker,
            IdleWorker,
        ),
        (
            "sandbox",
            |s| s.set("content-security-policy", "sandbox allow-scripts"),
            Sandboxed,
        ),
        (
            "download",
            |s| s.set("content-disposition", "attachment"),
            Attachment,
        ),
        (
            "two scripts",
            |s| s.add("service-worker-script", "/common/share/sw.js"),
            Duplicate(InstallHeader::Script),
        ),
        (
            "two scopes",
            |s| s.add("service-worker-scope", "/share/"),
            Duplicate(InstallHeader::Scope),
        ),
        (
            "other origin's script",
            |s| s.set("service-worker-script", "//evil.test/sw.js"),
            CrossOrigin(InstallHeader::Script),
        ),
        (
            "other port's script",
            |s| {
                s.set(
                    "service-worker-script",
                    "https://api.thirdparty.org:444/sw.js",
                )
            },
            CrossOrigin(InstallHeader::Script),
        ),
        (
            "other origin's scope",
            |s| s.set("service-worker-scope", "https://evil.test/"),
            CrossOrigin(InstallHeader::Scope),
        ),
    ];
    for (name, change, reason) in table {
        assert_eq!(after(change), Err(reason.clone()), "{name}");
    }
}

#[test]
fn these_install_too() {
    let table: &[(&str, Change)] = &[
        ("204", |s| s.status = StatusCode::NO_CONTENT),
        ("304 by its own headers", |s| {
            s.status = StatusCode::NOT_MODIFIED
        }),
        ("a service worker that controls clients", |s| {
            s.client().client_type = ClientType::ServiceWorker;
            s.controls_clients = true;
        }),
        ("a sandboxed page's image, of its own origin", |s| {
            s.client().origin = Origin::opaque(1);
        }),
        ("a navigation", |s| s.destination = Destination::Document),
        ("sandbox with allow-same-origin", |s| {
            s.set("content-security-policy", "sandbox allow-same-origin");
        }),
        ("inline", |s| {
            s.set("content-disposition", "inline; filename=pak.png")
        }),
        ("on this machine", |s| {
            s.url = Url::parse("http://localhost:8080/x").unwrap()
        }),
        ("white space around a value", |s| {
            s.set("service-worker-scope", "\t/share/ ")
        }),
    ];
    for (name, change) in table {
        assert!(after(change).is_ok(), "{name}: {:?}", after(change));
    }
}

#[test]
fn both_urls_parse_against_the_response_and_the_scope_has_a_default() {
    let urls = |script: &str, scope: Option<&str>| {
        let mut scene = Scene::bare();
        scene.set("service-worker-script", script);
        if let Some(scope) = scope {
            scene.set("service-worker-scope", scope);
        }
        let install = scene.install().unwrap();
        let path = |url: &Url| url[url::Position::BeforePath..].to_owned();
        (path(install.script.url()), path(install.scope.url()))
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        urls("sw.js", None),
        pair("/share/assets/sw.js", "/share/assets/")
    );
    assert_eq!(urls("/js/sw.js?v=1#x", None), pair("/js/sw.js?v=1", "/js/"));
    assert_eq!(
        urls("/js/sw.js", Some("./")),
        pair("/js/sw.js", "/share/assets/")
    );
    assert_eq!(
        urls("../sw.js", Some("a#b")),
        pair("/share/sw.js", "/share/assets/a")
    );
}

#[test]
fn service_only_controls_no_client() {
    let install = after(|s| s.policy = HeaderInstall::ServiceOnly).unwrap();
    assert!(!install.controls_clients);
}

#[test]
fn the_referrer_is_the_response_without_its_secrets() {
    let install = after(|s| s.url = Url::parse("https://u:p@api.thirdparty.org/a?b#c").unwrap());
    let referrer = install.unwrap().referrer;
    assert_eq!(referrer.as_str(), "https://api.thirdparty.org/a?b");
}

#[test]
fn malformed_values_are_ignored() {
    let why = |value: &str| match after(|s| s.set("service-worker-script", value)) {
        Err(Ignored::Malformed { header, why }) => {
            assert_eq!(header, InstallHeader::Script);
            why
        }
        other => panic!("{value:?}: {other:?}"),
    };
    assert_eq!(why(""), Malformed::Empty);
    assert_eq!(why(" \t"), Malformed::Empty);
    assert_eq!(why("/a.js, /b.js"), Malformed::Byte);
    assert_eq!(why("/a\tb.js"), Malformed::Byte);
    assert_eq!(why("/é.js"), Malformed::Byte);
    for bad in [
        "https://",
        "https://[/",
        "data:,x",
        "/a%2fb.js",
        "/a%5Cb.js",
        "javascript:1",
    ] {
        assert!(matches!(why(bad), Malformed::Url(_)), "{bad}");
    }
    assert_eq!(why(&format!("/{}", "a".repeat(4096))), Malformed::TooLong);
    assert!(after(|s| s.set("service-worker-script", &format!("/{}", "a".repeat(4095)))).is_ok());
    // The scope's value goes by the same rules.
    assert_eq!(
        after(|s| s.set("service-worker-scope", "/a b")),
        Err(Ignored::Malformed {
            header: InstallHeader::Scope,
            why: Malformed::Byte
        })
    );
}
