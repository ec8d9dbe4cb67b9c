//! Granted values, looked for wherever a run leaves something: with a formula that prints them in every way it knows, which masking has to
//! catch. And who has read them, by Vault's own account.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::bed::{Bed, docker, raw_exec, value};
use crate::child::until;
use crate::places::{Events, Places};
use crate::search::Search;

/// Prints its secrets plainly and encoded, on both streams; what it waits for comes afterwards, so that all of it lies open meanwhile.
const LEAK: &str = "for name in \"${!STEM_@}\"; do\n  value=${!name}\n  \
    echo \"plain $value\"; echo \"to stderr $value\" >&2\n  \
    for before in '' x xx; do printf %s \"$before$value\" | base64 -w0; echo; done\n  \
    printf %s \"$value\" | od -An -tx1 -v | tr -d ' \\n'; echo\n  \
    json=${value//\\\\/\\\\\\\\}; printf '{\"token\":\"%s\"}\\n' \"${json//\\\"/\\\\\\\"}\"\n  \
    printf %s \"$value\" | split_in_two; echo\ndone\n";

/// Writes what comes in, in two parts.
const SPLIT: &str =
    "split_in_two() { local all; read -r all || true; printf %s \"${all:0:9}\"; printf '%s' \"${all:9}\"; }\n";

#[test]
fn no_value_that_was_granted_to_a_process_of_a_client_is_found_anywhere() {
    leaves_no_trace(Bed::nomad(&raw_exec()));
}

#[test]
fn no_value_that_was_granted_to_a_container_is_found_anywhere() {
    leaves_no_trace(Bed::nomad(&docker()));
}

fn leaves_no_trace(mut bed: Bed) {
    bed.listen();
    let world = &bed.world;
    // One of them is JSON, of which each text is worth as much.
    let json = json!({ "user": "somebody", "password": value(world, "inside") }).to_string();
    world.put("C", &json!({ "value": json }));
    let values = [value(world, "A"), value(world, "B"), json];
    let search = Search::of(&values);
    let mut places = Places::of(&bed, &search);
    let stem = world.secret("");
    let script = format!("{SPLIT}{}{}", LEAK.replace("STEM", &stem[..stem.len() - 1]), bed.gate.knock());
    bed.formula("leak", &script);
    let events = Events::follow(&bed);
    let running = bed.serve_aloud();
    world.action("leaks", "leak", &["A", "B", "C"]);
    world.publish();
    bed.wait_until_begun("leaks");
    until("the log to be here", || (bed.log("leaks").matches("[redacted:").count() >= 24).then_some(()));
    places.look_meanwhile("leaks", &running);

    bed.let_go("leaks");
    let result = world.wait_for_result("leaks");
    assert_eq!(result["state"], "succeeded", "{result}\n{}", running.said());
    world.wait_until_revoked("leaks@1");
    places.everywhere_else("leaks", &running);
    places.event_stream(&events.told(&bed.job("leaks")));
    assert_eq!(places.found(), &BTreeMap::new(), "a granted value was left there");
    assert_eq!(places.left_out(), [""; 0], "nothing was looked at there");
    who_read(&bed);
}

/// The run's token alone has read, each secret once.
fn who_read(bed: &Bed) {
    let world = &bed.world;
    let token = world.grants("leaks@1")[0]["wrapping"]["wrapped"].as_str().unwrap().to_owned();
    for name in ["A", "B"] {
        let read = world.audited(&format!("kv/data/disinto/runner/{}", world.secret(name)));
        let read: Vec<&Value> = read.iter().filter(|line| line["request"]["operation"] == "read").collect();
        assert_eq!(read.len(), 1, "{read:?}");
        assert_eq!((&read[0]["auth"]["accessor"], read[0]["error"].as_str()), (&Value::from(token.as_str()), None));
        assert_eq!(read[0]["auth"]["metadata"]["run"], "leaks@1");
    }
    let unwrapped = world.audited("sys/wrapping/unwrap");
    let of_run = |line: &&Value| line["response"]["auth"]["accessor"] == token.as_str();
    let by: BTreeSet<String> = unwrapped.iter().filter(of_run).map(|line| line["request"]["id"].to_string()).collect();
    assert_eq!(by.len(), 1, "it was opened once: {by:?}");
}
