package import BackupFormat

/// What a command asks of the running node: a word, and arguments as bytes.
package struct ControlRequest: Sendable, Hashable {
    package var verb: String
    package var arguments: [[UInt8]]

    package init(_ verb: String, _ arguments: [[UInt8]] = []) {
        self.verb = verb
        self.arguments = arguments
    }
}

/// What the node answers: any number of `progress`, then one of the others.
package enum ControlReply: Sendable, Hashable {
    case progress([UInt8])
    case result([UInt8])
    /// The exit code that the command ends with, and what it says.
    case failed(code: UInt8, message: String)
}

/// Messages as bytes: `u32 length | u8 version | u8 kind | content`, the length without itself, little-endian.
package enum ControlFrame {
    static let version: UInt8 = 1
    static let bytesMax = 16 << 20
    static let argumentsMax = 1 << 12
    private static let verbBytesMax = 64
    private static let messageBytesMax = 1 << 16

    static func frame(_ kind: UInt8, _ content: [UInt8]) -> [UInt8] {
        var writer = ByteWriter(capacity: content.count + 6)
        writer.uint32(UInt32(content.count + 2))
        writer.byte(version)
        writer.byte(kind)
        writer.raw(content)
        return writer.bytes
    }

    package static func encode(_ request: ControlRequest) -> [UInt8] {
        var writer = ByteWriter()
        writer.byteString(Array(request.verb.utf8))
        writer.count(request.arguments.count)
        for argument in request.arguments { writer.byteString(argument) }
        return frame(1, writer.bytes)
    }

    package static func encode(_ reply: ControlReply) -> [UInt8] {
        switch reply {
        case .progress(let bytes): return frame(2, bytes)
        case .result(let bytes): return frame(3, bytes)
        case .failed(let code, let message): return frame(4, [code] + Array(message.utf8.prefix(messageBytesMax)))
        }
    }

    /// From what follows the length.
    package static func decodeRequest(_ bytes: [UInt8]) throws(FormatError) -> ControlRequest {
        try decode(bytes) { kind, reader throws(FormatError) in
            guard kind == 1 else { throw reader.error(.unknown) }
            let verb = String(decoding: try reader.byteString(limit: verbBytesMax), as: UTF8.self)
            var arguments: [[UInt8]] = []
            for _ in 0..<(try reader.count(limit: argumentsMax)) { arguments.append(try reader.byteString(limit: bytesMax)) }
            try reader.end()
            return ControlRequest(verb, arguments)
        }
    }

    package static func decodeReply(_ bytes: [UInt8]) throws(FormatError) -> ControlReply {
        try decode(bytes) { kind, reader throws(FormatError) in
            let rest = bytes.count - reader.offset
            switch kind {
            case 2: return .progress(Array(try reader.bytes(rest)))
            case 3: return .result(Array(try reader.bytes(rest)))
            case 4:
                let code = try reader.byte()
                return .failed(code: code, message: String(decoding: try reader.bytes(rest - 1), as: UTF8.self))
            default: throw reader.error(.unknown)
            }
        }
    }

    private static func decode<R>(
        _ bytes: [UInt8], _ body: (UInt8, inout ByteReader) throws(FormatError) -> R
    ) throws(FormatError) -> R {
        let result: Result<R, FormatError> = bytes.withUnsafeBytes { buffer in
            do throws(FormatError) {
                var reader = ByteReader(buffer, "control message")
                guard try reader.byte() == version else { throw reader.error(.unknown) }
                return .success(try body(try reader.byte(), &reader))
            } catch { return .failure(error) }
        }
        return try result.get()
    }
}
