package import BackupFormat
internal import CZstd

/// How a chunk's payload is kept. Raw values are stored.
package enum CompressionMethod: UInt8, Sendable {
    case stored = 0
    case zstd = 1
}

/// Compresses chunks, one at a time; each worker has its own.
package final class Compressor {
    private let context: OpaquePointer
    private let probe: OpaquePointer
    private var probeOutput: [UInt8]

    private static let probePieceBytes = 8 << 10
    private static let probePieces = 3

    /// Nil when memory is short. `level` is zstd's.
    package init?(level: Int32 = 1) {
        guard let context = ZSTD_createCCtx() else { return nil }
        guard let probe = ZSTD_createCCtx() else {
            ZSTD_freeCCtx(context)
            return nil
        }
        self.context = context
        self.probe = probe
        probeOutput = [UInt8](repeating: 0, count: ZSTD_compressBound(Compressor.probePieceBytes))
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
        ZSTD_CCtx_setParameter(probe, ZSTD_c_compressionLevel, -3)
    }

    deinit {
        ZSTD_freeCCtx(context)
        ZSTD_freeCCtx(probe)
    }

    /// Bytes that `into` must offer for a payload of `count`.
    package static func outputBytesMax(_ count: Int) -> Int { ZSTD_compressBound(count) }

    /// Writes the compressed payload and returns its length in bytes, or nil when storing it as it is takes no more room.
    package func compress(_ source: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        guard source.count >= 64, seemsCompressible(source) else { return nil }
        let length = ZSTD_compress2(context, output.baseAddress, output.count, source.baseAddress, source.count)
        guard ZSTD_isError(length) == 0, length < source.count - source.count / 64 else { return nil }
        return length
    }

    /// Compresses a few pieces quickly: media and archives are not worth the full attempt.
    private func seemsCompressible(_ source: UnsafeRawBufferPointer) -> Bool {
        let piece = Compressor.probePieceBytes
        guard source.count >= 16 * piece else { return true }
        var compressed = 0
        for index in 0..<Compressor.probePieces {
            let start = (source.count - piece) / (Compressor.probePieces - 1) * index
            let length = probeOutput.withUnsafeMutableBytes { output in
                ZSTD_compress2(probe, output.baseAddress, output.count, source.baseAddress.map { $0 + start }, piece)
            }
            compressed += ZSTD_isError(length) == 0 ? length : piece
        }
        let whole = piece * Compressor.probePieces
        return compressed < whole - whole / 32
    }
}

/// Decompresses chunks, one at a time; each worker has its own.
package final class Decompressor {
    private let context: OpaquePointer

    /// Nil when memory is short.
    package init?() {
        guard let context = ZSTD_createDCtx() else { return nil }
        self.context = context
    }

    deinit { ZSTD_freeDCtx(context) }

    /// The plaintext of one zstd frame, written to `output`; its length in bytes. Throws when the frame is malformed or
    /// does not fit in `output`.
    package func decompress(
        _ source: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(FormatError) -> Int {
        let length = ZSTD_decompressDCtx(context, output.baseAddress, output.count, source.baseAddress, source.count)
        guard ZSTD_isError(length) == 0 else { throw FormatError(.checksum, "compressed chunk") }
        return length
    }
}
