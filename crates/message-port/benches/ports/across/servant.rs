//! The other process: answers what it is asked until its socket ends.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdStream;
use std::pin::Pin;

use ipc_channel::ipc::{self, IpcBytesReceiver, IpcBytesSender, IpcReceiver, IpcSender};
use message_port::driver;
use message_port::node::{Limits, LinkKind};
use message_port::{Event, Message, MessagePort};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// The argument that makes this program a servant.
pub(crate) const SERVANT: &str = "--servant";

/// The first byte of a message says what is to be done with it: it is sent back …
pub(super) const ECHO: u8 = 1;
/// … counted …
pub(super) const COUNTED: u8 = 2;
/// … answered by how many were counted since it was last asked …
pub(super) const ASK: u8 = 3;
/// … its port is kept …
pub(super) const KEEP: u8 = 4;
/// … served as this one is …
pub(super) const SERVE: u8 = 5;
/// … or sent back.
pub(super) const BACK: u8 = 6;

/// What a servant by ipc-channel gives to who started it.
#[derive(Serialize, Deserialize)]
pub(super) struct IpcSetUp {
    pub(super) to_servant: IpcBytesSender,
    pub(super) from_servant: IpcBytesReceiver,
    pub(super) keep: IpcSender<IpcBytesSender>,
}

/// The same by channels of values.
#[derive(Serialize, Deserialize)]
pub(super) struct IpcValuesSetUp {
    pub(super) to_servant: IpcSender<Vec<u8>>,
    pub(super) from_servant: IpcReceiver<Vec<u8>>,
}

/// Serves.
pub(crate) fn serve(kind: &str, name: Option<&str>) {
    match (kind, name) {
        ("raw", None) => on_a_runtime(raw()),
        ("raw-blocking", None) => raw_blocking(),
        // As a task: what a runtime blocks on, it runs only between two looks at its sockets.
        ("ours", None) => on_a_runtime(async { tokio::spawn(ours()).await.expect("it serves") }),
        ("ipc", Some(name)) => ipc(name),
        ("ipc-values", Some(name)) => ipc_values(name),
        _ => panic!("no such servant: {kind}"),
    }
}

fn on_a_runtime(service: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().expect("a runtime");
    runtime.block_on(service);
}

fn socket() -> StdStream {
    let input = std::io::stdin();
    StdStream::from(input.as_fd().try_clone_to_owned().expect("a descriptor"))
}

fn stream() -> UnixStream {
    let socket = socket();
    socket.set_nonblocking(true).expect("a socket");
    UnixStream::from_std(socket).expect("a socket")
}

async fn raw() {
    let mut stream = stream();
    let mut buffer = Vec::new();
    // Ends with the socket.
    while let Ok(length) = stream.read_u32().await {
        buffer.resize(length as usize, 0);
        if stream.read_exact(&mut buffer).await.is_err() {
            return;
        }
        stream.write_all(&buffer).await.expect("somebody reads");
    }
}

fn raw_blocking() {
    let mut socket = socket();
    let mut buffer = Vec::new();
    let mut header = [0; 4];
    while socket.read_exact(&mut header).is_ok() {
        buffer.resize(u32::from_be_bytes(header) as usize, 0);
        if socket.read_exact(&mut buffer).is_err() {
            return;
        }
        socket.write_all(&buffer).expect("somebody reads");
    }
}

fn ipc(name: &str) {
    let (to_servant, receiver) = ipc::bytes_channel().expect("a channel");
    let (sender, from_servant) = ipc::bytes_channel().expect("a channel");
    let (keep, kept) = ipc::channel::<IpcBytesSender>().expect("a channel");
    let server = IpcSender::connect(name.to_owned()).expect("a server");
    let set_up = IpcSetUp {
        to_servant,
        from_servant,
        keep,
    };
    server.send(set_up).expect("somebody receives");
    // Holds what it is given until the process ends.
    std::thread::spawn(move || {
        let mut held = Vec::new();
        while let Ok(sender) = kept.recv() {
            held.push(sender);
        }
    });
    let mut counted = 0_u32;
    while let Ok(message) = receiver.recv() {
        match message[0] {
            ECHO => sender.send(&message).expect("somebody receives"),
            COUNTED => counted += 1,
            _ => {
                let answer = std::mem::take(&mut counted).to_be_bytes();
                sender.send(&answer).expect("somebody receives");
            }
        }
    }
}

fn ipc_values(name: &str) {
    let (to_servant, receiver) = ipc::channel::<Vec<u8>>().expect("a channel");
    let (sender, from_servant) = ipc::channel().expect("a channel");
    let server = IpcSender::connect(name.to_owned()).expect("a server");
    let set_up = IpcValuesSetUp {
        to_servant,
        from_servant,
    };
    server.send(set_up).expect("somebody receives");
    let mut counted = 0_u32;
    while let Ok(message) = receiver.recv() {
        let answer = match message[0] {
            ECHO => message,
            COUNTED => {
                counted += 1;
                continue;
            }
            _ => std::mem::take(&mut counted).to_be_bytes().to_vec(),
        };
        sender.send(answer).expect("somebody receives");
    }
}

async fn ours() {
    let (links, driver) = driver::new(Limits::default(), driver::refuse);
    drop(tokio::spawn(driver));
    let opening = links.open(stream(), LinkKind::Trusted { initiator: false });
    let opened = opening.await.expect("a greeting");
    serve_port(opened.port.expect("a first port")).await;
}

type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

fn serve_port(mut port: MessagePort) -> Serving {
    Box::pin(async move {
        port.start();
        let mut counted = 0_u32;
        let mut kept = Vec::new();
        while let Some(Event::Message(mut message)) = port.recv().await {
            match message.payload[0] {
                ECHO => drop(port.post_message(Message::new(message.payload))),
                COUNTED => counted += 1,
                ASK => {
                    let answer = std::mem::take(&mut counted).to_be_bytes().to_vec();
                    port.post_message(Message::new(answer));
                }
                KEEP => kept.push(message.ports.remove(0).receive()),
                SERVE => {
                    let served = message.ports.remove(0).receive();
                    drop(tokio::spawn(serve_port(served)));
                }
                _ => {
                    let back = message.ports.remove(0);
                    port.post_message(Message::new("").with_port(back));
                }
            }
        }
    })
}
