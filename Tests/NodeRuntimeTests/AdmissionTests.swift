import BackupFormat
import Cryptography
import NodeRuntime
import TestSupport
import Testing

private func id(_ number: Int) -> ConnectionID { ConnectionID(number: UInt64(number)) }
private func source(_ number: Int) -> ConnectionSource { ConnectionSource(ipv4: UInt32(number)) }

@Suite("Which connections stay")
struct AdmissionTests {
    @Test("of too many unknown ones the oldest goes: of the same source first, then of all")
    func oldestGoes() {
        var admission = Admission(pairedMax: 5, unknownMax: 4, unknownPerSourceMax: 2)
        #expect(admission.arrived(id(1), from: source(1)) == nil)
        #expect(admission.arrived(id(2), from: source(2)) == nil)
        #expect(admission.arrived(id(3), from: source(2)) == nil)
        #expect(admission.arrived(id(4), from: source(2)) == id(2))
        #expect(admission.arrived(id(5), from: source(3)) == nil)
        #expect(admission.arrived(id(6), from: source(4)) == id(1))
        #expect(admission.becamePaired(id(3), peer: .zero, decides: true) == .admitted(duplicate: nil))
        #expect(admission.arrived(id(7), from: source(5)) == nil)
        #expect(admission.unknownCount == 4)
    }

    @Test("one session a peer: the deciding side keeps the newer, the other both until it is told, and never three")
    func duplicates() {
        var decides = Admission(pairedMax: 1, unknownMax: 4, unknownPerSourceMax: 2)
        #expect(decides.becamePaired(id(1), peer: .zero, decides: true) == .admitted(duplicate: nil))
        #expect(decides.becamePaired(id(2), peer: .zero, decides: true) == .admitted(duplicate: id(1)))
        #expect(decides.current(.zero) == id(2))
        decides.left(id(1))
        #expect(decides.current(.zero) == id(2))
        #expect(decides.becamePaired(id(3), peer: .random(), decides: true) == .busy)
        decides.left(id(2))
        #expect(decides.becamePaired(id(4), peer: .random(), decides: true) == .admitted(duplicate: nil))

        var waits = Admission(pairedMax: 1, unknownMax: 4, unknownPerSourceMax: 2)
        #expect(waits.becamePaired(id(1), peer: .zero, decides: false) == .admitted(duplicate: nil))
        #expect(waits.becamePaired(id(2), peer: .zero, decides: false) == .admitted(duplicate: nil))
        #expect(waits.current(.zero) == id(2))
        #expect(waits.becamePaired(id(3), peer: .zero, decides: false) == .admitted(duplicate: id(1)))
        #expect(waits.pairedCount == 2)
        waits.left(id(3))
        #expect(waits.current(.zero) == id(2))
    }

    @Test(
        "both sides see sessions become ready in any order: one remains at rest, and it is the same",
        arguments: 0..<500 as Range<UInt64>)
    func oneRemains(seed: UInt64) {
        var choices = Choices(seed: seed)
        let sessions = (1...(2 + choices.below(3))).map { id($0) }
        var sides = [0, 1].map { _ in Admission(pairedMax: 3, unknownMax: 4, unknownPerSourceMax: 2) }
        var open: [Set<ConnectionID>] = [[], []]
        /// What each side has yet to learn.
        var news = [sessions.shuffled(using: &choices).map { ($0, true) }, sessions.shuffled(using: &choices).map { ($0, true) }]
        var dead: Set<ConnectionID> = []
        while let side = [0, 1].filter({ !news[$0].isEmpty }).randomElement(using: &choices) {
            let (session, isReady) = news[side].removeFirst()
            if !isReady || dead.contains(session) {
                open[side].remove(session)
                sides[side].left(session)
                continue
            }
            open[side].insert(session)
            guard case .admitted(let duplicate) = sides[side].becamePaired(session, peer: .zero, decides: side == 0) else {
                Issue.record("busy")
                continue
            }
            guard let duplicate else { continue }
            dead.insert(duplicate)
            open[side].remove(duplicate)
            sides[side].left(duplicate)
            news[1 - side].append((duplicate, false))
        }
        for side in [0, 1] { for session in dead { open[side].remove(session) } }
        // Who does not decide may have to let the oldest go when there are three: then it is dialled again.
        #expect(open[0] == open[1])
        #expect(open[0].count <= 1)
        if sessions.count == 2 { #expect(open[0].count == 1) }
    }

    @Test("an IPv4 address within IPv6 is what it is; an IPv6 network of 64 bits is one source")
    func sources() {
        func six(_ bytes: [UInt8]) -> ConnectionSource { bytes.withUnsafeBytes { ConnectionSource(ipv6: $0) } }
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 7]
        #expect(six(mapped) == ConnectionSource(ipv4: 0xc000_0207))
        var first: [UInt8] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8]
        let second = six(first)
        first[15] = 9
        #expect(six(first) == second)
        first[7] = 2
        #expect(six(first) != second)
    }

    @Test("addresses are read as they are written, and nothing else is taken for one")
    func addresses() throws {
        for text in ["192.0.2.7:4747", "[2001:db8::7]:1", "[fe80::1%eth0]:65535", "nas.example:80"] {
            #expect(try PeerAddress(text).description == text)
        }
        let others = [
            "", ":1", "nas", "nas:", "nas:0", "nas:65536", "nas:+1", "nas:1a", "2001:db8::7:1", "[::1]", "[]:1", "[::1]1",
        ]
        for text in others {
            #expect(throws: AddressError.self, "\(text)") { try PeerAddress(text) }
        }
    }

    @Test("a suspension is told from a clock that is set right")
    func suspension() {
        var detector = SuspensionDetector(bootTime: .seconds(100), awakeTime: .seconds(90))
        #expect(detector.wasSuspended(bootTime: .seconds(101), awakeTime: .seconds(91)) == false)
        #expect(detector.wasSuspended(bootTime: .milliseconds(102_500), awakeTime: .seconds(92)) == false)
        #expect(detector.wasSuspended(bootTime: .seconds(4000), awakeTime: .seconds(93)) == true)
        #expect(detector.wasSuspended(bootTime: .seconds(4001), awakeTime: .seconds(94)) == false)
    }
}
