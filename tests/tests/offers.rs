//! A real agent and a controller that offers it what no real one would.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ha_certs::ca::{FleetCa, Profile};
use ha_certs::key::PrivateKey;
use ha_certs::server::{AcceptLimits, ServerTls, accept};
use ha_certs::{Credentials, now_us};
use ha_model::ids::{Digest, Epoch, Generation, PlanId};
use ha_model::plan::VrrpVersion;
use ha_model::units::Micros;
use ha_proto::v1;
use ha_proto::v1::agent_server::{Agent, AgentServer};
use ha_proto::v1::from_agent::Message as Said;
use ha_proto::v1::from_controller::Message as Say;
use ha_tests::lab::{Host, Lab, Process, log_path};
use ha_tests::programs::program;
use ha_tests::router::Router;
use ha_tests::skip::root_or_skip;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Longest wait for a message; only a failure takes that long.
const PATIENCE: Duration = Duration::from_secs(20);
const NODE: &str = "a";

/// One stream, as the controller has it.
struct Talk {
    heard: Streaming<v1::FromAgent>,
    say: mpsc::Sender<Result<v1::FromController, Status>>,
}

impl Talk {
    async fn say(&self, message: Say) -> Result<()> {
        Ok(self.say.send(Ok(v1::FromController { message: Some(message) })).await?)
    }

    async fn hear(&mut self) -> Result<Said> {
        let heard = tokio::time::timeout(PATIENCE, self.heard.message()).await??;
        heard.and_then(|heard| heard.message).context("the stream ended")
    }

    /// Hears the hello and takes the agent in; `false` if it has to come again,
    /// as one does whose spool was not open yet.
    async fn welcome(&mut self) -> Result<bool> {
        let said = self.hear().await?;
        let Said::Hello(hello) = &said else { anyhow::bail!("no hello: {said:?}") };
        ensure!(hello.node == NODE, "{hello:?}");
        if hello.spool_epoch == 0 {
            return Ok(false);
        }
        let hour = 3_600_000_000;
        let welcome = v1::Welcome { epoch: 7, summary_interval_us: hour, ..v1::Welcome::default() };
        self.say(Say::Welcome(welcome)).await?;
        Ok(true)
    }

    /// Offers `sent` as the plan that `named` is.
    async fn offer(&self, generation: u64, named: &[u8], sent: &[u8]) -> Result<()> {
        let digest = Digest::of(named);
        let plan = PlanId { epoch: Epoch(7), generation: Generation(generation), digest };
        let (plan, document) = (Some(plan.into()), sent.to_vec());
        self.say(Say::Offer(v1::PlanOffer { plan, document, ..v1::PlanOffer::default() })).await
    }

    /// The first status of a generation in this phase.
    async fn phase(&mut self, generation: u64, phase: v1::PlanPhase) -> Result<v1::PlanStatus> {
        loop {
            if let Said::PlanStatus(status) = self.hear().await?
                && status.plan.as_ref().is_some_and(|plan| plan.generation == generation)
                && status.phase() == phase
            {
                return Ok(status);
            }
        }
    }
}

struct Played(mpsc::Sender<Talk>);

#[tonic::async_trait]
impl Agent for Played {
    type SessionStream = ReceiverStream<Result<v1::FromController, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::FromAgent>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (say, out) = mpsc::channel(4);
        let talk = Talk { heard: request.into_inner(), say };
        self.0.send(talk).await.map_err(|_| Status::unavailable("the test has ended"))?;
        Ok(Response::new(ReceiverStream::new(out)))
    }
}

fn credentials(ca: &FleetCa, profile: &Profile) -> Result<(Credentials, String, String)> {
    let key = PrivateKey::generate()?;
    let pem = ca.issue_for(&key, profile, now_us())?.pem;
    let key = key.to_pem()?;
    Ok((Credentials::from_pem(ca.pem(), &pem, &key)?, pem, key.to_string()))
}

/// Starts the controller on a host; its address and what is said to it.
fn controller(ca: &FleetCa, host: &Host) -> Result<(String, mpsc::Receiver<Talk>)> {
    let profile = Profile::Controller { name: "c1".parse()?, hosts: Vec::new() };
    let tls = ServerTls::new(&credentials(ca, &profile)?.0)?;
    // A socket stays in the namespace that it was made in.
    let listener = host.within(|| Ok(std::net::TcpListener::bind("127.0.0.1:0")?))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?.to_string();
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (sender, talks) = mpsc::channel(1);
    let server = tonic::transport::Server::builder().add_service(AgentServer::new(Played(sender)));
    tokio::spawn(server.serve_with_incoming(accept(listener, tls, AcceptLimits::default())));
    Ok((address, talks))
}

