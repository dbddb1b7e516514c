import BackupFormat
import Glibc
import HostFiles
import Testing

@Suite("Child processes") struct ChildProcessTests {
    private func result(_ script: String, terminating: Bool = false) throws -> Int32 {
        let child = try #require(ChildProcess("/bin/sh", [Array("-c".utf8), Array(script.utf8)]))
        if terminating { child.terminate() }
        for _ in 0..<1000 {
            if let code = child.poll() {
                #expect(child.poll() == code)
                return code
            }
            usleep(10_000)
        }
        child.terminate()
        Issue.record("it did not end")
        return -1
    }

    @Test("the exit code comes back, and that of a signal as 128 and its number")
    func codes() throws {
        #expect(try result("exit 0") == 0)
        #expect(try result("exit 7") == 7)
        #expect(try result("sleep 60", terminating: true) == 128 + SIGTERM)
    }

    @Test("a child has nothing open that this process has: a socket that listens here does not live on in it")
    func nothingInherited() throws {
        // Not to be closed in a child, as the sockets of a library may be.
        let open = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(open) }
        #expect(open > 2 && fcntl(open, F_GETFD) == 0)
        #expect(try result("[ ! -e /proc/$$/fd/\(open) ]") == 0)
    }

    @Test("what is no program gives none")
    func nothing() { #expect(ChildProcess("/nowhere/at/all", []) == nil) }
}
