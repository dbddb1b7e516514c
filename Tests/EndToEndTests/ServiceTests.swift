import Foundation
internal import Glibc
import Testing

/// The socket on which a service manager hears of a service.
private final class NoticeSocket {
    /// As `NOTIFY_SOCKET` has it: a path, or a name in no folder, which begins with `@`.
    let name: String
    private let descriptor: Int32

    init(_ name: String) throws {
        self.name = name
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        guard descriptor >= 0, fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 else { throw TestFailure("no socket") }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let isPath = name.hasPrefix("/")
        let bytes: Bytes = isPath ? Bytes(name.utf8) + [0] : [0] + Bytes(name.utf8.dropFirst())
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let result = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        guard result == 0 else { throw TestFailure("cannot bind \(name)") }
    }

    deinit { close(descriptor) }

    /// The lines of the next message; none if it does not come in time.
    func next(within seconds: Double) -> [String] {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&waiting, 1, Int32(seconds * 1000)) > 0 else { return [] }
        var buffer = Bytes(repeating: 0, count: 4096)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self).split(separator: "\n").map(String.init)
    }
}

/// A unit file: the values of each setting, as `Service.Type`, in order.
private struct UnitFile {
    let name: String
    let text: String
    private(set) var settings: [String: [String]] = [:]

    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..").standardized

    /// All of configs/.
    static func all() throws -> [UnitFile] {
        let folder = root.appendingPathComponent("configs").path
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".service") }.sorted()
        return try names.map { UnitFile($0, try String(contentsOfFile: "\(folder)/\($0)", encoding: .utf8)) }
    }

    init(_ name: String, _ text: String) {
        self.name = name
        self.text = text
        var section = ""
        for line in text.split(separator: "\n") where !line.hasPrefix("#") && !line.hasPrefix(";") {
            if line.hasPrefix("[") {
                section = String(line.dropFirst().prefix(while: { $0 != "]" }))
            } else if let sign = line.firstIndex(of: "=") {
                settings["\(section).\(line[..<sign])", default: []].append(String(line[line.index(after: sign)...]))
            }
        }
    }

    /// The words of its command line.
    func command() throws -> [String] {
        guard let lines = settings["Service.ExecStart"], lines.count == 1 else { throw TestFailure("\(name): not one ExecStart") }
        return lines[0].split(separator: " ").map(String.init)
    }
}

