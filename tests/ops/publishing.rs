//! Publishing: one commit, or an answer that says what to do next.

use std::time::Duration;

use dispatch::ops::{Deadlines, Mirror, NewFile, PublishError};
use dispatch::support::ids::CommitId;

use crate::git_http::{Fault, GitHttp};
use crate::ops_repo::OpsRepo;

fn result(n: usize) -> NewFile {
    NewFile { path: format!("vault/actions/a{n}.result.json"), bytes: format!("{{\"id\": {n}}}\n").into_bytes() }
}

async fn fetched(repo: &OpsRepo, address: &str) -> (Mirror, CommitId) {
    let mirror = Mirror::open(&OpsRepo::settings(address), &repo.state()).await.unwrap();
    let head = mirror.fetch().await.unwrap();
    (mirror, head)
}

async fn local(repo: &OpsRepo) -> (Mirror, CommitId) {
    fetched(repo, &repo.bare().display().to_string()).await
}

#[tokio::test]
async fn two_hundred_files_are_one_commit_on_top_of_the_head() {
    let repo = OpsRepo::new();
    let (mirror, head) = local(&repo).await;
    let files: Vec<NewFile> = (0..200).map(result).collect();
    let before = mirror.processes();
    let commit = mirror.publish(&head, &files, "Results\n\nof many\n").await.unwrap();
    assert_eq!(mirror.processes() - before, 2, "one import and one push");
    assert_eq!(repo.remote_git(&["rev-list", "--count", &format!("{head}..main")]).trim(), "1");
    assert_eq!(repo.remote_git(&["show", "main:vault/actions/a7.result.json"]), "{\"id\": 7}\n");
    assert_eq!(repo.remote_git(&["show", "main:README.md"]), "ops\n");
    let info = mirror.commit(&commit).await.unwrap();
    assert_eq!(
        (info.subject.as_str(), info.committer.name.as_str(), info.parents),
        ("Results", "dispatch", vec![head])
    );
}

#[tokio::test]
async fn the_one_who_comes_second_is_told_that_the_branch_moved_and_wins_on_the_new_head() {
    let repo = OpsRepo::new();
    let (mirror, head) = local(&repo).await;
    repo.write("a", "faster");
    let faster = repo.commit("faster");
    repo.push();
    assert!(matches!(mirror.publish(&head, &[result(1)], "m").await, Err(PublishError::Moved)));
    assert_eq!(repo.remote_git(&["rev-parse", "main"]).trim(), faster.as_str());
    let head = mirror.fetch().await.unwrap();
    mirror.publish(&head, &[result(1)], "m").await.unwrap();
    assert_eq!(repo.remote_git(&["show", "main:a"]), "faster");
}

#[tokio::test]
async fn of_eight_that_publish_at_once_one_wins_and_the_others_are_told_that_the_branch_moved() {
    let repo = OpsRepo::new();
    let server = GitHttp::start(&repo.remotes());
    repo.remote_git(&["config", "http.receivepack", "true"]);
    let ready = std::sync::Arc::new(tokio::sync::Barrier::new(8));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (settings, state) = (OpsRepo::settings(&server.url("ops.git")), repo.path().join(format!("state-{n}")));
        let ready = ready.clone();
        tasks.spawn(async move {
            let mirror = Mirror::open(&settings, &state).await.unwrap();
            let head = mirror.fetch().await.unwrap();
            ready.wait().await;
            mirror.publish(&head, &[result(n)], "m").await
        });
    }
    let answers = tasks.join_all().await;
    let won: Vec<&CommitId> = answers.iter().flatten().collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    assert_eq!(repo.remote_git(&["rev-parse", "main"]).trim(), won[0].as_str());
    for answer in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert!(matches!(answer, PublishError::Moved), "{answer:?}");
    }
}

#[tokio::test]
async fn a_branch_that_was_set_back_on_purpose_is_not_brought_forward_again() {
    let repo = OpsRepo::new();
    let first = repo.head();
    repo.write("secret", "pushed by mistake");
    repo.commit("mistake");
    repo.push();
    let (mirror, head) = local(&repo).await;
    repo.remote_git(&["update-ref", "refs/heads/main", first.as_str()]);
    assert!(matches!(mirror.publish(&head, &[result(1)], "m").await, Err(PublishError::Moved)));
    assert_eq!(repo.remote_git(&["rev-parse", "main"]).trim(), first.as_str());
}

#[tokio::test]
async fn a_hook_that_declines_is_a_refusal_in_its_own_words() {
    let repo = OpsRepo::new();
    repo.hook("pre-receive", "#!/bin/sh\necho 'Not allowed to push to protected branch main' >&2\nexit 1\n");
    let (mirror, head) = local(&repo).await;
    let Err(PublishError::Refused { detail }) = mirror.publish(&head, &[result(1)], "m").await else {
        panic!("not refused");
    };
    assert!(detail.contains("Not allowed to push to protected branch main"), "{detail}");
    assert!(detail.contains("pre-receive hook declined"), "{detail}");
}

