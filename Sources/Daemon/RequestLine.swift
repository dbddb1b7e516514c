package import PeerProtocol

/// Which of a session's requests is taken in hand next: a value that decides, for several threads.
///
/// Parts of packs may be dealt with at once, so that the next pack comes in while one that is whole goes to the disk; those of one
/// pack one after the other. So may audits, of which one reads while another hashes. Everything else waits for what came before it, and
/// lets nothing by.
package struct RequestLine {
    /// What may be in hand together: requests of one kind, unless it is `alone`.
    private enum Lane: Equatable {
        case packs, audits, alone
    }

    private var waiting: [PeerRequest] = []
    private var lane: Lane?
    private var inHand = 0
    /// Packs of which a part is in hand.
    private var packs: Set<ObjectID> = []

    package init() {}

    package mutating func add(_ request: PeerRequest) { waiting.append(request) }

    package mutating func next() -> PeerRequest? {
        for (index, request) in waiting.enumerated() {
            let lane = RequestLine.lane(of: request)
            guard self.lane == nil || self.lane == lane && lane != .alone else { return nil }
            // The lane is that of the part in hand.
            if let pack = RequestLine.pack(of: request), !packs.insert(pack).inserted { continue }
            self.lane = lane
            inHand += 1
            return waiting.remove(at: index)
        }
        return nil
    }

    package mutating func done(_ request: PeerRequest) {
        if let pack = RequestLine.pack(of: request) { packs.remove(pack) }
        inHand -= 1
        if inHand == 0 { lane = nil }
    }

    private static func lane(of request: PeerRequest) -> Lane {
        if case .audit = request.request { return .audits }
        return pack(of: request) == nil ? .alone : .packs
    }

    private static func pack(of request: PeerRequest) -> ObjectID? {
        if case .put(let put) = request.request, put.kind == .pack { return put.id }
        return nil
    }
}
