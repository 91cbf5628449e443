//! Our agent and Debian's keepalived in one virtual router, both ways round.

use ha_tests::interop::{Case, Protocol, Story, play};
use ha_tests::router::Kind;
use ha_tests::skip::{program_or_skip, root_or_skip};

fn both_ways(protocol: Protocol, story: Story) {
    let name = format!("interop {protocol:?} {story:?}");
    if !root_or_skip(&name) || program_or_skip(&name, "keepalived").is_none() {
        return;
    }
    let ours_leads = Case { protocol, story, lead: Kind::HaAgent, other: Kind::Keepalived };
    let theirs_leads = Case { lead: Kind::Keepalived, other: Kind::HaAgent, ..ours_leads };
    for case in [ours_leads, theirs_leads] {
        if let Err(error) = play(case) {
            panic!("{error:?}");
        }
    }
}

macro_rules! stories {
    ($($test:ident: $protocol:ident $story:ident,)+) => {
        $(#[test]
        fn $test() {
            both_ways(Protocol::$protocol, Story::$story);
        })+
    };
}

stories! {
    v2_higher_priority: V2 HigherPriorityLeads,
    v2_equal_priority: V2 EqualPriorityHigherAddressLeads,
    v2_stop: V2 Stop,
    v2_link_cut: V2 LinkCut,
    v3_ipv4_higher_priority: V3Ipv4 HigherPriorityLeads,
    v3_ipv4_equal_priority: V3Ipv4 EqualPriorityHigherAddressLeads,
    v3_ipv4_stop: V3Ipv4 Stop,
    v3_ipv4_link_cut: V3Ipv4 LinkCut,
    v3_ipv6_higher_priority: V3Ipv6 HigherPriorityLeads,
    v3_ipv6_equal_priority: V3Ipv6 EqualPriorityHigherAddressLeads,
    v3_ipv6_stop: V3Ipv6 Stop,
    v3_ipv6_link_cut: V3Ipv6 LinkCut,
}

/// The stories are told right: two of keepalived play them as well.
#[test]
fn keepalived_plays_with_itself() {
    const NAME: &str = "keepalived_plays_with_itself";
    if !root_or_skip(NAME) || program_or_skip(NAME, "keepalived").is_none() {
        return;
    }
    for story in Story::ALL {
        let protocol = Protocol::V3Ipv4;
        let case = Case { protocol, story, lead: Kind::Keepalived, other: Kind::Keepalived };
        if let Err(error) = play(case) {
            panic!("{error:?}");
        }
    }
}
