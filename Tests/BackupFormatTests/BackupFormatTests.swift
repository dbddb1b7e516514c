import BackupFormat
import Testing

/// The bytes that `body` writes.
func written(_ body: (inout ByteWriter) -> Void) -> [UInt8] {
    var writer = ByteWriter()
    body(&writer)
    return writer.bytes
}

@Suite("Numbers and byte strings")
struct ByteReaderTests {
    private func read<Value>(_ bytes: [UInt8], _ body: (inout ByteReader) throws(FormatError) -> Value) -> Result<
        Value, FormatError
    > {
        bytes.withUnsafeBytes { buffer in
            var reader = ByteReader(buffer, "test")
            return Result { () throws(FormatError) -> Value in
                let value = try body(&reader)
                try reader.end()
                return value
            }
        }
    }

    private func varint(_ bytes: [UInt8]) -> Result<UInt64, FormatError> {
        read(bytes) { reader throws(FormatError) in try reader.varint() }
    }

    private func code<Value>(_ result: Result<Value, FormatError>) -> FormatError.Code? {
        if case .failure(let error) = result { error.code } else { nil }
    }

    @Test("a varint of any length comes back, unsigned and signed")
    func varints() throws {
        for shift in 0..<64 as Range<UInt64> {
            for value in [UInt64(1) << shift, (1 << shift) &- 1, ~(1 << shift)] {
                #expect(try varint(written { $0.varint(value) }).get() == value)
                #expect(varintBytes(value) == written { $0.varint(value) }.count)
                let signed = Int64(bitPattern: value)
                let bytes = written { $0.signedVarint(signed) }
                #expect(try read(bytes) { reader throws(FormatError) in try reader.signedVarint() }.get() == signed)
            }
        }
    }

    @Test("refuses a varint in a longer form than it needs, above 64 bits, or cut off")
    func badVarints() {
        #expect(code(varint([0x80, 0])) == .inconsistent)
        #expect(code(varint([0xff, 0xff, 0])) == .inconsistent)
        #expect(code(varint([UInt8](repeating: 0xff, count: 9) + [2])) == .outOfRange)
        #expect(code(varint([UInt8](repeating: 0x80, count: 10) + [1])) == .outOfRange)
        #expect(code(varint([])) == .truncated)
        #expect(code(varint([0x80])) == .truncated)
        #expect(code(varint([1, 2])) == .trailing)
    }

    @Test("refuses a length beyond its limit before it looks at the bytes, and one beyond the end")
    func lengths() {
        let huge = written { $0.varint(.max) }
        #expect(code(read(huge) { reader throws(FormatError) in try reader.byteString(limit: 10) }) == .outOfRange)
        #expect(code(read([11] + huge) { reader throws(FormatError) in try reader.byteString(limit: 10) }) == .outOfRange)
        #expect(code(read([3, 1, 2]) { reader throws(FormatError) in try reader.byteString(limit: 10) }) == .truncated)
        #expect(code(read([1]) { reader throws(FormatError) in try reader.bytes(-1).count }) == .truncated)
    }
}

@Suite("Paths as text")
struct RawPathTests {
    @Test("shows what is not UTF-8, and what could deceive a terminal, as bytes; tells a backslash from its own marks")
    func descriptions() {
        #expect(RawPath("/home/ä b").description == "/home/ä b")
        #expect(RawPath(bytes: [0x61, 0xff, 0x62]).description == "a\\xffb")
        #expect(RawPath("a\nb\u{1b}[31m\u{7f}").description == "a\\x0ab\\x1b[31m\\x7f")
        #expect(RawPath("\u{85}").description == "\\xc2\\x85")
        #expect(RawPath("txt\u{202e}exe").description == "txt\\xe2\\x80\\xaeexe")
        #expect(RawPath("a\\xff").description == "a\\\\xff")
        #expect(RawPath(bytes: [0xf0, 0x9f, 0x98]).description == "\\xf0\\x9f\\x98")
    }

    @Test("joins and splits at slashes, and sorts by bytes")
    func components() {
        #expect(RawPath("/").appending("a") == "/a")
        #expect(RawPath("/a").appending("b") == "/a/b")
        #expect(RawPath("").appending("b") == "b")
        #expect(RawPath("//a//b/").components == ["a", "b"])
        #expect(RawPath("a") < RawPath("b") && RawPath("Z") < RawPath("a") && RawPath("a") < RawPath("a/"))
        #expect(RawPath(bytes: [0x7f]) < RawPath(bytes: [0x80]))
    }
}
