internal import CLinux
import Foundation
internal import Glibc

/// What a run of the program left.
struct Outcome {
    /// The exit code, or 1000 and the signal that ended it.
    let code: Int
    let output: Bytes
    let errors: Bytes
    let seconds: Double

    var text: String { String(decoding: output, as: UTF8.self) }
    var errorText: String { String(decoding: errors, as: UTF8.self) }
    /// For messages.
    var summary: String { "exit \(code) after \(seconds) s\n\(text.suffix(1500))\n\(errorText.suffix(2500))" }

    func json() throws -> Any {
        do { return try JSONSerialization.jsonObject(with: Data(output), options: [.fragmentsAllowed]) } catch {
            throw TestFailure("not JSON: \(summary)")
        }
    }

    func object() throws -> [String: Any] {
        guard let object = try json() as? [String: Any] else { throw TestFailure("not a JSON object: \(text)") }
        return object
    }

    func array() throws -> [[String: Any]] {
        guard let array = try json() as? [[String: Any]] else { throw TestFailure("not a JSON array of objects: \(text)") }
        return array
    }
}

/// A program that runs. Its output goes to unlinked files, so it never waits for the test.
final class Running {
    let pid: pid_t
    private let output: Int32
    private let errors: Int32
    private let start: UInt64
    private var isReaped = false

    /// `arguments[0]` is the program's path.
    init(_ arguments: [Bytes], environment: [String: String], input: String = "/dev/null") throws {
        output = try Running.unlinkedFile()
        errors = try Running.unlinkedFile()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, errors, 2)
        // A group of its own: a signal meant for it reaches nothing else. No signal stays blocked or ignored.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))

        let variables = environment.map { Bytes("\($0.key)=\($0.value)".utf8) }
        var pid: pid_t = 0
        start = linux_monotonic_nanoseconds()
        let result = withPointers(arguments) { arguments in
            withPointers(variables) { variables in
                arguments[0].map { posix_spawn(&pid, $0, &actions, &attributes, arguments, variables) } ?? EINVAL
            }
        }
        self.pid = pid
        if result != 0 {
            isReaped = true
            throw TestFailure("cannot start \(shown(arguments[0])): \(String(cString: strerror(result)))")
        }
    }

    deinit {
        if !isReaped {
            kill(-pid, SIGKILL)
            waitpid(pid, nil, 0)
        }
        _ = linux_close(output)
        _ = linux_close(errors)
    }

    func signal(_ number: Int32) { kill(pid, number) }

    /// What it has written to stdout so far.
    var outputSoFar: String { String(decoding: (try? contents(output)) ?? [], as: UTF8.self) }

    /// What it has written to stderr so far.
    var errorsSoFar: String { String(decoding: (try? contents(errors)) ?? [], as: UTF8.self) }

    /// The most memory that it has had in use so far, in bytes; 0 once it has ended.
    ///
    /// What the system tells after the end, by `wait4`, would count what this process had when it started the other.
    var residentBytesMax: Int {
        let status = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return (line.flatMap { Int($0.filter(\.isNumber)) } ?? 0) << 10
    }

    /// Whether it ended within the time; it is then waited for by `finish`.
    func endsWithin(seconds: Double) -> Bool {
        let deadline = linux_monotonic_nanoseconds() + UInt64(seconds * 1e9)
        repeat {
            var information = siginfo_t()
            if waitid(P_PID, id_t(pid), &information, WEXITED | WNOHANG | WNOWAIT) == 0, information.si_signo != 0 { return true }
            usleep(500)
        } while linux_monotonic_nanoseconds() < deadline
        return false
    }

    /// Waits for its end; kills it, and throws, when the time is over.
    func finish(timeoutSeconds: Double = 120) throws -> Outcome {
        let inTime = endsWithin(seconds: timeoutSeconds)
        if !inTime { kill(-pid, SIGKILL) }
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        isReaped = true
        let seconds = Double(linux_monotonic_nanoseconds() - start) / 1e9
        let outcome = Outcome(
            code: status & 0x7f == 0 ? Int(status >> 8 & 0xff) : 1000 + Int(status & 0x7f), output: try contents(output),
            errors: try contents(errors), seconds: seconds)
        if !inTime { throw TestFailure("did not end in \(timeoutSeconds) s: \(outcome.summary)") }
        return outcome
    }

    private func contents(_ file: Int32) throws -> Bytes {
        var all: Bytes = []
        var buffer = Bytes(repeating: 0, count: 1 << 16)
        while true {
            let count = Int(try checked(linux_pread_full(file, &buffer, buffer.count, Int64(all.count)), "read output"))
            if count == 0 { return all }
            all += buffer.prefix(count)
        }
    }

    private static func unlinkedFile() throws -> Int32 {
        let place = Bytes("/tmp".utf8)
        return try checked(
            linux_openat(
                linux_AT_FDCWD, place, place.count, linux_O_TMPFILE | linux_O_RDWR | linux_O_APPEND | linux_O_CLOEXEC, 0o600),
            "make a temporary file")
    }
}

/// Calls `body` with the strings as a C array that ends in NULL.
private func withPointers<Result>(
    _ strings: [Bytes], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { bytes in
        let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
        for (index, byte) in bytes.enumerated() { copy[index] = CChar(bitPattern: byte) }
        copy[bytes.count] = 0
        return copy
    }
    defer { for pointer in pointers { pointer?.deallocate() } }
    var withEnd = pointers + [nil]
    pointers = Array(withEnd.dropLast())
    return withEnd.withUnsafeMutableBufferPointer { buffer in
        guard let start = buffer.baseAddress else { preconditionFailure("the array has at least its end") }
        return body(start)
    }
}
