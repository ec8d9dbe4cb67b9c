//! What a secret from a file adds to a launch.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use dispatch::grant::{generate_identity, seal_for};
use secrecy::ExposeSecret as _;

use crate::Effort;
use crate::pickup::{at, between};
use crate::repo::action;
use crate::table::{Goal, Row};
use crate::world::{Setup, World};

/// The same action without and with one secret, by turns.
pub(crate) fn measure(effort: Effort) -> Vec<Row> {
    let world = World::new();
    let config = secrets(&world);
    let mut service = world.serve(Setup::default(), &config);
    service.wait_looked();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for number in 0..effort.of(6_u32, 20) {
        let (taken, wanted) = if number % 2 == 0 { (&mut without, "[]") } else { (&mut with, "[\"TOKEN\"]") };
        let id = format!("act-{number}");
        world.repo.land(&[action(&id, "quick", wanted)]);
        service.wait_published(number + 1);
        let events = service.events(&format!("{id}@"));
        taken.push(between(at(&events, "admit"), at(&events, "grant")));
    }
    vec![
        Row::new("admitted → granted, no secret", "ms", Goal::None, without),
        Row::new("admitted → granted, one secret from a file", "ms", Goal::None, with),
    ]
}

/// An encrypted secret and its identity; answers what the configuration says of them.
fn secrets(world: &World) -> String {
    let folder = world.path().join("secrets");
    fs::create_dir(&folder).unwrap();
    let identity = generate_identity();
    let file = world.path().join("identity");
    fs::write(&file, identity.file.expose_secret()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(folder.join("TOKEN.enc"), seal_for(&identity.recipient, b"a-token-of-a-bench").unwrap()).unwrap();
    format!(
        "[secrets]\nallow = [\"TOKEN\"]\n[secrets.file]\ndirectory = \"{}\"\nidentity = \"{}\"\n",
        folder.display(),
        file.display()
    )
}
