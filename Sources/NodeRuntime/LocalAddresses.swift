package import BackupFormat
internal import NIOCore

extension PeerAddress {
    /// Where others may reach a node that listens at `self`: that address, or, for one that means all, those of this machine's network
    /// interfaces, IPv4 first; the loopback address where there are no others. Addresses that only one link knows are left out.
    package var reachable: [PeerAddress] {
        guard host == "::" || host == "0.0.0.0" else { return [self] }
        var hosts: [String] = []
        for device in (try? System.enumerateDevices()) ?? [] {
            guard let host = device.address?.ipAddress, !hosts.contains(host), PeerAddress.isForOthers(host) else { continue }
            if host.contains(":"), self.host == "0.0.0.0" { continue }
            hosts.append(host)
        }
        let (six, four) = (hosts.filter { $0.contains(":") }, hosts.filter { !$0.contains(":") })
        let found = (four + six).map { PeerAddress(host: $0, port: port) }
        return found.isEmpty ? [PeerAddress(host: "127.0.0.1", port: port)] : found
    }

    private static func isForOthers(_ host: String) -> Bool {
        let lower = host.lowercased()
        return !(lower == "::1" || lower.hasPrefix("127.") || lower.hasPrefix("169.254.") || lower.hasPrefix("fe80:"))
    }
}
