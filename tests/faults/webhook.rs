//! The forge's webhook, at the real loop: it is heard while the next poll is an hour away.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use dispatch::support::ids::hex;
use hmac::{Hmac, Mac as _};
use rustix::process::Signal;
use sha2::Sha256;

use crate::child::{BOUND, Running, until};
use crate::world::World;

const SECRET: &str = "the forge's and ours";

/// A dispatcher that polls once an hour.
fn serve(world: &World) -> Running {
    world.configure("[webhook]\nlisten = '127.0.0.1:0'\nsecret_env = 'HOOK'\n");
    world.start("run", &[("HOOK", SECRET), ("DISPATCH_OPS_POLL_SECONDS", "3600"), ("DISPATCH_LOG", "info")])
}

/// Where it listens, as its log says.
fn address(serving: &Running) -> String {
    until("the address of the webhook", || {
        let said = serving.said();
        let line = said.lines().find(|line| line.contains("listening for the forge's webhook"))?.to_owned();
        line.split("address=").nth(1)?.split_whitespace().next().map(str::to_owned)
    })
}

fn http(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn deliver(address: &str, body: &str, signature: &str) -> String {
    let length = body.len();
    http(
        address,
        &format!(
            "POST /webhook HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Gitea-Delivery: {body}\r\n\
             X-Gitea-Signature: {signature}\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
    )
}

fn code(body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    hex(&mac.finalize().into_bytes())
}

fn get(address: &str, path: &str) -> String {
    http(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
}

#[test]
fn a_delivery_makes_an_action_run_at_once_though_the_next_poll_is_an_hour_away() {
    let world = World::new();
    let serving = serve(&world);
    let address = address(&serving);
    until("readiness", || get(&address, "/readyz").starts_with("HTTP/1.1 200").then_some(()));
    world.action("ok-1", "work", "");
    world.publish("one");
    assert!(deliver(&address, "guessed", &"00".repeat(32)).starts_with("HTTP/1.1 401"));
    assert!(deliver(&address, "pushed", &code("pushed")).starts_with("HTTP/1.1 202"));
    world.wait_for_result("ok-1");
    world.action("ok-2", "work", "");
    world.publish("two");
    assert!(deliver(&address, "pushed", &code("pushed")).starts_with("HTTP/1.1 200"), "heard before");
    assert!(deliver(&address, "again", &code("again")).starts_with("HTTP/1.1 202"));
    world.wait_for_result("ok-2");
    serving.signal(Signal::TERM);
    assert_eq!(serving.end().status.code(), Some(0));
}

#[test]
fn what_keeps_it_from_its_work_is_named_while_it_lives() {
    let world = World::new();
    let repo = world.repo.bare();
    let away = repo.with_extension("away");
    std::fs::rename(&repo, &away).unwrap();
    let serving = serve(&world);
    let address = address(&serving);
    let trouble = |said: &String| said.contains("ops: ") && said.contains("could not be looked at");
    let said = until("the trouble", || Some(get(&address, "/readyz")).filter(trouble));
    assert!(said.starts_with("HTTP/1.1 503"), "{said}");
    assert!(get(&address, "/healthz").starts_with("HTTP/1.1 200"));
    std::fs::rename(&away, &repo).unwrap();
    assert!(deliver(&address, "back", &code("back")).starts_with("HTTP/1.1 202"));
    until("readiness", || get(&address, "/readyz").starts_with("HTTP/1.1 200").then_some(()));
    serving.signal(Signal::TERM);
    assert_eq!(serving.end().status.code(), Some(0));
}
