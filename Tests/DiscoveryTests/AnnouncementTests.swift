import BackupFormat
import Discovery
import TestSupport
import Testing

@Suite("Announcement") struct AnnouncementTests {
    let announcement = Announcement(id: device(7), port: 7000, role: .persister, freeBytes: 700 << 30, name: "nas")

    @Test("says what it must in under 400 bytes, txtvers first, and is read back")
    func roundTrip() throws {
        let text = text(announcement.text)
        #expect(announcement.text.first == "txtvers=1")
        #expect(text.reduce(0) { $0 + $1.count + 1 } < 400)
        let hints = try #require(PeerHints(text: text))
        #expect(hints.id == device(7))
        #expect(hints.role == .persister)
        #expect(hints.freeBytes == 512 << 30)
        #expect(hints.protocolVersion == 1)
    }

    @Test("every role is read back", arguments: Role.allCases)
    func roles(role: Role) throws {
        var announcement = announcement
        announcement.role = role
        #expect(PeerHints(text: text(announcement.text))?.role == role)
    }

    @Test("free space is rounded down to a power of two of GiB, so that it does not record a disk's filling up")
    func rounding() {
        let cases: [(UInt64, UInt64)] = [
            (0, 0), ((1 << 30) - 1, 0), (1 << 30, 1), (3 << 30, 2), (1023 << 30, 512), (1024 << 30, 1024), (.max, 1 << 33),
        ]
        for (bytes, gibibytes) in cases { #expect(roundedGibibytes(bytes) == gibibytes) }
        var full = announcement
        full.freeBytes = .max
        #expect(PeerHints(text: text(full.text))?.freeBytes == 1 << 63)
    }

    @Test("a name is cut to a label of 63 bytes in whole characters, without what could act on a terminal, and is never empty")
    func labels() {
        func label(_ name: String) -> String {
            Announcement(id: device(1), port: 1, role: .auto, freeBytes: 0, name: name).label
        }
        #expect(label("Ada's laptop") == "Ada's laptop")
        #expect(label("") == "bakare")
        #expect(label(String(repeating: "é", count: 40)) == String(repeating: "é", count: 31))
        #expect(label(String(repeating: "a", count: 100)).utf8.count == 63)
        #expect(label("a\u{1b}[2J\u{202e}b\0c") == "a\u{fffd}[2J\u{fffd}b\u{fffd}c")
        let long = Announcement(id: device(7), port: 1, role: .auto, freeBytes: 0, name: String(repeating: "é", count: 40))
        #expect(long.uniqueLabel == String(repeating: "é", count: 27) + " 00000000")
        #expect(announcement.uniqueLabel == "nas 00000000")
        #expect(readableName([0x61, 0xff, 0x62]) == "a\u{fffd}b")
    }
}

@Suite("TXT record") struct PeerHintsTests {
    let id = "id=" + device(3).hex

