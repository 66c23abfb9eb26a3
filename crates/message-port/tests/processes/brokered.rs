//! Three processes, a broker between two others: they are introduced; one of them dies, or stops.

use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use message_port::{Event, Message, MessagePort};
use tokio::process::Child;

use super::three::{Done, Meeting, Place, expect, play_a_role};

/// Not a test in itself: what the processes of the tests below do.
#[tokio::test]
async fn a_process_of_the_tests_below() -> Done {
    play_a_role().await
}

/// Sends a few short messages to and fro; how many long ones had arrived before.
async fn speak(pair: &mut MessagePort) -> Done<u32> {
    let mut long = 0;
    for number in 0..20_u8 {
        pair.post_message(Message::new(vec![number]));
        let answer = expect(pair).await?;
        assert_eq!(answer.payload[0], number);
        long = u32::from_be_bytes(*answer.payload[1..].first_chunk().ok_or("no count")?);
    }
    Ok(long)
}

async fn closed(port: &mut MessagePort) {
    let event = port.recv().await;
    assert!(matches!(event, Some(Event::Close)), "{event:?}");
}

/// No step of these takes long, unless it hangs.
async fn within<T>(work: impl Future<Output = Done<T>>) -> Done<T> {
    tokio::time::timeout(Duration::from_secs(60), work).await?
}

#[tokio::test]
async fn two_processes_that_were_introduced_speak_on_when_their_broker_is_killed() -> Done {
    within(async {
        let place = Place::new("introduced")?;
        let mut met = place.meet(true).await?;
        while met.left.relayed().await? > 0 {
            speak(&mut met.pair).await?;
        }
        let links = async |met: &Meeting| met.left.links.census().await.map(|now| now.links);
        assert_eq!(
            links(&met).await,
            Some(2),
            "the broker's and the direct one"
        );
        met.broker.kill().await?;
        closed(&mut met.left.broker).await;
        assert_eq!(links(&met).await, Some(1));
        speak(&mut met.pair).await?;
        // And the direct link ends as any other.
        met.right.kill().await?;
        closed(&mut met.pair).await;
        let left = met.left.links.census().await.ok_or("no driver")?;
        assert_eq!((left.links, left.ports, left.channels), (0, 0, 0));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn two_processes_that_were_not_introduced_hear_of_the_death_of_their_broker() -> Done {
    within(async {
        let place = Place::new("relayed")?;
        let mut met = place.meet(false).await?;
        speak(&mut met.pair).await?;
        assert_eq!(met.left.relayed().await?, 1);
        met.broker.kill().await?;
        closed(&mut met.pair).await;
        closed(&mut met.left.broker).await;
        // The other one has heard of it too: it has nothing left to do. (Waiting for it would end
        // its input, at which it ends in any case.)
        let input = met.right.stdin.take();
        assert!(met.right.wait().await?.success());
        drop(input);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_process_killed_behind_a_broker_closes_its_own_ports_only() -> Done {
    within(async {
        let place = Place::new("killed")?;
        let mut met = place.meet(false).await?;
        speak(&mut met.pair).await?;
        met.right.start_kill()?;
        loop {
            met.pair.post_message(Message::new("still there?"));
            match met.pair.recv().await {
                Some(Event::Message(_)) => {}
                Some(Event::Close) => break,
                None => return Err("it ended without a close".into()),
            }
        }
        assert!(met.pair.recv().await.is_none(), "a second close");
        assert_eq!(met.left.relayed().await?, 0);
        Ok(())
    })
    .await
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_that_stops_reading_holds_up_nobody_and_fills_no_memory() -> Done {
    const MESSAGES: u32 = 10_000;
    within(async {
        let place = Place::new("stopped")?;
        let mut met = place.meet(false).await?;
        speak(&mut met.pair).await?;
        let before = [resident(&met.broker)?, resident(&met.right)?];
        signal(&met.right, "STOP")?;
        let long = Bytes::from(vec![0; 16 * 1024]);
        for _ in 0..MESSAGES {
            met.pair.post_message(Message::new(long.clone()));
        }
        // It has sent what it may. Meanwhile the broker answers others, and keeps a window.
        met.left.links.flushed().await;
        assert_eq!(met.left.relayed().await?, 1);
        let grown = [&met.broker, &met.right].map(resident);
        signal(&met.right, "CONT")?;
        for (before, after) in before.into_iter().zip(grown) {
            let grown = after?.saturating_sub(before);
            assert!(
                grown < 16 * 1024,
                "{grown} KiB more for {} KiB",
                MESSAGES * 16
            );
        }
        // It goes on where it has stopped.
        assert_eq!(speak(&mut met.pair).await?, MESSAGES);
        Ok(())
    })
    .await
}

#[cfg(target_os = "linux")]
fn signal(child: &Child, name: &str) -> Done {
    let id = child.id().ok_or("it has ended")?.to_string();
    let status = Command::new("sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &id])
        .status()?;
    assert!(status.success(), "{status}");
    Ok(())
}

/// How much memory a process has at the moment, in KiB.
#[cfg(target_os = "linux")]
fn resident(child: &Child) -> Done<u64> {
    let id = child.id().ok_or("it has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kibibytes.ok_or("no VmRSS")?.parse()?)
}
