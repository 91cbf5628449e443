//! Codes of plans on nodes, of the controller, of sessions and of `hactl`.

super::declare! {
    PLAN_DIGEST = "E2001" {
        title: "the digest of a plan does not match",
        why: "the bytes are not those that were signed off; the plan before it keeps running",
        remedy: "apply again; if it comes back, check the controller's store: ha-controller store verify",
        example: "",
    }
    PLAN_UNSUPPORTED = "E2002" {
        title: "a plan uses what this agent does not know",
        why: "an agent never ignores a part of its plan",
        remedy: "upgrade the agent, or leave the new feature out for its cluster",
        example: "",
    }
    PLAN_STALE = "E2003" {
        title: "a plan is older than the one that runs",
        why: "versions never go backwards on a node; undo is a new revision",
        remedy: "none, if the newer plan is wished; after a restored store apply once more",
        example: "",
    }
    PLAN_CONFLICT = "E2004" {
        title: "another plan with the same generation",
        why: "two controllers, or a store that was copied, gave out the same number",
        remedy: "find the second controller and stop it, then apply once more",
        example: "",
    }
    PLAN_OTHER_NODE = "E2005" {
        title: "a plan is for another node",
        why: "a node runs only the plan that names it",
        remedy: "give the plan of this node: hactl render NODE",
        example: "",
    }
    PLAN_SECRET_MISSING = "E2006" {
        title: "a plan needs a secret that this node does not have",
        why: "without it the peers would drop our adverts",
        remedy: "apply the Secret; offline: --secrets FILE",
        example: "",
    }
    PLAN_DISK = "E2007" {
        title: "the node could not write its ledger",
        why: "a plan that is not on disk would be lost with the next restart",
        remedy: "make room in the state directory; the plan is taken when it is offered again",
        example: "",
    }
    PLAN_MALFORMED = "E2008" {
        title: "a plan is not a plan document",
        why: "it is not the JSON that the compiler writes",
        remedy: "make it with hactl render",
        example: "",
    }
    PLAN_INVALID = "E2009" {
        title: "a plan contradicts itself",
        why: "values do not fit together, such as a unicast instance without a peer",
        remedy: "make it with hactl render from checked manifests",
        example: "",
    }
    INTERFACE_MISSING = "E2101" {
        title: "an interface does not exist on the node",
        why: "the instance is in fault until it does",
        remedy: "create the interface, or correct spec.instances[].interface",
        example: "",
    }
    BASE_MOVED = "E3001" {
        title: "somebody else changed the fleet meanwhile",
        why: "the change was made from an older revision and could undo the other one",
        remedy: "look at the difference with hactl diff, then apply again",
        example: "",
    }
    STORE_FAILED = "E3002" {
        title: "the controller could not store the change",
        why: "nothing was stored and no node was told",
        remedy: "make room on the controller's disk or mend it, then apply again",
        example: "",
    }
    SECOND_STREAM = "E4001" {
        title: "a second agent with the same identity",
        why: "the first one still answers; two agents with one certificate are a copy or a theft",
        remedy: "stop one of the two, or enrol the copy as a node of its own",
        example: "",
    }
}
