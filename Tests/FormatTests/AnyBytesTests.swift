import FuzzTargets
import Testing

/// A deterministic source of changes (SplitMix64): a failing case is replayed by its seed.
private struct Mutator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    private mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(max(1, limit))) }

    private static let telling: [UInt8] = [0, 1, 0x7f, 0x80, 0xff, 0x20, 0x2f, 0x5c]

    /// One to four changes of the kinds that decoders stumble over.
    mutating func change(_ input: [UInt8], beside other: [UInt8]) -> [UInt8] {
        var bytes = input
        for _ in 0...below(4) {
            let place = below(bytes.count)
            switch below(7) {
            case 0 where !bytes.isEmpty: bytes[place] ^= 1 << UInt8(below(8))
            case 1 where !bytes.isEmpty: bytes[place] = UInt8(below(256))
            case 2 where !bytes.isEmpty: bytes[place] = Mutator.telling[below(Mutator.telling.count)]
            case 3: bytes.insert(UInt8(below(256)), at: min(place, bytes.count))
            case 4: bytes.removeLast(below(min(bytes.count, 64) + 1))
            case 5: bytes.removeSubrange(place..<min(bytes.count, place + below(16)))
            default: bytes += other.dropFirst(below(other.count)).prefix(below(64))
            }
        }
        return bytes
    }
}

@Suite("Decoders fed any bytes")
struct AnyBytesTests {
    /// How many changed inputs each target gets; the slow ones get fewer.
    private static let changes = [
        "cutter": 5, "protected-damage": 150, "protected-file": 150, "peer-session": 300,
        "peer-handshake-payload": 1000, "replica-file": 150, "device-file": 500,
    ]

    private func target(_ name: String) throws -> FuzzTarget { try #require(FuzzTarget.all.first { $0.name == name }) }

    private func feed(_ target: FuzzTarget, _ bytes: [UInt8], _ what: String) {
        #expect(throws: Never.self, "\(target.name), \(what)") { try bytes.withUnsafeBytes { try target.run($0) } }
    }

    @Test("keep their promises on every vector and on nothing at all", arguments: FuzzTarget.all.map(\.name))
    func vectors(name: String) throws {
        let target = try target(name)
        let seeds = try target.seeds()
        #expect(!seeds.isEmpty)
        for (index, seed) in seeds.enumerated() { feed(target, seed, "seed \(index)") }
        feed(target, [], "nothing")
    }

    @Test("keep their promises on everything that once broke one", arguments: FuzzTarget.all.map(\.name))
    func regressions(name: String) throws {
        for (file, bytes) in try Vectors.regressions(name) { feed(try target(name), bytes, file) }
    }

    @Test("keep their promises on random bytes", arguments: FuzzTarget.all.map(\.name))
    func random(name: String) throws {
        let target = try target(name)
        var mutator = Mutator(seed: name.utf8.reduce(11) { $0 &* 31 &+ UInt64($1) })
        for round in 0..<min(Self.changes[name] ?? 1000, 1000) {
            // Of all bytes, or of those that texts of the project are made of.
            let alphabet: [UInt8] = round % 2 == 0 ? Array(0...255) : Array("[]{}=.,\"'\\#\n\r -_+:0x1eatrufls~".utf8)
            let bytes = (0..<Int(mutator.next() % 64)).map { _ in alphabet[Int(mutator.next() % UInt64(alphabet.count))] }
            feed(target, bytes, "random \(round)")
        }
    }

    @Test("keep their promises on vectors with random changes", arguments: FuzzTarget.all.map(\.name))
    func changed(name: String) throws {
        let target = try target(name)
        let seeds = try target.seeds()
        var mutator = Mutator(seed: name.utf8.reduce(7) { $0 &* 31 &+ UInt64($1) })
        for round in 0..<(Self.changes[name] ?? 3000) {
            let bytes = mutator.change(seeds[round % seeds.count], beside: seeds[(round / 7) % seeds.count])
            feed(target, bytes, "change \(round)")
        }
    }
}
