package import BackupFormat

/// Names a request within one session and direction. Each is greater than the one before; never 0.
package struct RequestID: Hashable, Sendable, Comparable {
    package let number: UInt64
    package init(_ number: UInt64) { self.number = number }
    package static func < (a: RequestID, b: RequestID) -> Bool { a.number < b.number }
}

/// The encoded part of what one side says; raw bytes may follow it.
package enum Message: Hashable, Sendable {
    /// Said of its own accord, and not answered.
    case notice(Notice)
    case request(RequestID, Request)
    /// The answer to the request of that number. Answers may come in any order.
    case answer(RequestID, Answer)
}

package enum Notice: Hashable, Sendable {
    /// The first message of either side, and no other.
    case hello(Hello)
    /// Takes the place of the offer made before.
    case offer(Offer)
    case ping(UInt64)
    /// Repeats the number of a ping.
    case pong(UInt64)
    /// So many more bytes of requests and answers may be sent.
    case credit(UInt64)
    /// The last message of a session.
    case goodbye(Goodbye)
}

package enum Request: Hashable, Sendable {
    /// What of mine do you hold?
    case vault
    case have(Have)
    /// Followed by the bytes.
    case put(Put)
    case get(Get)
    case list(List)
    case commit(Commit)
    /// Followed by an encoded ``ForgetOrder``.
    case forget
    case sweep
    case audit(Audit)
    case reserve(Reserve)
    case pair(Pair)
    case unpair
    case recover(Recover)
}

package enum Answer: Hashable, Sendable {
    /// To any request: it was not done, and nothing has changed.
    case failed(Failed)
    case vault(VaultState)
    case missing(Missing)
    case stored(Stored)
    /// Followed by the bytes.
    case part(Part)
    case listing(Listing)
    case outcome(Outcome)
    case forgotten(Forgotten)
    case swept(Swept)
    /// Followed by samples, which ``Audit/verdicts(of:)`` reads.
    case samples
    case reserved(Reserved)
    case paired(Paired)
    case unpaired
}

extension Request {
    /// Whether `answer` is of the kind that answers this.
    func isAnswered(by answer: Answer) -> Bool {
        switch (self, answer) {
        case (_, .failed), (.vault, .vault), (.recover, .vault), (.have, .missing), (.put, .stored), (.get, .part),
            (.list, .listing), (.commit, .outcome), (.forget, .forgotten), (.sweep, .swept), (.audit, .samples),
            (.reserve, .reserved), (.pair, .paired), (.unpair, .unpaired):
            true
        default: false
        }
    }
}

extension Message {
    /// How many raw bytes may follow.
    var bulkBytes: ClosedRange<Int> {
        switch self {
        case .request(_, .put): 0...Limits.bulkBytesMax
        case .request(_, .forget), .answer(_, .part), .answer(_, .samples): 1...Limits.bulkBytesMax
        default: 0...0
        }
    }
}
