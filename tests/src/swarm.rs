//! Many simulated agents against a real controller: real certificates, real
//! streams, made-up nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use ha_certs::ca::Profile;
use ha_certs::client::ClientTls;
use ha_certs::init::load_ca;
use ha_certs::key::PrivateKey;
use ha_certs::{Credentials, now_us};
use ha_model::ids::NodeName;
use ha_model::plan::{NodePlan, Transport};
use ha_model::status::{
    InstanceCounters, InstanceStatus, MasterSeen, NodeStatus, PlanPhase, PlanStatus, VrrpState,
};
use ha_proto::v1::agent_client::AgentClient;
use ha_proto::v1::from_agent::Message as FromAgent;
use ha_proto::v1::from_controller::Message as FromController;
use ha_proto::v1::{self, Hello, PlanOffer, Summary};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// What a simulated node makes of its instances.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Behaviour {
    /// Master if its priority is the highest of the plan, else backup.
    Good,
    /// Never master.
    NeverMaster,
    /// Always master.
    AlwaysMaster,
}

/// The simulated agents; they end when this is dropped.
#[derive(Debug)]
pub struct Swarm {
    agents: tokio::task::JoinSet<Result<()>>,
}

impl Swarm {
    /// Connects an agent for each node, with a certificate of the CA in `pki`.
    ///
    /// # Errors
    ///
    /// The CA can't be read, or a certificate can't be made.
    pub fn connect(
        controller: &str,
        pki: &std::path::Path,
        nodes: &BTreeMap<NodeName, Behaviour>,
    ) -> Result<Self> {
        let ca = load_ca(pki)?;
        let mut agents = tokio::task::JoinSet::new();
        for (node, behaviour) in nodes {
            let key = PrivateKey::generate()?;
            let profile = Profile::Node { name: node.as_str().parse()? };
            let issued = ca.issue_for(&key, &profile, now_us())?;
            let credentials = Credentials::from_pem(ca.pem(), &issued.pem, &key.to_pem()?)?;
            let channel = ClientTls::new(&credentials)?.channel(controller)?;
            let agent = Agent { node: node.clone(), behaviour: *behaviour, running: None };
            agents.spawn(agent.run(AgentClient::new(channel)));
        }
        Ok(Self { agents })
    }

    /// How many agents are still connected.
    #[must_use]
    pub fn len(&self) -> usize {
        self.agents.len()
    }

    /// Whether none is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }
}

struct Agent {
    node: NodeName,
    behaviour: Behaviour,
    running: Option<(v1::PlanId, Arc<NodePlan>)>,
}

impl Agent {
    async fn run(mut self, mut client: AgentClient<tonic::transport::Channel>) -> Result<()> {
        // A plan status, a summary and an answer to a challenge can wait at a
        // time; more is never sent before the controller has spoken again.
        let (sender, receiver) = mpsc::channel(8);
        sender.send(message(FromAgent::Hello(self.hello()))).await?;
        let mut stream = client.session(ReceiverStream::new(receiver)).await?.into_inner();
        sender.send(message(self.summary(None)?)).await?;
        while let Some(message) = stream.message().await? {
            for answer in self.answers(message.message.context("an empty message")?)? {
                sender.send(self::message(answer)).await?;
            }
        }
        Ok(())
    }

    fn hello(&self) -> Hello {
        Hello {
            node: self.node.to_string(),
            boot_id: "simulated".into(),
            agent_version: "simulated".into(),
            schema_min: ha_model::plan::SCHEMA_MIN,
            schema_max: ha_model::plan::SCHEMA_MAX,
            spool_epoch: 1,
            first_sequence: 1,
            next_sequence: 1,
            clock_us: now_us(),
            process_id: 1,
            ..Hello::default()
        }
    }

    fn answers(&mut self, message: FromController) -> Result<Vec<FromAgent>> {
        match message {
            FromController::Offer(offer) => self.take(offer),
            FromController::Challenge(challenge) => {
                let nonce = challenge.nonce;
                Ok(vec![FromAgent::ChallengeAnswer(v1::ChallengeAnswer { nonce })])
            }
            FromController::Welcome(_)
            | FromController::Secrets(_)
            | FromController::EventAck(_) => Ok(Vec::new()),
            FromController::RetryAfter(_) => bail!("the controller sends {} away", self.node),
            FromController::Refused(refused) => bail!("{} is refused: {refused:?}", self.node),
            FromController::Bye(bye) => bail!("the controller goes: {bye:?}"),
        }
    }

    fn take(&mut self, offer: PlanOffer) -> Result<Vec<FromAgent>> {
        let id = offer.plan.context("an offer names its plan")?;
        let plan: NodePlan = serde_json::from_slice(&offer.document)?;
        self.running = Some((id.clone(), Arc::new(plan)));
        let status = PlanStatus {
            plan: id.try_into()?,
            revision: offer.revision.map(TryInto::try_into).transpose()?,
            phase: PlanPhase::Healthy,
            errors: Vec::new(),
        };
        Ok(vec![FromAgent::PlanStatus(status.clone().into()), self.summary(Some(status))?])
    }

    fn summary(&self, offered: Option<PlanStatus>) -> Result<FromAgent> {
        let running = self.running.as_ref();
        let status = NodeStatus {
            node: self.node.clone(),
            agent_version: "simulated".into(),
            boot_id: "simulated".into(),
            running: running.map(|(id, _)| id.clone().try_into()).transpose()?,
            offered,
            instances: running.map(|(_, plan)| self.instances(plan)).unwrap_or_default(),
            at_us: now_us(),
        };
        Ok(FromAgent::Summary(Summary { status: Some(status.into()) }))
    }

    fn instances(&self, plan: &NodePlan) -> Vec<InstanceStatus> {
        plan.instances.iter().map(|instance| self.instance(instance)).collect()
    }

    fn instance(&self, plan: &ha_model::plan::InstancePlan) -> InstanceStatus {
        let peers = match &plan.transport {
            Transport::Unicast { peers, .. } => peers.as_slice(),
            Transport::Multicast { .. } => &[],
        };
        let best = peers.iter().max_by_key(|peer| peer.priority);
        let leads = best.and_then(|peer| peer.priority).is_none_or(|best| plan.priority > best);
        let master = match self.behaviour {
            Behaviour::Good => leads,
            Behaviour::NeverMaster => false,
            Behaviour::AlwaysMaster => true,
        };
        let heard = best.filter(|_| !master && self.behaviour == Behaviour::Good);
        let now = now_us();
        InstanceStatus {
            name: plan.name.clone(),
            interface: plan.interface.clone(),
            family: plan.family,
            vrid: plan.vrid.get(),
            state: if master { VrrpState::Master } else { VrrpState::Backup },
            since_us: now,
            effective_priority: plan.priority.get(),
            faults: Vec::new(),
            masters_seen: heard
                .map(|peer| MasterSeen {
                    address: peer.address,
                    priority: peer.priority.map_or(0, ha_model::ids::Priority::get),
                    heard_at_us: now,
                })
                .into_iter()
                .collect(),
            addresses_held: if master {
                plan.addresses.iter().map(|virtual_address| virtual_address.address).collect()
            } else {
                Vec::new()
            },
            addresses_failed: Vec::new(),
            counters: InstanceCounters::default(),
        }
    }
}

fn message(message: FromAgent) -> v1::FromAgent {
    v1::FromAgent { message: Some(message) }
}
