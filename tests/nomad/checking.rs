//! What `check` finds.

use dispatch::backend::Backend as _;
use dispatch::support::checkup::{Finding, Standing};
use serde_json::json;

use crate::world::{JOB, PLACEMENT, World};

fn at_least(findings: &[Finding], standing: Standing) -> Vec<(&str, &str)> {
    let bad = findings.iter().filter(|finding| finding.standing >= standing);
    bad.map(|finding| (finding.subject.as_str(), finding.evidence.as_str())).collect()
}

#[tokio::test]
async fn with_the_shipped_policy_everything_is_found_good() {
    let world = World::new().await;
    world.take_shipped_policy();
    let findings = world.backend().check().await;
    assert_eq!(at_least(&findings, Standing::Warning), [], "{findings:#?}");
    let subjects: Vec<&str> = findings.iter().map(|finding| finding.subject.as_str()).collect();
    let expected = [
        "nomad: leader",
        "nomad: token",
        "nomad: version",
        "nomad: namespace",
        "nomad: runs",
        "nomad: job vault-runner",
    ];
    assert_eq!(subjects, expected);
}

#[tokio::test]
async fn a_job_that_is_not_registered_or_stopped_is_wrong_and_the_fix_is_named() {
    let world = World::new().await;
    world.namespace.must("DELETE", &format!("/v1/job/{JOB}"), None);
    let findings = world.backend().check().await;
    assert_eq!(at_least(&findings, Standing::Wrong), [("nomad: job vault-runner", "it is stopped")]);
    assert!(findings.last().unwrap().fix.as_ref().unwrap().contains("dispatch jobs apply"));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unreachable_and_nothing_more_is_asked() {
    let world = World::new().await;
    let findings = world.backend_at("http://127.0.0.1:9", PLACEMENT).check().await;
    assert_eq!((findings.len(), findings[0].standing), (1, Standing::Unreachable), "{findings:?}");
}

#[tokio::test]
async fn a_token_that_is_none_is_wrong() {
    let world = World::new().await;
    std::fs::write(world.path("token"), "00000000-0000-0000-0000-000000000000").unwrap();
    let findings = world.backend().check().await;
    assert!(
        at_least(&findings, Standing::Wrong).iter().any(|(subject, _)| *subject == "nomad: token"),
        "{findings:#?}"
    );
}

#[tokio::test]
async fn that_no_token_is_sent_is_said_before_what_is_refused_for_it() {
    let world = World::new().await;
    let findings = world.anonymous_backend().check().await;
    let bad = at_least(&findings, Standing::Warning);
    assert_eq!(bad[0], ("nomad: token", "none is sent, so the servers take us for anybody"), "{findings:#?}");
    assert!(bad.iter().any(|(subject, _)| *subject == "nomad: namespace"), "{findings:#?}");
}

#[tokio::test]
async fn a_policy_whose_rights_every_run_has_too_is_wrong() {
    let world = World::new().await;
    world.take_shipped_policy();
    // As `nomad acl policy apply -namespace` does.
    let name = &world.namespace.name;
    let mut policy = world.api.must("GET", &format!("/v1/acl/policy/{name}"), None);
    policy["JobACL"] = json!({ "Namespace": name });
    world.api.must("PUT", &format!("/v1/acl/policy/{name}"), Some(&policy));
    let findings = world.backend().check().await;
    let found = at_least(&findings, Standing::Warning);
    let words =
        format!("its policy `{name}` is attached to the workloads of the namespace: every formula has its rights");
    assert_eq!(found, [("nomad: token", words.as_str())], "{findings:#?}");
}
