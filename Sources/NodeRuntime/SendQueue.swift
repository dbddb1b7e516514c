internal import BackupFormat
package import PeerProtocol

/// What waits to be sent.
package enum Outgoing: Sendable {
    case request(Request, ArraySlice<UInt8>, ReplyHandler)
    case answer(RequestID, Answer, ArraySlice<UInt8>)

    package var bulkBytes: Int {
        switch self {
        case .request(_, let bulk, _), .answer(_, _, let bulk): bulk.count
        }
    }
}

/// In which order requests and answers go out, and when they may: a value that decides, without a socket or a lock.
///
/// Answers go first, and requests leave enough credit for one. Otherwise two nodes that both send at the top of their speed could fill
/// each other's windows with requests, and no worker on either side could say that it is done.
package struct SendQueue {
    private let queuedBytesMax: Int
    private var answers = Line()
    private var requests = Line()
    /// The most credit that this peer has ever given, which is about its window.
    private var windowBytes = Limits.creditBytesInitial

    /// One message at its longest: header, encoded part, raw bytes.
    private static let messageBytesMax = 8 + Limits.controlBytesMax + Limits.bulkBytesMax
    /// Messages of few bytes cost memory too.
    private static let messagesMax = 256

    package init(queuedBytesMax: Int) { self.queuedBytesMax = queuedBytesMax }

    package var queuedBytes: Int { answers.bytes + requests.bytes }

    /// Adds what is to be sent; false when it has to wait for room. One that is longer than all room is taken when there is nothing else.
    package mutating func add(_ item: Outgoing) -> Bool {
        switch item {
        case .answer: answers.add(item, bytesMax: queuedBytesMax, itemsMax: SendQueue.messagesMax)
        case .request: requests.add(item, bytesMax: queuedBytesMax, itemsMax: SendQueue.messagesMax)
        }
    }

    /// What goes out next, with so much credit; nil when nothing may.
    package mutating func next(creditBytes: Int, hasRequestRoom: Bool) -> Outgoing? {
        windowBytes = max(windowBytes, creditBytes)
        if let answer = answers.items.first {
            return answer.bulkBytes < creditBytes ? answers.removeFirst() : nil
        }
        guard hasRequestRoom, let request = requests.items.first,
            request.bulkBytes + Limits.controlBytesMax + reservedBytes <= creditBytes
        else { return nil }
        return requests.removeFirst()
    }

    /// Puts back what could not be sent after all.
    package mutating func putBack(_ item: Outgoing) {
        switch item {
        case .answer: answers.putBack(item)
        case .request: requests.putBack(item)
        }
    }

    /// Takes all that waits.
    package mutating func drain() -> [Outgoing] {
        defer {
            answers = Line()
            requests = Line()
        }
        return Array(answers.items) + Array(requests.items)
    }

    /// What requests leave of the credit. The peer gives credit back in quarters of its window, so up to a quarter is away
    /// for good reason; from 4.5 MiB on the rest is enough for any answer. In a smaller window the longest request must fit.
    private var reservedBytes: Int {
        max(
            0,
            min(
                windowBytes / 4 + SendQueue.messageBytesMax,
                windowBytes * 3 / 4 - SendQueue.messageBytesMax - Limits.controlBytesMax))
    }
}

/// First in, first out, within bounds.
private struct Line {
    private(set) var items: [Outgoing] = []
    private(set) var bytes = 0

    mutating func add(_ item: Outgoing, bytesMax: Int, itemsMax: Int) -> Bool {
        guard items.isEmpty || (bytes + item.bulkBytes <= bytesMax && items.count < itemsMax) else { return false }
        items.append(item)
        bytes += item.bulkBytes
        return true
    }

    mutating func removeFirst() -> Outgoing {
        let item = items.removeFirst()
        bytes -= item.bulkBytes
        return item
    }

    mutating func putBack(_ item: Outgoing) {
        items.insert(item, at: 0)
        bytes += item.bulkBytes
    }
}
