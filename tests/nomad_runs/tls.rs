//! A Nomad that speaks TLS and wants a client certificate.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::serving::{end, land, result};
use crate::testbed::{PrivateServer, Testbed, eventually};
use crate::world::{Answer, World, dispatchers, raw_exec};

/// Files that `openssl` makes: two CAs, a certificate of the server's by the first, and one of a client's by each.
struct Certificates(tempfile::TempDir);

impl Certificates {
    fn make() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        for ca in ["ca", "other-ca"] {
            this.openssl(&format!("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={ca} -keyout {ca}.key -out {ca}.pem"));
        }
        fs::write(this.path("server.ext"), "subjectAltName = DNS:server.global.nomad, DNS:localhost\n").unwrap();
        fs::write(this.path("client.ext"), "extendedKeyUsage = clientAuth\n").unwrap();
        for (name, ca, ext) in
            [("server", "ca", "server"), ("client", "ca", "client"), ("stranger", "other-ca", "client")]
        {
            this.openssl(&format!("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"));
            this.openssl(&format!("x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -days 2 -extfile {ext}.ext -out {name}.pem"));
        }
        this
    }

    fn openssl(&self, line: &str) {
        let made = Command::new("openssl").args(line.split_whitespace()).current_dir(self.0.path()).output().unwrap();
        assert!(made.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&made.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A variable that has another value, or none.
type Changed<'a> = (&'static str, Option<&'a Path>);

/// An agent on the data of a private Nomad that has ended; ended with the test.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_with_tls(nomad: &PrivateServer, certificates: &Certificates) -> Agent {
    nomad.end(Signal::TERM);
    let file = |name: &str| certificates.path(name).display().to_string();
    let config = serde_json::json!({ "tls": {
        "http": true, "rpc": false, "verify_https_client": true,
        "ca_file": file("ca.pem"), "cert_file": file("server.pem"), "key_file": file("server.key"),
    } });
    let path = certificates.path("tls.json");
    fs::write(&path, config.to_string()).unwrap();
    let mut command = Command::new(Testbed::get().variable("TESTBED_NOMAD"));
    command.arg("agent").arg("-config").arg(nomad.folder.join("config.json")).arg("-config").arg(&path);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", &nomad.folder);
    let log = fs::File::create(nomad.folder.join("tls.log")).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Agent(command.spawn().unwrap())
}

/// A call of the binary with these variables.
fn call(world: &World, line: &str, variables: &[(&str, &Path)]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dispatch"));
    command.args(line.split_whitespace()).current_dir(world.path("")).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", world.path(""));
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Answer { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

#[test]
fn nomad_is_reached_over_tls_and_what_does_not_fit_is_named_with_its_setting() {
    let certificates = Certificates::make();
    let nomad = Testbed::get().private_nomad(&[]);
    let plain = nomad.api();
    let token = dispatchers(&plain, "default");
    let _agent = start_with_tls(&nomad, &certificates);
    let world = World::with_token(&plain.at(&plain.address.replace("http://", "https://")), "default", &token);
    world.configure(&raw_exec(), "[limits]\ngrace_seconds = 2\n");
    let file = |name: &str| certificates.path(name);
    let (ca, other, name) = (file("ca.pem"), file("other-ca.pem"), PathBuf::from("server.global.nomad"));
    let (cert, key, stranger, strangers) =
        (file("client.pem"), file("client.key"), file("stranger.pem"), file("stranger.key"));
    let whole: Vec<(&str, &Path)> = vec![
        ("NOMAD_CACERT", &ca),
        ("NOMAD_CLIENT_CERT", &cert),
        ("NOMAD_CLIENT_KEY", &key),
        ("NOMAD_TLS_SERVER_NAME", &name),
    ];
    let but = |changed: &[Changed<'_>]| -> Vec<(&str, PathBuf)> {
        let value = |(variable, path): &(&'static str, &Path)| {
            let other = changed.iter().find(|(name, _)| name == variable).map(|(_, path)| *path);
            Some((*variable, other.unwrap_or(Some(path))?.to_owned()))
        };
        whole.iter().filter_map(value).collect()
    };
    let try_with = |changed: &[Changed<'_>], line: &str| {
        let variables = but(changed);
        let mut variables: Vec<(&str, &Path)> = variables.iter().map(|(name, path)| (*name, path.as_path())).collect();
        if line.starts_with("jobs ") {
            variables.push(("NOMAD_TOKEN", Path::new(&plain.token)));
        }
        call(&world, line, &variables)
    };
    // A server that has just begun knows no token yet, and says 403.
    let registers = || (try_with(&[], "jobs apply").code == Some(0)).then_some(());
    eventually("jobs to be registered over TLS", crate::child::BOUND, registers);
    land(&world, "echo over TLS\nexit 5\n", &[("secure", "")]);
    let once = try_with(&[], "once");
    let ended = result(&world, "secure").unwrap_or_else(|| panic!("{}", once.all()));
    assert_eq!((end(&ended), &ended["logs"]), (("failed", "exit_nonzero", Some(5)), &"over TLS\n".into()), "{ended:#}");

    let wrong: [(&[Changed<'_>], &str); 5] = [
        (&[("NOMAD_CACERT", Some(&other))], "backends.nomad.ca_cert (NOMAD_CACERT)"),
        (&[("NOMAD_CACERT", None)], "backends.nomad.ca_cert (NOMAD_CACERT)"),
        (&[("NOMAD_TLS_SERVER_NAME", None)], "backends.nomad.tls_server_name (NOMAD_TLS_SERVER_NAME)"),
        (
            &[("NOMAD_CLIENT_CERT", None), ("NOMAD_CLIENT_KEY", None)],
            "client_key (NOMAD_CLIENT_CERT, NOMAD_CLIENT_KEY)",
        ),
        (
            &[("NOMAD_CLIENT_CERT", Some(&stranger)), ("NOMAD_CLIENT_KEY", Some(&strangers))],
            "backends.nomad.client_cert (NOMAD_CLIENT_CERT)",
        ),
    ];
    for (changed, words) in wrong {
        let doctor = try_with(changed, "doctor");
        assert!(doctor.code == Some(4) && doctor.stdout.contains(words), "{changed:?}: {}", doctor.all());
        let planned = try_with(changed, "jobs plan");
        assert!(planned.code == Some(4) && planned.stderr.contains(words), "{changed:?}: {}", planned.all());
    }
    // A server without TLS, asked for it.
    let shared = Testbed::get().nomad().address.replace("http://", "https://");
    let config = fs::read_to_string(world.path("dispatch.toml")).unwrap();
    fs::write(world.path("dispatch.toml"), config.replace(&plain.address.replace("http://", "https://"), &shared))
        .unwrap();
    let doctor = try_with(&[], "doctor");
    assert!(doctor.stdout.contains("does not speak TLS"), "{}", doctor.all());
}
