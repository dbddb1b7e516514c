internal import BackupFormat
internal import CLinux
internal import Discovery
internal import Glibc

/// A program for tests: announces a node, and prints what discovery tells, a line each, until SIGTERM.
///
/// `DiscoveryProbe NUMBER NAME`: the node's id is NUMBER and 31 zero bytes, its port 7000 + NUMBER. On SIGUSR1 it announces another role
/// and free space.
@main
struct Probe {
    static func main() {
        _ = start
        let arguments = CommandLine.arguments
        guard arguments.count == 3, let number = UInt8(arguments[1]) else { exit(64) }
        var signals = sigset_t()
        sigemptyset(&signals)
        for signal in [SIGUSR1, SIGTERM] { sigaddset(&signals, signal) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)

        let id = DeviceID(Bytes32(words: (UInt64(number) << 56, 0, 0, 0)))
        var announcement = Announcement(
            id: id, port: 7000 + UInt16(number), role: .both, freeBytes: 5 << 30, name: arguments[2])
        let discovery = Discovery(announcement: announcement) { say($0) }
        while true {
            var signal: Int32 = 0
            sigwait(&signals, &signal)
            guard signal == SIGUSR1 else { break }
            announcement.role = .persister
            announcement.freeBytes = 70 << 30
            discovery.update(announcement)
        }
        discovery.stop()
        write("stopped")
        exit(0)
    }
}

private let start = linux_monotonic_nanoseconds()

private func say(_ event: DiscoveryEvent) {
    switch event {
    case .appeared(let peer): write("appeared \(described(peer))")
    case .changed(let peer): write("changed \(described(peer))")
    case .gone(let id): write("gone \(number(id))")
    case .available: write("available")
    case .unavailable(let reason): write("unavailable \(reason)")
    }
}

private func number(_ id: DeviceID) -> UInt64 { id.value.words.0 >> 56 }

private func described(_ peer: DiscoveredPeer) -> String {
    let role = peer.role.map { "\($0)" } ?? "?"
    let free = peer.freeBytes.map { "\($0 >> 30)" } ?? "?"
    return "\(number(peer.id)) role=\(role) free=\(free) proto=\(peer.protocolVersion) name=<\(peer.name)> at "
        + peer.addresses.map { "\($0)" }.joined(separator: " ")
}

/// A line with the milliseconds since the start.
private func write(_ line: String) {
    let bytes = Array("\((linux_monotonic_nanoseconds() - start) / 1_000_000) \(line)\n".utf8)
    _ = Glibc.write(1, bytes, bytes.count)
}
