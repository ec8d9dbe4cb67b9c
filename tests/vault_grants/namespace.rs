//! The namespace goes along with every request, of the dispatcher and of the runner. The testbed's server has none and takes no
//! notice, so what is looked at is what was sent.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::child::until;
use crate::world::World;

/// Passes everything on to a server, and keeps what was sent there.
struct Tee {
    url: String,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Tee {
    fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let upstream = upstream.strip_prefix("http://").unwrap().to_owned();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let kept = sent.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(&upstream).unwrap();
                let (from, to, kept) = (client.try_clone().unwrap(), server.try_clone().unwrap(), kept.clone());
                // Kept for each connection by itself, so that requests do not lie in one another.
                thread::spawn(move || {
                    let all = pass(from, to);
                    kept.lock().unwrap().extend(all);
                });
                thread::spawn(move || pass(server, client));
            }
        });
        Self { url, sent }
    }
}

/// Until either side closes; answers what went through.
fn pass(mut from: TcpStream, mut to: TcpStream) -> Vec<u8> {
    let (mut all, mut part) = (Vec::new(), [0; 8192]);
    while let Ok(length) = from.read(&mut part) {
        if length == 0 || to.write_all(&part[..length]).is_err() {
            break;
        }
        all.extend_from_slice(&part[..length]);
    }
    let _ = to.shutdown(Shutdown::Both);
    all
}

#[test]
fn each_request_of_dispatcher_and_runner_names_the_namespace() {
    let world = World::new();
    world.put_all();
    let tee = Tee::start(&world.vault.address);
    world.configure(&tee.url, "namespace = 'team/a'\n");
    world.action("one", "show", &["A"]);
    world.publish();
    let once = world.call("once", &[]);
    assert_eq!(world.result("one").unwrap_or_else(|| panic!("{}", once.said))["state"], "succeeded");
    // Each connection holds a share until all of it is kept.
    until("the connections to be over", || (Arc::strong_count(&tee.sent) == 2).then_some(()));
    let sent = String::from_utf8_lossy(&tee.sent.lock().unwrap()).to_lowercase();
    for call in ["post /v1/auth/token/create/runner http", "post /v1/sys/wrapping/unwrap http", "get /v1/kv/data/"] {
        assert!(sent.contains(call), "{call}");
    }
    let requests = sent.matches(" http/1.1\r\n").count();
    assert_eq!(sent.matches("\r\nx-vault-namespace: team/a\r\n").count(), requests);
}
