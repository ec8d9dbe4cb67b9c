//! The `file` provider over real folders.

use std::io::{Seek as _, SeekFrom};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use super::*;
use crate::grant::seal_for;
use crate::support::checkup::worst;

/// Stands for any secret: no message and no print may hold it.
const CANARY: &str = "canary-5f1e";

struct Setup {
    root: TempDir,
    recipient: String,
    provider: FileProvider,
}

fn setup() -> Setup {
    let root = TempDir::new().unwrap();
    let made = seal::generate_identity();
    let settings = SecretFiles { directory: root.path().join("secrets"), identity: root.path().join("identity") };
    fs::create_dir(&settings.directory).unwrap();
    fs::write(&settings.identity, made.file.expose_secret()).unwrap();
    fs::set_permissions(&settings.identity, fs::Permissions::from_mode(0o600)).unwrap();
    Setup { root, recipient: made.recipient, provider: FileProvider::open(&settings) }
}

impl Setup {
    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.provider.path_of(&secret(name));
        fs::write(&path, bytes).unwrap();
        path
    }

    fn seal(&self, name: &str, value: &[u8]) -> PathBuf {
        self.put(name, &seal_for(&self.recipient, value).unwrap())
    }

    async fn mint(&self, names: &[&str]) -> Result<Grant, GrantError> {
        let run = "a@1".parse().unwrap();
        let secrets = names.iter().map(|name| secret(name)).collect();
        self.provider.mint(Ask { run: &run, secrets: &secrets, life: Duration::from_secs(60) }).await
    }

    async fn refusal(&self, name: &str) -> String {
        self.shown(&self.mint(&[name]).await.unwrap_err())
    }

    async fn evidence(&self, name: &str) -> (&'static str, String) {
        let (kind, evidence) = match self.provider.presence(&secret(name)).await {
            Presence::Present { evidence } => ("present", evidence),
            Presence::Absent { evidence } => ("absent", evidence),
            Presence::Unknown { evidence } => ("unknown", evidence),
        };
        (kind, self.without_root(&evidence))
    }

    fn shown(&self, error: &GrantError) -> String {
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        self.without_root(&error.to_string())
    }

    fn without_root(&self, text: &str) -> String {
        text.replace(&self.root.path().display().to_string(), "")
    }
}

fn secret(name: &str) -> SecretName {
    name.parse().unwrap()
}

fn values(grant: &Grant) -> Vec<(&str, &str)> {
    let Handover::Values(values) = &grant.handover else { panic!("files hand over values") };
    values.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect()
}

#[tokio::test]
async fn a_run_gets_exactly_the_secrets_that_it_names() {
    let setup = setup();
    setup.seal("A", b"value of a\n");
    setup.seal("B", b"value of b");
    setup.seal("C", CANARY.as_bytes());
    let grant = setup.mint(&["A", "B"]).await.unwrap();
    assert_eq!(values(&grant), [("A", "value of a"), ("B", "value of b")]);
    assert_eq!(grant.record.policies, ["runner-A", "runner-B"]);
    assert!(grant.record.accessors.is_empty());
    setup.provider.revoke(&grant.record).await.unwrap();
    setup.provider.revoke(&grant.record).await.unwrap();
}

#[tokio::test]
async fn a_run_without_secrets_does_not_even_need_the_identity() {
    let setup = setup();
    fs::remove_file(&setup.provider.identity).unwrap();
    let grant = setup.mint(&[]).await.unwrap();
    assert!(values(&grant).is_empty() && grant.record.policies.is_empty());
}

#[tokio::test]
async fn a_secret_that_is_unfit_is_refused_by_name_and_cause_and_never_shown() {
    let setup = setup();
    let theirs = seal::generate_identity().recipient;
    let whole = seal_for(&setup.recipient, CANARY.as_bytes()).unwrap();
    let mut huge = CANARY.as_bytes().to_vec();
    huge.resize(70_000, b'x');
    setup.seal("BLANK", b"\n");
    setup.seal("SHORT", b"can5f\n");
    setup.seal("BINARY", b"canary-5f1e\xff");
    setup.seal("NUL", b"canary-5f1e\0");
    setup.seal("HUGE", &huge);
    setup.put("PLAIN", CANARY.as_bytes());
    setup.put("NOTHING", b"");
    setup.put("CUT", &whole[..whole.len() - 3]);
    setup.put("THEIRS", &seal_for(&theirs, CANARY.as_bytes()).unwrap());
    setup.put("FILLED", &[whole.as_slice(), &vec![b'x'; 300_000]].concat());
    let mut seen = Vec::new();
    for name in ["MISSING", "NOTHING", "BLANK", "SHORT", "BINARY", "NUL", "HUGE", "PLAIN", "CUT", "THEIRS", "FILLED"] {
        seen.push(setup.refusal(name).await);
    }
    assert_eq!(
        seen,
        [
            "secret MISSING: /secrets/MISSING.enc: there is no such file",
            "secret NOTHING: /secrets/NOTHING.enc: the file is empty",
            "secret BLANK: /secrets/BLANK.enc: it is empty",
            "secret SHORT: /secrets/SHORT.enc: it is shorter than 6 characters, surrounding space not counted: too short to be masked in logs",
            "secret BINARY: /secrets/BINARY.enc: it is not UTF-8 text",
            "secret NUL: /secrets/NUL.enc: it holds a NUL byte, which no environment variable can carry",
            "secret HUGE: /secrets/HUGE.enc: it is longer than 64 KiB",
            "secret PLAIN: /secrets/PLAIN.enc: it is not an age file",
            "secret CUT: /secrets/CUT.enc: it is damaged or cut off",
            "secret THEIRS: /secrets/THEIRS.enc: it is encrypted to another recipient than the configured identity",
            "secret FILLED: /secrets/FILLED.enc: the file is larger than 256 KiB",
        ]
    );
}

