internal import BackupFormat

/// Who may send how much: bytes of requests and answers in each direction, and how often notices may come.
struct Credit {
    private let windowBytes: Int
    /// What this side may send now.
    var toSend = Limits.creditBytesInitial
    /// What the peer may send now.
    private(set) var toReceive = Limits.creditBytesInitial
    /// What was handed up and is still held there.
    private var held = 0
    /// What is no longer held, and not given back yet.
    private var owed = 0
    private var noticesLeft = Limits.noticesMax
    private var noticesCountedAt = Duration.zero

    init(windowBytes: Int) { self.windowBytes = windowBytes }

    /// What the window has beyond the credit that a session begins with; once.
    mutating func grantAtFirst() -> UInt64? {
        let more = windowBytes - toReceive
        guard more > 0 else { return nil }
        toReceive += more
        return UInt64(more)
    }

    /// A message of the peer that costs credit.
    mutating func receive(_ bytes: Int) throws(PeerProtocolError) {
        guard bytes <= toReceive else { throw PeerProtocolError(.violation, "\(bytes) bytes with a credit of \(toReceive)") }
        toReceive -= bytes
        held += bytes
    }

    /// So much is no longer held; answers credit to grant, which is gathered to a quarter of the window first.
    mutating func giveBack(_ bytes: Int) -> UInt64? {
        precondition(bytes >= 0 && bytes <= held, "more is given back than was taken")
        held -= bytes
        owed += bytes
        guard owed >= windowBytes / 4 else { return nil }
        defer { owed = 0 }
        toReceive += owed
        return UInt64(owed)
    }

    /// The peer grants more.
    mutating func grow(_ more: UInt64) throws(PeerProtocolError) {
        guard more > 0, more <= UInt64(Limits.creditBytesMax - toSend) else {
            throw PeerProtocolError(.violation, "a credit of \(more) bytes more")
        }
        toSend += Int(more)
    }

    /// What the next message may be at most: a notice costs nothing, all else must be within credit.
    func limit(_ bounds: MessageReceiver.Bounds) -> MessageReceiver.Bounds {
        let left = max(0, toReceive - MessageHeader.byteCount)
        return MessageReceiver.Bounds(
            controlBytesMax: min(bounds.controlBytesMax, max(left, Limits.noticeBytesMax)),
            bulkBytesMax: min(bounds.bulkBytesMax, left))
    }

    /// Counts a notice that makes work: ``Limits/noticesMax`` at once, then one a second.
    mutating func countNotice(at now: Duration) throws(PeerProtocolError) {
        let passed = Int((now - noticesCountedAt).components.seconds)
        if passed > 0 {
            noticesLeft = passed >= Limits.noticesMax ? Limits.noticesMax : min(Limits.noticesMax, noticesLeft + passed)
            noticesCountedAt = now
        }
        guard noticesLeft > 0 else { throw PeerProtocolError(.violation, "too many notices") }
        noticesLeft -= 1
    }
}
