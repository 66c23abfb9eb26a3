//! Samples that are interface definitions: S1, S2, S5, S6, S7, S19, S21. What they define is there,
//! and only where it is exposed.

use serde_json::Value;

use crate::samples::both;
use crate::stage::{Stage, evaluate};

both! {
    s1: S1, the_interfaces_are_there;
    s2: S2, the_interfaces_are_there;
    s5: S5, windows_and_workers_connect;
    s6: S6, the_interfaces_are_there;
    s7: S7, the_interfaces_are_there;
    s19: S19, windows_and_workers_connect;
    s21: S21, the_interfaces_are_there;
}

/// A member that a definition names: of what, which, and how many arguments it requires.
struct Member {
    interface: String,
    name: String,
    /// `None` for an attribute.
    arguments: Option<usize>,
}

/// What a block of IDL defines: interfaces with what they inherit from, and their members.
fn definitions(idl: &str) -> (Vec<(String, Option<String>)>, Vec<Member>) {
    let (mut interfaces, mut members) = (Vec::new(), Vec::new());
    let mut current = String::new();
    for line in idl.lines().map(str::trim) {
        if line.is_empty() || line.starts_with("//") || line.starts_with('}') {
            continue;
        }
        if let Some(at) = line.find("interface ") {
            let head = line[at..].split('{').next().unwrap_or_default();
            let words: Vec<_> = head
                .split([' ', ':', ';'])
                .filter(|word| !word.is_empty())
                .collect();
            current = words[1].to_owned();
            let base = words[2..]
                .iter()
                .find(|word| **word != "extends" && word.starts_with(char::is_uppercase));
            interfaces.push((current.clone(), base.map(|base| (*base).to_owned())));
        }
        let rest = line.split_once('{').map_or(line, |(_, rest)| rest);
        for statement in rest
            .split(';')
            .map(|it| it.split('}').next().unwrap_or_default().trim())
        {
            let (head, arguments) = match statement.split_once('(') {
                Some((head, arguments)) => {
                    let arguments = arguments.trim_end_matches(')');
                    (
                        head.trim(),
                        Some(
                            arguments
                                .split(',')
                                .filter(|it| !it.trim().is_empty())
                                .count(),
                        ),
                    )
                }
                None => (statement, None),
            };
            if arguments.is_none() && !head.contains("attribute ") {
                continue;
            }
            if let Some(name) = head.split_whitespace().last() {
                members.push(Member {
                    interface: current.clone(),
                    name: name.to_owned(),
                    arguments,
                });
            }
        }
    }
    (interfaces, members)
}

async fn in_worker(stage: &Stage, scripts: &[String]) -> Vec<Value> {
    let (page, state) = stage
        .install("https://example.com", "onconnect = () => {};", "/")
        .await;
    assert_eq!(state, "activated");
    let mut values = Vec::new();
    for script in scripts {
        values.push(
            evaluate(
                &page,
                &format!("inWorker('/', {})", Value::from(script.as_str())),
            )
            .await,
        );
    }
    values
}

/// What names of one dialect are called in the reconciled one.
fn shape_of(member: &Member) -> String {
    let Member {
        interface,
        name,
        arguments,
    } = member;
    // Members of a [Global] interface are the global object's own. (Web IDL, "Global".)
    let holder = match interface.as_str() {
        "ServiceWorkerGlobalScope" => "self".to_owned(),
        other => format!("{other}.prototype"),
    };
    // One that a dialect requires may be optional in the reconciled interface.
    let part = if arguments.is_some() { "value" } else { "get" };
    let found = format!("Object.getOwnPropertyDescriptor({holder}, '{name}')");
    format!("[typeof {found}?.{part}, {found}?.enumerable].join()")
}

async fn the_interfaces_are_there(idl: String) {
    let (interfaces, members) = definitions(&idl);
    assert!(!interfaces.is_empty() && !members.is_empty(), "{idl}");
    let stage = Stage::new().await;
    let mut scripts: Vec<_> = members.iter().map(shape_of).collect();
    for (interface, base) in &interfaces {
        let base = base.as_deref().unwrap_or("Object");
        scripts.push(format!("[typeof {interface}, {interface} === {base} || {interface}.prototype instanceof {base}].join()"));
    }
    let found = in_worker(&stage, &scripts).await;
    for (script, found) in scripts.iter().zip(found) {
        assert_eq!(found, "function,true", "{script}");
    }
    // Nothing of it in windows.
    let page = stage.page("https://acme.com/").await;
    for (interface, _) in &interfaces {
        assert_eq!(
            evaluate(&page, &format!("typeof {interface}")).await,
            "undefined"
        );
    }
    for name in ["ports", "stashPort", "getStashedPorts"] {
        assert_eq!(
            evaluate(&page, &format!("typeof {name}")).await,
            "undefined"
        );
    }
}

async fn windows_and_workers_connect(idl: String) {
    let (_, members) = definitions(&idl);
    let connect = members
        .iter()
        .find(|member| member.name == "connect")
        .expect("it defines connect");
    let given = connect.arguments.expect("it is a function");
    assert!((1..=2).contains(&given));
    let request = if given == 2 { ", { apiKey: 1 }" } else { "" };
    let call = format!(
        "navigator.connect('https://example.com/services/x'{request}).then((port) => port instanceof MessagePort)"
    );
    let length = "Object.getPrototypeOf(navigator).connect.length";
    let stage = Stage::new().await;
    let found = in_worker(
        &stage,
        &[
            "onconnect = (event) => event.acceptConnection(true); 0".to_owned(),
            length.to_owned(),
        ],
    )
    .await;
    assert_eq!(found[1], 1);
    let service = "onconnect = (event) => event.acceptConnection(true);";
    let (_service, state) = stage
        .install("https://fonts.example.com", service, "/")
        .await;
    assert_eq!(state, "activated");
    let call = call.replace("example.com/services", "fonts.example.com/services");
    let page = stage.page("https://acme.com/").await;
    assert_eq!(evaluate(&page, length).await, 1);
    assert_eq!(evaluate(&page, &call).await, true);
    let worker = "https://acme.com/dedicated.js";
    stage.serve(
        worker,
        "text/javascript",
        format!("{call}.then(postMessage)"),
    );
    let said = "new Promise((resolve) => { new Worker('/dedicated.js').onmessage = ({ data }) => resolve(data); })";
    assert_eq!(evaluate(&page, said).await, true);
    let (page, state) = stage.install("https://acme.com", "", "/").await;
    assert_eq!(state, "activated");
    assert_eq!(
        evaluate(&page, &format!("inWorker('/', {})", Value::from(call))).await,
        true
    );
}
