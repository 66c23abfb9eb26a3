//! The tests' own server: started on loopback without root, or found running already.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{ChildStdin, Command};

use super::checkout::Checkout;
use super::page::Group;

/// The ports that tests know of: the first of each scheme, and a second origin over TLS.
const HTTP: u16 = 8000;
const HTTPS: [u16; 2] = [8443, 8444];

/// How long it may take to answer.
const STARTING: Duration = Duration::from_secs(60);
/// How long one question may take.
const ASKING: Duration = Duration::from_secs(5);

/// Ends with whoever started it, whatever became of him: then its standard input ends. (Which its
/// own children must not read.)
const PROGRAM: &str = "\
import os, signal, sys, threading
alive = os.dup(0)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
def end_with_parent():
    os.read(alive, 1)
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=end_with_parent, daemon=True).start()
sys.path.insert(0, '.')
sys.argv = ['serve', '--config', sys.argv[1]]
import tools.localpaths
from tools.serve import serve
serve.main()
";

/// A server that answers. Dropped, it ends if it was started here.
pub(super) struct Server {
    ca: PathBuf,
    started: Option<Started>,
}

struct Started {
    group: Group,
    /// Open as long as the server is to live. (Waiting for a child would close it.)
    _stdin: Option<ChildStdin>,
    folder: TempDir,
}

impl Server {
    /// Finds one that runs, or starts one; waits until it answers. `ca` is the certificate
    /// authority of one that runs.
    ///
    /// # Errors
    /// If something else has the port, or the server does not start: with the end of its log.
    pub(super) async fn start(checkout: &Checkout, ca: Option<&Path>) -> Result<Self, String> {
        match ask(checkout).await {
            Answer::Harness => Self::running(checkout, ca),
            Answer::Other(what) => Err(format!(
                "port {HTTP} of this machine, which the tests need, belongs to something else: {what}"
            )),
            Answer::Nobody => {
                let started = Started::new(checkout)?;
                let ca = started.folder.path().join("ca/cacert.pem");
                let mut server = Self {
                    ca,
                    started: Some(started),
                };
                server.until_it_answers(checkout).await?;
                eprintln!("── started the tests' server");
                Ok(server)
            }
        }
    }

    fn running(checkout: &Checkout, ca: Option<&Path>) -> Result<Self, String> {
        let above = checkout.root.parent();
        let known = [Some(&*checkout.root), above].into_iter().flatten();
        let known = known.map(|folder| folder.join("ca/cacert.pem"));
        let ca = ca.map(Path::to_owned).into_iter().chain(known);
        let ca = ca.into_iter().find(|ca| ca.is_file()).ok_or_else(|| {
            format!(
                "a server of these tests runs on port {HTTP} already, and its certificate authority \
                 is not known: give it with --ca FILE, or end that server"
            )
        })?;
        eprintln!("── a server of these tests runs already");
        Ok(Self { ca, started: None })
    }

    /// The certificate authority to trust, as PEM.
    pub(super) fn ca(&self) -> &Path {
        &self.ca
    }

    /// Ends it, if it was started here.
    pub(super) fn stop(self) {
        drop(self);
    }

    async fn until_it_answers(&mut self, checkout: &Checkout) -> Result<(), String> {
        let Some(started) = &mut self.started else {
            return Ok(());
        };
        let asking = async {
            let mut pause = tokio::time::interval(Duration::from_millis(100));
            loop {
                pause.tick().await;
                let answers = matches!(ask(checkout).await, Answer::Harness);
                if answers && self.ca.is_file() && listens_to_tls().await {
                    return;
                }
            }
        };
        let problem = tokio::select! {
            () = asking => return Ok(()),
            () = tokio::time::sleep(STARTING) => format!("does not answer after {STARTING:?}"),
            ended = started.group.child().wait() => match ended {
                Ok(status) => format!("ended: {status}"),
                Err(error) => format!("cannot be waited for: {error}"),
            },
        };
        let log = end_of(&started.log_file());
        Err(format!("the tests' server {problem}\n{log}"))
    }
}

