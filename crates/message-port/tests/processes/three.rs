//! A broker and its two peers, each a process: what they run, and how they meet.
//!
//! The broker listens at a name in the file system; the peers connect to it and say what they are
//! called. When both are there, each is given one end of a pair. The peers listen as well, so that
//! the broker can send one of them to the other when its node asks for an introduction.

use std::env;
use std::error::Error;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Stdio, id};

use message_port::driver::{self, Introduction, Links, Opened};
use message_port::node::{Limits, LinkId, LinkKind, Token};
use message_port::{Event, Message, MessageChannel, MessagePort};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

pub(crate) type Done<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const ROLE: &str = "MESSAGE_PORT_ROLE";
const PLACE: &str = "MESSAGE_PORT_PLACE";
const READY: &str = "the broker listens";

/// A folder for the names of sockets, removed in the end.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new(name: &str) -> Done<Self> {
        let place = env::temp_dir().join(format!("message-port-{}-{name}", id()));
        std::fs::create_dir_all(&place)?;
        Ok(Self(place))
    }

    /// Starts a broker, which introduces its peers or relays between them, and the peer `right`;
    /// joins them as the peer `left`.
    pub(crate) async fn meet(&self, introduces: bool) -> Done<Meeting> {
        let mut broker = self.spawn(if introduces { "broker" } else { "relay" })?;
        let said = broker.stdout.take().ok_or("no output")?;
        let mut said = BufReader::new(said).lines();
        while !said.next_line().await?.ok_or("no broker")?.ends_with(READY) {}
        let right = self.spawn("right")?;
        let (left, pair) = Peer::join(&self.0, "left").await?;
        Ok(Meeting {
            broker,
            right,
            left,
            pair,
        })
    }

    fn spawn(&self, role: &str) -> Done<Child> {
        let test = "brokered::a_process_of_the_tests_below";
        let child = Command::new(env::current_exe()?)
            .args(["--exact", test, "--nocapture"])
            .env(ROLE, role)
            .env(PLACE, &self.0)
            .stdin(Stdio::piped()) // It ends with this process.
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        Ok(child)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// What the tests have in their hands.
pub(crate) struct Meeting {
    pub(crate) broker: Child,
    pub(crate) right: Child,
    pub(crate) left: Peer,
    /// Its other end is at `right`, which sends short messages back.
    pub(crate) pair: MessagePort,
}

/// What a child process does; nothing in the process that runs the tests.
pub(crate) async fn play_a_role() -> Done {
    let Ok(role) = env::var(ROLE) else {
        return Ok(());
    };
    // However the tests end, their processes end with them.
    std::thread::spawn(|| {
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        std::process::exit(1);
    });
    let place = PathBuf::from(env::var(PLACE)?);
    match role.as_str() {
        "broker" | "relay" => broker(&place, role == "broker").await,
        name => {
            let (mut peer, mut pair) = Peer::join(&place, name).await?;
            // Goes where the broker sends it.
            tokio::spawn(async move { while peer.hear().await.is_ok() {} });
            answer(&mut pair).await;
            Ok(())
        }
    }
}

/// Sends each short message back, with the number of long ones before it.
async fn answer(pair: &mut MessagePort) {
    let mut long = 0_u32;
    while let Some(Event::Message(message)) = pair.recv().await {
        if message.payload.len() < 100 {
            let mut answer = message.payload.to_vec();
            answer.extend(long.to_be_bytes());
            pair.post_message(Message::new(answer));
        } else {
            long += 1;
        }
    }
}

/// A peer, as its broker sees it.
struct Known {
    link: LinkId,
    name: String,
    port: MessagePort,
    gone: bool,
}

async fn broker(place: &Path, introduces: bool) -> Done {
    let (ask, mut asked) = mpsc::unbounded_channel();
    let (links, driver) = driver::new(Limits::default(), move |introduction| {
        if introduces {
            ask.send(introduction).ok(); // Dropped, it is refused.
        }
    });
    drop(tokio::spawn(driver));
    let listener = UnixListener::bind(place.join("broker"))?;
    println!("{READY}");
    let (mut a, mut b) = (
        accept(&links, &listener).await?,
        accept(&links, &listener).await?,
    );
    let MessageChannel { port1, port2 } = MessageChannel::new();
    a.port
        .post_message(Message::new("pair").with_port(port1.transfer()?));
    b.port
        .post_message(Message::new("pair").with_port(port2.transfer()?));
    while !(a.gone && b.gone) {
        tokio::select! {
            Some(introduction) = asked.recv() => introduce(introduction, [&a, &b]),
            event = a.port.recv(), if !a.gone => a.hear(event, &links).await?,
            event = b.port.recv(), if !b.gone => b.hear(event, &links).await?,
        }
    }
    Ok(())
}

async fn accept(links: &Links, listener: &UnixListener) -> Done<Known> {
    let (stream, _) = listener.accept().await?;
    let kind = LinkKind::Trusted { initiator: false };
    let opened = links.open(stream, kind).await?;
    let link = opened.link;
    let mut port = first_port(opened)?;
    Ok(Known {
        link,
        name: text(&expect(&mut port).await?),
        port,
        gone: false,
    })
}

/// Sends the first of the two to where the second one listens.
fn introduce(introduction: Introduction, peers: [&Known; 2]) {
    let [first, second] = introduction.links();
    let known = |link| peers.iter().find(|peer| peer.link == link && !peer.gone);
    let (Some(first), Some(second)) = (known(first), known(second)) else {
        return;
    };
    let tokens = [token(), token()];
    introduction.arrange(tokens);
    let said = format!("connect {} {}", second.name, tokens[0].0);
    first.port.post_message(Message::new(said));
}

/// Nobody can guess the keys of the standard library's hashes.
fn token() -> Token {
    let random = || u128::from(RandomState::new().build_hasher().finish());
    Token(random() << 64 | random())
}

impl Known {
    /// Answers how many ports are relayed.
    async fn hear(&mut self, event: Option<Event>, links: &Links) -> Done {
        match event {
            Some(Event::Message(_)) => {
                let census = links.census().await.ok_or("no driver")?;
                self.port
                    .post_message(Message::new(census.stubs.to_string()));
            }
            _ => self.gone = true,
        }
        Ok(())
    }
}

/// A peer, as it sees itself.
pub(crate) struct Peer {
    pub(crate) links: Links,
    place: PathBuf,
    pub(crate) broker: MessagePort,
}

impl Peer {
    /// Meets the broker: the peer, and its end of the pair.
    async fn join(place: &Path, name: &str) -> Done<(Self, MessagePort)> {
        let (links, driver) = driver::new(Limits::default(), driver::refuse);
        drop(tokio::spawn(driver));
        let listener = UnixListener::bind(place.join(name))?;
        let here = links.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever it is has to prove that the broker has sent it.
                drop(here.open(stream, LinkKind::Accepted));
            }
        });
        let stream = UnixStream::connect(place.join("broker")).await?;
        let kind = LinkKind::Trusted { initiator: true };
        let mut broker = first_port(links.open(stream, kind).await?)?;
        broker.post_message(Message::new(name.to_owned()));
        let mut pair = expect(&mut broker).await?.ports.remove(0).receive();
        pair.start();
        let place = place.to_owned();
        let peer = Self {
            links,
            place,
            broker,
        };
        Ok((peer, pair))
    }

    /// What the broker says, if it does not send this peer to the other one.
    async fn hear(&mut self) -> Done<String> {
        loop {
            let said = text(&expect(&mut self.broker).await?);
            let Some(there) = said.strip_prefix("connect ") else {
                return Ok(said);
            };
            let (name, token) = there.split_once(' ').ok_or("no token")?;
            let token = Token(token.parse()?);
            let stream = UnixStream::connect(self.place.join(name)).await?;
            drop(self.links.open(stream, LinkKind::Introduced { token }));
        }
    }

    /// How many ports the broker relays.
    pub(crate) async fn relayed(&mut self) -> Done<usize> {
        self.broker.post_message(Message::new("how many?"));
        Ok(self.hear().await?.parse()?)
    }
}

fn first_port(opened: Opened) -> Done<MessagePort> {
    let mut port = opened.port.ok_or("a trusted link comes with a port")?;
    port.start();
    Ok(port)
}

pub(crate) async fn expect(port: &mut MessagePort) -> Done<Message> {
    match port.recv().await {
        Some(Event::Message(message)) => Ok(message),
        other => Err(format!("a message was due, not {other:?}").into()),
    }
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}
