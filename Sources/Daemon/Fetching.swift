internal import BackupFormat
internal import BackupNode
internal import Control
internal import HostFiles
internal import Replication
internal import Synchronization

/// What was brought from peers.
package struct FetchReport: Sendable, Hashable {
    package var packs: Int
    /// Whole in the vault now.
    package var snapshots: Int

    var bytes: [UInt8] {
        var writer = ByteWriter()
        writer.uint32(UInt32(clamping: packs))
        writer.uint32(UInt32(clamping: snapshots))
        return writer.bytes
    }

    init(packs: Int, snapshots: Int) {
        self.packs = packs
        self.snapshots = snapshots
    }

    init?(bytes: [UInt8]) {
        let numbers = bytes.withUnsafeBytes { buffer in
            Result { () throws(FormatError) in
                var reader = ByteReader(buffer, "report")
                let (packs, snapshots) = (Int(try reader.uint32()), Int(try reader.uint32()))
                try reader.end()
                return (packs, snapshots)
            }
        }
        guard let (packs, snapshots) = try? numbers.get() else { return nil }
        self.init(packs: packs, snapshots: snapshots)
    }
}

/// Identifiers of 32 bytes, one after the other; what is left over is none.
func identifiers(_ bytes: [UInt8]) -> [Bytes32] {
    stride(from: 0, to: bytes.count - 31, by: 32).compactMap { Bytes32(bytes: Array(bytes[$0..<$0 + 32])) }
}

extension DaemonCore {
    /// Brings packs and snapshots from all peers that are here, into the vault. The caller's end stops it.
    func fetch(_ packs: [PackID], _ snapshots: [SnapshotID], _ call: ControlCall) -> ControlReply {
        let links = links
        guard !links.isEmpty else { return .failed(code: 1, message: "no peer is connected (`bakare-node peers`)") }
        let received = Atomic<Int>(0)
        let progress = ReplicationProgress(isStopping: { [self] in call.isGone || isStopping })
        let download = SnapshotDownload(into: vault, from: links, progress: progress)
        let isOver = ConditionLock(false)
        let news = WorkerThread(name: "news") {
            while isOver.wait(milliseconds: 250, for: { $0 ? true : nil }) == nil {
                let now = progress.bytesReceived
                if now == received.exchange(now, ordering: .relaxed) { continue }
                var writer = ByteWriter()
                writer.uint64(UInt64(now))
                call.progress(writer.bytes)
            }
        }
        defer {
            isOver.withLock { $0 = true }
            news?.join()
        }
        do throws(ReplicationError) {
            var report = FetchReport(packs: 0, snapshots: 0)
            let lost = try download.replace(packs: packs)
            report.packs = packs.count - lost.count
            for (pack, reason) in lost.prefix(10) { log("pack \(pack) is with no peer: \(reason)") }
            if !snapshots.isEmpty {
                let brought = try download.run(wanted: Set(snapshots))
                // One that no peer lists is in neither.
                report.snapshots = snapshots.count {
                    brought.incomplete[$0] == nil && (try? vault.snapshotRecord($0)) != nil
                }
                for (id, reason) in brought.incomplete { log("snapshot \(id): \(reason)") }
            }
            return .result(report.bytes)
        } catch { return .failed(code: 1, message: error.description) }
    }
}
