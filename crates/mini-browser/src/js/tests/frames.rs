//! Frames: their windows, what is in them, and what becomes of them.

use serde_json::json;

use super::windows::{CHILD, ECHO, OTHER, browser, run};

/// What makes an iframe of `src` and waits for its load event.
const WITH_IFRAME: &str = "const withIframe = (attributes = {}) => new Promise((done) => {
    const frame = document.createElement('iframe');
    for (const name in attributes) frame.setAttribute(name, attributes[name]);
    frame.onload = () => done(frame);
    (document.body ?? document.documentElement).append(frame);
});
const message = () => new Promise((done) => addEventListener('message', ({ data }) => done(data), { once: true }));\n";

fn in_page(documents: &[(&str, &str)], body: &str) -> serde_json::Value {
    let (page, ..) = browser(documents);
    run(
        &page,
        &format!(
            "{WITH_IFRAME} (async () => {{
                if (document.body === null) document.documentElement ?? document.append(document.createElement('html'));
                {body} }})()"
        ),
    )
}

#[test]
fn a_frame_without_a_source_loads_at_once_with_a_document_of_its_creator() {
    assert_eq!(
        in_page(
            &[],
            "const seen = [];
            const frame = document.createElement('iframe');
            frame.onload = () => seen.push('load');
            seen.push(frame.contentWindow, frame.contentDocument);
            document.documentElement.append(frame);
            const { contentWindow: inner } = frame;
            seen.push(inner.location.href, inner.origin, inner.parent === window, inner.top === window, inner.frameElement === frame, window[0] === inner,
                frames.length, inner.document === frame.contentDocument, inner.document.body.childNodes.length, inner.document.URL, inner.document.baseURI, inner instanceof inner.Window);
            frame.remove();
            seen.push(frame.contentWindow, frame.contentDocument, inner.parent, inner.closed, frames.length, inner.frameElement);
            document.documentElement.append(frame);
            seen.push(frame.contentWindow === inner);
            return seen;"
        ),
        json!([
            null,
            null,
            "load",
            "about:blank",
            "https://fonts.example.com",
            true,
            true,
            true,
            true,
            1,
            true,
            0,
            "about:blank",
            "https://fonts.example.com/index.html",
            true,
            null,
            null,
            null,
            true,
            0,
            null,
            "load",
            false
        ])
    );
}

#[test]
fn a_frame_shows_what_its_source_says_and_changes_with_it() {
    assert_eq!(
        in_page(
            &[(CHILD, "<title>child</title><p id=p>text</p><script>var shown = document.getElementById('p').textContent + location.search;</script>"),
              ("https://fonts.example.com/child.html?2", "<script>parent.postMessage(['second', document.referrer], '*')</script>")],
            "const frame = await withIframe({ src: 'child.html', name: 'inner' });
            const proxy = frame.contentWindow;
            const seen = [proxy.shown, frame.contentDocument.title, window.inner === proxy, inner === proxy, frames.inner === proxy, proxy.name];
            const sent = message();
            frame.src = '/child.html?2';
            seen.push(await sent, frame.contentWindow === proxy, proxy.shown === undefined);
            const blank = await withIframe({ srcdoc: '<b>bold</b><script>var url = [location.href, document.baseURI, origin]</script>' });
            seen.push(blank.contentDocument.body.textContent.slice(0, 4), blank.contentWindow.url, window.length);
            const missing = await withIframe({ src: 'missing.html' });
            seen.push(missing.contentDocument);
            return seen;"
        ),
        json!([
            "text",
            "child",
            true,
            true,
            true,
            "inner",
            ["second", "https://fonts.example.com/index.html"],
            true,
            true,
            "bold",
            ["about:srcdoc", "https://fonts.example.com/index.html", "https://fonts.example.com"],
            2,
            null
        ])
    );
}

#[test]
fn a_frame_of_another_origin_is_closed_to_its_page_and_talks_by_messages() {
    let echo = ECHO.replace("opener", "parent");
    assert_eq!(
        in_page(
            &[(OTHER, &echo)],
            "const here = message();
            const frame = await withIframe({ src: 'https://other.example/child.html' });
            const seen = [await here, frame.contentDocument];
            try { frame.contentWindow.document; } catch (error) { seen.push(error.name); }
            const echoed = message();
            frame.contentWindow.postMessage('a', 'https://other.example');
            seen.push(await echoed, frame.contentWindow.length, frame.contentWindow.parent === window);
            return seen;"
        ),
        json!([
            "here",
            null,
            "SecurityError",
            ["a", "https://fonts.example.com", true],
            0,
            true
        ])
    );
}

