//! scratch
use super::stand::{page, wait};
#[test]
fn zz_wpt() {
    let root = "/work/wpt-checkout/tests";
    for file in std::env::var("WPT").unwrap_or_default().split_whitespace() {
        let (page, lines, ..) = page();
        let run = |source: String, url: &str| wait(page.run_script(source, url));
        run("delete Window.prototype.document; delete globalThis.document; globalThis.Blob = class Blob {}; globalThis.File = class File extends Blob {}; var GLOBAL = { isWindow: () => true, isWorker: () => false, isShadowRealm: () => false };".into(), "setup").unwrap();
        let text = |path: &str| std::fs::read_to_string(format!("{root}{path}")).unwrap_or_else(|e| { println!("   no {path} {e}"); String::new() });
        run(text("/resources/testharness.js"), "testharness.js").unwrap();
        let test = text(file);
        run("setup({ explicit_done: true }); var finished = new Promise((done) => add_completion_callback((tests, status) => done([status.status, status.message, tests.map((t) => [t.status, t.name, t.message])])));".into(), "setup2").unwrap();
        let dir = file.rsplit_once('/').unwrap().0;
        for line in test.lines() {
            if let Some(script) = line.strip_prefix("// META: script=") {
                let path = if script.starts_with('/') { script.to_owned() } else { format!("{dir}/{script}") };
                if let Err(e) = run(format!("{}\n;undefined", text(&path)), &path) { println!("   {path}: {e}"); }
            }
        }
        if let Err(error) = run(format!("{test}\n;done();undefined"), file) { println!("== {file}: threw {error}"); }
        page.loaded();
        let out = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run("Promise.race([finished, new Promise((d) => setTimeout(() => d('timeout'), 8000))])".into(), "wait").unwrap()));
        let Ok(out) = out else { println!("== {file}: hang"); continue };
        let Some(tests) = out.get(2).and_then(|t| t.as_array()) else { println!("== {file}: {out} {:?}", lines.all()); continue };
        let passed = tests.iter().filter(|t| t[0] == 0).count();
        println!("== {file}: {passed}/{} status {} {}", tests.len(), out[0], out[1]);
        for t in tests { if t[0] != 0 { println!("   {} {}", t[1], t[2]); } }
    }
}
