//! Codes of manifest files, their fields and values.

super::declare! {
    YAML_SYNTAX = "E1001" {
        title: "the text is not YAML",
        why: "what stands here can't be read, so nothing of this document is used",
        remedy: "look at the marked place and the line above it: indentation, a missing colon, an open quote or bracket",
        example: "spec: {nodes: [a, b}",
    }
    DUPLICATE_KEY = "E1002" {
        title: "a field is given twice",
        why: "one of the two values would be ignored without a word",
        remedy: "keep one of the two",
        example: "vrid: 51\nvrid: 52",
    }
    INPUT_TOO_LARGE = "E1003" {
        title: "a file is too large",
        why: "a file of more than 4 MiB, or of more than 200,000 values, is a mistake of a generator or an attack",
        remedy: "split the file, one cluster in each",
        example: "",
    }
    TOO_DEEP = "E1004" {
        title: "the text is nested too deep",
        why: "no manifest needs more than 32 levels",
        remedy: "look for brackets that are never closed",
        example: "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    }
    ALIAS_TOO_LARGE = "E1005" {
        title: "aliases repeat too much",
        why: "aliases that name aliases grow a small file to billions of values",
        remedy: "write the values out, or use fewer anchors",
        example: "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]",
    }
    UNSUPPORTED_YAML = "E1006" {
        title: "a part of YAML that manifests do not use",
        why: "tags and keys that are not plain text have no meaning here",
        remedy: "leave the tag out; write the key as text",
        example: "vrid: !!int \"51\"",
    }
    NOT_AN_OBJECT = "E1007" {
        title: "a document is not an object",
        why: "every document is a mapping with apiVersion, kind, metadata and spec",
        remedy: "separate objects with a line of three hyphens, not as items of a list",
        example: "- kind: Cluster",
    }
    NO_OBJECT = "E1008" {
        title: "the files hold no object",
        why: "an empty input would mean an empty fleet, which is hardly ever wished",
        remedy: "check that the right files are named",
        example: "",
    }
    TOO_MANY_MISTAKES = "E1009" {
        title: "more mistakes than are shown",
        why: "the first 200 are shown; the others are often the same mistake again",
        remedy: "mend those that are shown and try again",
        example: "",
    }
    UNKNOWN_FIELD = "E1101" {
        title: "unknown field",
        why: "a field that is not known would have no effect, and nobody would notice",
        remedy: "check the spelling; docs/manifests.md lists the fields",
        example: "instances:\n  - virtualRouterId: 51",
    }
    MISSING_FIELD = "E1102" {
        title: "a field is missing",
        why: "there is no default for it",
        remedy: "add the field",
        example: "metadata: {}",
    }
    WRONG_TYPE = "E1103" {
        title: "a value of another type is needed",
        why: "values are never converted: 51 is a number, \"51\" is text",
        remedy: "write the value as the message says",
        example: "vrid: \"51\"",
    }
    API_VERSION = "E1104" {
        title: "unknown apiVersion",
        why: "this build reads ha/v1 only",
        remedy: "apiVersion: ha/v1",
        example: "apiVersion: v1",
    }
    UNKNOWN_KIND = "E1105" {
        title: "unknown kind",
        why: "this build knows the kinds Cluster and Secret",
        remedy: "check the spelling and the upper-case first letter",
        example: "kind: cluster",
    }
    BAD_NAME = "E1106" {
        title: "not a name",
        why: "names become part of certificates, files and commands, so they are plain",
        remedy: "lower-case letters, digits, hyphens and dots, at most 63; interfaces as Linux names them",
        example: "metadata: {name: Web_1}",
    }
    OUT_OF_RANGE = "E1107" {
        title: "a number is out of its range",
        why: "the protocol has no room for it",
        remedy: "take a number of the range in the message",
        example: "vrid: 300",
    }
    BAD_DURATION = "E1108" {
        title: "not a duration",
        why: "a number without a unit is read as seconds by some and milliseconds by others",
        remedy: "a whole number and one of us, ms, s, m, h: 300ms, 1s, 2m",
        example: "advertInterval: 1",
    }
    DURATION_OUT_OF_RANGE = "E1109" {
        title: "a duration is out of its range",
        why: "the protocol or the timers have no room for it",
        remedy: "take a duration of the range in the message",
        example: "advertInterval: 5m",
    }
    BAD_ADDRESS = "E1110" {
        title: "not an address",
        why: "an IPv4 or IPv6 address of one machine is needed",
        remedy: "192.0.2.50 or 2001:db8::50; virtual addresses may have a prefix length: 192.0.2.50/24",
        example: "address: fra-lb1.example.net",
    }
    UNKNOWN_CHOICE = "E1111" {
        title: "not one of the choices",
        why: "the field takes only the words in the message",
        remedy: "take one of them",
        example: "transport: broadcast",
    }
    EXCLUSIVE_FIELDS = "E1112" {
        title: "two fields exclude each other",
        why: "both say the same thing, and one of them would be ignored",
        remedy: "keep one of the two",
        example: "{name: a, address: 192.0.2.1, addresses: [192.0.2.2]}",
    }
    BAD_LENGTH = "E1113" {
        title: "too few or too many items",
        why: "an empty list would do nothing, a longer one does not fit into the protocol",
        remedy: "see the limit in the message",
        example: "vips: []",
    }
}
