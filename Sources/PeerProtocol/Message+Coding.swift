package import BackupFormat

/// A message within a message: reads and writes its fields in order.
protocol Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError)
    func write(to writer: inout ProtobufWriter)
}

extension Fields {
    var encoded: [UInt8] {
        var writer = ProtobufWriter()
        write(to: &writer)
        return writer.bytes
    }
}

/// Fields 1 and 2 of every message. A notice has neither, a request the first, an answer the second.
private let requestField = 1
private let answerField = 2

extension Message {
    package func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        switch self {
        case .notice(let notice): notice.write(to: &writer)
        case .request(let id, let request):
            writer.number(requestField, id.number)
            request.write(to: &writer)
        case .answer(let id, let answer):
            writer.number(answerField, id.number)
            answer.write(to: &writer)
        }
        return writer.bytes
    }

    /// Rejects an unknown kind, a kind without the number it needs or with one it must not have, and whatever the kind rejects.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ProtobufReader(bytes, "message")
        guard bytes.count <= Limits.controlBytesMax else { throw reader.error(.outOfRange) }
        let request = try reader.number(requestField)
        let answer = try reader.number(answerField)
        guard let kind = try reader.nextField() else { throw reader.error(.truncated) }
        switch (request, answer) {
        case (0, 0): self = .notice(try Notice(kind, &reader))
        case (_, 0): self = .request(RequestID(request), try Request(kind, &reader))
        case (0, _): self = .answer(RequestID(answer), try Answer(kind, &reader))
        default: throw reader.error(.inconsistent)
        }
        try reader.end()
    }
}

extension Notice {
    fileprivate func write(to writer: inout ProtobufWriter) {
        switch self {
        case .hello(let hello): writer.message(10, hello.encoded)
        case .offer(let offer): writer.message(11, offer.encoded)
        case .ping(let number): writer.message(12, Number(value: number).encoded)
        case .pong(let number): writer.message(13, Number(value: number).encoded)
        case .credit(let bytes): writer.message(14, Number(value: bytes).encoded)
        case .goodbye(let goodbye): writer.message(15, goodbye.encoded)
        }
    }

    fileprivate init(_ kind: Int, _ reader: inout ProtobufReader) throws(FormatError) {
        switch kind {
        case 10: self = .hello(try reader.body(kind, "hello"))
        case 11: self = .offer(try reader.body(kind, "offer"))
        case 12: self = .ping(try reader.body(kind, "ping", Number.self).value)
        case 13: self = .pong(try reader.body(kind, "pong", Number.self).value)
        case 14: self = .credit(try reader.body(kind, "credit", Number.self).value)
        case 15: self = .goodbye(try reader.body(kind, "goodbye"))
        default: throw reader.error(.unknown)
        }
    }
}

extension Request {
    fileprivate func write(to writer: inout ProtobufWriter) {
        switch self {
        case .vault: writer.message(20, [])
        case .have(let have): writer.message(21, have.encoded)
        case .put(let put): writer.message(22, put.encoded)
        case .get(let get): writer.message(23, get.encoded)
        case .list(let list): writer.message(24, list.encoded)
        case .commit(let commit): writer.message(25, commit.encoded)
        case .forget: writer.message(26, [])
        case .sweep: writer.message(27, [])
        case .audit(let audit): writer.message(28, audit.encoded)
        case .reserve(let reserve): writer.message(29, reserve.encoded)
        case .pair(let pair): writer.message(30, pair.encoded)
        case .unpair: writer.message(31, [])
        case .recover(let recover): writer.message(32, recover.encoded)
        }
    }

    fileprivate init(_ kind: Int, _ reader: inout ProtobufReader) throws(FormatError) {
        switch kind {
        case 20: self = try reader.nothing(kind, .vault)
        case 21: self = .have(try reader.body(kind, "have"))
        case 22: self = .put(try reader.body(kind, "put"))
        case 23: self = .get(try reader.body(kind, "get"))
        case 24: self = .list(try reader.body(kind, "list"))
        case 25: self = .commit(try reader.body(kind, "commit"))
        case 26: self = try reader.nothing(kind, .forget)
        case 27: self = try reader.nothing(kind, .sweep)
        case 28: self = .audit(try reader.body(kind, "audit"))
        case 29: self = .reserve(try reader.body(kind, "reserve"))
        case 30: self = .pair(try reader.body(kind, "pair"))
        case 31: self = try reader.nothing(kind, .unpair)
        case 32: self = .recover(try reader.body(kind, "recover"))
        default: throw reader.error(.unknown)
        }
    }
}

extension Answer {
    fileprivate func write(to writer: inout ProtobufWriter) {
        switch self {
        case .failed(let failed): writer.message(40, failed.encoded)
        case .vault(let state): writer.message(41, state.encoded)
        case .missing(let missing): writer.message(42, missing.encoded)
        case .stored(let stored): writer.message(43, stored.encoded)
        case .part(let part): writer.message(44, part.encoded)
        case .listing(let listing): writer.message(45, listing.encoded)
        case .outcome(let outcome): writer.message(46, outcome.encoded)
        case .forgotten(let forgotten): writer.message(47, forgotten.encoded)
        case .swept(let swept): writer.message(48, swept.encoded)
        case .samples: writer.message(49, [])
        case .reserved(let reserved): writer.message(50, reserved.encoded)
        case .paired(let paired): writer.message(51, paired.encoded)
        case .unpaired: writer.message(52, [])
        }
    }

    fileprivate init(_ kind: Int, _ reader: inout ProtobufReader) throws(FormatError) {
        switch kind {
        case 40: self = .failed(try reader.body(kind, "failed"))
        case 41: self = .vault(try reader.body(kind, "vault"))
        case 42: self = .missing(try reader.body(kind, "missing"))
        case 43: self = .stored(try reader.body(kind, "stored"))
        case 44: self = .part(try reader.body(kind, "part"))
        case 45: self = .listing(try reader.body(kind, "listing"))
        case 46: self = .outcome(try reader.body(kind, "outcome"))
        case 47: self = .forgotten(try reader.body(kind, "forgotten"))
        case 48: self = .swept(try reader.body(kind, "swept"))
        case 49: self = try reader.nothing(kind, .samples)
        case 50: self = .reserved(try reader.body(kind, "reserved"))
        case 51: self = .paired(try reader.body(kind, "paired"))
        case 52: self = try reader.nothing(kind, .unpaired)
        default: throw reader.error(.unknown)
        }
    }
}

extension ProtobufReader {
    /// The message within field `kind`, which is the next; all of it must be understood.
    fileprivate mutating func body<Body: Fields>(
        _ kind: Int, _ what: String, _: Body.Type = Body.self
    ) throws(FormatError) -> Body {
        guard let bytes = try message(kind, limit: Limits.controlBytesMax) else { throw error(.unknown) }
        var reader = ProtobufReader(bytes, what)
        let body = try Body(&reader)
        try reader.end()
        return body
    }

    /// A message without fields in field `kind`, which is the next.
    fileprivate mutating func nothing<Kind>(_ kind: Int, _ value: Kind) throws(FormatError) -> Kind {
        guard let bytes = try message(kind, limit: 0) else { throw error(.unknown) }
        guard bytes.isEmpty else { throw error(.unknown) }
        return value
    }
}