/// Starts the agent with a certificate of the CA.
fn agent(lab: &Lab, ca: &FleetCa, host: &Host, controller: &str) -> Result<Process> {
    let (_, pem, key) = credentials(ca, &Profile::Node { name: NODE.parse()? })?;
    let state = lab.directory().join("state");
    std::fs::create_dir_all(state.join("pki"))?;
    for (file, content) in [("node.pem", &*pem), ("node.key", &*key), ("ca.pem", ca.pem())] {
        let path = state.join("pki").join(file);
        std::fs::write(&path, content)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    }
    let mut command = host.command(program("ha-agent")?);
    command.args(["run", "--controller", controller, "--state-dir"]).arg(state);
    command.arg("--run-dir").arg(lab.directory().join("run"));
    command.arg("--local-socket").arg(lab.directory().join("local.sock"));
    Process::start(&mut command, &log_path(lab, NODE))
}

fn document(priority: u8, node: &str) -> Result<Vec<u8>> {
    let router = Router {
        version: VrrpVersion::V3,
        priority,
        interval: Micros::from_millis(100),
        addresses: vec!["10.9.0.100/24".parse()?],
        source: "10.9.0.1".parse()?,
        peers: vec!["10.9.0.2".parse()?],
        preempt: true,
        min_ttl: 255,
    };
    router.plan(node)
}

/// The agent's first stream that lasts.
async fn meet(talks: &mut mpsc::Receiver<Talk>) -> Result<Talk> {
    loop {
        let talk = tokio::time::timeout(PATIENCE, talks.recv()).await?;
        let mut talk = talk.context("the server has ended")?;
        if talk.welcome().await? {
            return Ok(talk);
        }
    }
}

/// Offers a good plan, then all that is bad.
async fn play(talk: &mut Talk, good: &[u8]) -> Result<()> {
    talk.offer(5, good, good).await?;
    talk.phase(5, v1::PlanPhase::Healthy).await?;

    let other = document(90, NODE)?;
    let unknown = String::from_utf8(other.clone())?.replace("\"vrid\"", "\"x\":1,\"vrid\"");
    let misdirected = document(90, "z")?;
    for (generation, named, sent, code) in [
        (6, good, &*other, "E2001"),
        (7, unknown.as_bytes(), unknown.as_bytes(), "E2002"),
        (4, &*other, &*other, "E2003"),
        (5, &*other, &*other, "E2004"),
        (8, &*misdirected, &*misdirected, "E2005"),
    ] {
        talk.offer(generation, named, sent).await?;
        let status = talk.phase(generation, v1::PlanPhase::Rejected).await?;
        let codes: Vec<_> = status.errors.iter().map(|error| error.code.as_str()).collect();
        ensure!(codes == [code], "{status:?}");
        ensure!(!status.errors[0].message.is_empty(), "{status:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_cannot_be_run_is_rejected_and_the_old_plan_runs_on() -> Result<()> {
    if !root_or_skip("an_offer_that_cannot_be_run_is_rejected_and_the_old_plan_runs_on") {
        return Ok(());
    }
    let lab = Lab::new()?;
    let host = lab.host(NODE)?;
    host.attach(&lab.network("net")?, "eth0", &["10.9.0.1/24"])?;
    let ca = FleetCa::create(&"test".parse()?, now_us())?;
    let (address, mut talks) = controller(&ca, &host)?;
    let good = document(100, NODE)?;
    let agent = agent(&lab, &ca, &host, &address)?;
    let log = || std::fs::read_to_string(log_path(&lab, NODE)).unwrap_or_default();
    let mut talk = meet(&mut talks).await.with_context(log)?;
    play(&mut talk, &good).await.with_context(log)?;
    let ask = |arguments: &[&str]| -> Result<Vec<u8>> {
        let mut hactl = std::process::Command::new(program("hactl")?);
        hactl.arg("--local").arg(lab.directory().join("local.sock")).args(arguments);
        // A rejected plan needs attention: status says so by how it ends.
        Ok(hactl.output()?.stdout)
    };
    ensure!(ask(&["render"])? == good, "another plan runs");
    let status: serde_json::Value = serde_json::from_slice(&ask(&["status", "-o", "json"])?)?;
    let counters = &status["instances"][0]["counters"];
    ensure!(counters["become_master"] == 1 && counters["release_master"] == 0, "{status}");
    ensure!(host.holds("eth0", "10.9.0.100")?, "the address is gone");
    agent.terminate()?;
    Ok(())
}
