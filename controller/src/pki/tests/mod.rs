mod machine;
mod wire;

use std::sync::Arc;

use ha_certs::ca::FleetCa;
use ha_certs::key::PrivateKey;
use ha_model::ids::NodeName;

use super::Pki;
use crate::store::MemoryStore;

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn pki() -> Pki {
    let ca = FleetCa::create(&"lab".parse().unwrap(), crate::clock::now_us()).unwrap();
    Pki::new(Arc::new(ca), Arc::new(MemoryStore::new()))
}

fn request() -> String {
    PrivateKey::generate().unwrap().request().unwrap()
}
