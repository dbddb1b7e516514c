internal import BackupFormat

/// Numbers and byte strings as every record is made of.
let numberTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "reader",
        run: { bytes in
            var choices = Choices(bytes)
            // The first byte says how many of the others say what to read.
            let script = Array(choices.take(Int(choices.byte())))
            try readNumbers(choices.rest, script)
        },
        seeds: {
            var writer = ByteWriter()
            let numbers: [UInt64] = [0, 1, 127, 128, 300, 1 << 32, .max]
            for number in numbers { writer.varint(number) }
            for number in [0, -1, 1, .min, .max] as [Int64] { writer.signedVarint(number) }
            writer.uint16(1)
            writer.uint32(2)
            writer.uint64(3)
            writer.byteString([1, 2, 3])
            let script = [UInt8](repeating: 0, count: numbers.count) + [UInt8](repeating: 1, count: 5) + [2, 3, 4, 5]
            return [[UInt8(script.count)] + script + writer.bytes, [2, 0, 1, 0xff, 0x80, 0], [1, 6, 1, 2, 3]]
        })
]

private func readNumbers(_ bytes: UnsafeRawBufferPointer, _ script: [UInt8]) throws(BrokenPromise) {
    var reader = ByteReader(bytes, "numbers")
    for step in script {
        let start = reader.offset
        guard let again = try? readOne(&reader, step) else { break }
        try promise(reader.offset <= bytes.count, "read past the end")
        try promise(again.elementsEqual(bytes[start..<reader.offset]), "step \(step) encodes to other bytes")
    }
    try promise(reader.remaining >= 0 && reader.offset + reader.remaining == bytes.count, "lost its place")
}

/// Reads one value and writes it again.
private func readOne(_ reader: inout ByteReader, _ step: UInt8) throws(FormatError) -> [UInt8] {
    var writer = ByteWriter()
    switch step % 9 {
    case 0: writer.varint(try reader.varint())
    case 1: writer.signedVarint(try reader.signedVarint())
    case 2: writer.uint16(try reader.uint16())
    case 3: writer.uint32(try reader.uint32())
    case 4: writer.uint64(try reader.uint64())
    case 5: writer.byteString(try reader.byteString(limit: 1 << 20))
    case 6: writer.raw(try reader.bytes(Int(step) - 6))
    case 7: writer.bytes32(try reader.bytes32())
    default: writer.count(try reader.count(limit: Int(step) << 2))
    }
    return writer.bytes
}
