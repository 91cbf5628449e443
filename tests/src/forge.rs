//! Adverts as anybody on the network could send them.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use ha_core::vrrp::packet::{self, Addresses, Advertisement, Authentication};
use ha_model::plan::{Checksum, Family, VrrpVersion};
use ha_model::units::Micros;
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::Host;

/// An advert, good unless a field says otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Forged {
    /// Address of the host that sends it.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Protocol version.
    pub version: VrrpVersion,
    /// Virtual router id.
    pub vrid: u8,
    /// Interval that it promises.
    pub interval: Micros,
    /// Kind and data of version 2's authentication.
    pub auth: (u8, [u8; 8]),
    /// The one virtual address.
    pub address: IpAddr,
    /// What is changed in the message before its checksum is taken.
    pub spoil: fn(&mut Vec<u8>),
    /// Whether the checksum is right.
    pub sealed: bool,
}

impl Forged {
    /// The message. Its priority is above that of every node but an owner, so
    /// that no master that believes it stays one.
    fn message(&self) -> Vec<u8> {
        let (kind, data) = self.auth;
        let auth = match self.version {
            VrrpVersion::V2 => Some(Authentication { kind, data }),
            VrrpVersion::V3 => None,
        };
        let address = match self.address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let advert = Advertisement {
            vrid: self.vrid,
            priority: 254,
            interval: self.interval,
            auth,
            addresses: Addresses::new(Family::of(self.address), &address),
        };
        let mut message = Vec::new();
        advert.encode(&mut message);
        (self.spoil)(&mut message);
        let mode = Checksum::PseudoHeader;
        packet::seal(&mut message, self.version, mode, self.source, self.destination);
        if !self.sealed {
            message[7] ^= 1;
        }
        message
    }

    /// Sends it from a host that has the source address.
    ///
    /// # Errors
    ///
    /// The kernel refused.
    pub fn send(self, from: &Host) -> Result<()> {
        from.within(move || {
            let domain = Domain::for_address(SocketAddr::new(self.destination, 0));
            let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(112)))?;
            socket.bind(&SocketAddr::new(self.source, 0).into())?;
            let ttl = u32::from(self.ttl);
            match self.source {
                IpAddr::V4(source) => {
                    socket.set_ttl_v4(ttl)?;
                    socket.set_multicast_ttl_v4(ttl)?;
                    socket.set_multicast_if_v4(&source)?;
                }
                IpAddr::V6(_) => socket.set_unicast_hops_v6(ttl)?,
            }
            socket.send_to(&self.message(), &SocketAddr::new(self.destination, 0).into())?;
            Ok(())
        })
    }
}
