import BackupFormat
import Control
import Foundation
import HostFiles
import Testing

/// A folder of its own, which goes with the test.
private final class TestHome {
    let path: RawPath
    init(depth: Int = 0) throws {
        let base = "/tmp/control-\(UInt64.random(in: 0...UInt64.max))"
        let full = base + String(repeating: "/a-folder-with-quite-a-long-name", count: depth)
        try FileManager.default.createDirectory(atPath: full, withIntermediateDirectories: true)
        path = RawPath(full)
        root = base
    }
    private let root: String
    deinit { try? FileManager.default.removeItem(atPath: root) }
}

/// Answers `echo` with its arguments, `wait` when the caller is gone, `big` with many bytes; all else fails.
private func server(_ home: TestHome, gone: ConditionLock<Int> = ConditionLock(0)) throws -> ControlServer {
    let server = try ControlServer(home: home.path) { call in
        switch call.request.verb {
        case "echo":
            for argument in call.request.arguments { call.progress(argument) }
            return .result(call.request.arguments.flatMap { $0 })
        case "wait":
            let isGone = ConditionLock(false)
            call.onGone { isGone.withLock { $0 = true } }
            _ = isGone.wait { $0 ? true : nil }
            gone.withLock { $0 += 1 }
            return .failed(code: 130, message: "stopped")
        case "big": return .result([UInt8](repeating: 7, count: 5 << 20))
        default: return .failed(code: 64, message: "no such thing")
        }
    }
    #expect(server.start())
    return server
}

@Suite("Commands and the running node") struct ControlTests {
    @Test("a request brings its progress and its result, also in a home with a long path", arguments: [0, 6])
    func asks(depth: Int) throws {
        let home = try TestHome(depth: depth)
        let server = try server(home)
        defer { server.stop() }
        let arguments: [[UInt8]] = [[0, 1, 255], [], Array("ü\n".utf8)]
        var heard: [[UInt8]] = []
        let client = try #require(try ControlClient.connect(home: home.path))
        let reply = try client.ask(ControlRequest("echo", arguments)) { heard.append($0) }
        #expect(heard == arguments)
        #expect(reply == .result(arguments.flatMap { $0 }))
        let other = try #require(try ControlClient.connect(home: home.path))
        #expect(try other.ask(ControlRequest("nonsense")) == .failed(code: 64, message: "no such thing"))
        let big = try #require(try ControlClient.connect(home: home.path))
        #expect(try big.ask(ControlRequest("big")) == .result([UInt8](repeating: 7, count: 5 << 20)))
    }

    @Test("only the user may reach the socket, and one node runs on a home; after its end the next may")
    func alone() throws {
        let home = try TestHome()
        #expect(try ControlClient.connect(home: home.path) == nil)
        let first = try server(home)
        let attributes = try FileManager.default.attributesOfItem(atPath: home.path.description + "/control")
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        #expect { _ = try server(home) } throws: { ($0 as? ControlError)?.code == .alreadyRuns }
        first.stop()
        #expect(try ControlClient.connect(home: home.path) == nil)
    }

    @Test("what a killed node left behind is no node, and in nobody's way")
    func leftBehind() throws {
        let home = try TestHome()
        #expect(FileManager.default.createFile(atPath: home.path.description + "/control", contents: Data([1])))
        #expect(try ControlClient.connect(home: home.path) == nil)
        let server = try server(home)
        defer { server.stop() }
        #expect(try ControlClient.connect(home: home.path)?.ask(ControlRequest("echo", [[1]])) == .result([1]))
    }

    @Test("a caller that gives up is noticed at once, and so is a node that ends")
    func givesUp() throws {
        let home = try TestHome()
        let gone = ConditionLock(0)
        let server = try server(home, gone: gone)
        let client = try #require(try ControlClient.connect(home: home.path))
        let thread = try #require(
            WorkerThread(name: "asks") {
                #expect { _ = try client.ask(ControlRequest("wait")) } throws: { ($0 as? ControlError)?.code == .lost }
            })
        // Whether before or after its request has come: it ends.
        client.cancel()
        thread.join()
        let second = try #require(try ControlClient.connect(home: home.path))
        let asks = try #require(
            WorkerThread(name: "asks") {
                #expect { _ = try second.ask(ControlRequest("wait")) } throws: { ($0 as? ControlError)?.code == .lost }
            })
        usleep(100_000)
        server.stop()
        asks.join()
        #expect(gone.wait(milliseconds: 10_000) { $0 >= 1 ? $0 : nil } != nil)
    }

    @Test("bytes that are no request end the call and nothing else; who says nothing keeps nobody out")
    func nonsense() throws {
        let home = try TestHome()
        let server = try server(home)
        defer { server.stop() }
        let silent = try #require(try LocalSocket.connect(to: home.path.appending("control")))
        for bytes in [[1, 2, 3], [255, 255, 255, 255, 1, 1], [2, 0, 0, 0, 9, 9], [3, 0, 0, 0, 1, 1, 255]] as [[UInt8]] {
            let socket = try #require(try LocalSocket.connect(to: home.path.appending("control")))
            try socket.send(bytes)
            if bytes.count > 3 {
                // An answer that says why, or the end; not silence.
                _ = try? socket.receive(1)
            }
            socket.shutDown()
        }
        for number in 0..<100 as Range<UInt8> {
            let client = try #require(try ControlClient.connect(home: home.path))
            #expect(try client.ask(ControlRequest("echo", [[number]])) == .result([number]))
        }
        silent.shutDown()
    }
}
