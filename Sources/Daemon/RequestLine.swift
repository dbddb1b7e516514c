package import PeerProtocol

/// Which of a session's requests is taken in hand next: a value that decides, for several threads.
///
/// Parts of packs may be dealt with at once, so that the next pack comes in while one that is whole goes to the disk; those of one
/// pack one after the other. Everything else waits for what came before it, and lets nothing by.
package struct RequestLine {
    private var waiting: [PeerRequest] = []
    /// Packs of which a part is in hand.
    private var packs: Set<ObjectID> = []
    private var isAlone = false

    package init() {}

    package mutating func add(_ request: PeerRequest) { waiting.append(request) }

    package mutating func next() -> PeerRequest? {
        guard !isAlone, let first = waiting.first else { return nil }
        guard RequestLine.pack(of: first) != nil else {
            guard packs.isEmpty else { return nil }
            isAlone = true
            return waiting.removeFirst()
        }
        for index in waiting.indices {
            guard let pack = RequestLine.pack(of: waiting[index]) else { return nil }
            if packs.insert(pack).inserted { return waiting.remove(at: index) }
        }
        return nil
    }

    package mutating func done(_ request: PeerRequest) {
        if let pack = RequestLine.pack(of: request) { packs.remove(pack) } else { isAlone = false }
    }

    private static func pack(of request: PeerRequest) -> ObjectID? {
        if case .put(let put) = request.request, put.kind == .pack { return put.id }
        return nil
    }
}
