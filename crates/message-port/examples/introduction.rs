//! Three processes: a broker introduces two children, and they speak on without it.
//!
//! `cargo run -p message-port --features tokio --example introduction`
//!
//! The broker gives Ada and Bob an end each of one pair of ports. At first it relays between them;
//! its node asks for a direct link, so it sends Ada to the socket where Bob listens, with a token
//! that proves who has sent her. Then nothing of the pair is left in the broker, which takes its
//! leave.

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match &std::env::args().collect::<Vec<_>>()[..] {
            [_, name, sockets] => story::child(name, sockets.as_ref()).await,
            _ => story::broker().await,
        }
    })
}

#[cfg(not(unix))]
fn main() {
    eprintln!("the processes of this example meet at sockets as Unix has them");
}

#[cfg(unix)]
mod story {
    use std::error::Error;
    use std::hash::{BuildHasher, Hasher, RandomState};
    use std::path::Path;

    use message_port::driver::{self, Introduction, Links};
    use message_port::node::{Limits, LinkId, LinkKind, Token};
    use message_port::{Event, Message, MessageChannel, MessagePort};
    use tokio::net::{UnixListener, UnixStream};
    use tokio::process::{Child, Command};
    use tokio::sync::mpsc;

    type Done<T = ()> = Result<T, Box<dyn Error>>;

    pub(super) async fn broker() -> Done {
        let sockets = std::env::temp_dir().join(format!("introduction-{}", std::process::id()));
        std::fs::create_dir(&sockets)?;
        let told = tell(&sockets).await;
        std::fs::remove_dir_all(&sockets)?;
        told
    }

    async fn tell(sockets: &Path) -> Done {
        let (ask, mut asked) = mpsc::unbounded_channel();
        let (links, driver) = driver::new(Limits::default(), move |introduction| {
            ask.send(introduction).ok(); // What is dropped is refused.
        });
        drop(tokio::spawn(driver));
        let listener = UnixListener::bind(sockets.join("broker"))?;
        let mut ada = Known::start("Ada", sockets, &links, &listener).await?;
        let mut bob = Known::start("Bob", sockets, &links, &listener).await?;

        let MessageChannel { port1, port2 } = MessageChannel::new();
        println!("broker: gives Ada and Bob the two ends of a pair of ports");
        for (child, port) in [(&ada, port1), (&bob, port2)] {
            let given = Message::new("a port for you").with_port(port.transfer()?);
            child.port.post_message(given);
        }

        introduce(asked.recv().await.ok_or("no driver")?, [&ada, &bob]);
        expect(&mut ada.port).await?; // She has spoken with Bob.
        while links.census().await.is_some_and(|census| census.stubs > 0) {
            tokio::task::yield_now().await;
        }
        println!("broker: relays nothing any more, and leaves");
        links.close(ada.link);
        links.close(bob.link);
        ada.process.wait().await?;
        bob.process.wait().await?;
        Ok(())
    }

    /// A child, as the broker knows it.
    struct Known {
        name: &'static str,
        process: Child,
        link: LinkId,
        port: MessagePort,
    }

    impl Known {
        /// Starts this program again, as `name`, and waits until it has connected.
        async fn start(
            name: &'static str,
            sockets: &Path,
            links: &Links,
            listener: &UnixListener,
        ) -> Done<Self> {
            let process = Command::new(std::env::current_exe()?)
                .arg(name)
                .arg(sockets)
                .kill_on_drop(true)
                .spawn()?;
            let (stream, _) = listener.accept().await?;
            let kind = LinkKind::Trusted { initiator: false };
            let opened = links.open(stream, kind).await?;
            let mut port = opened.port.ok_or("a trusted link comes with a port")?;
            port.start();
            let link = opened.link;
            Ok(Self {
                name,
                process,
                link,
                port,
            })
        }
    }

    /// Sends the first of the two to where the second one listens.
    fn introduce(introduction: Introduction, children: [&Known; 2]) {
        let [first, second] = introduction.links();
        let known = |link| children.into_iter().find(|child| child.link == link);
        let (Some(first), Some(second)) = (known(first), known(second)) else {
            return; // Dropped, it is refused.
        };
        println!("broker: introduces {} to {}", first.name, second.name);
        let tokens = [token(), token()];
        introduction.arrange(tokens);
        // The second one needs no token: it is proved to whoever comes with the first one's.
        let said = format!("{} {}", second.name, tokens[0].0);
        first.port.post_message(Message::new(said));
    }

    /// The keys of the standard library's hashes come from the system's source of randomness. (A
    /// real host takes 128 bits from there directly.)
    fn token() -> Token {
        let random = || u128::from(RandomState::new().build_hasher().finish());
        Token(random() << 64 | random())
    }

    pub(super) async fn child(name: &str, sockets: &Path) -> Done {
        let (links, driver) = driver::new(Limits::default(), driver::refuse);
        drop(tokio::spawn(driver));
        let listener = UnixListener::bind(sockets.join(name))?;
        let stream = UnixStream::connect(sockets.join("broker")).await?;
        let kind = LinkKind::Trusted { initiator: true };
        let opened = links.open(stream, kind).await?;
        let mut broker = opened.port.ok_or("a trusted link comes with a port")?;
        broker.start();
        let mut given = expect(&mut broker).await?;
        let mut friend = given.ports.remove(0).receive();
        friend.start();

        if name == "Bob" {
            // Whoever connects is let in if the broker has sent it.
            let (stream, _) = listener.accept().await?;
            links.open(stream, LinkKind::Accepted).await?;
            while let Some(Event::Message(message)) = friend.recv().await {
                println!("Bob: hears “{}”", text(&message));
                friend.post_message(Message::new("I hear you"));
            }
            println!("Bob: Ada has closed her port");
            return Ok(());
        }
        friend.post_message(Message::new("this may go by way of the broker"));
        let sent = text(&expect(&mut broker).await?);
        let (there, token) = sent.split_once(' ').ok_or("a name and a token were due")?;
        let stream = UnixStream::connect(sockets.join(there)).await?;
        let token = Token(token.parse()?);
        links.open(stream, LinkKind::Introduced { token }).await?;
        println!("Ada: hears “{}”", text(&expect(&mut friend).await?));
        broker.post_message(Message::new("we have met"));
        while broker.recv().await.is_some() {}
        friend.post_message(Message::new("now it is just the two of us"));
        println!("Ada: hears “{}”", text(&expect(&mut friend).await?));
        friend.close();
        links.flushed().await;
        Ok(())
    }

    async fn expect(port: &mut MessagePort) -> Done<Message> {
        match port.recv().await {
            Some(Event::Message(message)) => Ok(message),
            other => Err(format!("a message was due, not {other:?}").into()),
        }
    }

    fn text(message: &Message) -> String {
        String::from_utf8_lossy(&message.payload).into_owned()
    }
}
