import BackupFormat

import Discovery

/// A deterministic source of test values (SplitMix64): a failing case is replayed by its seed.
struct Choices: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &self) }
    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
}

func device(_ number: Int) -> DeviceID { DeviceID(Bytes32(words: (UInt64(number), 0, 0, 1))) }

func key(_ name: String, interface: Int32 = 2, family: Int32 = 0) -> ServiceKey {
    ServiceKey(interface: interface, addressFamily: family, name: Array(name.utf8), domain: Array("local".utf8))
}

func text(_ strings: [String]) -> [[UInt8]] { strings.map { Array($0.utf8) } }

/// The TXT record of a node.
func text(of number: Int, role: Role = .both, freeBytes: UInt64 = 8 << 30) -> [[UInt8]] {
    text(Announcement(id: device(number), port: 1, role: role, freeBytes: freeBytes, name: "").text)
}

let linkLocal: [UInt8] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]

extension Array where Element == PeerSet.Effect {
    var reports: [DiscoveryEvent] {
        compactMap { if case .report(let event) = $0 { event } else { nil } }
    }
}
