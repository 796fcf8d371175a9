//! The fuzz target's checks on frames and requests that are nearly right, from a fixed seed.

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::websocket_checks::{check_frames, check_upgrade};

/// xorshift64*: the same cases in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

fn frames(random: &mut Random) -> Vec<u8> {
    let mut bytes = vec![random.below(256) as u8, random.below(256) as u8];
    let mut in_message = false;
    for _ in 0..random.below(12) {
        let (opcode, length) = match random.below(20) {
            0 => (OpCode::Data(Data::Text), 3),
            1 => (OpCode::Control(Control::Close), 2),
            2 => (OpCode::Data(Data::Binary), 5000),
            3 | 4 => (OpCode::Control(Control::Pong), random.below(126)),
            5..8 => (OpCode::Control(Control::Ping), random.below(126)),
            _ if in_message => (OpCode::Data(Data::Continue), random.below(300)),
            _ => (OpCode::Data(Data::Binary), random.below(300)),
        };
        let is_data = matches!(opcode, OpCode::Data(_));
        let is_final = !is_data || random.below(3) > 0;
        in_message = if is_data { !is_final } else { in_message };
        let mask = Some((random.below(1 << 31) as u32).to_ne_bytes());
        let header = FrameHeader { is_final, opcode, mask, ..FrameHeader::default() };
        header.format(length, &mut bytes).unwrap();
        bytes.extend((0..length).map(|_| random.below(256) as u8));
    }
    bytes
}

fn damaged(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    if random.below(2) == 0 && bytes.len() > 2 {
        let at = random.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << random.below(8);
    }
    if random.below(4) == 0 {
        bytes.truncate(random.below(bytes.len() as u64 + 1) as usize);
    }
    bytes
}

#[test]
fn frames_come_out_the_same_however_they_are_cut_and_as_tungstenite_reads_them() {
    let mut random = Random(0x6d71_7474);
    for _ in 0..5_000 {
        let bytes = frames(&mut random);
        check_frames(&damaged(bytes, &mut random));
    }
}

#[test]
fn requests_are_answered_the_same_however_they_are_cut() {
    let mut random = Random(0x6874_7470);
    for _ in 0..1_000 {
        let mut request = vec![random.below(256) as u8];
        request.extend_from_slice(crate::websocket::REQUEST.as_bytes());
        check_upgrade(&damaged(request, &mut random));
    }
}
