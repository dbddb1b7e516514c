internal import BackupFormat
internal import Chunking
internal import Cryptography

/// What a chunk goes through on its way back, and the cutter.
let contentTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "compression",
        run: { bytes in
            guard let compressor = Compressor(), let decompressor = Decompressor() else { return }
            var choices = Choices(bytes)
            let room = choices.number(bytes: 2)
            // Memory of just this size, so that writing past its end shows.
            let output = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 1)
            defer { output.deallocate() }
            if let length = try? decompressor.decompress(choices.rest, into: output) {
                try promise(length <= room, "a length beyond its buffer")
            }
            var packed = [UInt8](repeating: 0, count: Compressor.outputBytesMax(choices.rest.count))
            let length = packed.withUnsafeMutableBytes { compressor.compress(choices.rest, into: $0) }
            guard let length else { return }
            var again = [UInt8](repeating: 0, count: choices.rest.count)
            let count = try again.withUnsafeMutableBytes { again in
                try packed.withUnsafeBytes {
                    try decompressor.decompress(UnsafeRawBufferPointer(rebasing: $0[..<length]), into: again)
                }
            }
            try promise(count == again.count && again.elementsEqual(choices.rest), "compression changes the bytes")
        },
        seeds: {
            // 300 zero bytes, as Tests/Vectors/make-formats.py compresses them.
            let zeros: [UInt8] = [0x2c, 1, 0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x2c, 0, 0x63, 0x09, 0, 0]
            return [zeros, [255, 1] + [UInt8](repeating: 65, count: 200), [10, 0] + Array("some plaintext".utf8)]
        }),
    FuzzTarget(
        name: "sealed-chunk",
        run: { bytes in
            let cipher = ChunkCipher(dedupSecret: .zero)
            let key = cipher.key(of: bytes)
            let id = cipher.id(of: key)
            let opened = UnsafeMutableRawBufferPointer.allocate(
                byteCount: max(0, bytes.count - ChunkCipher.sealBytes), alignment: 1)
            defer { opened.deallocate() }
            try promise((try? cipher.open(sealed: bytes, key: key, id: id, into: opened)) == nil, "a forged chunk was opened")
        },
        seeds: { [[], [UInt8](repeating: 1, count: 40), [UInt8](repeating: 2, count: 100)] }),
    FuzzTarget(
        name: "cutter",
        run: { bytes in
            // The input, over and over, up to a few chunks; whole and in pieces must be cut at the same places.
            guard !bytes.isEmpty else { return }
            let stream = (0..<(5 << 20)).map { bytes[$0 % bytes.count] }
            let cutter = GearCutter(gear: gear)
            try stream.withUnsafeBytes { stream in
                var start = 0
                for _ in 0..<3 {
                    let rest = UnsafeRawBufferPointer(rebasing: stream[start...])
                    var whole = GearCutter.Progress()
                    let cut = cutter.cut(rest, &whole)
                    var pieces = GearCutter.Progress()
                    var found: Int?
                    for end in stride(from: 100_000, through: rest.count, by: 333_333) where found == nil {
                        found = cutter.cut(UnsafeRawBufferPointer(rebasing: rest[..<end]), &pieces)
                    }
                    if let found { try promise(found == cut, "another cut when bytes come in pieces") }
                    guard let cut else { return }
                    try promise((Limits.chunkBytesMin...Limits.chunkBytesMax).contains(cut), "a chunk of \(cut) bytes")
                    start += cut
                }
            }
        },
        seeds: { [[0], Array("The quick brown fox jumps over the lazy dog. ".utf8)] }),
]

private let gear = gearTable(dedupSecret: .zero)