#[tokio::test]
async fn one_unfit_secret_refuses_the_whole_grant() {
    let setup = setup();
    setup.seal("A", CANARY.as_bytes());
    setup.seal("B", b"\n");
    assert!(
        matches!(setup.mint(&["A", "B"]).await, Err(GrantError::Unusable { secret, .. }) if secret.as_str() == "B")
    );
}

#[tokio::test]
async fn presence_is_told_without_the_identity() {
    let setup = setup();
    let size = fs::metadata(setup.seal("A", CANARY.as_bytes())).unwrap().len();
    setup.put("PLAIN", CANARY.as_bytes());
    setup.put("NOTHING", b"");
    fs::create_dir(setup.provider.path_of(&secret("FOLDER"))).unwrap();
    fs::remove_file(&setup.provider.identity).unwrap();
    let absent = |evidence: &str| ("absent", evidence.to_owned());
    assert_eq!(setup.evidence("A").await, ("present", format!("/secrets/A.enc, {size} bytes")));
    assert_eq!(setup.evidence("MISSING").await, absent("/secrets/MISSING.enc: there is no such file"));
    assert_eq!(setup.evidence("NOTHING").await, absent("/secrets/NOTHING.enc: the file is empty"));
    assert_eq!(setup.evidence("PLAIN").await, absent("/secrets/PLAIN.enc: it is not an age file"));
    assert_eq!(setup.evidence("FOLDER").await, absent("/secrets/FOLDER.enc: it is not a regular file"));
}

#[tokio::test]
async fn a_folder_that_is_gone_means_unknown_not_absent() {
    let setup = setup();
    fs::remove_dir(&setup.provider.directory).unwrap();
    assert_eq!(setup.evidence("A").await.0, "unknown");
    assert!(matches!(setup.mint(&["A"]).await, Err(GrantError::Unavailable { .. })));
}

#[tokio::test]
async fn a_link_counts_only_when_it_stays_inside_the_folder() {
    let setup = setup();
    let inside = setup.seal("A", b"value of a");
    let outside = setup.root.path().join("elsewhere.enc");
    fs::copy(&inside, &outside).unwrap();
    symlink("A.enc", setup.provider.path_of(&secret("INSIDE"))).unwrap();
    symlink(&outside, setup.provider.path_of(&secret("OUTSIDE"))).unwrap();
    symlink("nowhere.enc", setup.provider.path_of(&secret("DANGLING"))).unwrap();
    assert_eq!(values(&setup.mint(&["INSIDE"]).await.unwrap()), [("INSIDE", "value of a")]);
    let escape = "/secrets/OUTSIDE.enc: it is a symbolic link to outside of the folder";
    assert_eq!(setup.evidence("OUTSIDE").await, ("absent", escape.to_owned()));
    assert_eq!(setup.refusal("OUTSIDE").await, format!("secret OUTSIDE: {escape}"));
    assert_eq!(setup.evidence("DANGLING").await.0, "absent");
}

#[tokio::test]
async fn a_pipe_in_place_of_a_secret_does_not_hang() {
    let setup = setup();
    let path = setup.provider.path_of(&secret("PIPE"));
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::from(0o600), 0).unwrap();
    assert_eq!(setup.evidence("PIPE").await.1, "/secrets/PIPE.enc: it is not a regular file");
    assert_eq!(setup.refusal("PIPE").await, "secret PIPE: /secrets/PIPE.enc: it is not a regular file");
}

/// What is wrong with the setup, and the fix.
async fn wrong(setup: &Setup) -> String {
    let findings = setup.provider.check().await;
    let found = findings.into_iter().find(|finding| finding.standing == Standing::Wrong).unwrap();
    setup.without_root(&format!("{}; {}", found.evidence, found.fix.unwrap()))
}

