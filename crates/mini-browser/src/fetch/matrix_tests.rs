//! Mode × credentials × redirect mode × where each hop leads × what each hop's headers allow: what
//! comes of it, against the standard's rules written once more, plainly.

use service_worker::types::fetch::{CredentialsMode, RedirectMode, RequestMode, ResponseType};

use super::tests::{Table, by_page};

/// Who is asked; the page is of `https://a.test`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    A,
    B,
    C,
}

impl Host {
    const fn origin(self) -> &'static str {
        match self {
            Self::A => "https://a.test",
            Self::B => "https://b.test",
            Self::C => "https://c.test",
        }
    }
}

/// What a response says of who may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allows {
    Nobody,
    /// `*`
    Anyone,
    /// The page's origin.
    Page,
    /// The same, with credentials.
    PageWithCredentials,
    /// `null`, with credentials.
    Null,
}

#[derive(Clone, Debug)]
struct Case {
    mode: RequestMode,
    credentials: CredentialsMode,
    redirect: RedirectMode,
    /// One host, or two with a redirect between them.
    hops: Vec<(Host, Allows)>,
}

#[test]
fn what_comes_of_a_fetch_is_what_the_standard_says() {
    let mut count = 0;
    for case in cases() {
        let (given, asked) = fetched(&case);
        let (expected, expected_asked) = expected(&case);
        assert_eq!(given, expected, "{case:?}");
        assert_eq!(asked, expected_asked, "{case:?}");
        count += 1;
    }
    assert_eq!(count, 27 * (15 + 15 * 15));
}

fn cases() -> impl Iterator<Item = Case> {
    use Allows::{Anyone, Nobody, Null, Page, PageWithCredentials};
    let hops: Vec<(Host, Allows)> = [Host::A, Host::B, Host::C]
        .into_iter()
        .flat_map(|host| {
            [Nobody, Anyone, Page, PageWithCredentials, Null].map(|allows| (host, allows))
        })
        .collect();
    let mut chains: Vec<Vec<(Host, Allows)>> = hops.iter().map(|hop| vec![*hop]).collect();
    for first in &hops {
        chains.extend(hops.iter().map(|second| vec![*first, *second]));
    }
    let modes = [
        RequestMode::SameOrigin,
        RequestMode::Cors,
        RequestMode::NoCors,
    ];
    let credentials = [
        CredentialsMode::Omit,
        CredentialsMode::SameOrigin,
        CredentialsMode::Include,
    ];
    let redirects = [
        RedirectMode::Follow,
        RedirectMode::Error,
        RedirectMode::Manual,
    ];
    modes.into_iter().flat_map(move |mode| {
        let chains = chains.clone();
        credentials.into_iter().flat_map(move |credentials| {
            let chains = chains.clone();
            redirects.into_iter().flat_map(move |redirect| {
                chains.clone().into_iter().map(move |hops| Case {
                    mode,
                    credentials,
                    redirect,
                    hops,
                })
            })
        })
    })
}

/// What is given — a response type, or nothing — and the `Origin` that each hop was told.
fn fetched(case: &Case) -> (Option<ResponseType>, Vec<String>) {
    let mut table = Table::default();
    let url = |index: usize| {
        let (host, _) = case.hops[index];
        format!("{}/{index}", host.origin())
    };
    for (index, (_, allows)) in case.hops.iter().enumerate() {
        let mut headers = match allows {
            Allows::Nobody => vec![],
            Allows::Anyone => vec![("access-control-allow-origin", "*")],
            Allows::Page | Allows::PageWithCredentials => {
                vec![("access-control-allow-origin", "https://a.test")]
            }
            Allows::Null => vec![("access-control-allow-origin", "null")],
        };
        if matches!(allows, Allows::PageWithCredentials | Allows::Null) {
            headers.push(("access-control-allow-credentials", "true"));
        }
        let next = (index + 1 < case.hops.len()).then(|| url(index + 1));
        let status = if next.is_some() { 302 } else { 200 };
        if let Some(next) = &next {
            headers.push(("location", next));
        }
        table = table.with(&url(index), status, &headers);
    }
    let mut params = by_page(&url(0));
    params.head.mode = case.mode;
    params.head.credentials = case.credentials;
    params.head.redirect = case.redirect;
    let fetched = table.fetch(params).ok();
    let asked = table.asked();
    let origins = asked
        .iter()
        .map(|asked| asked.network_header("origin").to_owned());
    (
        fetched.map(|fetched| fetched.head.response_type),
        origins.collect(),
    )
}

/// The same by the rules.
fn expected(case: &Case) -> (Option<ResponseType>, Vec<String>) {
    let mut origins = Vec::new();
    let mut left_home = false;
    let mut tainted = false;
    for (index, (host, allows)) in case.hops.iter().enumerate() {
        // Main fetch, step 12. Once a request has left its origin it does not come home.
        left_home |= *host != Host::A;
        let (response_type, is_cors) = match case.mode {
            _ if !left_home => (ResponseType::Basic, false),
            RequestMode::SameOrigin => return (None, origins),
            RequestMode::NoCors if case.redirect != RedirectMode::Follow => return (None, origins),
            RequestMode::NoCors => (ResponseType::Opaque, false),
            _ => (ResponseType::Cors, true),
        };
        // "Append a request Origin header", of a GET.
        let origin = if tainted { "null" } else { "https://a.test" };
        origins.push(if is_cors { origin } else { "" }.to_owned());
        // CORS check.
        let include = case.credentials == CredentialsMode::Include;
        let is_allowed = match allows {
            Allows::Nobody => false,
            Allows::Anyone => !include,
            Allows::Page => !tainted && !include,
            Allows::PageWithCredentials => !tainted,
            Allows::Null => tainted,
        };
        if is_cors && !is_allowed {
            return (None, origins);
        }
        // A redirect.
        let Some((next, _)) = case.hops.get(index + 1) else {
            return (Some(response_type), origins);
        };
        match case.redirect {
            RedirectMode::Error => return (None, origins),
            RedirectMode::Manual => return (Some(ResponseType::OpaqueRedirect), origins),
            // The request's redirect-taint.
            RedirectMode::Follow => tainted |= host != next && *host != Host::A,
        }
    }
    unreachable!("every case has a hop")
}
