import Foundation
import LabHarness
import Testing

/// Hosts with their daemons, and a folder for the homes of the nodes on them.
final class Household {
    static let obstacle = Lab.obstacle(tools: ["dbus-daemon", "avahi-daemon", "iptables", "ip6tables", "tc"])
    static var skipped: Comment { "the lab \(obstacle ?? "is there")" }

    /// Whether what takes minutes runs as well: `make lab` sets the variable, and `make test` does not.
    static let isLong = ProcessInfo.processInfo.environment["BAKARE_LAB_LONG"] != nil
    static var onlyLong: Comment { "takes minutes: make lab" }

    private let lab: Lab
    private let hosts: [String: LabHost]
    private let daemons: [LabProcess]
    private let folder: URL

    init(_ names: [String]) async throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("bakare-house-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        lab = try Lab()
        var hosts: [String: LabHost] = [:]
        var daemons: [LabProcess] = []
        for name in names {
            let host = try lab.host(name)
            daemons += [try host.startBus(), try host.startAvahi()]
            hosts[name] = host
        }
        self.hosts = hosts
        self.daemons = daemons
        for (index, daemon) in daemons.enumerated() where index % 2 == 1 {
            try await daemon.line("the daemon has its name") { $0.contains("startup complete") }
        }
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    subscript(name: String) -> LabHost {
        guard let host = hosts[name] else { preconditionFailure("no host \(name)") }
        return host
    }

    func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
    func write(_ name: String, _ text: String) throws {
        try text.write(toFile: path(name), atomically: true, encoding: .utf8)
    }

    /// A node's home on a host; `settings` is its table `peers`.
    func member(_ name: String, _ settings: String) throws -> Member {
        try write("\(name).toml", "[peers]\nreserve = \"1MiB\"\n" + settings)
        return Member(host: self[name], home: path("home-\(name)"), settings: path("\(name).toml"))
    }

    func destroy(_ name: String) throws { try FileManager.default.removeItem(atPath: path("home-\(name)")) }

    // MARK: Files

    /// A folder of some files, `bytes` in all, whose content is different each time.
    func makeFiles(_ name: String, bytes: Int = 12_000_000) throws {
        let folder = URL(fileURLWithPath: path(name))
        try FileManager.default.createDirectory(
            at: folder.appendingPathComponent("inner"), withIntermediateDirectories: true)
        for index in 0..<20 { try random(64 + index * 700).write(to: folder.appendingPathComponent("inner/small \(index)")) }
        try random(bytes).write(to: folder.appendingPathComponent("large"))
        try FileManager.default.createSymbolicLink(
            atPath: folder.appendingPathComponent("link").path, withDestinationPath: "inner/small 1")
    }

    func changeFiles(_ name: String) throws {
        let folder = URL(fileURLWithPath: path(name))
        try random(5000).write(to: folder.appendingPathComponent("inner/small 3"))
        try FileManager.default.removeItem(at: folder.appendingPathComponent("inner/small 4"))
        try random(100_000).write(to: folder.appendingPathComponent("inner/new"))
    }

    private func random(_ count: Int) -> Data {
        var random = SystemRandomNumberGenerator()
        var data = Data(capacity: count + 8)
        while data.count < count { withUnsafeBytes(of: random.next()) { data.append(contentsOf: $0) } }
        return data.prefix(count)
    }

    /// Content, modes, owners, times and links, by a program that shares nothing with this one.
    func expectEqual(_ one: String, _ other: String) throws {
        let listings = try [path(one), path(other)].map { root in
            try run(
                "/bin/sh", "-c",
                "cd '\(root)' && find . -printf '%p %m %U %G %T@ %s %l\\n' | sort && find . -type f -exec sha256sum {} + | sort")
        }
        #expect(listings[0] == listings[1])
        #expect(listings[0].contains("small 1"))
    }

    private func run(_ words: String...) throws -> String {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: words[0])
        process.arguments = Array(words.dropFirst())
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }

    func eventually(_ what: String, within seconds: Double = 30, _ isTrue: () throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while !(try isTrue()) {
            guard ContinuousClock.now < deadline else { throw LabError("not within \(seconds) s: \(what)") }
            try await Task.sleep(for: .milliseconds(200))
        }
    }
}

/// One node of a household.
struct Member {
    let host: LabHost
    let home: String
    let settings: String

    /// The binary beside the tests.
    private static let program: String = {
        if let given = ProcessInfo.processInfo.environment["BAKARE_TEST_PROGRAM"] { return given }
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        for place in [own] + CommandLine.arguments {
            let path = URL(fileURLWithPath: place).deletingLastPathComponent().appendingPathComponent("bakare-node").path
            if FileManager.default.isExecutableFile(atPath: path) { return path }
        }
        return ".build/release/bakare-node"
    }()

    private func words(_ command: [String]) -> [String] {
        ["env", "BAKARE_HOME=\(home)", "HOME=\(home)", "LC_ALL=C.UTF-8", Member.program, "--config", settings] + command
    }

    /// Runs a command to its end; what it printed on standard output.
    @discardableResult
    func bakare(_ command: String...) throws -> String { try bakare(command) }

    private func bakare(_ command: [String]) throws -> String {
        let line = words(command).map { "'\($0)'" }.joined(separator: " ")
        // Standard error would stand among the results.
        return try host.run("sh", "-c", "\(line) 2>'\(home).errors' || { cat '\(home).errors'; exit 1; }")
    }

    func json(_ command: String...) throws -> [String: Any] {
        try JSONSerialization.jsonObject(with: Data(try bakare(command).utf8)) as? [String: Any] ?? [:]
    }

    func peers() throws -> [[String: Any]] { try array("peers", "--json") }
    func snapshots() throws -> [[String: Any]] { try array("snapshots", "--json") }

    private func array(_ command: String...) throws -> [[String: Any]] {
        try JSONSerialization.jsonObject(with: Data(try bakare(command).utf8)) as? [[String: Any]] ?? []
    }

    /// A command that goes on beside the test.
    func begin(_ command: [String]) throws -> LabProcess { try host.start(command: words(command)) }

    /// Runs a command that may take long to its end, which has to come in time and to be a good one.
    func complete(_ command: [String], within seconds: Double = 600) async throws {
        let process = try begin(command)
        let status = try await process.end(within: seconds)
        guard status == 0 else {
            throw LabError("\(command) ended with \(status):\n\(process.lines.joined(separator: "\n"))")
        }
    }

    /// The node, once it is ready.
    func start() async throws -> LabProcess {
        let process = try host.start(command: words(["start"]))
        try await process.line("ready") { $0.hasPrefix("ready ") }
        return process
    }
}
