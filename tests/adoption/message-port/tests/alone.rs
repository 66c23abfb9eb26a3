//! A team takes `message-port` alone: ports between its own threads, and ports through ports.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use message_port::{Event, Message, MessageChannel, MessagePort};

fn next(port: &mut MessagePort) -> Event {
    port.recv_blocking().unwrap()
}

#[test]
fn a_thread_answers_on_a_port_that_came_through_a_port() {
    let MessageChannel { port1: page, port2 } = MessageChannel::new();
    let service = std::thread::spawn(move || {
        let mut port = port2;
        port.start();
        let mut answered = 0;
        loop {
            match next(&mut port) {
                Event::Message(mut message) => {
                    let reply = message.ports.remove(0).receive();
                    reply.post_message(Message::new(message.payload));
                    answered += 1;
                }
                Event::Close => return answered,
            }
        }
    });
    for question in ["one", "two", "three"] {
        let MessageChannel { port1, port2 } = MessageChannel::new();
        let mut answers = port1;
        answers.start();
        let reply_to = port2.transfer().unwrap();
        page.post_message(Message::new(question).with_port(reply_to));
        match next(&mut answers) {
            Event::Message(answer) => assert_eq!(answer.payload, question),
            Event::Close => panic!("{question} was not answered"),
        }
        // The service let go of its end: that is heard after the last message.
        assert!(matches!(next(&mut answers), Event::Close));
    }
    page.close();
    assert_eq!(service.join().unwrap(), 3);
}
