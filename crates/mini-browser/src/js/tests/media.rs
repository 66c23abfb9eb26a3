//! Audio and video: playing, as far as it is told, and resources that come range by range.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use service_worker::types::fetch::{ResponseHead, ResponseType};
use service_worker::types::{ClientId, Environment};
use service_worker::{Body, FetchRequest, Response, ServiceWorkerTiming};
use url::Url;

use super::stand::{Facade, Lines, PAGE, page_with, wait};
use crate::fetch::{FetchService, Hop, HopError, HopFuture, Hopped, Source};
use crate::js::PageOptions;

/// A part of a video, as a worker passes it on.
#[derive(Clone)]
struct Part {
    kind: ResponseType,
    url: &'static str,
    content_range: &'static str,
}

const HERE: &str = "https://fonts.example.com/v";
const THERE: &str = "https://elsewhere.example/v";

const fn part(kind: ResponseType, url: &'static str, content_range: &'static str) -> Part {
    Part {
        kind,
        url,
        content_range,
    }
}

/// Answers with one part after another, whatever is asked; and remembers the ranges.
#[derive(Clone, Default)]
struct Parts {
    parts: Vec<Part>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hop for Parts {
    fn hop(&self, request: FetchRequest) -> HopFuture {
        let range = request.head.headers.get("range").cloned();
        let mut asked = self.asked.lock().unwrap();
        let part = self.parts.get(asked.len()).cloned();
        asked.push(range.map_or_else(String::new, |range| range.to_str().unwrap().to_owned()));
        let hopped = part.ok_or_else(|| HopError::new("no more")).map(|part| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("video/webm"));
            let status = if part.content_range.is_empty() {
                StatusCode::OK
            } else {
                let range = HeaderValue::from_static(part.content_range);
                headers.insert(CONTENT_RANGE, range);
                StatusCode::PARTIAL_CONTENT
            };
            let mut head = ResponseHead::new(status, headers);
            head.response_type = part.kind;
            head.url_list = vec![Url::parse(part.url).unwrap()];
            Hopped {
                response: Response {
                    head,
                    body: Body::from("video"),
                },
                source: Source::OwnWorker,
                timing: ServiceWorkerTiming::default(),
                protocol: "",
            }
        });
        Box::pin(std::future::ready(hopped))
    }
}

/// What `script` gives in a page whose videos come in these parts; and the ranges that were asked for.
fn with_parts(parts: &[Part], script: &str) -> (Value, Vec<String>) {
    let network = Parts {
        parts: parts.to_vec(),
        asked: Arc::default(),
    };
    let service = Arc::new(FetchService::new(Arc::new(network.clone())));
    let environment = Environment::top_level(ClientId(9), Url::parse(PAGE).unwrap());
    let mut options = PageOptions::new(
        environment,
        Arc::new(Lines::default()),
        Arc::new(Facade::default()),
    );
    options.prepare = Some(Arc::new(move |realm| {
        realm.with_service(Arc::clone(&service))
    }));
    let (page, _ended) = page_with(options);
    let html = Bytes::from_static(b"<!doctype html><canvas></canvas>");
    wait(page.open_document(html, "text/html", "")).unwrap();
    let helpers = "const seen = [];
        function video(autoplay) {
            const video = document.createElement('video');
            video.autoplay = autoplay;
            for (const type of ['canplaythrough', 'play', 'playing', 'pause', 'waiting', 'error']) {
                video.addEventListener(type, () => seen.push(type));
            }
            return video;
        }
        const event = (target, type) => new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));
        const task = () => new Promise((resolve) => setTimeout(resolve));";
    let script = format!("{helpers}\n(async () => {{ {script} }})()");
    let value = wait(page.run_script(&script, PAGE)).unwrap();
    let asked = network.asked.lock().unwrap().clone();
    (value, asked)
}

