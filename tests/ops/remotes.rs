//! The same answers over every transport; logins stay out of sight.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dispatch::config::types::{Credential, Ops};
use dispatch::ops::{Deadlines, Mirror, NewFile, OpsError, PublishError};
use dispatch::support::checkup::Standing;

use crate::git_http::{Authority, Fault, GitHttp};
use crate::ops_repo::OpsRepo;

fn login(repo: &OpsRepo, name: &str, password: &str) -> Credential {
    let file = repo.path().join(format!("password-of-{name}"));
    fs::write(&file, format!("{password}\n")).unwrap();
    Credential { username: name.to_owned(), password_file: Some(file), password_env: None }
}

/// Polls, fetches and publishes through `settings`, and looks at the result on the other side.
async fn round_trip(repo: &OpsRepo, settings: &Ops) -> Mirror {
    let mirror = Mirror::open(settings, &repo.state()).await.unwrap();
    assert_eq!(mirror.remote_head().await.unwrap(), Some(repo.head()));
    let head = mirror.fetch().await.unwrap();
    assert_eq!(head, repo.head());
    let file = NewFile { path: "vault/actions/a.result.json".into(), bytes: b"{}".to_vec() };
    let commit = mirror.publish(&head, &[file], "Result of a").await.unwrap();
    assert_eq!(repo.remote_git(&["rev-parse", "main"]).trim(), commit.as_str());
    assert_eq!(mirror.remote_head().await.unwrap(), Some(commit.clone()));
    assert_eq!(mirror.fetch().await.unwrap(), commit);
    mirror
}

#[tokio::test]
async fn a_path_and_a_file_address_are_polled_without_a_process() {
    let path = OpsRepo::new();
    let mirror = round_trip(&path, &OpsRepo::settings(&path.bare().display().to_string())).await;
    let before = mirror.processes();
    path.remote_git(&["pack-refs", "--all"]);
    assert!(mirror.remote_head().await.unwrap().is_some());
    assert_eq!(mirror.processes(), before);
    let file = OpsRepo::new();
    round_trip(&file, &OpsRepo::settings(&format!("file://{}", file.bare().display()))).await;
}

#[tokio::test]
async fn polling_over_http_starts_no_process_and_keeps_its_connection() {
    let repo = OpsRepo::new();
    repo.git(&["push", "--quiet", "origin", "HEAD:refs/heads/main-2"]);
    let server = GitHttp::start(&repo.remotes());
    let mirror = Mirror::open(&OpsRepo::settings(&server.url("ops.git")), &repo.state()).await.unwrap();
    let before = mirror.processes();
    for _ in 0..5 {
        assert_eq!(mirror.remote_head().await.unwrap(), Some(repo.head()));
    }
    let seen = server.seen();
    assert_eq!(mirror.processes(), before);
    assert_eq!(seen.requests, ["POST /ops.git/git-upload-pack"; 5]);
    assert_eq!(seen.connections, 1);
}

#[tokio::test]
async fn over_https_the_server_is_believed_by_the_file_that_the_config_names_and_by_no_other() {
    let repo = OpsRepo::new();
    let (theirs, another) = (Authority::new(&repo.path().join("ca")), Authority::new(&repo.path().join("another")));
    let server = GitHttp::start_tls(&repo.remotes(), &theirs);
    server.require_login("reader", "r3ad-s3cr3t");
    let mut settings = OpsRepo::settings(&server.url("ops.git"));
    settings.credential = Some(login(&repo, "reader", "r3ad-s3cr3t"));
    for wrong in [None, Some(another.ca_file())] {
        settings.ca_file = wrong;
        let mirror = Mirror::open(&settings, &repo.state()).await.unwrap();
        let refused = [mirror.remote_head().await.unwrap_err(), mirror.fetch().await.unwrap_err()];
        for error in &refused {
            let words = dispatch::support::chain::words(error);
            assert!(words.to_lowercase().contains("certificate"), "{words}");
        }
        assert!(server.seen().users.is_empty(), "a login was sent to a server that is not believed");
    }
    settings.ca_file = Some(theirs.ca_file());
    let mirror = round_trip(&repo, &settings).await;
    server.seen();
    let before = mirror.processes();
    for _ in 0..3 {
        assert!(mirror.remote_head().await.unwrap().is_some());
    }
    assert_eq!((mirror.processes(), server.seen().connections), (before, 0), "one connection is kept");
}

