//! A team with an event loop of its own takes `message-port` alone: ports between two processes,
//! which are threads here, with no runtime. A loop hears of its tasks over a channel, and so does
//! what the other side writes.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

use message_port::node::{Input, Limits, LinkError, LinkId, LinkKind, Node, Output};
use message_port::{Event, Message, MessageChannel, MessagePort, TransferError, TryRecvError};

const LINK: LinkId = LinkId(1);

/// What a loop has to do.
enum Task {
    /// The node has something.
    Node,
    /// The port has something.
    Port,
    /// The peer has written something.
    Read(Vec<u8>),
    /// The peer is gone.
    Ended,
}

struct Process {
    node: Node,
    tasks: Receiver<Task>,
    own: Sender<Task>,
    /// The stream to the peer.
    peer: Sender<Task>,
    port: Option<MessagePort>,
}

impl Process {
    fn new((own, tasks): (Sender<Task>, Receiver<Task>), peer: Sender<Task>) -> Self {
        let wake = own.clone();
        let node = Node::new(Limits::default(), move || {
            wake.send(Task::Node).ok(); // The loop may have ended.
        });
        Self {
            node,
            tasks,
            own,
            peer,
            port: None,
        }
    }

    fn open(&mut self, initiator: bool) {
        let kind = LinkKind::Trusted { initiator };
        self.input(Input::LinkOpened { link: LINK, kind });
        self.outputs();
    }

    fn input(&mut self, input: Input) {
        self.node.handle_input(Instant::now(), input);
    }

    /// Waits for a task and does it. What the port has received, if that was it.
    fn turn(&mut self) -> Vec<Event> {
        let timeout = self.node.poll_timeout();
        assert_eq!(
            timeout.is_none(),
            self.port.is_some(),
            "only a greeting has a deadline"
        );
        match self.tasks.recv() {
            Ok(Task::Node | Task::Port) => {}
            Ok(Task::Read(bytes)) => self.input(Input::Received {
                link: LINK,
                bytes: bytes.into(),
            }),
            Ok(Task::Ended) | Err(_) => self.input(Input::LinkLost { link: LINK }),
        }
        self.outputs();
        let mut events = Vec::new();
        while let Some(Ok(event)) = self.port.as_mut().map(MessagePort::try_recv) {
            events.push(event);
        }
        events
    }

    fn outputs(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Write { link, bytes } => {
                    let count = bytes.len();
                    if self.peer.send(Task::Read(bytes.to_vec())).is_ok() {
                        self.input(Input::Written { link, count });
                    }
                }
                Output::LinkUp { port, .. } => {
                    if let Some(port) = port {
                        self.listen(port);
                    }
                }
                Output::LinkClosed { error, .. } => panic!("{error}"),
                Output::Introduce { introduction, .. } => self.input(Input::Introduction {
                    introduction,
                    tokens: None,
                }),
            }
        }
    }

    /// Makes a port the one that this loop looks after.
    fn listen(&mut self, mut port: MessagePort) {
        let own = self.own.clone();
        port.on_ready(move || {
            own.send(Task::Port).ok(); // The loop may have ended.
        });
        port.start();
        self.port = Some(port);
    }
}

/// Echoes what comes by the port that it is given; how many messages that were.
fn worker(mut process: Process) -> usize {
    process.open(false);
    let mut echoed = 0;
    loop {
        for event in process.turn() {
            match (event, &process.port) {
                (Event::Message(mut message), _) if !message.ports.is_empty() => {
                    let port = message.ports.remove(0).receive();
                    process.listen(port);
                }
                (Event::Message(message), Some(port)) => {
                    port.post_message(message);
                    echoed += 1;
                }
                _ => {
                    // The last echo has to leave before the process does.
                    process.outputs();
                    process.peer.send(Task::Ended).ok();
                    return echoed;
                }
            }
        }
    }
}

#[test]
fn two_event_loops_share_a_port_until_one_of_them_ends() -> Result<(), TransferError> {
    let (ours, theirs) = (channel(), channel());
    let mut page = Process::new(ours, theirs.0.clone());
    let other = Process::new(theirs, page.own.clone());
    let worker = thread::spawn(move || worker(other));
    page.open(true);
    while page.port.is_none() {
        page.turn();
    }

    let MessageChannel { port1, port2 } = MessageChannel::new();
    for word in ["posted", "before", "the move"] {
        port1.post_message(Message::new(word));
    }
    let first = page.port.take().expect("it is up");
    first.post_message(Message::new("a port").with_port(port2.transfer()?));
    page.listen(port1);
    let mut heard = Vec::new();
    while heard.len() < 3 {
        for event in page.turn() {
            match event {
                Event::Message(message) => heard.push(message.payload),
                Event::Close => panic!("closed after {heard:?}"),
            }
        }
    }
    assert_eq!(heard, ["posted", "before", "the move"]);
    // The worker stands by its port only, and ends when that is closed.
    drop(page.port.take());
    page.listen(first);
    loop {
        if let [Event::Close] = page.turn()[..] {
            break;
        }
    }
    assert_eq!(worker.join().expect("no panic"), 3);
    let port = page.port.as_mut().expect("it was not dropped");
    assert_eq!(port.try_recv().map(drop), Err(TryRecvError::Closed));
    assert_eq!(page.node.census().ports, 0);
    Ok(())
}

#[test]
fn a_peer_that_speaks_something_else_is_told_apart_by_name() {
    let mut process = Process::new(channel(), channel().0);
    process.input(Input::LinkOpened {
        link: LINK,
        kind: LinkKind::Accepted,
    });
    let bytes = b"GET / HTTP/1.1\r\n".to_vec().into();
    process.input(Input::Received { link: LINK, bytes });
    let closed = process.node.poll_output();
    let Some(Output::LinkClosed { link: LINK, error }) = closed else {
        panic!("the link is to be closed, not {closed:?}");
    };
    assert_eq!(error, LinkError::Garbage);
}
