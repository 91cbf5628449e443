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
    REVISION_TOO_LARGE = "E3003" {
        title: "an object or a plan is too large for the store",
        why: "the store takes values of less than 1 MiB",
        remedy: "split the cluster",
        example: "",
    }
    STORE_DAMAGED = "E3004" {
        title: "something in the controller's store is missing or damaged",
        why: "what is read back is not what was written",
        remedy: "stop the controller and run ha-controller store rebuild",
        example: "",
    }
    NODE_TOO_OLD = "E3005" {
        title: "a node's agent does not know what its plan would use",
        why: "it would reject the plan, so nothing is stored",
        remedy: "upgrade the agent on that node, or leave the feature out for its cluster",
        example: "accept: {otherTransport: true} with an agent that knows schema 1",
    }
    NODE_NOT_HEALTHY = "E3006" {
        title: "a node was not healthy in time after its change",
        why: "its instances are neither master nor hear one, so the rollout went no further",
        remedy: "look at hactl status and at the events of the node; apply again when it is mended",
        example: "",
    }
    NODE_AHEAD = "E3007" {
        title: "a node runs a newer plan than this controller knows",
        why: "the store is an older copy, or another controller gave the plan",
        remedy: "find out which controller is the right one; what runs on the node stays until then",
        example: "",
    }
    SECOND_STREAM = "E4001" {
        title: "a second agent with the same identity",
        why: "the first one still answers; two agents with one certificate are a copy or a theft",
        remedy: "stop one of the two, or enrol the copy as a node of its own",
        example: "",
    }
    SESSION_NAME = "E4002" {
        title: "an agent gives another name than its certificate",
        why: "the node is the one that the certificate names",
        remedy: "enrol the agent as the node that it shall be, with its own state directory",
        example: "",
    }
    SESSION_CERTIFICATE = "E4003" {
        title: "the certificate does not open a session, or not any more",
        why: "it is not the last one of its node, or it ended",
        remedy: "see E4011 and E4014: enrol the node again, or check the clocks",
        example: "",
    }
    SESSION_PROTOCOL = "E4004" {
        title: "an agent broke the session protocol",
        why: "agent and controller do not understand each other; the stream is ended",
        remedy: "upgrade the older of the two; report it if they are of one release",
        example: "",
    }
    TOKEN_REFUSED = "E4010" {
        title: "the join token is not valid for this node",
        why: "a token is for one node, works once, and only for a short time",
        remedy: "make a new one: hactl node join-token NODE; the controller's log tells which it was",
        example: "",
    }
    NOT_LAST_CERTIFICATE = "E4011" {
        title: "the certificate is not the last one of its node",
        why: "only the last certificate opens a session and is renewed; an older one is a copy, a theft, or of before a new enrolment",
        remedy: "find out who uses it; enrol the node with a new token: hactl node join-token NODE",
        example: "",
    }
    NEVER_ENROLLED = "E4012" {
        title: "the controller never issued a certificate to this node",
        why: "its store was lost or is another one, or the certificate was made by hand",
        remedy: "enrol the node with a token: hactl node join-token NODE",
        example: "",
    }
    NO_CERTIFICATE = "E4013" {
        title: "a certificate is needed",
        why: "without one only Enroll is open",
        remedy: "use a context with a certificate; a node: enrol it",
        example: "",
    }
    CERTIFICATE_EXPIRED = "E4014" {
        title: "the certificate has expired",
        why: "a node may then only renew it, for 30 days; a user needs a new one",
        remedy: "nodes renew by themselves once the controller is reached; check the clocks",
        example: "",
    }
    WRONG_KIND = "E4015" {
        title: "the certificate is of the wrong kind for this call",
        why: "nodes, users and callers without certificate have different methods",
        remedy: "use a certificate of the right kind; docs/security.md has the table",
        example: "",
    }
    WEAK_ROLE = "E4016" {
        title: "the role in the certificate is not enough",
        why: "every method names the weakest role that may call it",
        remedy: "use a context with another certificate; docs/security.md has the table",
        example: "",
    }
    TOO_MANY_ATTEMPTS = "E4017" {
        title: "too many failed enrolments from one address",
        why: "guessing is slowed down to one try a second",
        remedy: "wait some seconds, check the token",
        example: "",
    }
    CTL_USAGE = "E5001" {
        title: "wrong arguments of hactl",
        why: "the arguments can't be meant as they stand; nothing was sent",
        remedy: "look at hactl help COMMAND",
        example: "",
    }
    CTL_CONTEXT = "E5002" {
        title: "no such context",
        why: "hactl does not know which controller to talk to",
        remedy: "choose one with hactl context use, or add one with hactl context add",
        example: "",
    }
    CTL_CONFIG = "E5003" {
        title: "the file of contexts can't be read",
        why: "hactl never writes over a file that it does not understand",
        remedy: "mend it, or move it away and add the contexts again",
        example: "",
    }
    CTL_CREDENTIALS = "E5004" {
        title: "a certificate or key of the context can't be used",
        why: "without it the controller can't know who is calling",
        remedy: "check the files that hactl context show names; ask an administrator for new ones",
        example: "",
    }
    CTL_UNREACHABLE = "E5005" {
        title: "the controller can't be reached",
        why: "nothing listens at its address, or one side does not accept the other's certificate",
        remedy: "check the address with hactl context show, and that ha-controller runs; VRRP goes on without it",
        example: "",
    }
    CTL_NOT_ALLOWED = "E5006" {
        title: "the controller does not allow this",
        why: "the role in the certificate does not include this command",
        remedy: "use a context with another certificate, or ask an administrator",
        example: "",
    }
    CTL_TIMEOUT = "E5007" {
        title: "the controller did not answer in time",
        why: "it is overloaded, or the network loses packets",
        remedy: "try again; what was applied goes on",
        example: "",
    }
    CTL_MANIFESTS = "E5008" {
        title: "manifests can't be read",
        why: "a file is missing, is no text, or is too large",
        remedy: "check the paths after -f",
        example: "",
    }
    CTL_NO_OBJECT = "E5009" {
        title: "there is no such object",
        why: "no cluster, node, instance or code has this name",
        remedy: "list the names with hactl get",
        example: "",
    }
    CTL_ANSWER = "E5010" {
        title: "the controller does not know the command",
        why: "it is older than this hactl",
        remedy: "upgrade the controller, or use the hactl of its release",
        example: "",
    }
    CTL_REFUSED = "E5011" {
        title: "the controller refused",
        why: "the reason stands beside it",
        remedy: "do what the reason says; the controller's log tells more",
        example: "",
    }
    CTL_SOCKET = "E5012" {
        title: "the agent's socket does not answer",
        why: "the agent does not run, listens elsewhere, or you may not open its socket",
        remedy: "check that ha-agent runs, its --local-socket, and your permissions",
        example: "",
    }
    CTL_WRITE = "E5013" {
        title: "a file or the output can't be written",
        why: "the disk is full, or the permissions do not allow it",
        remedy: "make room or mend the permissions; what was there is untouched",
        example: "",
    }
    CTL_INIT = "E5014" {
        title: "a fleet can't be made",
        why: "a fleet's CA and its contexts are never overwritten",
        remedy: "choose another directory or another name for the context",
        example: "",
    }
    CTL_UNSURE = "E5015" {
        title: "the controller went away during an apply",
        why: "it may or may not have stored the revision",
        remedy: "look with hactl get revisions; applying the same again does no harm",
        example: "",
    }
}
