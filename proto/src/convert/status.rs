//! Status of nodes, instances and plans.

use ha_model::plan::Family;
use ha_model::status::{
    FaultReason, FieldError, InstanceCounters, InstanceStatus, MasterSeen, NodeStatus, PlanPhase,
    PlanStatus, VrrpState,
};
use ipnet::IpNet;

use super::{ConvertError, all, narrow, parse};
use crate::v1;

impl From<FieldError> for v1::FieldError {
    fn from(error: FieldError) -> Self {
        let FieldError { code, path, message, hint } = error;
        Self { code, path, message, hint }
    }
}

impl From<v1::FieldError> for FieldError {
    fn from(message: v1::FieldError) -> Self {
        let v1::FieldError { code, path, message, hint } = message;
        Self { code, path, message, hint }
    }
}

/// An enumeration of the model and its message: one table, both ways.
macro_rules! enumeration {
    ($model:ident, $field:literal, $from_wire:ident, { $($variant:ident),+ $(,)? }) => {
        impl From<$model> for v1::$model {
            fn from(value: $model) -> Self {
                match value {
                    $($model::$variant => Self::$variant,)+
                }
            }
        }

        impl TryFrom<v1::$model> for $model {
            type Error = ConvertError;

            fn try_from(message: v1::$model) -> Result<Self, ConvertError> {
                match message {
                    $(v1::$model::$variant => Ok(Self::$variant),)+
                    v1::$model::Unspecified => Err(ConvertError::Missing($field)),
                }
            }
        }

        fn $from_wire(value: i32) -> Result<$model, ConvertError> {
            v1::$model::try_from(value)
                .map_err(|_| ConvertError::Unknown { field: $field, value })?
                .try_into()
        }
    };
}

enumeration!(VrrpState, "InstanceStatus.state", state, { Init, Backup, Master, Fault });
enumeration!(Family, "InstanceStatus.family", family, { Ipv4, Ipv6 });
enumeration!(PlanPhase, "PlanStatus.phase", phase, {
    Received, Prepared, Applied, Healthy, Rejected, RolledBack,
});

impl From<PlanStatus> for v1::PlanStatus {
    /// Without a trace context: that belongs to the sender's span.
    fn from(status: PlanStatus) -> Self {
        let PlanStatus { plan, revision, phase, errors } = status;
        Self {
            plan: Some(plan.into()),
            revision: revision.map(Into::into),
            phase: v1::PlanPhase::from(phase).into(),
            errors: errors.into_iter().map(Into::into).collect(),
            traceparent: String::new(),
        }
    }
}

impl TryFrom<v1::PlanStatus> for PlanStatus {
    type Error = ConvertError;

    fn try_from(message: v1::PlanStatus) -> Result<Self, ConvertError> {
        let v1::PlanStatus { plan, revision, phase: phase_number, errors, traceparent: _ } =
            message;
        Ok(Self {
            plan: plan.ok_or(ConvertError::Missing("PlanStatus.plan"))?.try_into()?,
            revision: revision.map(TryInto::try_into).transpose()?,
            phase: phase(phase_number)?,
            errors: errors.into_iter().map(Into::into).collect(),
        })
    }
}

impl From<FaultReason> for v1::FaultReason {
    fn from(fault: FaultReason) -> Self {
        use v1::fault_reason::Reason;
        let reason = match fault {
            FaultReason::InterfaceMissing(name) => Reason::InterfaceMissing(name.into()),
            FaultReason::InterfaceDown(name) => Reason::InterfaceDown(name.into()),
            FaultReason::NoSourceAddress(name) => Reason::NoSourceAddress(name.into()),
            FaultReason::SecretMissing(name) => Reason::SecretMissing(name.into()),
        };
        Self { reason: Some(reason) }
    }
}

impl TryFrom<v1::FaultReason> for FaultReason {
    type Error = ConvertError;

    fn try_from(message: v1::FaultReason) -> Result<Self, ConvertError> {
        use v1::fault_reason::Reason;
        const FIELD: &str = "FaultReason.reason";
        match message.reason.ok_or(ConvertError::Missing(FIELD))? {
            Reason::InterfaceMissing(name) => parse(FIELD, &name).map(Self::InterfaceMissing),
            Reason::InterfaceDown(name) => parse(FIELD, &name).map(Self::InterfaceDown),
            Reason::NoSourceAddress(name) => parse(FIELD, &name).map(Self::NoSourceAddress),
            Reason::SecretMissing(name) => parse(FIELD, &name).map(Self::SecretMissing),
        }
    }
}

impl From<MasterSeen> for v1::MasterSeen {
    fn from(master: MasterSeen) -> Self {
        let MasterSeen { address, priority, heard_at_us } = master;
        Self { address: address.to_string(), priority: priority.into(), heard_at_us }
    }
}

