import Foundation
import LabHarness
import Synchronization
import Testing

/// Hosts with daemons, and nodes on them that do nothing but discover.
final class Neighbourhood: Sendable {
    private struct State {
        var hosts: [String: LabHost] = [:]
        var buses: [String: LabProcess] = [:]
        var daemons: [String: LabProcess] = [:]
    }

    static let obstacle = Lab.obstacle(tools: ["dbus-daemon", "avahi-daemon"])
    static let skipped = Comment(rawValue: obstacle ?? "")

    private let lab: Lab
    private let state = Mutex(State())

    /// On the hosts named, D-Bus and Avahi run and are ready.
    init(_ names: [String]) async throws {
        lab = try Lab()
        for name in names {
            try add(name)
            try startBus(on: name)
            try startAvahi(on: name)
        }
        for name in names {
            let daemon = state.withLock { $0.daemons[name] }
            try await daemon?.line("it is ready") { $0.hasPrefix("Server startup complete") }
        }
    }

    /// A host without daemons.
    func add(_ name: String) throws {
        let host = try lab.host(name)
        state.withLock { $0.hosts[name] = host }
    }

    subscript(name: String) -> LabHost {
        get throws {
            guard let host = state.withLock({ $0.hosts[name] }) else { throw LabError("no host \(name)") }
            return host
        }
    }

    func node(_ number: Int, _ name: String, on host: String) throws -> LabProcess {
        try self[host].start(Neighbourhood.program, "\(number)", name)
    }

    func startBus(on name: String) throws {
        let bus = try self[name].startBus()
        state.withLock { $0.buses[name] = bus }
    }

    func startAvahi(on name: String, hostName: String? = nil) throws {
        let daemon = try self[name].startAvahi(hostName: hostName)
        state.withLock { $0.daemons[name] = daemon }
    }

    func stopAvahi(on name: String, _ signal: String) throws { try state.withLock { $0.daemons[name] }?.finish(signal) }

    /// Holds a host's daemon up once one of those named has given up its name.
    ///
    /// Daemons that notice a conflict in the same moment, as two that were started together may, take the same new name in step, over and
    /// over: no two hosts keep in step for long, but here they do.
    func delayAvahi(on name: String, afterRenaming hosts: [String]) async throws {
        let (held, renaming) = state.withLock { state in (state.daemons[name], hosts.compactMap { state.daemons[$0] }) }
        let deadline = ContinuousClock.now + .seconds(15)
        while !renaming.contains(where: { $0.lines.contains { $0.hasPrefix("Host name conflict") } }) {
            guard ContinuousClock.now < deadline else { throw LabError("no host of \(hosts) gave up its name") }
            try await Task.sleep(for: .milliseconds(20))
        }
        try held?.signal("STOP")
        try await Task.sleep(for: .milliseconds(1500))
        try held?.signal("CONT")
    }

    func stopBus(on name: String, _ signal: String) throws { try state.withLock { $0.buses[name] }?.finish(signal) }

    /// How many files and sockets a process has open.
    func descriptors(of process: LabProcess, on name: String) throws -> Int {
        try self[name].run("ls", "/proc/\(process.pid)/fd").split(separator: "\n").count
    }

    /// The probe, which is built beside the tests.
    private static let program: String = {
        let places = CommandLine.arguments + ["/proc/self/exe"]
        for place in places {
            let beside = URL(fileURLWithPath: place).resolvingSymlinksInPath().deletingLastPathComponent()
                .appendingPathComponent("DiscoveryProbe").path
            if FileManager.default.isExecutableFile(atPath: beside) { return beside }
        }
        return FileManager.default.currentDirectoryPath + "/.build/release/DiscoveryProbe"
    }()
}

extension String {
    /// A probe's lines begin with the milliseconds since its start.
    var milliseconds: Int { split(separator: " ").first.flatMap { Int($0) } ?? .max }

    /// Whether what follows the time begins so.
    func says(_ words: String) -> Bool { drop { $0 != " " }.dropFirst().hasPrefix(words) }

    /// Whether it is about a node.
    func mentions(_ number: Int) -> Bool {
        ["appeared", "changed"].contains { says("\($0) \(number) ") } || says("gone \(number)")
    }

    func between(_ start: String, _ end: String) -> String {
        guard let from = range(of: start), let to = self[from.upperBound...].range(of: end) else { return "" }
        return String(self[from.upperBound..<to.lowerBound])
    }
}

extension LabProcess {
    /// Waits until what it has written so far `isAsWanted`.
    func eventually(_ what: String, within seconds: Double = 15, _ isAsWanted: ([String]) -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while !isAsWanted(lines) {
            guard ContinuousClock.now < deadline else {
                throw LabError("not within \(seconds) s that \(what):\n\(lines.joined(separator: "\n"))")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}

extension LabHost {
    /// The index of the host's interface.
    var interface: String {
        get throws { String(try run("ip", "-oneline", "link", "show", "eth0").prefix { $0 != ":" }) }
    }

    /// Whether an address with its interface, as `[fe80::1%2]:7000`, leads to a host: one that refuses a connection where nobody listens.
    func canReach(_ address: Substring) throws -> Bool {
        let parts = address.drop { $0 == "[" }.prefix { $0 != "]" }.split(separator: "%")
        guard parts.count == 2 else { return false }
        let script = """
            import errno, socket; probe = socket.socket(socket.AF_INET6); probe.settimeout(3); \
            print(probe.connect_ex(("\(parts[0])", 9, 0, \(parts[1]))) == errno.ECONNREFUSED)
            """
        return try run("python3", "-c", script) == "True"
    }
}
