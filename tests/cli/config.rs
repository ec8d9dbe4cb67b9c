//! The configuration as a person meets it: where values come from, and what is said when it does not hold.

use crate::world::World;

const CONFIG: &str = "\
state_dir = \"state\"

[ops]
remote = \"./ops.git\"
poll_seconds = 2

[limits]
max_concurrent = 2
formula.release = 1

[secrets]
allow = [\"API_TOKEN\"]

[secrets.file]
directory = \"secrets\"
identity = \"credential:age-key\"
";

#[test]
fn config_show_says_where_each_value_came_from() {
    let world = World::configured(CONFIG);
    let environment = [
        ("DISPATCH_LIMITS_MAX_CONCURRENT", "8"),
        ("DISPATCH_OPS_BRANCH", ""),
        ("CREDENTIALS_DIRECTORY", "/run/credentials/x"),
    ];
    let answer = world.call_with("config show --origin --state-dir elsewhere", &environment);
    // The width of a column depends on where temporary folders stand.
    let row =
        |line: &str| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join(" | ");
    insta::assert_snapshot!(answer.all().lines().map(row).collect::<Vec<_>>().join("\n"));
}

#[test]
fn config_show_as_json_is_in_the_envelope() {
    let world = World::configured("[ops]\nremote = '/srv/ops.git'\n");
    let json = world.call("config show --output json").json();
    assert_eq!((&json["dispatch"], &json["kind"]), (&1.into(), &"config.show".into()));
    let settings = json["data"]["settings"].as_array().unwrap();
    let remote = settings.iter().find(|setting| setting["key"] == "ops.remote").unwrap();
    assert_eq!(remote["origin"], serde_json::json!({ "from": "file", "path": "dispatch.toml", "line": 2 }));
}

#[test]
fn no_configuration_at_all_says_what_is_needed() {
    insta::assert_snapshot!(World::new().call("config show").all());
}

#[test]
fn a_config_file_that_is_named_and_not_there_is_an_error() {
    let world = World::configured(CONFIG);
    insta::assert_snapshot!(world.call("config show --config nowhere.toml").all());
    let answer = world.call_with("config show", &[("DISPATCH_CONFIG", "nowhere.toml")]);
    assert!(answer.stderr.contains("named by DISPATCH_CONFIG"), "{}", answer.stderr);
}

#[test]
fn every_mistake_of_a_file_is_shown_at_once() {
    let world = World::configured("[ops]\nremtoe = \"/srv/ops.git\"\npoll_seconds = 0\n\n[limit]\n");
    insta::assert_snapshot!(world.call("config show").all());
}

#[test]
fn mistakes_are_listed_for_tools_with_line_and_column() {
    let world = World::configured("[ops]\nremote = '/srv/ops.git'\npoll_seconds = 0\n");
    let answer = world.call("config show --output json");
    assert_eq!(answer.code, Some(2));
    let details = &answer.json()["error"]["details"];
    assert_eq!(details[0]["place"], "dispatch.toml");
    assert_eq!((&details[0]["line"], &details[0]["column"]), (&3.into(), &16.into()));
}

#[test]
fn the_forge_token_is_the_login_only_for_the_forge_itself() {
    let world = World::configured("[ops]\nremote = 'https://forge.example/ops.git'\n");
    let shown = |forge: &str| {
        let environment = [("FORGE_URL", forge), ("FORGE_TOKEN", "hunter2-token")];
        let answer = world.call_with("config show --origin", &environment);
        assert!(!answer.all().contains("hunter2"), "the token itself is never shown");
        answer.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(
        shown("https://forge.example/").contains("ops.credential.password_env FORGE_TOKEN environment FORGE_TOKEN")
    );
    assert!(!shown("https://elsewhere.example").contains("ops.credential.password_env"));
}

#[test]
fn the_nomad_variables_hold_once_nomad_is_used_and_the_token_stays_with_its_server() {
    let set = [
        ("NOMAD_ADDR", "https://nomad.example:4646"),
        ("NOMAD_TOKEN", "hunter2-token"),
        ("NOMAD_NAMESPACE", "runs"),
        ("NOMAD_TLS_SERVER_NAME", "server.global.nomad"),
    ];
    let shown = |config: &str| {
        let answer = World::configured(config).call_with("config show --origin", &set);
        assert!(!answer.all().contains("hunter2"), "the token itself is never shown");
        answer.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let used = shown("[ops]\nremote = '/srv/ops.git'\n[backends]\ndefault = 'nomad'\n");
    for line in [
        "backends.nomad.address https://nomad.example:4646 environment NOMAD_ADDR",
        "backends.nomad.token_env NOMAD_TOKEN environment NOMAD_TOKEN",
        "backends.nomad.namespace runs environment NOMAD_NAMESPACE",
        "backends.nomad.tls_server_name server.global.nomad environment NOMAD_TLS_SERVER_NAME",
    ] {
        assert!(used.contains(line), "{line}: {used}");
    }
    let elsewhere = shown("[ops]\nremote = '/srv/ops.git'\n[backends.nomad]\naddress = 'https://other.example:4646'\n");
    assert!(!elsewhere.contains("NOMAD_TOKEN") && elsewhere.contains("https://other.example:4646"), "{elsewhere}");
    assert!(!shown("[ops]\nremote = '/srv/ops.git'\n").contains("backends.nomad.address"));
}

#[test]
fn a_warning_goes_to_stderr_and_stops_nothing() {
    let world = World::configured("[ops]\nremote = 'https://forge.example/ops.git'\n");
    let answer = world.call_with("config show", &[("DISPATCH_OPS_BRANHC", "x")]);
    assert_eq!(answer.code, Some(0));
    insta::assert_snapshot!(answer.stderr);
}

#[test]
fn a_folder_of_cas_for_nomad_is_said_not_to_be_read_unless_a_file_is_named() {
    let world =
        World::configured("[ops]\nremote = '/srv/ops.git'\n[backends.nomad]\naddress = 'https://n.example:4646'\n");
    let folder = ("NOMAD_CAPATH", "/etc/ssl/certs");
    let said = world.call_with("config show", &[folder]);
    assert_eq!(said.code, Some(0), "{}", said.all());
    for words in ["NOMAD_CAPATH is set, and no directory of CAs is read here", "`ca_cert` or NOMAD_CACERT"] {
        assert!(said.stderr.contains(words), "{}", said.stderr);
    }
    let said = world.call_with("config show", &[folder, ("NOMAD_CACERT", "/etc/ssl/ca.pem")]);
    assert!(!said.stderr.contains("NOMAD_CAPATH"), "{}", said.stderr);
}

#[test]
fn a_log_filter_that_is_none_is_refused_with_its_place() {
    let world = World::configured(CONFIG);
    insta::assert_snapshot!(world.call_with("config show", &[("DISPATCH_LOG", "a=b=c")]).all());
}