impl TryFrom<v1::MasterSeen> for MasterSeen {
    type Error = ConvertError;

    fn try_from(message: v1::MasterSeen) -> Result<Self, ConvertError> {
        let v1::MasterSeen { address, priority, heard_at_us } = message;
        Ok(Self {
            address: parse("MasterSeen.address", &address)?,
            priority: narrow("MasterSeen.priority", priority)?,
            heard_at_us,
        })
    }
}

impl From<InstanceStatus> for v1::InstanceStatus {
    fn from(status: InstanceStatus) -> Self {
        let InstanceStatus {
            name,
            interface,
            family,
            vrid,
            state,
            since_us,
            effective_priority,
            faults,
            masters_seen,
            addresses_held,
            addresses_failed,
            counters,
        } = status;
        Self {
            name: name.into(),
            interface: interface.into(),
            family: v1::Family::from(family).into(),
            vrid: vrid.into(),
            state: v1::VrrpState::from(state).into(),
            since_us,
            effective_priority: effective_priority.into(),
            faults: faults.into_iter().map(Into::into).collect(),
            masters_seen: masters_seen.into_iter().map(Into::into).collect(),
            addresses_held: addresses_held.iter().map(ToString::to_string).collect(),
            addresses_failed: addresses_failed.iter().map(ToString::to_string).collect(),
            counters: Some(counters.into()),
        }
    }
}

impl TryFrom<v1::InstanceStatus> for InstanceStatus {
    type Error = ConvertError;

    fn try_from(message: v1::InstanceStatus) -> Result<Self, ConvertError> {
        let v1::InstanceStatus {
            name,
            interface,
            family: family_number,
            vrid,
            state: state_number,
            since_us,
            effective_priority,
            faults,
            masters_seen,
            addresses_held,
            addresses_failed,
            counters,
        } = message;
        let networks = |texts: Vec<String>| -> Result<Vec<IpNet>, ConvertError> {
            texts.iter().map(|text| parse("InstanceStatus.addresses", text)).collect()
        };
        Ok(Self {
            name: parse("InstanceStatus.name", &name)?,
            interface: parse("InstanceStatus.interface", &interface)?,
            family: family(family_number)?,
            vrid: narrow("InstanceStatus.vrid", vrid)?,
            state: state(state_number)?,
            since_us,
            effective_priority: narrow("InstanceStatus.effective_priority", effective_priority)?,
            faults: all(faults)?,
            masters_seen: all(masters_seen)?,
            addresses_held: networks(addresses_held)?,
            addresses_failed: networks(addresses_failed)?,
            counters: counters.unwrap_or_default().into(),
        })
    }
}

/// Same names on both sides: a counter that is added to one and not to the
/// other does not compile.
macro_rules! counters {
    ($($field:ident),+ $(,)?) => {
        impl From<InstanceCounters> for v1::InstanceCounters {
            fn from(counters: InstanceCounters) -> Self {
                let InstanceCounters { $($field),+ } = counters;
                Self { $($field),+ }
            }
        }

        impl From<v1::InstanceCounters> for InstanceCounters {
            fn from(message: v1::InstanceCounters) -> Self {
                let v1::InstanceCounters { $($field),+ } = message;
                Self { $($field),+ }
            }
        }
    };
}

counters!(
    advert_rcvd,
    advert_sent,
    become_master,
    release_master,
    packet_len_err,
    advert_interval_err,
    ip_ttl_err,
    vers_err,
    chk_err,
    invalid_type_rcvd,
    transport_err,
    unknown_peer_err,
    addr_list_err,
    addr_list_diff,
    invalid_authtype,
    authtype_mismatch,
    auth_failure,
    pri_zero_rcvd,
    pri_zero_sent,
    own_advert_rcvd,
    garp_sent,
    address_put_back,
    send_err,
    late_wakeup,
);

impl From<NodeStatus> for v1::NodeStatus {
    fn from(status: NodeStatus) -> Self {
        let NodeStatus { node, agent_version, boot_id, running, offered, instances, at_us } =
            status;
        Self {
            node: node.into(),
            agent_version,
            boot_id,
            running: running.map(Into::into),
            offered: offered.map(Into::into),
            instances: instances.into_iter().map(Into::into).collect(),
            at_us,
        }
    }
}

impl TryFrom<v1::NodeStatus> for NodeStatus {
    type Error = ConvertError;

    fn try_from(message: v1::NodeStatus) -> Result<Self, ConvertError> {
        let v1::NodeStatus { node, agent_version, boot_id, running, offered, instances, at_us } =
            message;
        Ok(Self {
            node: parse("NodeStatus.node", &node)?,
            agent_version,
            boot_id,
            running: running.map(TryInto::try_into).transpose()?,
            offered: offered.map(TryInto::try_into).transpose()?,
            instances: all(instances)?,
            at_us,
        })
    }
}
