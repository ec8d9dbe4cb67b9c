//! A secret that was granted and is not there as it should be: the run stops before its formula, with the secret's name.

use serde_json::{Value, json};

use crate::bed::{Corner, handover};
use crate::runner_support::Case;

fn refused(corner: &Corner, words: &str) {
    let grant = corner.grant(&["GITHUB_TOKEN", "SPOILT"]);
    let case = Case::new("echo ran >> ../../tally").handover(handover(grant));
    let finished = case.run();
    assert!(!case.folder().join("tally").exists());
    assert_eq!((finished.code, finished.started()), (68, false), "{}", finished.raw);
    let error = &finished.errors()[0];
    assert!(error.contains("SPOILT") && error.contains(words), "{words}: {error}");
}

#[test]
fn a_secret_that_is_absent_deleted_or_destroyed_is_named() {
    let corner = Corner::new();
    corner.allow("SPOILT");
    refused(&corner, "there is no such secret");
    corner.write("SPOILT", &json!({ "value": "long enough" }));
    corner.api.must("DELETE", &format!("/v1/{}", corner.path("SPOILT")), None);
    refused(&corner, "its current version is deleted");
    let destroy = corner.path("SPOILT").replace("/data/", "/destroy/");
    corner.api.must("PUT", &format!("/v1/{destroy}"), Some(&json!({ "versions": [1] })));
    refused(&corner, "its current version is destroyed");
}

#[test]
fn a_secret_whose_field_is_missing_empty_short_or_no_text_is_named() {
    let corner = Corner::new();
    corner.allow("SPOILT");
    let cases: [(Value, &str); 8] = [
        (json!({}), "no field of that name"),
        (json!({ "Value": "long enough" }), "field `value`"),
        (json!({ "value": "" }), "it is empty"),
        (json!({ "value": " \n" }), "it is empty"),
        (json!({ "value": "abc" }), "shorter than 6 characters"),
        (json!({ "value": 12_345_678_901_234_567_890_u64 }), "a number"),
        (json!({ "value": null }), "null"),
        (json!({ "value": { "a": "long enough" } }), "a list or an object"),
    ];
    for (fields, words) in cases {
        corner.write("SPOILT", &fields);
        refused(&corner, words);
    }
}

#[test]
fn a_secret_whose_policy_is_missing_is_named() {
    let corner = Corner::new();
    corner.write("SPOILT", &json!({ "value": "long enough" }));
    refused(&corner, "its token may not read it");
}