#[tokio::test]
async fn a_check_tells_a_login_that_may_not_push_from_a_server_that_does_not_answer() {
    let repo = OpsRepo::new();
    let server = GitHttp::start(&repo.remotes());
    let before = repo.remote_git(&["for-each-ref"]);
    server.require_login("reader", "r3ad-s3cr3t");
    let mut settings = OpsRepo::settings(&server.url("ops.git"));
    settings.credential = Some(login(&repo, "reader", "r3ad-s3cr3t"));
    let mirror = Mirror::open(&settings, &repo.state()).await.unwrap();
    let standings = async |mirror: &Mirror| -> Vec<Standing> {
        mirror.check().await.into_iter().map(|finding| finding.standing).collect()
    };
    assert_eq!(standings(&mirror).await, [Standing::Good; 3]);
    settings.push_credential = Some(login(&repo, "writer", "wr1te-s3cr3t"));
    let mirror = Mirror::open(&settings, &repo.state()).await.unwrap();
    assert_eq!(standings(&mirror).await, [Standing::Good, Standing::Good, Standing::Wrong]);
    server.set_fault(Fault::Error500);
    assert_eq!(standings(&mirror).await, [Standing::Unreachable]);
    server.set_fault(Fault::None);
    server.require_login("another", "another");
    assert_eq!(standings(&mirror).await, [Standing::Wrong]);
    assert_eq!(repo.remote_git(&["for-each-ref"]), before, "nothing was pushed");
}

#[tokio::test]
async fn over_http_the_two_logins_are_used_each_for_its_own_and_appear_nowhere() {
    let repo = OpsRepo::new();
    let server = GitHttp::start(&repo.remotes());
    server.require_login("reader", "r3ad-s3cr3t");
    let mut settings = OpsRepo::settings(&server.url("ops.git"));
    settings.credential = Some(login(&repo, "reader", "r3ad-s3cr3t"));
    settings.push_credential = Some(login(&repo, "writer", "wr1te-s3cr3t"));
    let mirror = Mirror::open(&settings, &repo.state()).await.unwrap();
    let head = mirror.fetch().await.unwrap();
    let file = || [NewFile { path: "a".into(), bytes: b"{}".to_vec() }];
    let refused = mirror.publish(&head, &file(), "m").await.unwrap_err();
    assert!(matches!(refused, PublishError::Refused { .. }), "{refused:?}");
    server.require_login("writer", "wr1te-s3cr3t");
    let commit = mirror.publish(&head, &file(), "m").await.unwrap();
    assert_eq!(repo.remote_git(&["rev-parse", "main"]).trim(), commit.as_str());
    let polled = mirror.remote_head().await.unwrap_err();
    let fetched = mirror.fetch().await.unwrap_err();
    assert!(polled.to_string().contains("401"), "{polled}");
    let text = format!("{refused} {refused:?} {polled:?} {fetched} {fetched:?} {mirror:?}");
    let encoded = ["cmVhZGVyOnIzYWQtczNjcjN0", "d3JpdGVyOndyMXRlLXMzY3IzdA"];
    for secret in ["s3cr3t", encoded[0], encoded[1]] {
        assert!(!text.contains(secret), "{text}");
        assert!(!holds(&repo.state(), secret), "{secret} is on the disk");
    }
    let users = server.seen().users;
    assert!(users.contains(&"reader".to_owned()) && users.contains(&"writer".to_owned()));
}

fn holds(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().flatten().any(|entry| match entry.path() {
        path if path.is_dir() => holds(&path, text),
        path => String::from_utf8_lossy(&fs::read(path).unwrap()).contains(text),
    })
}

#[tokio::test]
async fn a_rotated_password_counts_at_once() {
    let repo = OpsRepo::new();
    let server = GitHttp::start(&repo.remotes());
    server.require_login("bot", "new-password");
    let mut settings = OpsRepo::settings(&server.url("ops.git"));
    settings.credential = Some(login(&repo, "bot", "old-password"));
    let mirror = Mirror::open(&settings, &repo.state()).await.unwrap();
    assert!(matches!(mirror.remote_head().await, Err(OpsError::Status { status: 401 })));
    login(&repo, "bot", "new-password");
    assert_eq!(mirror.remote_head().await.unwrap(), Some(repo.head()));
    round_trip(&repo, &settings).await;
}

#[tokio::test]
async fn a_login_in_the_address_is_refused_before_anything_starts() {
    let repo = OpsRepo::new();
    let settings = OpsRepo::settings("https://bot:s3cr3t@localhost/ops.git");
    let error = Mirror::open(&settings, &repo.state()).await.unwrap_err();
    assert!(error.to_string().contains("ops.credential"), "{error}");
    assert!(!format!("{error} {error:?}").contains("s3cr3t"));
}

