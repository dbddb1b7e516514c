package import BackupFormat
internal import CLinux
internal import Glibc
internal import Synchronization

/// A program that runs beside this one. Its standard input is nothing; what it says goes where ``Output`` has it. It has a process group
/// of its own, so that a Ctrl-C meant for this process does not reach it.
package final class ChildProcess: Sendable {
    /// What becomes of what it says.
    package enum Output: Sendable {
        /// Standard output is dropped; standard error goes where this process's does.
        case dropped
        /// Standard output is for ``read()``; standard error goes where this process's does.
        case standard
        /// Both are for ``read()``.
        case both
    }

    private let pid: pid_t
    private let pipe: OwnedDescriptor?
    /// Nil while it runs, as far as is known.
    private let status = Mutex<Int32?>(nil)

    /// Starts `program` with `arguments`, which do not name it again. Nil when the system cannot.
    ///
    /// `program` is looked for in `PATH` if there is no slash in it. `variables` (`NAME=value`) come on top of this process's.
    package init?(
        _ program: RawPath, _ arguments: [[UInt8]], variables: [[UInt8]] = [], output: Output = .dropped
    ) {
        var ends: (Int32, Int32) = (-1, -1)
        if output != .dropped {
            guard linux_pipe(&ends.0, &ends.1) == 0 else { return nil }
        }
        pipe = output == .dropped ? nil : OwnedDescriptor(ends.0)
        defer { if ends.1 >= 0 { close(ends.1) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        if output == .dropped {
            posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        } else {
            posix_spawn_file_actions_adddup2(&actions, ends.1, 1)
            if output == .both { posix_spawn_file_actions_adddup2(&actions, ends.1, 2) }
        }
        // The rest is this process's own: a socket that listens, kept by a backup that outlives the node, would keep its address as well.
        guard linux_close_in_child(&actions, 3) == 0 else { return nil }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Signals that this process takes on a thread of its own must reach the other as usual.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))
        let words = terminated([program.bytes] + arguments)
        let names = Set(variables.map { $0.prefix { $0 != 0x3d } })
        let kept = currentEnvironment().filter { !names.contains($0.prefix { $0 != 0x3d }) }
        let environment = terminated(kept + variables)
        defer { for word in words + environment { word?.deallocate() } }
        var pid: pid_t = 0
        guard let path = words[0], posix_spawnp(&pid, path, &actions, &attributes, words, environment) == 0 else { return nil }
        self.pid = pid
    }

    deinit { if status.withLock({ $0 == nil }) { kill(pid, SIGTERM) } }

    /// Asks it to end, as a service manager does.
    package func terminate() { status.withLock { if $0 == nil { kill(pid, SIGTERM) } } }

    /// Ends it, and all that it has started in its group, whether they want it or not.
    package func killGroup() { status.withLock { if $0 == nil { kill(-pid, SIGKILL) } } }

    /// What it has said since this was asked last, at most 64 KiB; empty if that is nothing, never waits.
    package func read() -> [UInt8] {
        guard let pipe else { return [] }
        return [UInt8](unsafeUninitializedCapacity: 64 << 10) { buffer, used in
            used = Int(max(0, linux_read(pipe.number, buffer.baseAddress, buffer.count)))
        }
    }

    /// Its exit code, or 128 and the signal that ended it; nil while it runs. To be asked until it has ended, or the system keeps its number.
    package func poll() -> Int32? {
        status.withLock { status in
            if status != nil { return status }
            var raw: Int32 = 0
            let result = waitpid(pid, &raw, WNOHANG)
            guard result == pid || (result < 0 && errno == ECHILD) else { return nil }
            status = raw & 0x7f == 0 ? raw >> 8 & 0xff : 128 + raw & 0x7f
            return status
        }
    }
}

private func terminated(_ texts: [[UInt8]]) -> [UnsafeMutablePointer<CChar>?] {
    texts.map { bytes in
        let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
        for (index, byte) in bytes.enumerated() { copy[index] = CChar(bitPattern: byte) }
        copy[bytes.count] = 0
        return copy
    } + [nil]
}

private func currentEnvironment() -> [[UInt8]] {
    var found: [[UInt8]] = []
    var next = environ
    while let text = next.pointee {
        found.append(Array(UnsafeRawBufferPointer(start: text, count: strlen(text))))
        next += 1
    }
    return found
}
