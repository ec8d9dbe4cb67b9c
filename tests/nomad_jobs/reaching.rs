//! How a server is reached: through a socket of this machine, and in a region.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use crate::testbed::Testbed;
use crate::world::{World, dispatchers, raw_exec};

/// Passes what comes through `socket` on to the server at `address`, and its answers back, for as long as the test lasts.
fn relay(socket: &Path, address: &str) {
    let listener = UnixListener::bind(socket).unwrap();
    let address = address.trim_start_matches("http://").to_owned();
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(&address) else { continue };
            let (near_back, far_back) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || forth(near, far));
            thread::spawn(move || back(far_back, near_back));
        }
    });
}

fn forth(mut near: UnixStream, mut far: TcpStream) {
    let _ = io::copy(&mut near, &mut far);
    let _ = far.shutdown(Shutdown::Write);
}

fn back(mut far: TcpStream, mut near: UnixStream) {
    let _ = io::copy(&mut far, &mut near);
    let _ = near.shutdown(Shutdown::Write);
}

#[test]
fn nomad_is_reached_through_a_unix_socket() {
    let testbed = Testbed::get();
    let (namespace, api) = (testbed.namespace(), testbed.nomad());
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nomad.sock");
    relay(&socket, &api.address);
    let address = format!("unix://{}", socket.display());
    let world = World::with_token(&api.at(&address), &namespace.name, &dispatchers(&api, &namespace.name));
    world.configure(&raw_exec(), "");
    let applied = world.operate("jobs apply");
    assert_eq!(applied.code, Some(0), "{}", applied.all());
    let doctor = world.call("doctor");
    assert!(doctor.code == Some(0) && doctor.stdout.contains(&address), "{}", doctor.all());
    std::fs::remove_file(&socket).unwrap();
    let doctor = world.call("doctor");
    assert!(doctor.code == Some(4) && doctor.stdout.contains(&address), "{}", doctor.all());
}

#[test]
fn a_region_is_that_of_the_servers_or_said_to_be_another() {
    let testbed = Testbed::get();
    let (namespace, api) = (testbed.namespace(), testbed.nomad());
    let world = World::new(&api, &namespace.name);
    world.configure(&raw_exec(), "");
    assert_eq!(world.operate("jobs apply").code, Some(0));
    let right = world.call_with("doctor", &[("NOMAD_REGION", "global")]);
    assert_eq!(right.code, Some(0), "{}", right.all());
    let wrong = world.call_with("doctor", &[("NOMAD_REGION", "elsewhere")]);
    let said = wrong.stdout.clone();
    assert!(wrong.code == Some(4) && said.contains("No path to region"), "{}", wrong.all());
    assert!(said.contains("backends.nomad.region (NOMAD_REGION)"), "{said}");
    let configured = std::fs::read_to_string(world.path("dispatch.toml")).unwrap();
    let configured = configured.replace("[backends.nomad]\n", "[backends.nomad]\nregion = 'elsewhere'\n");
    std::fs::write(world.path("dispatch.toml"), configured).unwrap();
    let wrong = world.call_with("doctor", &[("NOMAD_REGION", "global")]);
    assert!(wrong.code == Some(4) && wrong.stdout.contains("No path to region"), "{}", wrong.all());
}