impl Started {
    fn new(checkout: &Checkout) -> Result<Self, String> {
        let folder = TempDir::with_prefix("wpt-server-")
            .map_err(|error| format!("cannot make a folder for the tests' server: {error}"))?;
        let config = folder.path().join("serve.json");
        fs::create_dir(folder.path().join("ca"))
            .and_then(|()| {
                fs::write(
                    &config,
                    configuration(&folder.path().join("ca")).to_string(),
                )
            })
            .map_err(|error| format!("cannot write {}: {error}", config.display()))?;
        let log = folder.path().join("log");
        let cannot_log = |error| format!("cannot write {}: {error}", log.display());
        let out = File::create(&log).map_err(cannot_log)?;
        let error_out = out.try_clone().map_err(cannot_log)?;
        let mut child = Command::new("python3")
            .args(["-c", PROGRAM])
            .arg(&config)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(&checkout.root)
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(error_out)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                format!("cannot start python3, the tests' server needs it: {error}")
            })?;
        Ok(Self {
            _stdin: child.stdin.take(),
            group: Group::new(child),
            folder,
        })
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

/// Loopback, without a hosts file, with certificates of its own.
fn configuration(ca: &Path) -> serde_json::Value {
    serde_json::json!({
        "check_subdomains": false,
        "server_host": "127.0.0.1",
        "ports": { "http": [HTTP, "auto"], "https": HTTPS },
        "ssl": { "type": "openssl", "openssl": {
            "openssl_binary": "openssl",
            "base_path": ca,
            "force_regenerate": false,
            "base_conf_path": null,
            "password": "web-platform-tests",
            "duration": 365,
        }},
    })
}

/// Who has the port.
enum Answer {
    /// The tests' server, with the harness of this checkout.
    Harness,
    /// Something else.
    Other(String),
    Nobody,
}

async fn ask(checkout: &Checkout) -> Answer {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, HTTP)).await else {
        return Answer::Nobody;
    };
    let request = format!(
        "GET /resources/testharness.js HTTP/1.1\r\nHost: web-platform.test:{HTTP}\r\n\
         Connection: close\r\n\r\n"
    );
    let mut response = Vec::new();
    let asking = async {
        stream.write_all(request.as_bytes()).await?;
        (&mut stream)
            .take(16 << 20)
            .read_to_end(&mut response)
            .await
    };
    match tokio::time::timeout(ASKING, asking).await {
        Err(_) => Answer::Other(format!("it does not answer within {ASKING:?}")),
        Ok(Err(error)) => Answer::Other(error.to_string()),
        Ok(Ok(_)) => {
            let harness = fs::read(checkout.root.join("resources/testharness.js"));
            if harness.is_ok_and(|harness| response.ends_with(&harness)) {
                return Answer::Harness;
            }
            let response = String::from_utf8_lossy(&response);
            let line = response.lines().next().unwrap_or_default();
            Answer::Other(format!(
                "it answers {line:?}, not with testharness.js as it is here"
            ))
        }
    }
}

async fn listens_to_tls() -> bool {
    for port in HTTPS {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .is_err()
        {
            return false;
        }
    }
    true
}

/// The last part of a log.
fn end_of(file: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(file)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(4096)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| format!("(its log cannot be read: {error})"))
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(started) = &self.started {
            started.group.kill();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_told_to_stay_on_loopback_with_its_own_certificates() {
        let config = configuration(Path::new("/t/ca"));
        assert_eq!(config["server_host"], "127.0.0.1");
        assert_eq!(config["check_subdomains"], false);
        assert_eq!(config["ports"]["https"], serde_json::json!([8443, 8444]));
        assert_eq!(config["ssl"]["openssl"]["base_path"], "/t/ca");
    }

    #[test]
    fn the_end_of_a_log_is_said_and_a_missing_log_too() {
        let log = tempfile::NamedTempFile::new().unwrap();
        fs::write(log.path(), "x".repeat(5000) + "last").unwrap();
        let end = end_of(log.path());
        assert_eq!((end.len(), end.ends_with("last")), (4096, true));
        assert!(end_of(Path::new("no such log")).contains("cannot be read"));
    }
}
