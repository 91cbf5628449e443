//! Kernel filter: only adverts of our virtual router ids reach user space.

use libc::sock_filter;

/// A set of virtual router ids.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct VridSet {
    words: [u32; 8],
}

impl VridSet {
    /// Takes `vrid` in.
    pub fn insert(&mut self, vrid: u8) {
        self.words[usize::from(vrid / 32)] |= 1 << (vrid % 32);
    }

    /// Whether `vrid` is in.
    #[must_use]
    pub fn contains(&self, vrid: u8) -> bool {
        self.words[usize::from(vrid / 32)] & (1 << (vrid % 32)) != 0
    }
}

impl FromIterator<u8> for VridSet {
    fn from_iter<I: IntoIterator<Item = u8>>(vrids: I) -> Self {
        let mut set = Self::default();
        vrids.into_iter().for_each(|vrid| set.insert(vrid));
        set
    }
}

/// Where the VRRP message starts in what the filter sees.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Start {
    /// Behind the IPv4 header, whose length is in its first byte.
    BehindIpv4Header,
    /// At the first byte, as raw IPv6 sockets have it.
    AtOnce,
}

/// Keeps the whole packet; the kernel cuts at the packet's own length.
const ACCEPT: u32 = u32::MAX;
/// Scratch places of the filter machine.
const VRID: u32 = 0;
const BIT: u32 = 1;

/// Classic BPF that accepts messages whose second byte is in `set`. The cost
/// does not depend on how many there are: the word is found by its number, the
/// id by its bit.
pub(crate) fn program(start: Start, set: &VridSet) -> Vec<sock_filter> {
    let mut code = match start {
        Start::BehindIpv4Header => vec![
            op(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0),
            op(libc::BPF_LD | libc::BPF_B | libc::BPF_IND, 1),
        ],
        Start::AtOnce => vec![op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 1)],
    };
    code.extend([
        op(libc::BPF_ST, VRID),
        op(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 31),
        op(libc::BPF_MISC | libc::BPF_TAX, 0),
        op(libc::BPF_LD | libc::BPF_IMM, 1),
        op(libc::BPF_ALU | libc::BPF_LSH | libc::BPF_X, 0),
        op(libc::BPF_ST, BIT),
        op(libc::BPF_LD | libc::BPF_MEM, VRID),
        op(libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K, 5),
    ]);
    for (number, word) in (0_u32..).zip(set.words) {
        if word != 0 {
            code.extend([
                jump(libc::BPF_JEQ, number, 0, 4),
                op(libc::BPF_LD | libc::BPF_MEM, BIT),
                jump(libc::BPF_JSET, word, 0, 1),
                op(libc::BPF_RET | libc::BPF_K, ACCEPT),
                op(libc::BPF_RET | libc::BPF_K, 0),
            ]);
        }
    }
    code.push(op(libc::BPF_RET | libc::BPF_K, 0));
    code
}

fn op(code: u32, k: u32) -> sock_filter {
    jump_op(code, k, 0, 0)
}

fn jump(test: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    jump_op(libc::BPF_JMP | test | libc::BPF_K, k, jt, jf)
}

fn jump_op(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    let code = u16::try_from(code).expect("operation codes have at most 16 bits");
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program of the operations above as the kernel would.
    fn accepts(program: &[sock_filter], packet: &[u8]) -> bool {
        let (mut a, mut x, mut memory, mut at) = (0_u32, 0_u32, [0_u32; 16], 0);
        loop {
            let step = program[at];
            at += 1;
            match u32::from(step.code) {
                0xb1 => x = u32::from(packet[step.k as usize] & 15) * 4,
                0x50 => match packet.get((x + step.k) as usize) {
                    Some(byte) => a = (*byte).into(),
                    None => return false,
                },
                0x30 => match packet.get(step.k as usize) {
                    Some(byte) => a = (*byte).into(),
                    None => return false,
                },
                0x02 => memory[step.k as usize] = a,
                0x54 => a &= step.k,
                0x07 => x = a,
                0x00 => a = step.k,
                0x6c => a <<= x,
                0x60 => a = memory[step.k as usize],
                0x74 => a >>= step.k,
                0x15 => at += usize::from(if a == step.k { step.jt } else { step.jf }),
                0x45 => at += usize::from(if a & step.k != 0 { step.jt } else { step.jf }),
                0x06 => return step.k != 0,
                other => panic!("unexpected operation {other:#x}"),
            }
        }
    }

    #[test]
    fn accepts_exactly_the_set() {
        for set in [vec![], vec![1], vec![1, 2, 31, 32, 33, 63, 64, 200, 255], (1..=255).collect()]
        {
            let set: VridSet = set.into_iter().collect();
            let behind = program(Start::BehindIpv4Header, &set);
            let at_once = program(Start::AtOnce, &set);
            for vrid in 0..=255 {
                let mut packet = [0_u8; 40];
                (packet[0], packet[25]) = (0x46, vrid);
                assert_eq!(accepts(&behind, &packet), set.contains(vrid), "v4 {vrid}");
                assert_eq!(accepts(&at_once, &[0x31, vrid, 0]), set.contains(vrid), "v6 {vrid}");
            }
        }
    }

    #[test]
    fn drops_what_is_too_short() {
        let set: VridSet = (0..=255).collect();
        assert!(!accepts(&program(Start::AtOnce, &set), &[0x31]));
        assert!(!accepts(&program(Start::BehindIpv4Header, &set), &[0x45; 21]));
    }
}
