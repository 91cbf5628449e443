//! Codes of how values and objects fit together.

super::declare! {
    OBJECT_TWICE = "E1201" {
        title: "an object is given twice",
        why: "one of the two would be ignored without a word",
        remedy: "keep one of the two, or give one another name",
        example: "two documents of kind Cluster with the name fra-web",
    }
    NODE_TWICE = "E1202" {
        title: "a node is listed twice",
        why: "a node is in exactly one cluster, once: it runs one plan",
        remedy: "remove it from one of the two",
        example: "nodes:\n  - {name: fra-lb1, address: 10.1.0.11}\n  - {name: fra-lb1, address: 10.1.0.12}",
    }
    INSTANCE_TWICE = "E1203" {
        title: "two instances of a cluster have the same name",
        why: "status, events and metrics could not tell them apart",
        remedy: "rename one of the two",
        example: "",
    }
    NODE_ADDRESS_TWICE = "E1204" {
        title: "two nodes of a cluster have the same address",
        why: "each would take the adverts of the other for its own",
        remedy: "correct one of the two",
        example: "",
    }
    UNKNOWN_SECRET = "E1205" {
        title: "a secret is not known",
        why: "nodes could not authenticate their adverts",
        remedy: "apply a Secret of that name, in the same call or before",
        example: "auth: {secret: web-auth}",
    }
    INTERVAL_NOT_POSSIBLE = "E1206" {
        title: "the advert interval does not fit the VRRP version",
        why: "version 2 carries whole seconds, 1s to 255s; version 3 steps of 10ms, 10ms to 40950ms",
        remedy: "round the interval, or use version 3",
        example: "vrrp: {version: 2, advertInterval: 300ms}",
    }
    VRID_TAKEN = "E1207" {
        title: "a virtual router id is used twice on one network",
        why: "both groups would reject each other's adverts and claim their VIPs",
        remedy: "take a free vrid, or give the clusters different values of spec.segment if these are different L2 networks",
        example: "two instances with vrid 51 on vlan120",
    }
    VIP_TAKEN = "E1208" {
        title: "a virtual address is used twice",
        why: "two masters would answer for it",
        remedy: "remove one of the two; if these are separate networks, set spec.segment in both clusters",
        example: "",
    }
    FAMILIES_MIXED = "E1209" {
        title: "IPv4 and IPv6 addresses in one instance",
        why: "an advert carries addresses of one family only (RFC 9568, section 5.2.9)",
        remedy: "make two instances; they may have the same vrid",
        example: "vips: [192.0.2.50/24, \"2001:db8::50/64\"]",
    }
    NO_NODE_ADDRESS = "E1210" {
        title: "a node has no address of the family",
        why: "unicast adverts need an own address of the family on every node",
        remedy: "add it to addresses or interfaceAddresses of the node, or use transport: multicast",
        example: "",
    }
    VERSION_2_IPV6 = "E1211" {
        title: "VRRP version 2 has no IPv6",
        why: "RFC 3768 knows IPv4 only",
        remedy: "version: 3",
        example: "{vrid: 10, version: 2, vips: [\"2001:db8::53/64\"]}",
    }
    AUTH_NEEDS_VERSION_2 = "E1212" {
        title: "VRRP version 3 has no authentication",
        why: "RFC 9568 removed it; a password there would protect nothing",
        remedy: "leave auth out, or use version: 2",
        example: "",
    }
    NO_PEER = "E1213" {
        title: "a unicast instance without a peer",
        why: "adverts would go to nobody, and a second node would become master too",
        remedy: "add a node, or use transport: multicast to meet routers outside the fleet",
        example: "",
    }
    UNKNOWN_NODE = "E1214" {
        title: "a node is not in the cluster",
        why: "an instance runs on the nodes of its cluster only",
        remedy: "check the spelling, or add the node to spec.nodes",
        example: "order: [fra-lb3]",
    }
    VIP_IS_NODE_ADDRESS = "E1215" {
        title: "a virtual address is the address of a node that does not own it",
        why: "as backup the node would remove its own address",
        remedy: "take another address, or make the node the owner: priorities: {NODE: 255}",
        example: "",
    }
    TWO_OWNERS = "E1216" {
        title: "two nodes have priority 255",
        why: "255 is the owner of the addresses; two owners are two masters",
        remedy: "give one of them 254 or less",
        example: "priorities: {fra-lb1: 255, fra-lb2: 255}",
    }
    SECRET_DOES_NOT_FIT = "E1217" {
        title: "a secret is too long for VRRP version 2",
        why: "an advert has 8 bytes for it; keepalived cuts the rest off without a word",
        remedy: "take 1 to 8 bytes",
        example: "",
    }
    SECRET_VERSION = "E1218" {
        title: "a version of a secret is not known",
        why: "a Secret without value keeps the value that is stored, so that version must be the present one",
        remedy: "give spec.value, or leave the Secret out: it stays as it is",
        example: "spec: {version: 3}",
    }
    ACCEPT_DOES_NOT_FIT = "E1219" {
        title: "a transition setting does not fit the instance",
        why: "it would never be used",
        remedy: "intervals and secrets for version 2 only; addresses and peers of the instance's family; otherTransport as it is",
        example: "{version: 3, accept: {intervals: [1s]}}",
    }
    OBJECT_TOO_LARGE = "E1220" {
        title: "an object is too large",
        why: "the store takes objects of less than 1 MiB",
        remedy: "split the cluster",
        example: "",
    }
    ADDRESS_FAMILY_TWICE = "E1221" {
        title: "two addresses of one family for one node",
        why: "the source of the adverts would be open",
        remedy: "keep one IPv4 and one IPv6 address; others go under interfaceAddresses",
        example: "addresses: [10.1.0.11, 10.1.0.12]",
    }
    ORDER_TWICE = "E1222" {
        title: "a node is named twice in an order",
        why: "its place would be open",
        remedy: "name it once",
        example: "order: [fra-lb1, fra-lb1]",
    }
    IDLE_DELAY = "W1301" {
        title: "a delay without preemption",
        why: "preempt.delay has no effect while preempt.enabled is false",
        remedy: "leave the delay out",
        example: "preempt: {enabled: false, delay: 60s}",
    }
    EQUAL_PRIORITIES = "W1302" {
        title: "two nodes have the same priority",
        why: "the one with the higher address becomes master, which is seldom what was meant",
        remedy: "give them different priorities",
        example: "",
    }
    VIP_IN_TWO_SEGMENTS = "W1303" {
        title: "a virtual address is used in two segments",
        why: "that is right only where the two networks never meet",
        remedy: "check that it is meant",
        example: "",
    }
    UNUSED_SECRET = "W1304" {
        title: "no instance uses a secret",
        why: "it goes to no node",
        remedy: "check the spelling where it should be used, or delete it",
        example: "",
    }
}
