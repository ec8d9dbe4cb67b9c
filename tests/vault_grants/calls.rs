//! Each call that the dispatcher makes for a grant, spoilt in each way: the run goes on and runs once, its tokens are dead afterwards,
//! and a token that nobody holds is counted.

use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::child::until;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::testbed::unique;
use crate::world::World;

/// A minute of a time limit is a second here.
const SHORT: (&str, &str) = ("DISPATCH_FAULT_MINUTE", "1");

/// A call gives up after 15 s.
const TOO_LATE: Duration = Duration::from_secs(17);

/// The calls: the name of the action that makes it, the request, and the secrets that the action names.
const CALLS: [(&str, &str, &[&str]); 8] = [
    ("mint", "POST /v1/auth/token/create/*", &["A"]),
    ("lookup", "POST /v1/auth/token/lookup-accessor", &["A"]),
    ("capabilities", "POST /v1/sys/capabilities-accessor", &["A"]),
    ("revoke", "POST /v1/auth/token/revoke-accessor", &["A"]),
    ("metadata", "GET /v1/kv/metadata/*", &["A"]),
    ("wrap", "POST /v1/sys/wrapping/wrap", &[]),
    ("entering", "POST /v1/auth/*/login", &["A"]),
    ("renew", "POST /v1/auth/token/renew-self", &["A"]),
];

/// With a dispatcher that logs in by `AppRole`, for seconds, through a proxy; runners come straight.
struct Corner {
    world: World,
    proxy: FaultProxy,
    mount: String,
}

impl Corner {
    fn new() -> Self {
        let world = World::new();
        world.put_all();
        let count = format!("echo begun >> '{}'/$1.begun\n", world.path("gates").display());
        world.repo.write("formulas/report.sh", &count);
        let (mount, proxy) = (unique("approle"), FaultProxy::start(&world.vault.address));
        let (vault, role) = (&world.vault, format!("/v1/auth/{mount}/role/dispatcher"));
        vault.must("POST", &format!("/v1/sys/auth/{mount}"), Some(&json!({ "type": "approle" })));
        let fields =
            json!({ "token_policies": ["service-dispatcher"], "token_no_default_policy": true, "token_ttl": "6s" });
        vault.must("POST", &role, Some(&fields));
        let role_id = vault.must("GET", &format!("{role}/role-id"), None)["data"]["role_id"].clone();
        let id = vault.must("POST", &format!("{role}/secret-id"), None)["data"]["secret_id"].clone();
        fs::write(world.path("id"), id.as_str().unwrap()).unwrap();
        let settings = format!(
            "login\nwrap_ttl_seconds = 20\nrunner_address = '{}'\n[secrets.vault.approle]\nmount = '{mount}'\n\
             role_id = {role_id}\nsecret_id_file = 'id'\n",
            world.vault.address
        );
        world.configure(&proxy.url(), &settings);
        Self { world, proxy, mount }
    }

    /// Takes the dispatcher's own token from it, so that it logs in anew.
    fn throw_out(&self) {
        let logins = self.world.audited(&format!("auth/{}/login", self.mount));
        let last = logins.last().unwrap()["auth"]["accessor"].clone();
        self.world.vault.must("POST", "/v1/auth/token/revoke-accessor", Some(&json!({ "accessor": last })));
    }

    /// One action whose one call goes wrong.
    fn spoil(&self, (id, call, secrets): (&str, &str, &[&str]), fault: Fault) {
        let (world, place) = (&self.world, format!("{id}, {fault:?}"));
        let (fired, counted) = (self.proxy.fired(), world.alarms("grant_unanswered"));
        self.proxy.spoil(1, call, fault);
        if id == "entering" {
            self.throw_out();
        }
        let secrets: Vec<String> = secrets.iter().map(|name| format!("'{}'", world.secret(name))).collect();
        let text = format!(
            "id = '{id}'\nformula = 'report'\ncontext = 'x'\nsecrets = [{}]\ntimeout_minutes = 15\n",
            secrets.join(", ")
        );
        world.repo.write(&format!("vault/actions/{id}.toml"), &text);
        world.publish();
        let result = world.wait_for_result(id);
        assert_eq!(result["state"], "succeeded", "{place}: {result}");
        until(&format!("{place}: the call"), || (self.proxy.fired() > fired).then_some(()));
        world.wait_until_not_owed(&format!("{id}@1"));
        world.wait_until_revoked(&format!("{id}@1"));
        let begun = fs::read_to_string(world.path("gates").join(format!("{id}.begun"))).unwrap();
        assert_eq!(begun, "begun\n", "{place}: it runs once");
        // A second token that the server has made unseen cannot be noticed: its answer came.
        let is_counted = id == "mint" && fault != Fault::Duplicate;
        assert_eq!(world.alarms("grant_unanswered") - counted, u64::from(is_counted), "{place}");
    }
}

fn each_is_survived(calls: &[(&str, &str, &[&str])], fault: Fault) {
    let corner = Corner::new();
    let running = corner.world.serve_with(&[SHORT]);
    for call in calls {
        corner.spoil(*call, fault);
    }
    until(&format!("{fault:?}: no token to live"), || corner.world.living_tokens("A").is_empty().then_some(()));
    drop(running);
    corner.world.verify_journal();
}

/// All calls with this fault.
macro_rules! survives {
    ($($name:ident: $fault:expr;)*) => {
        $(
            #[test]
            fn $name() {
                each_is_survived(&CALLS, $fault);
            }
        )*
    };
}

survives! {
    a_connection_that_is_closed_before_any_call_costs_no_run: Fault::DropBefore;
    a_refusal_of_any_call_costs_no_run: Fault::Refuse(503);
    an_answer_that_is_lost_to_any_call_costs_no_run: Fault::LoseAnswer;
    a_500_for_any_call_that_was_done_costs_no_run: Fault::ErrorAfter;
    a_reset_in_the_answer_to_any_call_costs_no_run: Fault::ResetMidBody;
    an_answer_to_any_call_that_is_cut_short_costs_no_run: Fault::Truncate;
    a_page_for_people_in_place_of_any_answer_costs_no_run: Fault::WrongContentType;
    any_call_that_is_done_twice_costs_no_run: Fault::Duplicate;
}

/// Each of these waits for the end of a call's patience.
fn each_is_survived_side_by_side(fault: Fault) {
    thread::scope(|scope| {
        for calls in CALLS.chunks(4) {
            scope.spawn(move || each_is_survived(calls, fault));
        }
    });
}

#[test]
fn silence_before_any_call_costs_no_run() {
    each_is_survived_side_by_side(Fault::Silence);
}

#[test]
fn an_answer_to_any_call_that_comes_too_late_costs_no_run() {
    each_is_survived_side_by_side(Fault::DelayAnswer(TOO_LATE));
}
