package import BackupFormat
internal import Glibc
internal import Synchronization

/// A program that runs beside this one. Its standard input and output are nothing; what it says on standard error goes where this
/// process's does. It has a process group of its own, so that a Ctrl-C meant for this process does not reach it.
package final class ChildProcess: Sendable {
    private let pid: pid_t
    /// Nil while it runs, as far as is known.
    private let status = Mutex<Int32?>(nil)

    /// Starts `program` with `arguments`, which do not name it again. Nil when the system cannot.
    package init?(_ program: RawPath, _ arguments: [[UInt8]]) {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Signals that this process takes on a thread of its own must reach the other as usual.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))
        var words: [UnsafeMutablePointer<CChar>?] = ([program.bytes] + arguments).map { bytes in
            let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
            for (index, byte) in bytes.enumerated() { copy[index] = CChar(bitPattern: byte) }
            copy[bytes.count] = 0
            return copy
        }
        defer { for word in words { word?.deallocate() } }
        words.append(nil)
        var pid: pid_t = 0
        guard let path = words[0], posix_spawn(&pid, path, &actions, &attributes, words, environ) == 0 else {
            return nil
        }
        self.pid = pid
    }

    deinit { if status.withLock({ $0 == nil }) { kill(pid, SIGTERM) } }

    /// Asks it to end, as a service manager does.
    package func terminate() { status.withLock { if $0 == nil { kill(pid, SIGTERM) } } }

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