#[test]
fn a_video_plays_by_itself_where_it_has_autoplay_and_nobody_paused_it() {
    let whole = part(ResponseType::Basic, HERE, "");
    let (value, asked) = with_parts(
        &[whole.clone(), whole.clone(), whole],
        "const automatic = video(true);
         automatic.src = '/v';
         await event(automatic, 'playing');
         const first = [automatic.paused, ...seen.splice(0)];
         const paused = video(true);
         paused.src = '/v';
         paused.pause();
         await event(paused, 'canplaythrough');
         await task();
         const second = [paused.paused, ...seen.splice(0)];
         const manual = video(false);
         manual.src = '/v';
         await event(manual, 'canplaythrough');
         await task();
         return [first, second, manual.paused, ...seen];",
    );
    assert_eq!(
        value,
        json!([
            [false, "canplaythrough", "play", "playing"],
            [true, "canplaythrough"],
            true,
            "canplaythrough"
        ])
    );
    assert_eq!(asked, ["bytes=0-", "bytes=0-", "bytes=0-"]);
}

#[test]
fn promises_of_play_settle_with_what_becomes_of_it() {
    let whole = part(ResponseType::Basic, HERE, "");
    let (value, _) = with_parts(
        &[whole.clone(), whole],
        "const early = video(false);
         early.src = '/v';
         const played = early.play().then(() => 'played');
         const soon = [early.paused, await played];
         const again = await early.play();
         const stopped = video(false);
         stopped.src = '/v';
         const interrupted = stopped.play().catch((error) => error.name);
         stopped.pause();
         const name = await interrupted;
         const broken = video(false);
         broken.src = '/missing';
         const refused = await broken.play().catch((error) => error.name);
         const later = await broken.play().catch((error) => error.name);
         return [soon, again === undefined, name, refused, later, seen.includes('waiting'), broken.error.code];",
    );
    assert_eq!(
        value,
        json!([
            [false, "played"],
            true,
            "AbortError",
            "NotSupportedError",
            "NotSupportedError",
            true,
            4
        ])
    );
}

#[test]
fn ranges_are_asked_for_until_all_is_there() {
    let script = "const one = video(true);
        one.src = '/v';
        await Promise.race([event(one, 'playing'), event(one, 'error')]);
        const context = document.querySelector('canvas').getContext('2d');
        context.drawImage(one, 0, 0);
        let read = 'clean';
        try { context.getImageData(0, 0, 1, 1); } catch (error) { read = error.name; }
        return one.error === null ? read : 'broken';";
    let run = |parts: &[Part]| with_parts(parts, script);
    let basic = |range| part(ResponseType::Basic, HERE, range);
    let opaque = |range| part(ResponseType::Opaque, THERE, range);
    let cors = |range| part(ResponseType::Cors, THERE, range);
    let made = |range| part(ResponseType::Default, HERE, range);

    let (value, asked) = run(&[
        basic("bytes 0-0/9"),
        basic("bytes 1-4/*"),
        basic("bytes 5-8/9"),
    ]);
    assert_eq!(value, json!("clean"));
    assert_eq!(asked, ["bytes=0-", "bytes=1-", "bytes=5-"]);
    // Of one origin, of a worker, or readable from several origins.
    for parts in [
        [made("bytes 0-1/*"), basic("bytes 2-8/9")],
        [basic("bytes 0-1/9"), cors("bytes 2-8/9")],
        [made("bytes 0-1/9"), made("bytes 2-8/9")],
    ] {
        assert_eq!(run(&parts).0, json!("clean"));
    }
    assert_eq!(
        run(&[opaque("bytes 0-0/9"), cors("bytes 1-8/9")]).0,
        json!("SecurityError")
    );
    // What nobody may read is never patched together with what is of another origin.
    for parts in [
        [opaque("bytes 0-0/9"), basic("bytes 1-8/9")],
        [basic("bytes 0-0/9"), opaque("bytes 1-8/9")],
        [made("bytes 0-0/9"), opaque("bytes 1-8/9")],
        [opaque("bytes 0-0/9"), made("bytes 1-8/9")],
    ] {
        assert_eq!(run(&parts).0, json!("broken"));
    }
    // Ranges that are none, or others than were asked for.
    for bad in [
        "bytes 1-8/9",
        "bytes 0-9/9",
        "bytes 4-3/9",
        "bytes */9",
        "bytes",
        "lines 0-8/9",
    ] {
        let (value, asked) = run(&[basic(bad)]);
        assert_eq!((value, asked.len()), (json!("broken"), 1), "{bad}");
    }
}
