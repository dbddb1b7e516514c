import Foundation
internal import Glibc
import Testing

/// A node's home, and the program run on it.
struct Home {
    let path: String
    /// Put before the program's own path, as in `setpriv --reuid=…`.
    var prefix: [String] = []
    var extraEnvironment: [String: String] = [:]

    /// The binary beside the test bundle.
    static let program: String = {
        if let given = environmentText("BAKARE_TEST_PROGRAM") { return given }
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let own = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        for candidate in [URL(fileURLWithPath: own), URL(fileURLWithPath: CommandLine.arguments[0])] {
            let path = candidate.deletingLastPathComponent().appendingPathComponent("bakare-node").path
            if access(path, X_OK) == 0 { return path }
        }
        // The runner is the toolchain's own where tests are loaded from a bundle: its path is among the arguments.
        for argument in CommandLine.arguments where argument.hasSuffix(".xctest") {
            let path = URL(fileURLWithPath: argument).deletingLastPathComponent().appendingPathComponent("bakare-node").path
            if access(path, X_OK) == 0 { return path }
        }
        return ".build/release/bakare-node"
    }()

    init(_ path: String) { self.path = path }

    /// A new home; `settings` becomes its bakare.toml.
    static func make(_ path: String, settings: String = "") throws -> Home {
        let home = Home(path)
        try home.succeed("init")
        try home.configure(settings)
        return home
    }

    /// A home of the user `nobody` in `user/`; the program is run as that user, without any of root's capabilities.
    static func ofNobody(in scratch: Scratch) throws -> Home {
        try scratch.makeFolder("user")
        try scratch.folder.setOwner(Bytes("user".utf8), 65534, 65534)
        // The program's own path may be out of that user's reach. Copied by a child: a descriptor open for writing here would
        // be inherited by the children of tests that run beside this one, and a file that is open so cannot be run.
        let copy = try Running(["/bin/cp", program, scratch.path("program")].map { Bytes($0.utf8) }, environment: [:])
        guard try copy.finish(timeoutSeconds: 60).code == 0 else { throw TestFailure("cannot copy the program") }
        try scratch.folder.setMode(Bytes("program".utf8), 0o755)
        var home = Home(scratch.path("user/home"))
        home.prefix = [
            "/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/bin/sh", "-c",
            "shift; exec \(scratch.path("program")) \"$@\"", "sh",
        ]
        try home.succeed("init")
        return home
    }

    func configure(_ settings: String) throws {
        try Data(settings.utf8).write(to: URL(fileURLWithPath: path + "/bakare.toml"))
    }

    func start(bytes arguments: [Bytes]) throws -> Running {
        var environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": path, "LC_ALL": "C.UTF-8", "BAKARE_HOME": path]
        environment.merge(extraEnvironment) { $1 }
        let words = (prefix + [Home.program]).map { Bytes($0.utf8) }
        return try Running(words + arguments, environment: environment)
    }

    func start(_ arguments: String...) throws -> Running { try start(bytes: arguments.map { Bytes($0.utf8) }) }

    func run(bytes arguments: [Bytes], timeoutSeconds: Double = 120) throws -> Outcome {
        try start(bytes: arguments).finish(timeoutSeconds: timeoutSeconds)
    }

    func run(_ arguments: [String], timeoutSeconds: Double = 120) throws -> Outcome {
        try run(bytes: arguments.map { Bytes($0.utf8) }, timeoutSeconds: timeoutSeconds)
    }

    func run(_ arguments: String...) throws -> Outcome { try run(arguments) }

    /// Runs, and throws unless it exits with the code.
    @discardableResult
    func expect(_ code: Int, _ arguments: [String], timeoutSeconds: Double = 120) throws -> Outcome {
        let outcome = try run(arguments, timeoutSeconds: timeoutSeconds)
        if outcome.code != code {
            throw TestFailure("\(arguments.joined(separator: " ")): wanted exit \(code), got \(outcome.summary)")
        }
        return outcome
    }

    @discardableResult
    func succeed(_ arguments: String...) throws -> Outcome { try expect(0, arguments) }

    /// Backs up, and gives the snapshot's id.
    @discardableResult
    func backup(_ paths: String..., options: [String] = []) throws -> String {
        let report = try expect(0, ["backup", "--json"] + options + paths).object()
        guard let id = report["snapshot"] as? String else { throw TestFailure("backup gave no snapshot: \(report)") }
        return id
    }

    /// The ids of all snapshots, as listed.
    func snapshots() throws -> [String] {
        try succeed("snapshots", "--json").array().compactMap { $0["id"] as? String }
    }

    /// Restores all of a snapshot into a folder of its own.
    @discardableResult
    func restore(_ snapshot: String, to target: String, options: [String] = []) throws -> Outcome {
        try expect(0, ["restore", snapshot, "--target", target] + options)
    }

    /// Frees all that nothing references, now.
    @discardableResult
    func sweep() throws -> Outcome { try succeed("sweep", "--json") }

    /// The one vault's folder.
    func vault() throws -> String {
        let owners = try Folder(path + "/vault").names()
        guard owners.count == 1, let owner = owners.first else { throw TestFailure("not one vault but \(owners.map(shown))") }
        return path + "/vault/" + String(decoding: owner, as: UTF8.self)
    }

    /// All regular files below a folder of the vault, by path.
    func vaultFiles(_ name: String) throws -> [String] { regularFiles(below: try vault() + "/" + name) }
}

/// All regular files below a folder, by path, in order; none if there is no such folder.
func regularFiles(below path: String) -> [String] {
    guard let folder = try? Folder(path), let names = try? folder.names() else { return [] }
    var files: [String] = []
    for name in names {
        let inner = path + "/" + String(decoding: name, as: UTF8.self)
        guard let mode = try? folder.status(name).mode else { continue }
        if mode & UInt32(S_IFMT) == UInt32(S_IFDIR) { files += regularFiles(below: inner) }
        if mode & UInt32(S_IFMT) == UInt32(S_IFREG) { files.append(inner) }
    }
    return files
}
