package import BackupFormat
package import BackupNode
internal import Control
internal import HostFiles
internal import NodeRuntime

/// The node that runs on a home, as a command sees it.
package struct RunningNode: Sendable {
    private let home: Home

    /// Nil when none runs there.
    package static func find(_ home: Home) throws(NodeError) -> RunningNode? {
        do throws(ControlError) {
            // A connection that says nothing, to see that somebody answers.
            guard let client = try ControlClient.connect(home: home.directory) else { return nil }
            client.cancel()
            return RunningNode(home: home)
        } catch { throw NodeError(.failed, "speak to the running node", error.description) }
    }

    /// A node that was suspended takes calls and answers none: nobody waits for it longer than this.
    private static let answerSeconds: Int64 = 10

    /// Asks something that is answered at once.
    private func ask(_ verb: ControlVerb, withinSeconds: Int64 = answerSeconds) throws(NodeError) -> [UInt8] {
        let deadline = ContinuousClock.now + .seconds(withinSeconds)
        do throws(NodeError) {
            return try long(
                ControlRequest(verb.rawValue), verb.rawValue, isStopping: { ContinuousClock.now > deadline }, progress: { _ in })
        } catch {
            guard error.code == .interrupted else { throw error }
            throw NodeError(
                .failed, verb.rawValue,
                "the running node does not answer; if it was stopped (SIGSTOP), let it go on, or end it and start it again")
        }
    }

    package func peers() throws(NodeError) -> [PeerReport] {
        do { return try PeerReport.decode(try ask(.peers)) } catch let error as NodeError { throw error } catch {
            throw NodeError(.failed, "peers", "the running node is of another version; restart it")
        }
    }

    package func sources() throws(NodeError) -> [SourceReport] {
        do { return try SourceReport.decode(try ask(.sources)) } catch let error as NodeError { throw error } catch {
            throw NodeError(.failed, "sources", "the running node is of another version; restart it")
        }
    }

    /// Where others may reach it, the likeliest first.
    package func addresses() throws(NodeError) -> [PeerAddress] {
        String(decoding: try ask(.addresses), as: UTF8.self).split(separator: "\n").compactMap { try? PeerAddress(String($0)) }
    }

    /// The peer book, the orders or the vault have changed. It would find out by itself, so that it is not waited for long.
    package func changed() throws(NodeError) { _ = try ask(.changed, withinSeconds: 2) }

    /// Waits until the snapshot is on as many peers as it should be, or nobody is left who could take it. `isStopping` ends it early.
    package func wait(
        for snapshot: SnapshotID, isStopping: @escaping @Sendable () -> Bool, progress: (ReplicaCount) -> Void
    ) throws(NodeError) -> ReplicaCount {
        let request = ControlRequest(ControlVerb.wait.rawValue, [snapshot.value.bytes])
        let bytes = try long(request, "wait", isStopping: isStopping) { bytes in
            if let count = ReplicaCount(bytes: bytes) { progress(count) }
        }
        guard let count = ReplicaCount(bytes: bytes) else {
            throw NodeError(.failed, "wait", "the running node is of another version; restart it")
        }
        return count
    }

    /// Asks something that takes long. Ctrl-C, of which `isStopping` tells, ends it here and there.
    private func long(
        _ request: ControlRequest, _ operation: String, isStopping: @escaping @Sendable () -> Bool, progress: ([UInt8]) -> Void
    ) throws(NodeError) -> [UInt8] {
        let client: ControlClient?
        do throws(ControlError) { client = try ControlClient.connect(home: home.directory) } catch {
            throw NodeError(.failed, operation, error.description)
        }
        guard let client else { throw NodeError(.failed, operation, "the running node ended") }
        let isOver = ConditionLock(false)
        // This thread waits for the node; another has to look for Ctrl-C.
        let watcher = WorkerThread(name: "watch") {
            while isOver.wait(milliseconds: 100, for: { $0 ? true : nil }) == nil {
                if isStopping() { return client.cancel() }
            }
        }
        defer {
            isOver.withLock { $0 = true }
            watcher?.join()
        }
        do throws(ControlError) {
            switch try client.ask(request, progress: progress) {
            case .result(let bytes): return bytes
            case .failed(_, let message): throw ControlError(.failed, message)
            case .progress: throw ControlError(.lost, "the running node says something else than was asked; restart it")
            }
        } catch {
            if isStopping() { throw NodeError(.interrupted, operation, "interrupted") }
            throw NodeError(.failed, operation, error.description)
        }
    }

    /// Has the node bring packs and snapshots from its peers into the vault. `progress` is told of bytes so far.
    package func fetch(
        packs: [PackID], snapshots: [SnapshotID], isStopping: @escaping @Sendable () -> Bool, progress: (Int) -> Void
    ) throws(NodeError) -> FetchReport {
        var (report, first, received) = (FetchReport(packs: 0, snapshots: 0), 0, 0)
        repeat {
            let asked = packs[first..<min(packs.count, first + RunningNode.fetchedAtOnce)]
            first = asked.endIndex
            let last = first == packs.count ? snapshots : []
            let request = ControlRequest(
                ControlVerb.fetch.rawValue, [asked.flatMap(\.value.bytes), last.flatMap(\.value.bytes)])
            let before = received
            let bytes = try long(request, "fetch from peers", isStopping: isStopping) { bytes in
                received = before + bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
                progress(received)
            }
            guard let part = FetchReport(bytes: bytes) else {
                throw NodeError(.failed, "fetch from peers", "the running node is of another version; restart it")
            }
            report.packs += part.packs
            report.snapshots += part.snapshots
        } while first < packs.count
        return report
    }

    /// Packs named in one message, which may have 16 MiB.
    private static let fetchedAtOnce = 100_000

    /// Tells the node that a backup runs, for as long as `body` does.
    package func duringBackup<R>(_ body: () throws(NodeError) -> R) throws(NodeError) -> R {
        guard let client = try? ControlClient.connect(home: home.directory) else { return try body() }
        let thread = WorkerThread(name: "backup") { _ = try? client.ask(ControlRequest(ControlVerb.backup.rawValue)) }
        defer {
            client.cancel()
            thread?.join()
        }
        return try body()
    }
}
