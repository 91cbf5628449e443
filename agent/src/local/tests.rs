use ha_model::event::EventKind;
use ha_model::status::PlanPhase;
use ha_proto::v1;
use ha_proto::v1::local_client::LocalClient;
use tonic::transport::{Channel, Endpoint};

use super::*;
use crate::testing::{NODE, TestNode, document, offer};

struct Served {
    test: TestNode,
    client: LocalClient<Channel>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
    path: std::path::PathBuf,
    _dir: tempfile::TempDir,
}

async fn serve() -> Served {
    let dir = tempfile::tempdir().unwrap();
    let test = TestNode::start(dir.path());
    let path = dir.path().join("local.sock");
    let (stop, stopped) = watch::channel(false);
    let config = LocalConfig {
        node: test.node.clone(),
        spool: test.spool.clone(),
        session: None,
        stop: stopped,
    };
    let task = LocalTask::bind(&path, config).await.unwrap();
    let task = tokio::spawn(task.run());
    let endpoint = Endpoint::from_shared(format!("unix://{}", path.display())).unwrap();
    let client = LocalClient::new(endpoint.connect().await.unwrap());
    Served { test, client, stop, task, path, _dir: dir }
}

#[tokio::test]
async fn it_tells_what_runs_and_goes_with_the_agent() {
    let mut served = serve().await;
    let none = served.client.render_plan(v1::LocalRenderPlanRequest {}).await.unwrap_err();
    assert_eq!(none.code(), tonic::Code::NotFound);
    served.test.node.offer(offer(1, document(100))).await.unwrap();
    served.test.reaches(1, PlanPhase::Applied).await;
    let plan = served.client.render_plan(v1::LocalRenderPlanRequest {}).await.unwrap();
    assert_eq!(plan.into_inner().document, document(100));
    let status = served.client.status(v1::LocalStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.status.unwrap().node, NODE);
    assert_eq!(status.source, "controller");
    assert!(!status.session.unwrap().configured);
    served.stop.send_replace(true);
    served.task.await.unwrap().unwrap();
    assert!(!served.path.exists());
}

#[tokio::test]
async fn it_lists_the_newest_events_and_follows() {
    let mut served = serve().await;
    let happen = |number: u64| {
        let kind = EventKind::AgentStarted { version: number.to_string() };
        served.test.reporter.report(kind, None);
    };
    (1..=5).for_each(happen);
    served.test.spool.flush().await.unwrap();
    let request = v1::LocalListEventsRequest { limit: 2, follow: true };
    let mut events = served.client.list_events(request).await.unwrap().into_inner();
    let mut next = async || events.message().await.unwrap().unwrap().position.unwrap().sequence;
    assert_eq!((next().await, next().await), (4, 5));
    happen(6);
    assert_eq!(next().await, 6);
    let request = v1::LocalListEventsRequest { limit: 0, follow: false };
    let mut all = served.client.list_events(request).await.unwrap().into_inner();
    let mut count = 0;
    while all.message().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 6);
}
