//! What the font service answers, asked directly.

use http::HeaderMap;

use super::*;
use crate::scenario::asked;
use crate::scenario::font::{check_font, css};

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: bytes::Bytes,
}

impl Answered {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        Some(self.headers.get(name)?.to_str().unwrap())
    }
}

fn service(fault: Option<Fault>) -> FontsOrigin {
    FontsOrigin::new(Font::bundled().unwrap(), fault)
}

async fn ask(service: &FontsOrigin, target: &str) -> Answered {
    answered(service.answer(asked::get(HOST, target)).await).await
}

async fn answered(response: ServerResponse) -> Answered {
    Answered {
        status: response.status,
        headers: response.headers,
        body: response.body.collect(64 << 20).await.unwrap(),
    }
}

fn query(text: &str) -> String {
    CharSet::from_text(text).to_query()
}

#[tokio::test]
async fn the_sheet_names_one_file_that_has_each_character_that_the_font_has() {
    let service = service(None);
    // U+1F375 is in few fonts, and not in this one.
    let page = CharSet::from_text("お茶を淹れる 'A+B' 🍵");
    let target = format!("/font/css?u={}&family=M%20PLUS+1", page.to_query());
    let sheet = ask(&service, &target).await;
    assert_eq!(sheet.status, StatusCode::OK);
    assert_eq!(
        sheet.header("content-type"),
        Some("text/css; charset=utf-8")
    );
    let faces = css::parse(sheet.text()).unwrap();
    let [face] = faces.as_slice() else {
        panic!("{faces:?}");
    };
    let wanted = face.wanted_by(&page);
    assert_eq!(page.difference(&wanted).to_string(), "🍵");
    let target = face.url.strip_prefix(ORIGIN).unwrap();
    let file = ask(&service, target).await;
    assert_eq!(file.header("content-type"), Some("font/woff2"));
    check_font(&file.body, &wanted).unwrap();
}

#[tokio::test]
async fn every_answer_below_font_is_readable_by_all_and_names_the_worker() {
    let service = service(None);
    for target in [
        "/font/file?u=a",
        "/font/segment?u=b",
        "/font/file",
        "/font/else",
    ] {
        let answer = ask(&service, target).await;
        for (name, value) in [
            ("service-worker-script", "/sw.js"),
            ("service-worker-scope", "/"),
            ("access-control-allow-origin", "*"),
            ("cross-origin-resource-policy", "cross-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{target}");
        }
    }
    let script = ask(&service, "/sw.js").await;
    assert_eq!(script.header("service-worker-script"), None);
}

#[tokio::test]
async fn a_segment_has_what_the_font_has_and_says_what_it_lacks() {
    let service = service(None);
    let some = ask(&service, &format!("/font/segment?u={}", query("茶🍵"))).await;
    assert_eq!(some.status, StatusCode::OK);
    check_font(&some.body, &CharSet::from_text("茶")).unwrap();
    assert_eq!(some.header("lacking-characters"), Some("%F0%9F%8D%B5"));
    let none = ask(&service, &format!("/font/segment?u={}", query("🍵"))).await;
    assert_eq!(none.status, StatusCode::NO_CONTENT);
    assert!(none.body.is_empty());
    assert_eq!(none.header("lacking-characters"), Some("%F0%9F%8D%B5"));
    let all = ask(&service, "/font/segment?u=a").await;
    assert_eq!(all.header("lacking-characters"), None);
}

#[tokio::test]
async fn a_bad_query_is_refused_in_one_line_that_says_why() {
    let service = service(None);
    let many: CharSet = ('\u{4E00}'..).take(MOST_CHARACTERS + 1).collect();
    let many = format!("/font/segment?u={}", many.to_query());
    for (target, said) in [
        ("/font/css?family=M+PLUS+1", "the parameter u is missing"),
        ("/font/css?u=a", "the parameter family is missing"),
        (
            "/font/css?u=a&family=Comic",
            "\"Comic\" is not served here: ask for \"M PLUS 1\"",
        ),
        ("/font/file?u=", "the parameter u is empty"),
        ("/font/file?u=%E3%81", "holds U+FFFD"),
        ("/font/segment?u=a%00", "holds U+0000"),
        (&many, "names 4097 characters: at most 4096"),
    ] {
        let answer = ask(&service, target).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{said}");
        assert!(answer.text().contains(said), "{}", answer.text());
        assert_eq!(answer.text().lines().count(), 1);
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_only_get_is_answered() {
    let service = service(None);
    for target in ["/", "/fonts", "/font/file?u=%F0%9F%8D%B5"] {
        assert_eq!(
            ask(&service, target).await.status,
            StatusCode::NOT_FOUND,
            "{target}"
        );
    }
    let mut post = asked::get(HOST, "/font/file?u=a");
    post.method = Method::POST;
    let answer = answered(service.answer(post).await).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.header("allow"), Some("GET"));
}

#[tokio::test]
async fn the_same_set_is_cut_once_whatever_its_order() {
    let service = service(None);
    let first = ask(&service, &format!("/font/file?u={}", query("茶道")))
        .await
        .body;
    let again = ask(&service, "/font/file?u=%E9%81%93%E8%8C%B6%E9%81%93")
        .await
        .body;
    assert_eq!(first.as_ptr(), again.as_ptr());
}

#[tokio::test]
async fn a_fault_changes_the_script_and_nothing_else() {
    let in_order = ask(&service(None), "/sw.js").await;
    assert_eq!(
        in_order.header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    assert!(in_order.text().contains("const FAMILY = \"M PLUS 1\";"));
    let mime = ask(&service(Some(Fault::ScriptMime)), "/sw.js").await;
    assert_eq!(mime.header("content-type"), Some("text/plain"));
    assert_eq!(mime.body, in_order.body);
    let scope = ask(&service(Some(Fault::ScriptScope)), "/sw.js").await;
    assert_eq!(scope.header("service-worker-allowed"), Some("/font/"));
    assert_eq!(scope.body, in_order.body);
    for fault in [Fault::ScriptSyntax, Fault::ScriptLoop] {
        let changed = ask(&service(Some(fault)), "/sw.js").await;
        assert_eq!(
            changed.header("content-type"),
            in_order.header("content-type")
        );
        assert_ne!(changed.body, in_order.body);
    }
}
