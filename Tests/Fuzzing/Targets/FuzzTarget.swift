// Every decoder of the project as a function that takes any bytes and must keep its promises.
//
// One table serves two runners: libFuzzer (Tests/Fuzzing/run) and a normal test (Tests/FormatTests). A target never
// traps; it throws `BrokenPromise` when a decoder accepted what it must not, or gave back something else than it was given.

/// A decoder to be fed any bytes.
package struct FuzzTarget: Sendable {
    package let name: String
    /// Throws ``BrokenPromise``. What the decoder itself throws is its right.
    package let run: @Sendable (UnsafeRawBufferPointer) throws -> Void
    /// Inputs to begin with.
    package let seeds: @Sendable () throws -> [[UInt8]]

    package static let all: [FuzzTarget] = Array(
        [
            numberTargets, treeTargets, recordTargets, keyTargets, protectedTargets, ledgerTargets, contentTargets, textTargets,
            nodeTargets, peerTargets, bookTargets, nameTargets, processTargets, hostTargets,
        ].joined())
}

/// What a decoder did that it must not do.
package struct BrokenPromise: Error, CustomStringConvertible {
    package let description: String
}

/// Throws unless `condition` holds.
func promise(_ condition: Bool, _ what: @autoclosure () -> String) throws(BrokenPromise) {
    if !condition { throw BrokenPromise(description: what()) }
}

/// A target whose decoder either rejects the bytes or yields a value that encodes to the same bytes.
func roundTrip(
    _ name: String, vectors: String, _ names: [String] = [],
    _ again: @escaping @Sendable (UnsafeRawBufferPointer) throws -> [UInt8]
) -> FuzzTarget {
    FuzzTarget(
        name: name,
        run: { bytes in
            guard let encoded = try? again(bytes) else { return }
            try promise(encoded.elementsEqual(bytes), "\(name): other bytes than were decoded")
        },
        seeds: { try Vectors.read(vectors).filter { names.isEmpty || names.contains($0.name) }.map(\.bytes) })
}

/// Takes an input apart: the choices at its front, and the rest.
struct Choices {
    private(set) var rest: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) { rest = bytes }

    var isEmpty: Bool { rest.isEmpty }

    /// The next byte; 0 when none is left.
    mutating func byte() -> UInt8 {
        guard let first = rest.first else { return 0 }
        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst())
        return first
    }

    /// The next bytes, little-endian, as a number below 2 to the power of `8 * bytes`.
    mutating func number(bytes: Int) -> Int {
        var value = 0
        for index in 0..<bytes { value |= Int(byte()) << (8 * index) }
        return value
    }

    /// The next bytes; fewer when fewer are left.
    mutating func take(_ count: Int) -> UnsafeRawBufferPointer {
        let taken = UnsafeRawBufferPointer(rebasing: rest.prefix(count))
        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
        return taken
    }
}
