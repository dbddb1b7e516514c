import BackupFormat
import Discovery

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