    @Test("needs txtvers=1, an id of 64 hexadecimal digits and a protocol's number")
    func required() {
        #expect(PeerHints(text: text(["txtvers=1", id, "proto=1"])) != nil)
        let bad = [
            [], [id, "proto=1"], ["txtvers=2", id, "proto=1"], ["txtvers=", id, "proto=1"], ["txtvers", id, "proto=1"],
            ["txtvers=1", "proto=1"], ["txtvers=1", "id=", "proto=1"], ["txtvers=1", "id=\(device(3).hex)0", "proto=1"],
            ["txtvers=1", "id=\(device(3).hex.dropLast())", "proto=1"],
            ["txtvers=1", "id=\(String(repeating: "g", count: 64))", "proto=1"],
            ["txtvers=1", id], ["txtvers=1", id, "proto=0"], ["txtvers=1", id, "proto=256"], ["txtvers=1", id, "proto=-1"],
            ["txtvers=1", id, "proto=1 "],
        ]
        for strings in bad { #expect(PeerHints(text: text(strings)) == nil, "\(strings)") }
    }

    @Test("a role or free space that it does not understand is taken as not said")
    func optional() throws {
        let vague = [
            [], ["role=king", "free=much"], ["role", "free"], ["free=-1"], ["free=18446744073709551616"], ["free=17179869184"],
        ]
        for more in vague {
            let hints = try #require(PeerHints(text: text(["txtvers=1", id, "proto=2"] + more)))
            #expect(hints.role == nil)
            #expect(hints.freeBytes == nil)
            #expect(hints.protocolVersion == 2)
        }
    }

    @Test("the first of equal keys counts, in whatever case; unknown keys and strings without one are passed over")
    func duplicates() throws {
        let strings = [
            "TxtVers=1", "=x", "", "color=red", "role=both", "ROLE=persister", "ID=\(device(3).hex)", "id=other", "proto=1",
        ]
        let hints = try #require(PeerHints(text: text(strings)))
        #expect(hints.id == device(3))
        #expect(hints.role == .both)
        #expect(PeerHints(text: text(["id=other", "txtvers=1", id, "proto=1"])) == nil)
    }

    @Test("400 bytes of text at most")
    func tooLong() {
        let strings = ["txtvers=1", id, "proto=1"]
        let size = strings.reduce(0) { $0 + $1.utf8.count + 1 }
        func padded(_ count: Int) -> [[UInt8]] { text(strings) + [[UInt8](repeating: 0x78, count: count - 1)] }
        #expect(PeerHints(text: padded(400 - size)) != nil)
        #expect(PeerHints(text: padded(401 - size)) == nil)
    }

    @Test("bytes of any kind do not trap")
    func anyBytes() {
        for seed in 0..<2000 {
            var choices = Choices(seed: UInt64(seed))
            var strings = text(["txtvers=1", id, "role=both", "free=4", "proto=1"])
            for _ in 0..<choices.below(4) {
                let index = choices.below(strings.count)
                switch choices.below(3) {
                case 0: strings[index] = choices.bytes(choices.below(80))
                case 1: strings[index] = Array(strings[index].prefix(choices.below(strings[index].count + 1)))
                default:
                    guard !strings[index].isEmpty else { continue }
                    strings[index][choices.below(strings[index].count)] = UInt8(choices.below(256))
                }
            }
            if let hints = PeerHints(text: strings) { #expect(hints.protocolVersion > 0) }
        }
    }
}

@Suite("Service address") struct ServiceAddressTests {
    @Test("keeps the interface of a link-local IPv6 address, and of no other")
    func interfaces() {
        #expect(ServiceAddress(bytes: linkLocal, port: 7, interface: 3)?.description == "[fe80::1%3]:7")
        #expect(ServiceAddress(bytes: linkLocal, port: 7, interface: 0) == nil)
        #expect(ServiceAddress(bytes: [10, 0, 0, 1], port: 7, interface: 3)?.description == "10.0.0.1:7")
        var global = linkLocal
        global[0] = 0x20
        #expect(ServiceAddress(bytes: global, port: 7, interface: 3)?.description == "[2080::1]:7")
    }

    @Test("is none that leads to this machine itself, to many, or nowhere")
    func refused() {
        var loopback = [UInt8](repeating: 0, count: 16)
        #expect(ServiceAddress(bytes: loopback, port: 7, interface: 2) == nil)
        loopback[15] = 1
        #expect(ServiceAddress(bytes: loopback, port: 7, interface: 2) == nil)
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1]
        #expect(ServiceAddress(bytes: mapped, port: 7, interface: 2) == nil)
        #expect(ServiceAddress(bytes: [0xff, 2] + [UInt8](repeating: 0, count: 13) + [1], port: 7, interface: 2) == nil)
        for bytes: [UInt8] in [[127, 0, 0, 1], [0, 0, 0, 0], [224, 0, 0, 251], [255, 255, 255, 255], [], [1, 2, 3]] {
            #expect(ServiceAddress(bytes: bytes, port: 7, interface: 2) == nil)
        }
        #expect(ServiceAddress(bytes: [10, 0, 0, 1], port: 0, interface: 2) == nil)
    }
}

@Test("waits double up to the longest, and begin anew")
func backoff() {
    var backoff = Backoff(firstMilliseconds: 1, longestMilliseconds: 5)
    #expect((0..<5).map { _ in backoff.next() } == [1_000_000, 2_000_000, 4_000_000, 5_000_000, 5_000_000])
    backoff.reset()
    #expect(backoff.next() == 1_000_000)
}