#[tokio::test]
async fn a_server_of_the_old_protocol_is_asked_by_git() {
    let repo = OpsRepo::new();
    let server = GitHttp::start(&repo.remotes());
    server.set_fault(Fault::OldProtocol);
    round_trip(&repo, &OpsRepo::settings(&server.url("ops.git"))).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed_by_anybody() {
    let repo = OpsRepo::new();
    let server = GitHttp::start(&repo.remotes());
    server.set_fault(Fault::Redirect);
    let mirror = Mirror::open(&OpsRepo::settings(&server.url("ops.git")), &repo.state()).await.unwrap();
    let error = mirror.remote_head().await.unwrap_err();
    assert!(error.to_string().contains("has moved"), "{error}");
    mirror.fetch().await.unwrap_err();
    let requests = server.seen().requests;
    assert!(requests.len() >= 2 && !requests.iter().any(|request| request.contains("evil")), "{requests:?}");
}

#[tokio::test]
async fn a_broken_server_is_an_error_of_the_step_and_a_silent_one_is_given_up() {
    let repo = OpsRepo::new();
    let server = GitHttp::start(&repo.remotes());
    let settings = OpsRepo::settings(&server.url("ops.git"));
    let mirror = Mirror::open(&settings, &repo.state()).await.unwrap();
    server.set_fault(Fault::Error500);
    assert!(matches!(mirror.remote_head().await, Err(OpsError::Status { status: 500 })));
    assert!(matches!(mirror.fetch().await, Err(OpsError::Git { verb: "fetch", .. })));
    server.set_fault(Fault::Silence);
    let short = Duration::from_millis(300);
    let deadlines = Deadlines { ask: short, transfer: short, ..Deadlines::default() };
    let mirror = Mirror::open_with(&settings, &repo.state(), deadlines).await.unwrap();
    assert!(matches!(mirror.remote_head().await, Err(OpsError::Poll(_))));
    assert!(matches!(mirror.fetch().await, Err(OpsError::Deadline { verb: "fetch", .. })));
}

/// An `sshd` of our own on 127.0.0.1; ends with the test.
struct Sshd {
    child: Child,
    port: u16,
}

impl Sshd {
    /// `None` where there is none, which is an error in CI.
    fn start(folder: &Path, authorized: &str) -> Option<Self> {
        let program = "/usr/sbin/sshd";
        if !Path::new(program).exists() {
            assert!(std::env::var_os("CI").is_none(), "this test needs sshd: install the package openssh-server");
            eprintln!("skipped: this test needs sshd (package openssh-server)");
            return None;
        }
        // sshd insists on this folder when it is started by root.
        let _ = fs::create_dir_all("/run/sshd");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        fs::write(folder.join("authorized_keys"), authorized).unwrap();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/key-host\nAuthorizedKeysFile {0}/authorized_keys\n\
             StrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\nPermitRootLogin yes\n",
            folder.display()
        );
        fs::write(folder.join("sshd_config"), config).unwrap();
        let mut child = Command::new(program)
            .args(["-D", "-e", "-f"])
            .arg(folder.join("sshd_config"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let first = lines.find(|line| line.contains("Server listening") || line.contains("fatal")).unwrap_or_default();
        assert!(first.contains("listening"), "sshd: {first}");
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, port })
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn over_ssh_the_configured_key_and_host_keys_count_and_no_others() {
    let repo = OpsRepo::new();
    let (host, user, other) = (repo.key("host"), repo.key("it's mine"), repo.key("other"));
    let Some(sshd) = Sshd::start(repo.path(), &user.public) else { return };
    let name = own_name();
    let mut settings = OpsRepo::settings(&format!("ssh://{name}@127.0.0.1:{}{}", sshd.port, repo.bare().display()));
    let known = |key: &str| {
        let file = repo.path().join("known hosts");
        fs::write(&file, format!("[127.0.0.1]:{} {key}\n", sshd.port)).unwrap();
        Some(file)
    };
    settings.ssh_key = Some(repo.path().join("key-it's mine"));
    settings.ssh_known_hosts = known(&host.public);
    round_trip(&repo, &settings).await;
    settings.ssh_key = Some(repo.path().join("key-other"));
    let error = Mirror::open(&settings, &repo.state()).await.unwrap().remote_head().await.unwrap_err().to_string();
    assert!(error.contains("Permission denied"), "{error}");
    settings.ssh_known_hosts = known(&other.public);
    let error = Mirror::open(&settings, &repo.state()).await.unwrap().remote_head().await.unwrap_err().to_string();
    assert!(error.contains("Host key verification failed"), "{error}");
}

/// Who runs this test.
fn own_name() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
