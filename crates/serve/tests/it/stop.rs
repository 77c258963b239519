//! Starting and stopping.

use crate::client::{Client, listen, request, start, until};
use serve::{Behind, Listen, ServeError, Server};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn what_is_under_way_is_answered_and_nothing_more_is_taken() {
    let (server, inbox) = start(Listen { stop_timeout: Duration::from_secs(60), ..listen() });
    let address = server.address();
    inbox.hold();
    let mut waiting = Client::new(&server);
    waiting.send(request("/v1/events", &[], b"x\n"));
    until("the inbox has it", || inbox.holds() == 1);
    let mut receiving = Client::new(&server);
    let whole = request("/v1/events", &[], b"y\n");
    receiving.send(&whole[..whole.len() - 1]);
    let mut idle = Client::new(&server);
    assert_eq!(idle.get("/health", &[]).status, 200);
    until("both bodies are coming", || {
        let text = idle.get("/metrics", &[]).body;
        text.contains("streamgauge_http_connections 3") && text.contains("streamgauge_http_receiving_bytes 1")
    });
    std::thread::scope(|scope| {
        let stopped = scope.spawn(move || server.stop());
        assert_eq!(idle.reply(), None, "a connection without a request is closed");
        until("nobody listens", || TcpStream::connect(address).is_err());
        receiving.send(&whole[whole.len() - 1..]);
        until("the inbox has both", || inbox.holds() == 2);
        assert!(waiting.is_silent() && receiving.is_silent() && !stopped.is_finished());
        inbox.release();
        for client in [&mut waiting, &mut receiving] {
            assert_eq!(client.reply().map(|reply| reply.status), Some(200));
            assert_eq!(client.reply(), None);
        }
        stopped.join().unwrap();
    });
    assert_eq!(inbox.bodies().len(), 2);
}

#[test]
fn stopping_waits_no_longer_than_it_may() {
    let (server, inbox) = start(Listen { stop_timeout: Duration::from_millis(50), ..listen() });
    inbox.hold();
    let mut waiting = Client::new(&server);
    waiting.send(request("/v1/events", &[], b"x\n"));
    until("the inbox has it", || inbox.holds() == 1);
    server.stop();
    assert_eq!(waiting.reply(), None);
    // Whoever answers too late harms nobody.
    inbox.release();
}

#[test]
fn an_address_that_is_taken_is_named() {
    let (server, _) = start(listen());
    let again = Server::start(Listen { address: server.address(), ..listen() }, Behind::default());
    let Err(error @ ServeError::Bind { .. }) = again else { panic!("two listen at one address") };
    assert!(error.to_string().contains(&server.address().to_string()), "{error}");
}