private func run(_ words: String...) throws -> Outcome {
    try Running(words.map { Bytes($0.utf8) }, environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"])
        .finish(timeoutSeconds: 60)
}

@Suite("As a service of systemd") struct ServiceTests {
    @Test("start tells that it is ready once it listens, and that it stops; other commands tell nothing", arguments: ["/", "@"])
    func notices(_ kind: String) throws {
        let scratch = try Scratch()
        defer { withExtendedLifetime(scratch) {} }
        let path = scratch.path("notices")
        let notices = try NoticeSocket(kind == "/" ? path : "@\(path)")
        var home = try Home.make(scratch.path("home"))
        home.extraEnvironment["NOTIFY_SOCKET"] = notices.name
        let node = try RunningNode(home)
        let ready = notices.next(within: 10)
        #expect(ready.contains("READY=1"), "\(ready)")
        #expect(ready.contains { $0.hasPrefix("STATUS=") && $0.contains(node.address) }, "\(ready)")
        try home.succeed("status")
        try home.succeed("peers")
        #expect(notices.next(within: 0.2) == [])
        #expect(try node.stop().code == 0)
        #expect(notices.next(within: 10).contains("STOPPING=1"))
        #expect(notices.next(within: 0.1) == [])
    }

    @Test("a start that fails never says that it is ready, and one that nobody listens to runs all the same")
    func notReady() throws {
        let scratch = try Scratch()
        defer { withExtendedLifetime(scratch) {} }
        let notices = try NoticeSocket(scratch.path("notices"))
        var first = try Home.make(scratch.path("first"))
        first.extraEnvironment["NOTIFY_SOCKET"] = scratch.path("nobody")
        let node = try RunningNode(first)
        var second = try Home.make(scratch.path("second"))
        second.extraEnvironment["NOTIFY_SOCKET"] = notices.name
        #expect(try second.run("start", "--no-discovery", "--listen", node.address).code == 1)
        #expect(notices.next(within: 0.2) == [])
        #expect(try node.stop().code == 0)
    }

    /// What a hardened unit has, with the value of each.
    private static let wanted = [
        "Service.Type": "notify", "Service.Restart": "on-failure", "Service.UMask": "0077",
        "Service.StateDirectory": "bakare", "Service.StateDirectoryMode": "0700",
        "Service.ConfigurationDirectory": "bakare", "Service.ConfigurationDirectoryMode": "0700",
        "Service.CapabilityBoundingSet": "CAP_DAC_READ_SEARCH", "Service.AmbientCapabilities": "",
        "Service.NoNewPrivileges": "yes", "Service.ProtectSystem": "strict", "Service.ProtectHome": "read-only",
        "Service.PrivateTmp": "yes", "Service.PrivateDevices": "yes", "Service.ProtectClock": "yes",
        "Service.ProtectControlGroups": "yes", "Service.ProtectHostname": "yes", "Service.ProtectKernelLogs": "yes",
        "Service.ProtectKernelModules": "yes", "Service.ProtectKernelTunables": "yes", "Service.RestrictNamespaces": "yes",
        "Service.RestrictRealtime": "yes", "Service.RestrictSUIDSGID": "yes", "Service.LockPersonality": "yes",
        "Service.MemoryDenyWriteExecute": "yes", "Service.SystemCallArchitectures": "native",
        "Service.SystemCallErrorNumber": "EPERM", "Install.WantedBy": "multi-user.target",
    ]

    @Test("the unit is hardened: it reads all files, writes its own, speaks by sockets, and has the memory that it plans with")
    func hardening() throws {
        let units = try UnitFile.all()
        #expect(units.map(\.name) == ["bakare-node.service"])
        for unit in units {
            for (key, value) in ServiceTests.wanted {
                #expect(unit.settings[key] == [value], "\(unit.name): \(key) is \(unit.settings[key] ?? [])")
            }
            let families = unit.settings["Service.RestrictAddressFamilies"]?.flatMap { $0.split(separator: " ").map(String.init) }
            #expect(Set(families ?? []) == ["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"])
            let filters = unit.settings["Service.SystemCallFilter"] ?? []
            #expect(filters.first?.hasPrefix("@system-service") == true, "\(filters)")
            let denied = filters.filter { $0.hasPrefix("~") }.joined(separator: " ")
            #expect(denied.contains("@privileged") && denied.contains("@resources"), "\(filters)")
            let memory = unit.settings["Service.MemoryMax"]?.first ?? ""
            #expect(memory.hasSuffix("M") && Int(memory.dropLast()) ?? 0 > 256, "more than the default of `memory`: \(memory)")
        }
    }

    @Test("the unit's command line is where `make install` puts the program, and runs as systemd runs it")
    func commandLine() throws {
        let makefile = try String(contentsOf: UnitFile.root.appendingPathComponent("Makefile"), encoding: .utf8)
        let setting = try #require(makefile.split(separator: "\n").first { $0.hasPrefix("PREFIX ?= ") })
        let prefix = setting.dropFirst("PREFIX ?= ".count)
        for unit in try UnitFile.all() {
            let words = try unit.command()
            #expect(words.first == "\(prefix)/bin/bakare-node")
            let arguments = words.dropFirst().map { Bytes($0.utf8) }
            let program = Bytes(Home.program.utf8)
            let help = try Running([program] + arguments + [Bytes("--help".utf8)], environment: [:]).finish()
            #expect(help.code == 0 && help.text.contains("USAGE: bakare-node start"), "\(help.summary)")

            let scratch = try Scratch()
            defer { withExtendedLifetime(scratch) {} }
            try scratch.makeFolder("state")
            func part() -> Int { .random(in: 1...254) }
            let settings = "[peers]\nlisten = \"127.\(part()).\(part()).\(part()):0\"\ndiscovery = false\n"
            try scratch.makeFolder("configuration").write("bakare.toml", settings)
            let notices = try NoticeSocket(scratch.path("notices"))
            let node = try Running(
                [program] + arguments,
                environment: [
                    "PATH": "/usr/bin:/bin", "STATE_DIRECTORY": scratch.path("state"), "NOTIFY_SOCKET": notices.name,
                    "CONFIGURATION_DIRECTORY": scratch.path("configuration"),
                ])
            let ready = notices.next(within: 20)
            #expect(ready.contains("READY=1"), "\(ready): \(node.outputSoFar) \(node.errorsSoFar)")
            #expect(ready.contains { $0.contains("127.") }, "it listens where its configuration says: \(ready)")
            #expect(try Folder(scratch.path("state")).has("keys"))
            node.signal(SIGTERM)
            let outcome = try node.finish(timeoutSeconds: 30)
            #expect(outcome.code == 0, "\(outcome.summary)")
        }
    }

    /// What systemd has to say of a unit, in lines that name it; nil if it cannot read it at all.
    private static func complaints(_ name: String, _ text: String) throws -> [String]? {
        let scratch = try Scratch()
        defer { withExtendedLifetime(scratch) {} }
        try scratch.folder.write(name, text)
        let outcome = try run("/usr/bin/systemd-analyze", "--man=no", "verify", scratch.path(name))
        guard outcome.code == 0 else { return nil }
        return outcome.errorText.split(separator: "\n").map(String.init).filter { $0.contains(name) }
    }

    /// What keeps systemd from being asked here, if anything.
    private static let obstacle: String? = {
        guard access("/usr/bin/systemd-analyze", X_OK) == 0 else { return "needs systemd-analyze" }
        let plain = "[Service]\nExecStart=/bin/true\n"
        return (try? complaints("bakare-plain.service", plain)) == [] ? nil : "systemd-analyze cannot verify a plain unit here"
    }()
    private static var skipped: Comment { "the unit \(obstacle ?? "can be verified")" }

    @Test("systemd finds nothing wrong with the unit", .enabled(if: ServiceTests.obstacle == nil, ServiceTests.skipped))
    func verified() throws {
        let wrong = "[Service]\nExecStart=/bin/true\nNoNewPrivilege=yes\n"
        #expect(try ServiceTests.complaints("bakare-wrong.service", wrong) != [], "a mistyped setting is complained about")
        for unit in try UnitFile.all() {
            let installed = try #require(try unit.command().first)
            let program = URL(fileURLWithPath: Home.program).standardized.path
            let text = unit.text.replacing("ExecStart=\(installed)", with: "ExecStart=\(program)")
            let complaints = try #require(try ServiceTests.complaints(unit.name, text), "it cannot be read")
            // A system call that only later versions know of.
            #expect(complaints.filter { !$0.contains("cachestat") } == [])
        }
    }
}