#[test]
fn a_sandboxed_frame_has_an_origin_of_its_own_and_may_run_no_script() {
    let child = "<script>parent.postMessage([origin, self === top], '*')</script>";
    assert_eq!(
        in_page(
            &[(CHILD, child)],
            "const seen = [];
            const silent = await withIframe({ sandbox: '', src: 'child.html' });
            seen.push(silent.contentDocument);
            const said = message();
            const frame = await withIframe({ sandbox: 'allow-scripts', src: 'child.html' });
            seen.push(await said, frame.contentDocument);
            const same = message();
            const open = await withIframe({ sandbox: 'allow-scripts allow-same-origin', src: 'child.html' });
            seen.push(await same, open.contentDocument !== null);
            return seen;"
        ),
        json!([
            null,
            ["null", false],
            null,
            ["https://fonts.example.com", false],
            true
        ])
    );
}

#[test]
fn a_sandboxed_frame_is_told_that_it_has_no_service_workers() {
    let child = "<script>
        let seen = 'some';
        try { navigator.serviceWorker } catch (error) { seen = error.name }
        parent.postMessage([isSecureContext, seen], '*');
    </script>";
    assert_eq!(
        in_page(
            &[(CHILD, child)],
            "const seen = [];
            for (const sandbox of ['allow-scripts', 'allow-scripts allow-same-origin']) {
                const said = message();
                await withIframe({ sandbox, src: 'child.html' });
                seen.push(await said);
            }
            return seen;"
        ),
        json!([[true, "SecurityError"], [true, "some"]])
    );
}

#[test]
fn what_a_frame_says_while_it_is_parsed_is_heard_after_it_has_loaded() {
    assert_eq!(
        in_page(
            &[(CHILD, "<script>parent.postMessage('said', '*')</script>")],
            "const seen = [];
            addEventListener('message', (event) => seen.push(event.data));
            const frame = await withIframe({ src: 'child.html' });
            seen.push('loaded');
            await new Promise((done) => setTimeout(done));
            return seen;"
        ),
        json!(["loaded", "said"])
    );
}

#[test]
fn frames_in_frames_end_with_what_they_are_in() {
    let (page, _, log) = browser(&[
        (
            CHILD,
            "<iframe src=/leaf.html></iframe><script>onpagehide = () => top.seen.push('child hides')</script>",
        ),
        (
            "https://fonts.example.com/leaf.html",
            "<script>onunload = () => top.seen.push('leaf unloads'); setInterval(() => top.seen.push('never'), 1)</script>",
        ),
    ]);
    assert_eq!(
        run(
            &page,
            &format!(
                "{WITH_IFRAME} var seen = []; (async () => {{
                    const frame = await withIframe({{ src: 'child.html' }});
                    const leaf = frame.contentWindow[0];
                    const before = [leaf.parent === frame.contentWindow, leaf.top === window, leaf.location.ancestorOrigins.length];
                    seen.length = 0;
                    frame.remove();
                    const {{ length }} = seen;
                    seen.sort();
                    await new Promise((done) => setTimeout(done, 10));
                    return [...before, seen, length === seen.length, leaf.parent, leaf.document !== null];
                }})()"
            )
        ),
        json!([
            true,
            true,
            2,
            ["child hides", "leaf unloads"],
            true,
            null,
            true
        ])
    );
    let log = log.lock().unwrap().join("\n");
    assert_eq!(log.matches("gone").count(), log.matches("ready").count());
}

