//! This process's side of each contender.

use std::env;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use bytes::Bytes;
use ipc_channel::ipc::{
    IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcReceiver, IpcSender,
};
use message_port::driver::{self, Links};
use message_port::node::{Limits, LinkKind};
use message_port::{Event, Message, MessageChannel, MessagePort};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use super::microseconds;
use super::servant::{ASK, BACK, COUNTED, ECHO, IpcSetUp, IpcValuesSetUp, KEEP, SERVANT, SERVE};

/// The other process; it ends with this.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        self.0.kill().expect("a child of ours");
        self.0.wait().expect("a child of ours");
    }
}

/// Starts this program again, as a servant of that kind; its standard input is the socket.
fn spawn(kind: &str) -> (Other, StdStream) {
    let (ours, theirs) = StdStream::pair().expect("a socket");
    let child = command(kind)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn();
    (Other(child.expect("a process")), ours)
}

fn command(kind: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.arg(SERVANT).arg(kind);
    command
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

fn tokio_stream(runtime: &Runtime, socket: StdStream) -> UnixStream {
    let _entered = runtime.enter();
    socket.set_nonblocking(true).expect("a socket");
    UnixStream::from_std(socket).expect("a socket")
}

/// Bytes on a socket and nothing else.
pub(super) struct Raw {
    socket: Result<UnixStream, StdStream>,
    runtime: Runtime,
    _other: Other,
}

impl Raw {
    pub(super) fn start() -> Self {
        let runtime = runtime();
        let (other, socket) = spawn("raw");
        Self {
            socket: Ok(tokio_stream(&runtime, socket)),
            runtime,
            _other: other,
        }
    }

    pub(super) fn start_blocking() -> Self {
        let (other, socket) = spawn("raw-blocking");
        Self {
            socket: Err(socket),
            runtime: runtime(),
            _other: other,
        }
    }

    pub(super) fn round_trips(&mut self, count: u32, length: usize) -> f64 {
        let Ok(socket) = &mut self.socket else {
            panic!("it is a blocking one");
        };
        self.runtime.block_on(async {
            let (mut sent, mut received) = (vec![7; 4 + length], vec![0; length]);
            // The servant has to know how much to wait for.
            let header = u32::try_from(length).expect("short").to_be_bytes();
            sent[..4].copy_from_slice(&header);
            let start = Instant::now();
            for _ in 0..count {
                let (reader, writer) = &mut socket.split();
                // At once, since either side may have to read before the other can write.
                let read = reader.read_exact(&mut received);
                let (written, read) = tokio::join!(writer.write_all(&sent), read);
                read.and(written.map(|()| 0)).expect("the servant answers");
            }
            start.elapsed().as_secs_f64() * 1e6 / f64::from(count)
        })
    }

    pub(super) fn round_trips_blocking(&mut self, count: u32, length: usize) -> f64 {
        let Err(socket) = &mut self.socket else {
            panic!("it is a tokio one");
        };
        let mut message = vec![7; 4 + length];
        let header = u32::try_from(length).expect("short").to_be_bytes();
        message[..4].copy_from_slice(&header);
        microseconds(count, || {
            socket.write_all(&message).expect("the servant reads");
            socket
                .read_exact(&mut message[4..])
                .expect("the servant answers");
        })
    }
}

/// Two channels of `ipc-channel`, one each way.
pub(super) struct Ipc<E> {
    ends: E,
    _other: Other,
}

/// The ends of them that are here.
pub(super) trait Ends {
    fn send(&self, message: &[u8]);
    fn receive(&self) -> Vec<u8>;
}

/// Channels of bytes, which are not serialized; and how to give the servant more of them.
pub(super) struct Bare {
    sender: IpcBytesSender,
    receiver: IpcBytesReceiver,
    keep: IpcSender<IpcBytesSender>,
}

/// Channels of values: what most users of `ipc-channel` hold.
pub(super) struct Values {
    sender: IpcSender<Vec<u8>>,
    receiver: IpcReceiver<Vec<u8>>,
}

impl Ends for Bare {
    fn send(&self, message: &[u8]) {
        self.sender.send(message).expect("the servant lives");
    }

    fn receive(&self) -> Vec<u8> {
        self.receiver.recv().expect("the servant answers")
    }
}

impl Ends for Values {
    fn send(&self, message: &[u8]) {
        let message = message.to_vec();
        self.sender.send(message).expect("the servant lives");
    }

    fn receive(&self) -> Vec<u8> {
        self.receiver.recv().expect("the servant answers")
    }
}

impl<E: Ends> Ipc<E> {
    pub(super) fn round_trips(&self, count: u32, length: usize) -> f64 {
        let message = bytes(ECHO, length);
        microseconds(count, || {
            self.ends.send(&message);
            assert_eq!(self.ends.receive().len(), length);
        })
    }

    pub(super) fn one_way(&self, count: u32, length: usize) {
        let message = bytes(COUNTED, length);
        for _ in 0..count {
            self.ends.send(&message);
        }
        self.ends.send(&bytes(ASK, length));
        assert_eq!(self.ends.receive(), count.to_be_bytes());
    }
}

/// Starts a servant of that kind, which sends its set-up back.
fn spawn_ipc<S: DeserializeOwned + Serialize>(kind: &str) -> (Other, S) {
    let (server, name) = IpcOneShotServer::<S>::new().expect("a server");
    let other = Other(command(kind).arg(name).spawn().expect("a process"));
    let (_, set_up) = server.accept().expect("the servant connects");
    (other, set_up)
}

impl Ipc<Values> {
    pub(super) fn start_with_values() -> Self {
        let (other, set_up) = spawn_ipc::<IpcValuesSetUp>("ipc-values");
        let ends = Values {
            sender: set_up.to_servant,
            receiver: set_up.from_servant,
        };
        Self {
            ends,
            _other: other,
        }
    }
}

impl Ipc<Bare> {
    pub(super) fn start() -> Self {
        let (other, set_up) = spawn_ipc::<IpcSetUp>("ipc");
        let ends = Bare {
            sender: set_up.to_servant,
            receiver: set_up.from_servant,
            keep: set_up.keep,
        };
        Self {
            ends,
            _other: other,
        }
    }

    /// Opens so many channels to the servant: what holds them.
    pub(super) fn with_channels(self, count: usize) -> impl Drop + use<> {
        struct Held(
            #[expect(dead_code, reason = "held")] Ipc<Bare>,
            Vec<IpcBytesReceiver>,
        );
        impl Drop for Held {
            fn drop(&mut self) {
                self.1.clear();
            }
        }
        let mut channels = Vec::with_capacity(count);
        for _ in 0..count {
            let (sender, receiver) = ipc_channel::ipc::bytes_channel().expect("a descriptor");
            self.ends.keep.send(sender).expect("the servant lives");
            channels.push(receiver);
        }
        Held(self, channels)
    }
}

/// Ports over a link.
pub(super) struct Ours {
    port: MessagePort,
    links: Links,
    runtime: Runtime,
    _other: Other,
}

impl Ours {
    pub(super) fn start() -> Self {
        let runtime = runtime();
        let (other, socket) = spawn("ours");
        let stream = tokio_stream(&runtime, socket);
        let (links, driver) = driver::new(Limits::default(), driver::refuse);
        drop(runtime.spawn(driver));
        let opening = links.open(stream, LinkKind::Trusted { initiator: true });
        let opened = runtime.block_on(opening).expect("the servant greets");
        let mut port = opened.port.expect("a first port");
        port.start();
        Self {
            port,
            links,
            runtime,
            _other: other,
        }
    }

    pub(super) fn round_trips(&mut self, count: u32, length: usize) -> f64 {
        round_trips_in_a_task(&self.runtime, &mut self.port, count, length)
    }

    pub(super) fn round_trips_on(&self, port: &mut MessagePort, count: u32, length: usize) -> f64 {
        round_trips_in_a_task(&self.runtime, port, count, length)
    }

    pub(super) fn one_way(&mut self, count: u32, length: usize) {
        self.runtime.block_on(async {
            for number in 0..count {
                self.port.post_message(message(COUNTED, length));
                if number % 256 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            self.port.post_message(message(ASK, length));
            let counted = next(&mut self.port).await;
            assert_eq!(counted.payload, count.to_be_bytes()[..]);
        });
    }

    /// Ports whose partners the servant holds, or serves, and has answered a message on.
    pub(super) fn open_ports(&mut self, count: usize, used: bool) -> Vec<MessagePort> {
        let what = if used { SERVE } else { KEEP };
        self.runtime.block_on(async {
            let mut ports = Vec::with_capacity(count);
            for _ in 0..count {
                let MessageChannel { port1, port2 } = MessageChannel::new();
                let theirs = port2.transfer().expect("it is open");
                self.port.post_message(message(what, 1).with_port(theirs));
                ports.push(port1);
                if ports.len() % 256 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            // Answered after all of them have arrived.
            self.port.post_message(message(ECHO, 1));
            next(&mut self.port).await;
            for port in ports.iter_mut().filter(|_| used) {
                port.start();
                port.post_message(message(ECHO, 64));
                next(port).await;
            }
            ports
        })
    }

    /// A port whose partner the servant serves, after so many moves there and back.
    pub(super) fn travelled(&mut self, moves: usize) -> MessagePort {
        self.runtime.block_on(async {
            let MessageChannel { port1, port2 } = MessageChannel::new();
            let mut theirs = port2.transfer().expect("it is open");
            for _ in 1..moves.div_ceil(2) {
                self.port.post_message(message(BACK, 1).with_port(theirs));
                theirs = next(&mut self.port).await.ports.remove(0);
            }
            self.port.post_message(message(SERVE, 1).with_port(theirs));
            let mut port = port1;
            port.start();
            // Until the way has settled.
            round_trips(&mut port, 100, 64).await;
            port
        })
    }

    /// Opens so many links beside the one that is measured, to nodes of this process.
    pub(super) fn beside(self, count: usize) -> Self {
        let opened = async {
            for _ in 0..count {
                let (near, far) = tokio::io::duplex(1024);
                let (links, driver) = driver::new(Limits::default(), driver::refuse);
                drop(tokio::spawn(driver));
                let near = self.links.open(near, LinkKind::Trusted { initiator: true });
                let far = links.open(far, LinkKind::Trusted { initiator: false });
                near.await.expect("a greeting");
                far.await.expect("a greeting");
            }
        };
        self.runtime.block_on(opened);
        self
    }

    /// What a runtime opens for itself.
    pub(super) fn descriptors_of_runtime(&self) -> usize {
        let before = super::open_descriptors();
        let another = runtime();
        let during = super::open_descriptors();
        drop(another);
        during - before
    }
}

/// As any other task: what a runtime blocks on, it runs only between two looks at its sockets.
fn round_trips_in_a_task(
    runtime: &Runtime,
    port: &mut MessagePort,
    count: u32,
    length: usize,
) -> f64 {
    let nobody = MessageChannel::new().port1;
    let mut taken = std::mem::replace(port, nobody);
    let (result, back) = runtime.block_on(async {
        let task = tokio::spawn(async move {
            let result = round_trips(&mut taken, count, length).await;
            (result, taken)
        });
        task.await.expect("the servant answers")
    });
    *port = back;
    result
}

async fn round_trips(port: &mut MessagePort, count: u32, length: usize) -> f64 {
    let payload = message(ECHO, length).payload;
    let start = Instant::now();
    for _ in 0..count {
        port.post_message(Message::new(payload.clone()));
        let answer = next(port).await;
        assert_eq!(answer.payload.len(), length);
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(count)
}

fn message(what: u8, length: usize) -> Message {
    Message::new(Bytes::from(bytes(what, length)))
}

fn bytes(what: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![7; length];
    bytes[0] = what;
    bytes
}

async fn next(port: &mut MessagePort) -> Message {
    match port.recv().await {
        Some(Event::Message(message)) => message,
        other => panic!("the servant answers, not {other:?}"),
    }
}
