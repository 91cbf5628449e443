//! From one plan to the next.

use std::collections::{BTreeMap, BTreeSet};

use ha_model::event::Cause;
use ha_model::ids::{InterfaceName, Vrid};
use ha_model::plan::{Family, InstancePlan, NodePlan};
use ha_model::secret::Secrets;

use super::{NodeCore, id, slot};
use crate::InstanceId;
use crate::vrrp::instance::{Input, Instance};
use crate::vrrp::settings::Settings;

/// What makes a virtual router the same one in two plans. Not its name, so
/// that it can be renamed.
type Identity = (InterfaceName, Family, Vrid);

fn identity(plan: &InstancePlan) -> Identity {
    (plan.interface.clone(), plan.family, plan.vrid)
}

impl NodeCore {
    /// Goes over to `plan` by the difference.
    pub(super) fn run_plan(&mut self, plan: &NodePlan, secrets: &Secrets) {
        let mut known: BTreeMap<Identity, InstanceId> = self
            .instances()
            .map(|instance| (identity(&instance.settings().plan), instance.id()))
            .collect();
        let mut new = Vec::new();
        for plan in &plan.instances {
            let settings = Settings::new(plan, secrets);
            match known.remove(&identity(plan)) {
                Some(id) => self.change(id, settings),
                None => new.push(settings),
            }
        }
        for id in known.into_values() {
            self.with(id, |instance, out| {
                instance.step(Input::Release(Cause::PlanChanged), out);
            });
            self.leaving.push(id);
        }
        for settings in new {
            self.add(settings);
        }
        self.index_wires();
        self.name_addresses();
    }

    fn change(&mut self, id: InstanceId, settings: Settings) {
        let same =
            self.slots[slot(id)].as_ref().is_some_and(|instance| *instance.settings() == settings);
        if !same {
            self.with(id, |instance, out| instance.change(settings, out));
            self.refresh(id);
        }
    }

    fn add(&mut self, settings: Settings) {
        let free = self.slots.iter().position(Option::is_none);
        let place = free.unwrap_or(self.slots.len());
        if place == self.slots.len() {
            self.slots.push(None);
        }
        let id = id(place);
        self.slots[place] = Some(Instance::new(id, settings, self.now));
        self.refresh(id);
    }

    /// Makes every address of the plan known, and retires the others. An
    /// address that went from one instance to another is wanted if the new one
    /// wants it, whichever came first.
    fn name_addresses(&mut self) {
        let mut named = BTreeSet::new();
        for instance in self.slots.iter().flatten() {
            if self.leaving.contains(&instance.id()) {
                continue;
            }
            for vip in instance.vips().iter() {
                named.insert(vip.place.clone());
                self.desired.name(&vip.place);
                if vip.is_wanted() {
                    self.desired.set(&vip.place, true);
                }
            }
        }
        let gone = self.desired.addresses.keys().filter(|place| !named.contains(*place));
        self.retired = gone.cloned().collect();
        for place in &self.retired {
            self.desired.set(place, false);
        }
    }
}