#[tokio::test]
async fn an_identity_that_others_may_read_is_refused_with_the_command_that_mends_it() {
    let setup = setup();
    setup.seal("A", CANARY.as_bytes());
    assert_eq!(worst(&setup.provider.check().await), Standing::Good);
    fs::set_permissions(&setup.provider.identity, fs::Permissions::from_mode(0o640)).unwrap();
    let words = "the age identity /identity has mode 0640, and 0600 is the widest \
                 allowed; run `chmod 600 /identity`";
    assert_eq!(wrong(&setup).await, words);
    assert_eq!(setup.refusal("A").await, format!("the secret provider cannot be used: {words}"));
    fs::set_permissions(&setup.provider.identity, fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(worst(&setup.provider.check().await), Standing::Good);
}

#[tokio::test]
async fn a_folder_that_everyone_may_write_to_is_refused() {
    let setup = setup();
    fs::set_permissions(&setup.provider.directory, fs::Permissions::from_mode(0o775)).unwrap();
    assert_eq!(worst(&setup.provider.check().await), Standing::Good);
    fs::set_permissions(&setup.provider.directory, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(wrong(&setup).await, "everyone may write to the folder of secrets /secrets; run `chmod o-w /secrets`");
}

#[tokio::test]
async fn check_names_what_is_wrong_with_the_setup() {
    let setup = setup();
    fs::write(&setup.provider.identity, "# a comment\ncanary-5f1e\n").unwrap();
    assert_eq!(
        wrong(&setup).await,
        "line 2 of the age identity /identity is not a key that begins with \
         AGE-SECRET-KEY-1; make one with `age-keygen`"
    );
    fs::remove_file(&setup.provider.identity).unwrap();
    assert_eq!(
        wrong(&setup).await,
        "the age identity /identity cannot be read: No such file or directory (os \
         error 2); set secrets.file.identity to a file that the dispatcher's user can read"
    );
    fs::remove_dir(&setup.provider.directory).unwrap();
    assert_eq!(
        wrong(&setup).await,
        "the folder of secrets /secrets cannot be read: No such file or directory \
         (os error 2); set secrets.file.directory to a folder that the dispatcher's user can read"
    );
}

#[tokio::test]
async fn neither_grant_nor_provider_print_a_secret() {
    let setup = setup();
    setup.seal("A", CANARY.as_bytes());
    let grant = setup.mint(&["A"]).await.unwrap();
    assert_eq!(values(&grant), [("A", CANARY)]);
    let printed =
        format!("{grant:?} {grant:#?} {:?} {}", setup.provider, serde_json::to_string(&grant.record).unwrap());
    assert!(!printed.contains(CANARY), "{printed}");
    assert!(!printed.contains("AGE-SECRET-KEY"), "{printed}");
}

/// How often `needle`, given backwards so that the test itself does not hold it, stands in the writable memory of this process.
fn times_in_memory(backwards: &[u8]) -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = File::open("/proc/self/mem").unwrap();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let mut bytes = Vec::new();
        memory.seek(SeekFrom::Start(from)).unwrap();
        // A stack's guard or a region that has gone away meanwhile reads short: what was read counts.
        let _ = (&mut memory).take(to - from).read_to_end(&mut bytes);
        found += bytes.windows(backwards.len()).filter(|window| window.iter().rev().eq(backwards)).count();
        Zeroizing::new(bytes);
    }
    found
}

/// A throw-away identity and what was sealed for it beforehand: sealing in this process would leave the value in its memory.
const SEALED_BEFOREHAND: (&str, &str) = (
    "AGE-SECRET-KEY-1F6A55QKAFZMEJKYX3USZTSQTSLHVNK0VTNCWQKAZWVQC3JX9REGSNJGC3K",
    "\
-----BEGIN AGE ENCRYPTED FILE-----
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSBxYXhzL1F6NnY2YW5xN0hS
aGxRUGVhYXpvTEtKMXF6SlFpZ2E5N1pzdFNFCktQRmtrZS9tMzA4WExYa0NhRGQr
TEtMZ0FwUFB4KzVvRVR2NFdHV2svMUEKLT4gbFlIdm5HLWdyZWFzZQpMdE1TWTJs
WUUwUEJQenp2bk5OQWl3WmdTajV5eW9kYmlxUTY4TGZoMDAxYnBVZ1VFKzV6UEtQ
bkx6K0VtcU8yCjhRMGdrbkcxV2crcHdGaGpVS1gvCi0tLSBaU3JwcUFLU0Zwbm9u
d3h3K3ZuLzRuR0llcW4zOHFuenhNaG9BUVpPdGRBCsw2u3FuZqSaa0Dl2nG1tSgM
sx3qyOvCDUgnnr1iKozRoaqK0NyCXBoFb0odPWVC57VGVmmR/PjScz3M7DJglv0X
dxZdg/ok51ohYlYW3cNV
-----END AGE ENCRYPTED FILE-----
",
);

#[tokio::test]
async fn no_copy_of_a_value_stays_in_memory_after_the_grant() {
    let setup = setup();
    fs::write(&setup.provider.identity, SEALED_BEFOREHAND.0).unwrap();
    setup.put("A", SEALED_BEFOREHAND.1.as_bytes());
    let backwards: Vec<u8> = (0..48u32).map(|i| b'a' + u8::try_from((i * 7 + i / 5) % 26).unwrap()).collect();
    let grant = setup.mint(&["A"]).await.unwrap();
    // Only the end of the value: an allocator writes its own notes over the beginning of what was freed.
    let end = &backwards[..24];
    assert!(times_in_memory(end) >= 1, "the search does not find what is there");
    drop(grant);
    assert_eq!(times_in_memory(end), 0);
}
