// A network of hosts in namespaces, for tests of what only real daemons and real links show. The script `lab` beside this file does
// the work; this is how tests in Swift speak to it. Nothing of a lab outlives it, or the test's process.

import Foundation
internal import Glibc
internal import Synchronization

/// Why a test of the lab cannot go on.
package struct LabError: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// A switch, and hosts that are plugged into it.
package final class Lab: Sendable {
    private struct Shell {
        let process: Process
        let commands: FileHandle
        let answers: FileHandle
        var unread = Data()
        var logs = 0
    }

    private let shell: Mutex<Shell>
    /// Where outputs of processes are kept while the lab exists.
    private let folder: URL

    /// What keeps labs from being made here, if anything; `tools` are programs that its tests need besides.
    package static func obstacle(tools: [String] = []) -> String? {
        guard geteuid() == 0 else { return "needs root, to make network namespaces" }
        for tool in ["unshare", "nsenter", "ip"] + tools {
            let places = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
            guard places.contains(where: { access("\($0)/\(tool)", X_OK) == 0 }) else { return "needs \(tool): make deps" }
        }
        do { _ = try Lab() } catch { return "cannot make network namespaces: \(error)" }
        return nil
    }

    package init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("bakare-lab-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let process = Process()
        let commands = Pipe()
        let answers = Pipe()
        process.executableURL = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("lab")
        process.standardInput = commands
        process.standardOutput = answers
        try process.run()
        shell = Mutex(
            Shell(process: process, commands: commands.fileHandleForWriting, answers: answers.fileHandleForReading))
        try tell(["true"])
    }

    deinit {
        shell.withLock {
            try? $0.commands.close()
            $0.process.waitUntilExit()
        }
        try? FileManager.default.removeItem(at: folder)
    }

    /// A new host, connected to the switch. The first has the address 10.77.0.1, the second 10.77.0.2, and so on.
    package func host(_ name: String) throws -> LabHost {
        try tell(["host", name])
        return LabHost(lab: self, name: name)
    }

    /// Has the script run a command; gives what that printed, and throws if it failed. Words must not hold line ends.
    @discardableResult
    func tell(_ words: [String]) throws -> String {
        let line = words.map { "'" + $0.replacing("'", with: "'\\''") + "'" }.joined(separator: " ")
        guard !line.contains("\n") else { throw LabError("more than one line: \(line)") }
        return try shell.withLock { shell in
            try shell.commands.write(contentsOf: Data((line + "\n").utf8))
            var answer: [Substring] = []
            while true {
                while let end = shell.unread.firstIndex(of: 0x0a) {
                    let text = String(decoding: shell.unread[..<end], as: UTF8.self)
                    shell.unread = Data(shell.unread[(end + 1)...])
                    guard text.hasPrefix("lab-status ") else {
                        answer.append(Substring(text))
                        continue
                    }
                    let output = answer.joined(separator: "\n").trimmingCharacters(in: .newlines)
                    guard text == "lab-status 0" else { throw LabError("\(line): \(text): \(output)") }
                    return output
                }
                let more = shell.answers.availableData
                guard !more.isEmpty else { throw LabError("\(line): the lab has ended") }
                shell.unread += more
            }
        }
    }

    /// A new file for a process's output.
    func newLog() -> String {
        shell.withLock {
            $0.logs += 1
            return folder.appendingPathComponent("\($0.logs).log").path
        }
    }
}

/// One machine of a lab.
package struct LabHost: Sendable {
    let lab: Lab
    package let name: String

    /// Runs a command to its end, and gives what it printed.
    @discardableResult
    package func run(_ command: String...) throws -> String { try lab.tell(["run", name] + command) }

    /// Starts a command that goes on beside the test.
    package func start(_ command: String...) throws -> LabProcess { try start(command: command) }

    package func start(command: [String]) throws -> LabProcess {
        let log = lab.newLog()
        return try LabProcess(lab: lab, pid: lab.tell(["start", name, log] + command), log: log)
    }

    package func startBus() throws -> LabProcess {
        let log = lab.newLog()
        return try LabProcess(lab: lab, pid: lab.tell(["bus", name, log]), log: log)
    }

    /// Needs a bus. Has a name on the network, `hostName` or the host's own, and answers, a second or two later.
    package func startAvahi(hostName: String? = nil) throws -> LabProcess {
        let log = lab.newLog()
        return try LabProcess(lab: lab, pid: lab.tell(["avahi", name, log, hostName ?? name]), log: log)
    }

    /// Plugs the cable to the switch in or out.
    package func plug(in isIn: Bool) throws { try lab.tell(["link", name, isIn ? "up" : "down"]) }
}

/// A process on a host. It ends with the lab at the latest.
package struct LabProcess: Sendable {
    let lab: Lab
    /// As the lab's own processes see it.
    package let pid: String
    let log: String

    /// What it has written so far, to both outputs, in whole lines.
    package var lines: [String] {
        let text = (try? String(decoding: Data(contentsOf: URL(fileURLWithPath: log)), as: UTF8.self)) ?? ""
        return text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    /// Sends a signal, as `STOP`.
    package func signal(_ name: String) throws { try lab.tell(["kill", "-s", name, pid]) }

    /// Sends a signal and waits for the end; gives the exit status as a shell does.
    @discardableResult
    package func finish(_ signal: String = "TERM") throws -> Int {
        let answer = try lab.tell(["finish", pid, signal])
        guard let status = answer.split(separator: "\n").last.flatMap({ Int($0) }) else { throw LabError("finish: \(answer)") }
        return status
    }

    /// Whether it has not ended yet.
    package var isRunning: Bool { (try? lab.tell(["kill", "-s", "0", pid])) != nil }

    /// Waits for the end that it comes to by itself; gives the exit status as a shell does.
    package func end(within seconds: Double) async throws -> Int {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while isRunning {
            guard ContinuousClock.now < deadline else {
                throw LabError("no end within \(seconds) s:\n\(lines.joined(separator: "\n"))")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
        return try finish("CONT")
    }

    /// Waits for a line, after the first `skipping`, that `isWanted`.
    @discardableResult
    package func line(
        _ what: String, after skipping: Int = 0, within seconds: Double = 15, where isWanted: (String) -> Bool
    ) async throws -> String {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while true {
            if let line = lines.dropFirst(skipping).first(where: isWanted) { return line }
            guard ContinuousClock.now < deadline else {
                throw LabError("no line within \(seconds) s that says \(what):\n\(lines.joined(separator: "\n"))")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