#[test]
fn a_frame_that_its_own_script_removes_is_parsed_no_more() {
    let (page, lines, _) = browser(&[(
        CHILD,
        "<p>one<script>const { seen } = parent; parent.child = document; frameElement.remove(); seen.push('goes on')</script>
        <p id=two>two<script>seen.push('never')</script>",
    )]);
    assert_eq!(
        run(
            &page,
            "var seen = [], child; (async () => {
                const frame = document.createElement('iframe');
                frame.src = 'child.html';
                document.documentElement.append(frame);
                while (child === undefined) await new Promise((done) => setTimeout(done, 1));
                await new Promise((done) => setTimeout(done, 10));
                return [seen, child.getElementById('two'), child.querySelector('p').firstChild.data];
            })()"
        ),
        json!([["goes on"], null, "one"])
    );
    assert_eq!(lines.all(), [""; 0]);
}

#[test]
fn a_document_that_contains_itself_ends() {
    let (page, ..) = browser(&[
        (CHILD, "<iframe src=/child.html></iframe>"),
        (
            "https://fonts.example.com/a.html",
            "<iframe src=/b.html></iframe>",
        ),
        (
            "https://fonts.example.com/b.html",
            "<iframe src=/a.html></iframe>",
        ),
    ]);
    assert_eq!(
        run(
            &page,
            &format!(
                "{WITH_IFRAME} (async () => {{
                    const own = await withIframe({{ src: 'child.html' }});
                    const two = await withIframe({{ src: 'a.html' }});
                    return [own.contentWindow.length, own.contentWindow[0].location.href, two.contentWindow[0].length, two.contentWindow[0][0].location.href];
                }})()"
            )
        ),
        json!([1, "about:blank", 1, "about:blank"])
    );
}

#[test]
fn javascript_urls_run_in_the_frame_that_they_are_for() {
    assert_eq!(
        in_page(
            &[],
            "const frame = await withIframe();
            frame.contentWindow.value = 5;
            const result = message();
            frame.contentWindow.location = 'javascript:parent.postMessage([value, location.href], %22*%22); undefined';
            const seen = [await result];
            const made = new Promise((done) => { frame.onload = done; });
            frame.src = 'javascript:\"<p>made</p>\"';
            await made;
            return [...seen, frame.contentDocument.body.textContent, location.href];"
        ),
        json!([
            [5, "about:blank"],
            "made",
            "https://fonts.example.com/index.html"
        ])
    );
}

#[test]
fn the_load_event_of_a_document_waits_for_its_frames() {
    let (page, ..) = browser(&[
        (
            "https://fonts.example.com/outer.html",
            "<script>var seen = []; addEventListener('load', () => { seen.push('window'); setTimeout(() => parent.postMessage(seen, '*')) })</script>
            <iframe src=/child.html onload='seen.push(`frame ${this.contentDocument.title}`)'></iframe><body onload='seen.push(`body`)'>",
        ),
        (CHILD, "<title>child</title>"),
    ]);
    assert_eq!(
        run(
            &page,
            &format!(
                "{WITH_IFRAME} (async () => {{ const said = message(); await withIframe({{ src: 'outer.html' }}); return said; }})()"
            )
        ),
        json!(["frame child", "window", "body"])
    );
}

#[test]
fn nodes_of_one_window_live_in_the_tree_of_another() {
    assert_eq!(
        in_page(
            &[],
            "const seen = [];
            const frame = await withIframe();
            const inner = frame.contentDocument, node = inner.createElement('p'), script = inner.createElement('script');
            node.addEventListener('x', (event) => seen.push('inner listener', event.currentTarget === node));
            document.body.addEventListener('x', (event) => seen.push('outer listener', event.target === node));
            document.body.append(node);
            seen.push(node.ownerDocument === document, node instanceof frame.contentWindow.Node, node instanceof Node, document.body.lastChild === node, node.isConnected);
            node.dispatchEvent(new frame.contentWindow.Event('x', { bubbles: true }));
            const own = document.createElement('b');
            own.onclick = function () { seen.push('click', this === own); };
            inner.body.append(own);
            own.click();
            script.text = 'parent.where = self === top ? 1 : 2';
            inner.body.append(script);
            seen.push(where, inner.body.children.length, document.adoptNode(own).ownerDocument === document, inner.contains(own));
            frame.remove();
            node.remove();
            document.body.append(node, own);
            seen.push(document.body.lastChild === own, inner.defaultView);
            return seen;"
        ),
        json!([
            true, true, false, true, true, "inner listener", true, "outer listener", true, "click", true, 2, 2, true, false, true, null
        ])
    );
}