#[tokio::test]
async fn a_hook_that_declines_because_somebody_was_faster_is_a_lost_race() {
    let repo = OpsRepo::new();
    let first = repo.head();
    repo.write("a", "faster");
    let faster = repo.commit("faster");
    repo.push();
    repo.remote_git(&["update-ref", "refs/heads/main", first.as_str()]);
    let (mirror, head) = local(&repo).await;
    repo.hook(
        "update",
        &format!("#!/bin/sh\nunset GIT_QUARANTINE_PATH\ngit update-ref refs/heads/main {faster}\necho 'come later' >&2\nexit 1\n"),
    );
    assert!(matches!(mirror.publish(&head, &[result(1)], "m").await, Err(PublishError::Moved)));
}

#[tokio::test]
async fn a_push_whose_answer_was_lost_is_recognised_as_accepted() {
    let repo = OpsRepo::new();
    let server = GitHttp::start(&repo.remotes());
    let (mirror, head) = fetched(&repo, &server.url("ops.git")).await;
    server.set_fault(Fault::DropAnswerOfPush);
    let commit = mirror.publish(&head, &[result(1)], "m").await.unwrap();
    server.set_fault(Fault::None);
    assert_eq!(mirror.fetch().await.unwrap(), commit);
}

#[tokio::test]
async fn a_push_that_timed_out_after_it_was_accepted_is_recognised_and_nothing_of_it_runs_on() {
    let repo = OpsRepo::new();
    let pid = repo.path().join("pid");
    repo.hook("post-receive", &format!("#!/bin/sh\necho $$ > {}\nexec sleep 600\n", pid.display()));
    let deadlines = Deadlines { transfer: Duration::from_secs(5), ..Deadlines::default() };
    let settings = OpsRepo::settings(&repo.bare().display().to_string());
    let mirror = Mirror::open_with(&settings, &repo.state(), deadlines).await.unwrap();
    let head = mirror.fetch().await.unwrap();
    let commit = mirror.publish(&head, &[result(1)], "m").await.unwrap();
    assert_eq!(repo.remote_git(&["rev-parse", "main"]).trim(), commit.as_str());
    let hook = std::fs::read_to_string(pid).unwrap();
    assert!(ends(hook.trim().parse().unwrap()), "the hook outlived its push");
}

/// Waits, at most ten seconds, for the end of a process that is not ours; a zombie has ended.
fn ends(pid: i32) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let Some(pid) = rustix::process::Pid::from_raw(pid) else { return false };
    let Ok(process) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) else { return true };
    let bound = Timespec { tv_sec: 10, tv_nsec: 0 };
    poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&bound)).is_ok_and(|ready| ready == 1)
}

#[tokio::test]
async fn a_push_into_silence_is_unknown_and_fetching_shows_that_it_did_not_arrive() {
    let repo = OpsRepo::new();
    let short = Duration::from_millis(500);
    let deadlines = Deadlines { transfer: short, ask: short, ..Deadlines::default() };
    let server = GitHttp::start(&repo.remotes());
    let settings = OpsRepo::settings(&server.url("ops.git"));
    let (_, head) = fetched(&repo, &server.url("ops.git")).await;
    let mirror = Mirror::open_with(&settings, &repo.state(), deadlines).await.unwrap();
    server.set_fault(Fault::Silence);
    let error = mirror.publish(&head, &[result(1)], "m").await.unwrap_err();
    assert!(matches!(error, PublishError::Unknown { .. }), "{error:?}");
    server.set_fault(Fault::None);
    let (mirror, head) = fetched(&repo, &server.url("ops.git")).await;
    assert_eq!(mirror.lookup(&head, &[result(1).path]).await.unwrap(), [None]);
}

#[tokio::test]
async fn without_a_server_it_is_unknown_whether_the_push_was_accepted() {
    let repo = OpsRepo::new();
    let server = GitHttp::start(&repo.remotes());
    let (mirror, head) = fetched(&repo, &server.url("ops.git")).await;
    server.set_fault(Fault::Error500);
    let error = mirror.publish(&head, &[result(1)], "m").await.unwrap_err();
    assert!(matches!(error, PublishError::Unknown { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_takes_no_pushes_is_a_refusal() {
    let repo = OpsRepo::new();
    let server = GitHttp::start(&repo.remotes());
    repo.remote_git(&["config", "http.receivepack", "false"]);
    let (mirror, head) = fetched(&repo, &server.url("ops.git")).await;
    let error = mirror.publish(&head, &[result(1)], "m").await.unwrap_err();
    assert!(matches!(error, PublishError::Refused { .. }), "{error:?}");
}
