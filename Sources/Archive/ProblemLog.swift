internal import BackupFormat
internal import Synchronization

/// The problems of one backup: each is reported at once and kept for the snapshot, up to a bound.
final class ProblemLog: Sendable {
    private struct State {
        var encoded: [UInt8] = [0]
        var count = 0
        var first: [FileProblem] = []
        /// Bytes of paths and words in `first`.
        var firstBytes = 0
    }

    private let state = Mutex(State())
    private let report: @Sendable (FileProblem) -> Void
    /// Bytes of encoded problems kept for the snapshot; all are counted and reported.
    private static let keptBytesMax = Limits.chunkBytesMax - (64 << 10)
    private static let listedMax = 10_000
    /// Few paths are long; many that are must not fill the memory.
    private static let listedBytesMax = 4 << 20

    init(report: @escaping @Sendable (FileProblem) -> Void) { self.report = report }

    func add(_ problem: FileProblem) {
        state.withLock { state in
            state.count += 1
            let bytes = problem.path.bytes.count + problem.reason.utf8.count
            if state.first.count < ProblemLog.listedMax, state.firstBytes + bytes <= ProblemLog.listedBytesMax {
                state.first.append(problem)
                state.firstBytes += bytes
            }
            if state.encoded.count < ProblemLog.keptBytesMax {
                var writer = ByteWriter()
                writer.byteString(problem.path.bytes)
                writer.byteString(Array(problem.operation.utf8))
                writer.byteString(Array(problem.reason.utf8))
                if state.encoded.count + writer.count < ProblemLog.keptBytesMax { state.encoded.append(contentsOf: writer.bytes) }
            }
        }
        report(problem)
    }

    var count: Int { state.withLock { $0.count } }
    var listed: [FileProblem] { state.withLock { $0.first } }

    /// Stores them; the stream's keys.
    func store(_ writer: ChunkWriter) throws(ArchiveError) -> KeyList {
        var encoded = state.withLock { $0.encoded }
        if encoded.count == 1 { return .empty }
        return KeyList(levels: 0, keys: [try storeChunk(&encoded, writer)])
    }
}
