//! Ports between processes: a parent and two children, each a process of its own.
//!
//! `cargo run -p message-port --features tokio --example two_processes`
//!
//! The parent gives one child a port and gets one back, moves that one on to the other child, so
//! that the two children talk to each other, then kills the first child: everybody who spoke with
//! it hears a `close`.

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match std::env::args().nth(1).as_deref() {
            Some(name) => story::child(name).await,
            None => story::parent().await,
        }
    })
}

#[cfg(not(unix))]
fn main() {
    eprintln!("this example hands sockets to its children as Unix has them");
}

#[cfg(unix)]
mod story {
    use std::error::Error;
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::net::UnixStream as StdStream;
    use std::process::Stdio;

    use message_port::driver::{self, Links};
    use message_port::node::{Limits, LinkKind};
    use message_port::{Event, Message, MessageChannel, MessagePort};
    use tokio::net::UnixStream;
    use tokio::process::{Child, Command};

    type Done<T = ()> = Result<T, Box<dyn Error>>;

    pub(super) async fn parent() -> Done {
        let links = start();
        let (mut ada_process, mut ada) = spawn(&links, "Ada").await?;
        let (bob_process, mut bob) = spawn(&links, "Bob").await?;

        let MessageChannel { port1, port2 } = MessageChannel::new();
        ada.post_message(Message::new("a port for you").with_port(port2.transfer()?));
        let mut ours = port1;
        ours.start();
        say("parent", &expect(&mut ours).await?);

        let mut answer = expect(&mut ada).await?;
        say("parent", &answer);
        println!("parent: moves the port on to Bob");
        bob.post_message(Message::new("a port from Ada").with_port(answer.ports.remove(0)));
        say("parent", &expect(&mut bob).await?);

        println!("parent: kills Ada");
        ada_process.kill().await?;
        for (name, port) in [("link's", &mut ada), ("other", &mut ours)] {
            match port.recv().await {
                Some(Event::Close) => println!("parent: the {name} port to Ada is closed"),
                other => return Err(format!("a close was due, not {other:?}").into()),
            }
        }
        say("parent", &expect(&mut bob).await?);
        drop((bob, bob_process));
        Ok(())
    }

    pub(super) async fn child(name: &str) -> Done {
        let links = start();
        // The parent's end of the socket is our standard input.
        let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
        let mut parent = open(&links, StdStream::from(socket), false).await?;
        match name {
            "Ada" => {
                let mut message = expect(&mut parent).await?;
                say(name, &message);
                let given = message.ports.remove(0).receive();
                given.post_message(Message::new("hello from Ada, on the port that you gave"));

                let MessageChannel { port1, port2 } = MessageChannel::new();
                let mut kept = port1;
                kept.start();
                let offer = Message::new("and here is one of mine").with_port(port2.transfer()?);
                parent.post_message(offer);
                // Whoever holds the other end now: it makes no difference here.
                say(name, &expect(&mut kept).await?);
                kept.post_message(Message::new("hello, whoever you are"));
                // Until it is killed.
                expect(&mut parent).await.map(drop)
            }
            _ => {
                let mut message = expect(&mut parent).await?;
                say(name, &message);
                let mut from_ada = message.ports.remove(0).receive();
                from_ada.start();
                from_ada.post_message(Message::new("hello from Bob"));
                say(name, &expect(&mut from_ada).await?);
                parent.post_message(Message::new("Ada and I have spoken"));
                match from_ada.recv().await {
                    Some(Event::Close) => drop(parent.post_message(Message::new("Ada is gone"))),
                    other => return Err(format!("a close was due, not {other:?}").into()),
                }
                links.flushed().await;
                // Until the parent has gone.
                while parent.recv().await.is_some() {}
                Ok(())
            }
        }
    }

    /// A node whose links are carried by a task of this runtime.
    fn start() -> Links {
        let (links, driver) = driver::new(Limits::default(), driver::refuse);
        drop(tokio::spawn(driver));
        links
    }

    /// Starts this program again, as `name`: the process, and the port to it.
    async fn spawn(links: &Links, name: &str) -> Done<(Child, MessagePort)> {
        let (ours, theirs) = StdStream::pair()?;
        let process = Command::new(std::env::current_exe()?)
            .arg(name)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .kill_on_drop(true)
            .spawn()?;
        Ok((process, open(links, ours, true).await?))
    }

    async fn open(links: &Links, socket: StdStream, initiator: bool) -> Done<MessagePort> {
        socket.set_nonblocking(true)?;
        let stream = UnixStream::from_std(socket)?;
        let opened = links.open(stream, LinkKind::Trusted { initiator }).await?;
        let mut port = opened.port.ok_or("a trusted link comes with a port")?;
        port.start();
        Ok(port)
    }

    async fn expect(port: &mut MessagePort) -> Done<Message> {
        match port.recv().await {
            Some(Event::Message(message)) => Ok(message),
            other => Err(format!("a message was due, not {other:?}").into()),
        }
    }

    fn say(name: &str, message: &Message) {
        let ports = match message.ports.len() {
            0 => "",
            _ => ", and a port",
        };
        let text = String::from_utf8_lossy(&message.payload);
        println!("{name}: hears “{text}”{ports}");
    }
}
