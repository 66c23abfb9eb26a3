//! Real processes: a child is killed, two hundred times, while both sides post and move ports.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that gets nothing has failed")]

#[path = "processes/brokered.rs"]
mod brokered;
#[path = "processes/player.rs"]
mod player;
#[path = "processes/three.rs"]
mod three;

use std::collections::BTreeMap;
use std::env;
use std::future::{self, Future};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::Stdio;
use std::task::Poll;
use std::time::Duration;

use message_port::driver::{self, Links, Opened};
use message_port::node::{Census, Limits, LinkError, LinkKind};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use player::{Player, Random};

/// Tells a process that it is the child, and with which seed.
const CHILD: &str = "MESSAGE_PORT_CHILD";
/// The ids of the first pairs, and the numbers of the players.
const TO_CHILD: u64 = 1;
const TO_NEIGHBOUR: u64 = 2;
const PARENTS: u64 = 0x10;
const NEIGHBOURS: u64 = 0x20;
const CHILDS: u64 = 0x30;
const KILLS: u64 = 200;

fn node() -> Links {
    let (links, driver) = driver::new(Limits::default(), driver::refuse);
    drop(tokio::spawn(driver));
    links
}

async fn open(links: &Links, stream: StdStream, initiator: bool) -> Opened {
    stream.set_nonblocking(true).unwrap();
    let stream = UnixStream::from_std(stream).unwrap();
    let kind = LinkKind::Trusted { initiator };
    links.open(stream, kind).await.unwrap()
}

/// Starts this program again; its standard input is one end of a socket.
fn spawn(seed: u64) -> (Child, StdStream) {
    let (ours, theirs) = StdStream::pair().unwrap();
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "the_child_of_the_test_below", "--nocapture"])
        .env(CHILD, seed.to_string())
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    (child, ours)
}

/// Not a test in itself: what the child process does, until it is killed.
#[tokio::test]
async fn the_child_of_the_test_below() {
    let Ok(seed) = env::var(CHILD) else {
        return;
    };
    let seed: u64 = seed.parse().unwrap();
    let socket = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let links = node();
    let opened = open(&links, StdStream::from(socket), false).await;
    let mut player = Player::new(seed, CHILDS);
    player.hold(TO_CHILD, opened.port.unwrap());
    let mut ended = pin!(opened.ended);
    // If the parent itself dies, nobody is left to kill this process.
    while future::poll_fn(|cx| Poll::Ready(ended.as_mut().poll(cx).is_pending())).await {
        for _ in 0..20 {
            player.act();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_child_killed_at_any_moment_takes_only_what_it_held() {
    let seed = match env::var("SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => u64::from(std::process::id()),
    };
    println!("seed {seed} (SEED repeats the choices of both sides, not the scheduler's)");
    let mut random = Random(seed);
    let (mut received, mut arrived) = (0, 0);
    for round in 0..KILLS {
        let kill_after = random.below(800);
        let said = format!("seed {seed}, round {round}, killed after {kill_after} messages");
        let run = one_kill(seed.wrapping_add(round), kill_after);
        match tokio::time::timeout(Duration::from_secs(60), run).await {
            Ok((messages, ports)) => {
                received += messages;
                arrived += ports;
            }
            Err(_) => panic!("{said}: it hangs"),
        }
    }
    println!("{KILLS} kills; {received} messages with {arrived} ports received and checked");
    assert!(received as u64 > KILLS * 100, "hardly anything was posted");
    assert!(arrived as u64 > KILLS * 20, "hardly anything was moved");
}

/// One child, one neighbour in this process whose ports reach the child through the parent.
async fn one_kill(seed: u64, kill_after: usize) -> (usize, usize) {
    let (links, neighbour_links) = (node(), node());
    let (mut child, socket) = spawn(seed);
    let opened = open(&links, socket, true).await;
    let (a, b) = StdStream::pair().unwrap();
    let (here, there) = tokio::join!(open(&links, a, true), open(&neighbour_links, b, false));
    let mut parent = Player::new(seed, PARENTS);
    parent.hold(TO_CHILD, opened.port.unwrap());
    parent.hold(TO_NEIGHBOUR, here.port.unwrap());
    let mut neighbour = Player::new(seed, NEIGHBOURS);
    neighbour.hold(TO_NEIGHBOUR, there.port.unwrap());

    while parent.received + neighbour.received < kill_after {
        play(&mut parent, &mut neighbour).await;
    }
    child.start_kill().unwrap();
    for _ in 0..10 {
        play(&mut parent, &mut neighbour).await;
    }
    assert_eq!(opened.ended.await, LinkError::Lost);
    let status = child.wait().await.unwrap();
    assert_eq!(
        status.signal(),
        Some(9),
        "the child ended by itself: {status}"
    );

    settle(&links, &neighbour_links, &mut parent, &mut neighbour).await;
    every_end_has_its_partner(&parent, &neighbour);
    // What is left works.
    parent.post_on_all();
    neighbour.post_on_all();
    settle(&links, &neighbour_links, &mut parent, &mut neighbour).await;
    every_end_has_its_partner(&parent, &neighbour);
    let received = parent.received + neighbour.received;
    let arrived = parent.arrived + neighbour.arrived;
    // And nothing is left when all is closed.
    drop((parent, neighbour));
    for links in [links, neighbour_links] {
        while !is_empty(links.census().await.unwrap()) {
            tokio::task::yield_now().await;
        }
    }
    (received, arrived)
}

fn is_empty(census: Census) -> bool {
    (census.ports, census.channels, census.unacknowledged) == (0, 0, 0)
}

/// Otherwise it would run for ever if the process of these tests is killed.
#[tokio::test]
async fn a_child_whose_parent_is_gone_ends_by_itself() {
    let links = node();
    let (mut child, socket) = spawn(1);
    let opened = open(&links, socket, true).await;
    // It has heard of the link once it says something.
    let mut port = opened.port.unwrap();
    port.start();
    port.recv().await.unwrap();
    links.close(opened.link);
    let ended = tokio::time::timeout(Duration::from_secs(60), child.wait());
    assert!(ended.await.unwrap().unwrap().success());
}

async fn play(parent: &mut Player, neighbour: &mut Player) {
    for _ in 0..20 {
        parent.act();
        neighbour.act();
    }
    parent.receive();
    neighbour.receive();
    tokio::task::yield_now().await;
}

/// Lets all that is under way arrive.
async fn settle(links: &Links, others: &Links, parent: &mut Player, neighbour: &mut Player) {
    let mut quiet = 0;
    while quiet < 10 {
        let before = (parent.received + neighbour.received, parent.ends.len());
        links.flushed().await;
        others.flushed().await;
        parent.receive();
        neighbour.receive();
        tokio::task::yield_now().await;
        let after = (parent.received + neighbour.received, parent.ends.len());
        quiet = if before == after { quiet + 1 } else { 0 };
    }
}

/// An end whose partner was in the child, or on its way there or back, has heard of it.
fn every_end_has_its_partner(parent: &Player, neighbour: &Player) {
    let mut ends = BTreeMap::new();
    for end in parent.ends.iter().chain(&neighbour.ends) {
        *ends.entry(end.id).or_insert(0) += 1;
    }
    for (id, count) in ends {
        assert_eq!(count, 2, "one end of pair {id:x} waits for a close");
    }
}
