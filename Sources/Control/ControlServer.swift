package import BackupFormat
internal import Glibc
internal import HostFiles

/// A caller of the running node, and its one request.
package final class ControlCall: Sendable {
    package let request: ControlRequest
    private let socket: LocalSocket
    private let state = ConditionLock(State())

    private struct State {
        var isGone = false
        var onGone: (@Sendable () -> Void)?
    }

    init(_ request: ControlRequest, _ socket: LocalSocket) {
        self.request = request
        self.socket = socket
    }

    /// Whether the caller has given up, as by Ctrl-C.
    package var isGone: Bool { state.withLock { $0.isGone } }

    /// Calls `body` when the caller gives up: at once, if that has happened.
    package func onGone(_ body: @escaping @Sendable () -> Void) {
        let isGone = state.withLock { state in
            if !state.isGone { state.onGone = body }
            return state.isGone
        }
        if isGone { body() }
    }

    /// Tells how far the work has come. To a caller that is gone it says nothing.
    package func progress(_ bytes: [UInt8]) { send(.progress(bytes)) }

    func send(_ reply: ControlReply) {
        if isGone { return }
        do throws(HostFilesError) { try socket.send(ControlFrame.encode(reply)) } catch { leave() }
    }

    /// Waits until the caller says more, which none may, or is gone.
    func watch() {
        // What a caller sends after its request means nothing, and ends the call.
        _ = try? socket.receive(1)
        leave()
    }

    private func leave() {
        let body = state.withLock { state in
            state.isGone = true
            defer { state.onGone = nil }
            return state.onGone
        }
        body?()
    }

    func end() { socket.shutDown() }
}

/// Takes the calls of commands on a home, each on a thread of its own.
package final class ControlServer: Sendable {
    /// The socket's name in the home.
    package static let socketName: RawPath = "control"
    /// Calls that are dealt with at once; more wait.
    private static let callsMax = 32

    private let socket: LocalSocket
    private let path: RawPath
    /// Held as long as this is: the kernel lets go of it when the process ends, however it does.
    private let home: DirectoryHandle
    private let calls = ConditionLock(Calls())
    private let handler: @Sendable (ControlCall) -> ControlReply

    private struct Calls {
        var isStopped = false
        var running: [Int: LocalSocket] = [:]
        var next = 0
        var thread: WorkerThread?
    }

    /// Begins to listen. `handler` is called on a thread that may wait. Throws `alreadyRuns` when another node does.
    package init(home: RawPath, handler: @escaping @Sendable (ControlCall) -> ControlReply) throws(ControlError) {
        self.handler = handler
        path = home.appending(ControlServer.socketName)
        let isLocked: Bool
        do throws(HostFilesError) {
            self.home = try DirectoryHandle.open(home)
            isLocked = try self.home.lock()
        } catch { throw ControlError(error) }
        guard isLocked else { throw ControlError(.alreadyRuns, "a node runs on \(home) already; end that one first") }
        do throws(HostFilesError) { socket = try LocalSocket.listen(at: path) } catch { throw ControlError(error) }
    }

    /// Takes calls until ``stop()``. Returns false when the system has no thread left.
    package func start() -> Bool {
        let thread = WorkerThread(name: "control") { [self] in serve() }
        calls.withLock { $0.thread = thread }
        return thread != nil
    }

    /// Ends all calls, and waits for their threads.
    package func stop() {
        let (running, thread) = calls.withLock { calls in
            calls.isStopped = true
            return (Array(calls.running.values), calls.thread)
        }
        socket.shutDown()
        for caller in running { caller.shutDown() }
        thread?.join()
        _ = calls.wait { $0.running.isEmpty ? true : nil }
        unlink(path.bytes.map { CChar(bitPattern: $0) } + [0])
    }

    private func serve() {
        while true {
            let caller: LocalSocket
            do throws(HostFilesError) {
                guard let next = try socket.accept() else { return }
                caller = next
            } catch {
                // Out of descriptors, most likely: others end, and then it goes on.
                if calls.wait(milliseconds: 100, for: { $0.isStopped ? true : nil }) == true { return }
                continue
            }
            // The name's mode keeps others out; root may come in everywhere.
            guard let user = caller.peerUser, user == geteuid() || user == 0 else { continue }
            let number = calls.wait { calls -> Int?? in
                if calls.isStopped { return .some(nil) }
                guard calls.running.count < ControlServer.callsMax else { return nil }
                calls.next += 1
                calls.running[calls.next] = caller
                return calls.next
            }
            guard let number else { return }
            let thread = WorkerThread(name: "call \(number)") { [self] in
                take(caller, number)
                caller.shutDown()
                calls.withLock { $0.running[number] = nil }
            }
            if thread == nil { calls.withLock { $0.running[number] = nil } }
        }
    }

    private func take(_ caller: LocalSocket, _ number: Int) {
        guard let bytes = try? caller.receiveFrame() else { return }
        let request: ControlRequest
        do throws(FormatError) { request = try ControlFrame.decodeRequest(bytes) } catch {
            // There is no remedy for a caller that is gone.
            try? caller.send(ControlFrame.encode(.failed(code: 1, message: ControlError.otherVersion.description)))
            return
        }
        let call = ControlCall(request, caller)
        let watcher = WorkerThread(name: "watch \(number)") { call.watch() }
        call.send(handler(call))
        call.end()
        watcher?.join()
    }
}
