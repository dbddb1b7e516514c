internal import BackupFormat
internal import HostFiles

/// A file of several chunks while it is restored. All workers take chunks from it; the last one to leave finishes it.
///
/// It goes through up to two passes over its chunks: `compare`, when a file is in its place already, ends at the first
/// chunk that differs; `build` writes a new file in the staging folder, taking what is right from the old one.
final class RestoreFile: @unchecked Sendable {
    // SAFETY: `existing`, `staged` and `phase` are written only between passes, by the one worker that holds the file then;
    // the scheduler's lock hands them on to the others. All else is constant or under the lock of `state`.
    enum Phase {
        case compare, build
    }

    /// A chunk to deal with.
    struct Piece {
        let key: ChunkKey
        /// Where it starts among the stored bytes.
        let stored: UInt64
        let bytes: Int
        /// Its plaintext in the taker's scratch, where it had to be read to learn its length.
        var plain: UnsafeRawBufferPointer?
    }

    private struct State {
        var keys: KeyListCursor
        var stored: UInt64 = 0
        var trustsHints = true
        var isExhausted = false
        /// Workers that deal with a chunk now, or look for one.
        var inside = 0
        var failure: RestoreFailure?
        var isMisjudged = false
        var isDifferent = false
        /// Bytes counted in this pass, to be taken back if it is begun again.
        var counted = 0
    }

    /// How a pass ended, told to the one worker that has to go on.
    enum Outcome {
        case complete
        case different
        /// A length that the index told was wrong.
        case misjudged
        case failed(RestoreFailure)
    }

    let entry: TreeEntry
    let directory: RestoreDirectory
    let content: RestoreContent
    private let keys: KeyList
    private let source: any ChunkSource
    private let state: ConditionLock<State>

    var phase = Phase.build
    var existing: FileHandle?
    var staged: (place: RestoreStagedFile, file: TargetFile)?
    var linkGroup: RestoreLinks.Group?

    /// Takes over a use of `directory`.
    init(_ entry: TreeEntry, _ keys: KeyList, in directory: RestoreDirectory, _ source: any ChunkSource) throws(RestoreFailure) {
        content = try RestoreContent(entry)
        self.entry = entry
        self.keys = keys
        self.directory = directory
        self.source = source
        state = ConditionLock(State(keys: KeyListCursor(keys)))
    }

    /// Begins a pass; the caller is inside. `trustsHints` is false once the index has told a wrong length.
    func beginPass(_ phase: Phase, trustsHints: Bool = true) {
        self.phase = phase
        state.withLock { state in
            let trusts = state.trustsHints && trustsHints
            state = State(keys: KeyListCursor(keys))
            state.trustsHints = trusts
            state.inside = 1
        }
    }

    /// Comes in to help; false when there is nothing left to take.
    func enter() -> Bool {
        state.withLock { state in
            guard !state.isExhausted else { return false }
            state.inside += 1
            return true
        }
    }

    /// Leaves; for the last one to leave, how the pass ended.
    func leave() -> Outcome? {
        state.withLock { state in
            state.inside -= 1
            guard state.inside == 0, state.isExhausted else { return nil }
            if let failure = state.failure { return .failed(failure) }
            if state.isMisjudged { return .misjudged }
            return state.isDifferent ? .different : .complete
        }
    }

    /// The next chunk, or nil when none is to be taken any more.
    func takePiece(_ scratch: ChunkScratch, _ isStopping: Bool) -> Piece? {
        state.withLock { state in
            if state.isExhausted { return nil }
            if isStopping {
                state.failure = .fatal(interrupted("restore"))
                state.isExhausted = true
                return nil
            }
            do throws(RestoreFailure) {
                if let piece = try nextPiece(&state, scratch) { return piece }
            } catch {
                state.failure = state.failure ?? error
            }
            state.isExhausted = true
            return nil
        }
    }

    private func nextPiece(_ state: inout State, _ scratch: ChunkScratch) throws(RestoreFailure) -> Piece? {
        do throws(ArchiveError) {
            while let key = try state.keys.next(source, scratch) {
                var plain: UnsafeRawBufferPointer?
                let bytes: Int
                if state.trustsHints, let hint = source.plainBytesHint(key) {
                    bytes = hint
                } else {
                    let read = try source.read(key, scratch)
                    plain = read
                    bytes = read.count
                }
                if bytes == 0 { continue }
                let stored = state.stored
                guard bytes > 0, bytes <= Limits.chunkBytesMax, UInt64(bytes) <= content.layout.storedBytes - stored else {
                    // Longer than the file: a wrong hint, if there was one.
                    if plain == nil { state.isMisjudged = true } else { state.failure = RestoreContent.wrongLength }
                    return nil
                }
                state.stored += UInt64(bytes)
                return Piece(key: key, stored: stored, bytes: bytes, plain: plain)
            }
        } catch {
            throw RestoreFailure(error)
        }
        if state.stored != content.layout.storedBytes {
            if state.trustsHints { state.isMisjudged = true } else { state.failure = RestoreContent.wrongLength }
        }
        return nil
    }

    /// Counts bytes that are done; what this pass counted so far is given when it has to be taken back.
    func counted(_ bytes: Int) { state.withLock { $0.counted += bytes } }
    var countedBytes: Int { state.withLock { $0.counted } }

    func fail(_ failure: RestoreFailure) {
        state.withLock { state in
            state.failure = state.failure ?? failure
            state.isExhausted = true
        }
    }

    func foundDifference() {
        state.withLock { state in
            state.isDifferent = true
            state.isExhausted = true
        }
    }

    func foundWrongHint() {
        state.withLock { state in
            state.isMisjudged = true
            state.isExhausted = true
        }
    }
}
