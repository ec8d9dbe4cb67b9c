//! The right to the lease is one of its own, and is named where it is missing.

use std::fs;

use rustix::process::Signal;

use crate::member::{Member, world};

#[test]
fn without_the_right_nothing_starts_and_who_loses_it_stops_leading_and_both_say_what_is_missing() {
    let world = world(10);
    let (whole, less) = (fs::read_to_string(world.path("token")).unwrap(), world.token(&["nomad-dispatcher.hcl"]));
    fs::write(world.path("token"), &less).unwrap();
    let refused = Member::start(&world, "a").end();
    assert_eq!(refused.status.code(), Some(1), "{}", refused.said);
    assert!(refused.said.contains("policies/nomad-lease.hcl"), "{}", refused.said);

    fs::write(world.path("token"), &whole).unwrap();
    let mut member = Member::start(&world, "a");
    let doctor = member.call("doctor").said;
    assert!(doctor.contains("dispatch/lease: "), "{doctor}");
    member.wait_until_it_leads();
    let doctor = member.call("doctor").said;
    assert!(doctor.contains(&format!("process {} on ", member.pid())) && doctor.contains(" leads since "), "{doctor}");

    fs::write(world.path("token"), &less).unwrap();
    let doctor = member.call("doctor");
    assert_eq!(doctor.status.code(), Some(1), "{}", doctor.said);
    assert!(doctor.said.contains("policies/nomad-lease.hcl"), "{}", doctor.said);
    let ended = member.end();
    assert_eq!(ended.status.code(), Some(6), "{}", ended.said);
    assert!(ended.said.contains("needs `write` on it: policies/nomad-lease.hcl"), "{}", ended.said);

    // The lock outlives it; the next one waits for that, and says who had it.
    fs::write(world.path("token"), &whole).unwrap();
    let mut next = Member::start(&world, "b");
    next.wait_until_it_stands_by();
    assert!(next.stop(Signal::TERM).status.success());
}
