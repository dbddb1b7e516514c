internal import BackupFormat

/// The requests of both sides that are not answered yet: at most ``Limits/requestsMax`` each.
struct RequestTable {
    private var mine: [RequestID: Request] = [:]
    private var theirs: [RequestID: Request] = [:]
    private var lastMade: UInt64 = 0
    private var lastTaken: UInt64 = 0

    var hasRoom: Bool { mine.count < Limits.requestsMax }
    /// Whether the peer owes an answer.
    var isWaiting: Bool { !mine.isEmpty }
    var nextID: RequestID { RequestID(lastMade + 1) }

    mutating func made(_ id: RequestID, _ request: Request) {
        lastMade = id.number
        mine[id] = request
    }

    /// The peer makes a request.
    mutating func take(_ id: RequestID, _ request: Request) throws(PeerProtocolError) {
        guard id.number > lastTaken else { throw PeerProtocolError(.violation, "request \(id.number) after \(lastTaken)") }
        guard theirs.count < Limits.requestsMax else { throw PeerProtocolError(.violation, "too many requests at once") }
        lastTaken = id.number
        theirs[id] = request
    }

    /// The peer's open request of that number.
    func asked(_ id: RequestID) -> Request? { theirs[id] }

    mutating func answered(_ id: RequestID) { theirs[id] = nil }

    /// The peer answers; answers what was asked.
    mutating func take(_ id: RequestID, _ answer: Answer) throws(PeerProtocolError) -> Request {
        guard let request = mine.removeValue(forKey: id) else {
            throw PeerProtocolError(.violation, "an answer to a request \(id.number) that is not open")
        }
        return request
    }
}

extension Request {
    /// Whether `answer`, with so many bytes after it, is one that an honest peer may give to this.
    func accepts(_ answer: Answer, bulkBytes: Int) -> Bool {
        guard isAnswered(by: answer) else { return false }
        switch (self, answer) {
        case (.have(let have), .missing(let missing)): return missing.ids.isSubsequence(of: have.ids)
        case (.put(let put), .stored(let stored)):
            return stored.receivedBytes <= put.totalBytes && (!stored.isDurable || stored.receivedBytes == put.totalBytes)
        case (.get(let get), .part(let part)):
            return part.totalBytes <= get.kind.bytesMax && get.offset < part.totalBytes
                && bulkBytes == min(get.lengthBytes, part.totalBytes - get.offset)
        case (.list(let list), .listing(let listing)):
            guard let after = list.after, let first = listing.snapshots.first else { return true }
            return first > after
        case (.reserve(let reserve), .reserved(let reserved)): return reserved.bytes <= reserve.bytes
        default: return true
        }
    }
}

extension Array where Element: Equatable {
    /// Whether all elements stand in `other` in this order.
    fileprivate func isSubsequence(of other: [Element]) -> Bool {
        var rest = other[...]
        for element in self {
            guard let place = rest.firstIndex(of: element) else { return false }
            rest = rest[(place + 1)...]
        }
        return true
    }
}
