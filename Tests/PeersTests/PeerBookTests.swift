import BackupFormat
import Cryptography
import PeerProtocol
import Peers
import TestSupport
import Testing

@Suite("The book of peers")
struct PeerBookTests {
    @Test("trusts friends until they are unpaired, and no blocked device")
    func acquaintances() throws {
        let (me, friend, former) = (BookNode(), BookNode(), BookNode())
        var book = PeerBook()
        try book.befriend(friend, by: me)
        try book.befriend(former, by: me)
        expect(book.unpair(former.owner.id, now: bookNow + 5))
        expect(!book.unpair(former.owner.id, now: bookNow + 6), "once")
        expect(!book.unpair(me.owner.id, now: bookNow))
        #expect(book.friend(former.owner.id)?.unpairedAt == bookNow + 5)
        expect(book.block(friend.key.id))
        expect(!book.block(me.key.id))
        let known = book.acquaintances(owner: me.owner.id)
        #expect(known.owner == me.owner.id)
        #expect(known.friends == [friend.owner.id])
        #expect(known.blocked == [friend.key.agreementPublicKey])
        expect(book.unblock(friend.key.id))
        #expect(book.acquaintances(owner: me.owner.id).blocked.isEmpty)
    }

    @Test("a friend is forgotten only after the agreement was ended, and blocked devices of his stay blocked")
    func removal() throws {
        let (me, friend) = (BookNode(), BookNode())
        let second = BookNode(owner: friend.owner)
        var book = PeerBook()
        try book.befriend(friend, by: me)
        book.saw(second.certificate, at: [], now: bookNow)
        expect(book.block(second.key.id))
        expect(!book.remove(friend.owner.id))
        expect(book.unpair(friend.owner.id, now: bookNow))
        expect(book.remove(friend.owner.id))
        expect(!book.remove(friend.owner.id))
        #expect(book.friends.isEmpty)
        #expect(book.devices.map(\.id) == [second.key.id])
        #expect(book.acquaintances(owner: me.owner.id).blocked == [second.key.agreementPublicKey])
    }

    // MARK: Invitations

    @Test("an invitation is open until it expires; expired ones make room, and there are at most as many as may be")
    func invitations() throws {
        var book = PeerBook()
        let first = Bytes32.random()
        try book.invite(kind: .friend, quotaBytes: 1, expires: bookNow + 10, token: first, now: bookNow)
        #expect(book.openTokens(now: bookNow + 9) == [first])
        #expect(book.openTokens(now: bookNow + 10).isEmpty)
        for _ in 1..<Limits.invitationsMax {
            try book.invite(kind: .friend, quotaBytes: 1, expires: bookNow + 99, token: .random(), now: bookNow)
        }
        let full = book
        let later = Bytes32.random()
        #expect(
            bookError { try book.invite(kind: .friend, quotaBytes: 1, expires: bookNow + 99, token: later, now: bookNow) }
                == .full)
        #expect(book == full)
        try book.invite(kind: .ownDevice, quotaBytes: 1, expires: bookNow + 99, token: later, now: bookNow + 10)
        #expect(book.invitations.count == Limits.invitationsMax)
        #expect(!book.invitations.contains { $0.token == first })
        #expect(book.openTokens(now: bookNow + 11).sorted() == book.invitations.map(\.token))
    }

    @Test("an invitation lasts for some time, and no longer than a year, whatever the clock says")
    func expiry() throws {
        var book = PeerBook()
        for (now, expires) in [
            (bookNow, bookNow), (bookNow, bookNow - 1), (bookNow, bookNow + 366 * 86_400 + 1), (Int64.min, Int64.max),
            (-1, Int64.max),
            (Int64.max, Int64.min),
        ] {
            #expect(
                bookError { try book.invite(kind: .friend, quotaBytes: 0, expires: expires, token: .zero, now: now) }
                    == .badExpiry)
        }
        #expect(book == PeerBook())
        try book.invite(kind: .friend, quotaBytes: 0, expires: bookNow + 366 * 86_400, token: .zero, now: bookNow)
        try book.invite(kind: .friend, quotaBytes: 2, expires: bookNow + 1, token: .zero, now: bookNow)
        #expect(book.invitations.map(\.quotaBytes) == [2], "a token made anew")
    }

    // MARK: Devices

    @Test("of two certificates of a device the higher serial wins, whichever comes first; newer addresses go first")
    func serials() {
        let node = BookNode()
        let (old, new) = (node.certified(name: "old", serial: 4), node.certified(name: "new", serial: 9))
        for order in [[old, new], [new, old]] {
            var book = PeerBook()
            expect(book.saw(order[0], at: ["a.example:1", "b.example:2"], now: bookNow))
            expect(book.saw(order[1], at: ["c.example:3", "a.example:1"], now: bookNow + 1))
            #expect(book.devices.count == 1)
            let device = book.device(node.key.id)
            #expect(device?.certificate == new)
            #expect(device?.lastSeen == bookNow + 1)
            #expect(device?.addresses == ["c.example:3", "a.example:1", "b.example:2"])
            #expect(device == book.device(agreementKey: node.key.agreementPublicKey))
        }
    }

    @Test("an older certificate of a device with another key changes nothing, and a later one drops the old key's addresses")
    func newKey() {
        let (node, other) = (BookNode(), BookNode())
        let later = node.owner.certify(
            device: node.key.id, agreementKey: other.key.agreementPublicKey, name: "moved", permissions: .all, serial: 9)
        var book = PeerBook()
        book.saw(node.certificate, at: ["a.example:1"], now: bookNow)
        expect(book.block(node.key.id))
        expect(book.saw(later, at: [], now: bookNow + 1))
        #expect(book.devices.map(\.addresses) == [[]])
        #expect(book.devices.map(\.isBlocked) == [true], "a later certificate does not lift a block")
        let before = book
        expect(!book.saw(node.certificate, at: ["b.example:1"], now: bookNow + 2))
        #expect(book == before)
    }

    @Test("an owner cannot take the place of another's device by certifying its id")
    func claimedID() {
        let (victim, thief) = (BookNode(), BookNode())
        var book = PeerBook()
        book.saw(victim.certificate, at: ["a.example:1"], now: bookNow)
        book.saw(thief.certified(serial: .max, device: victim.key.id), at: ["evil.example:1"], now: bookNow - 1)
        #expect(book.devices.count == 2)
        #expect(book.device(victim.key.id, of: victim.owner.id)?.addresses == ["a.example:1"])
        #expect(book.device(victim.key.id, of: thief.owner.id)?.addresses == ["evil.example:1"])
        #expect(book.device(victim.key.id)?.owner == victim.owner.id, "the one seen last")
        expect(book.block(victim.key.id, of: thief.owner.id))
        #expect(book.acquaintances(owner: victim.owner.id).blocked == [thief.key.agreementPublicKey])
    }

    @Test("who holds a blocked key stays blocked, whatever it calls itself next")
    func renamedBlocked() {
        let node = BookNode()
        var book = PeerBook()
        book.saw(node.certificate, at: [], now: bookNow)
        expect(book.block(node.key.id))
        book.saw(node.certified(serial: 2, device: DeviceID(.random())), at: [], now: bookNow)
        #expect(book.devices.count == 1)
        #expect(book.devices.map(\.isBlocked) == [true])
    }

    @Test("keeps the newest addresses, and of those only what is one")
    func addresses() {
        let node = BookNode()
        var book = PeerBook()
        let strange = [
            "", ":1", "a", "a:", "a:0", "a:65536", "a:000001", "a b:1", "a:1\u{1b}", "ä:1", "a:-1",
            String(repeating: "a", count: 260) + ":1", "a:\u{0}1",
        ]
        book.saw(node.certificate, at: strange + ["[fe80::1%eth0]:65535", "nas:1", "nas:1"], now: bookNow)
        #expect(book.devices.map(\.addresses) == [["[fe80::1%eth0]:65535", "nas:1"]])
        book.saw(node.certificate, at: (0..<40).map { "h\($0):9" }, now: bookNow)
        #expect(book.devices.map(\.addresses) == [(0..<16).map { "h\($0):9" }])
        book.saw(node.certificate, at: ["nas:1"], now: bookNow)
        #expect(book.devices.map(\.addresses) == [["nas:1"] + (0..<15).map { "h\($0):9" }])
    }

    @Test("an owner who certifies devices without end pushes out its own, those not seen for longest, and no blocked one")
    func manyOfOne() {
        let owner = OwnerKey.generate()
        let other = BookNode()
        var book = PeerBook()
        book.saw(other.certificate, at: [], now: 0)
        var ids: [DeviceID] = []
        for number in 0..<100 {
            let node = BookNode(owner: owner)
            ids.append(node.key.id)
            expect(book.saw(node.certificate, at: [], now: bookNow + Int64(number)))
            if number == 3 { expect(book.block(node.key.id)) }
        }
        let kept = Set(book.devices(of: owner.id).map(\.id))
        #expect(kept == Set([ids[3]] + ids.suffix(Limits.devicesPerOwnerMax - 1)))
        #expect(book.device(other.key.id) != nil)
        for id in kept { expect(book.block(id)) }
        expect(!book.saw(BookNode(owner: owner).certificate, at: [], now: bookNow), "all blocked")
        #expect(book.devices.count == Limits.devicesPerOwnerMax + 1)
    }

    @Test("in a full book who has the most devices gives one up")
    func manyOfMany() {
        var book = PeerBook()
        let single = BookNode()
        book.saw(single.certificate, at: [], now: 0)
        for _ in 0..<Limits.devicesMax / Limits.devicesPerOwnerMax {
            let owner = OwnerKey.generate()
            for _ in 0..<Limits.devicesPerOwnerMax { book.saw(BookNode(owner: owner).certificate, at: [], now: bookNow) }
        }
        #expect(book.devices.count == Limits.devicesMax)
        let another = BookNode()
        expect(book.saw(another.certificate, at: [], now: bookNow))
        #expect(book.devices.count == Limits.devicesMax)
        #expect(book.device(another.key.id) != nil && book.device(single.key.id) != nil)
    }

    // MARK: Finding

    @Test("finds friends and devices by name, by id, and by the beginning of an id")
    func finding() throws {
        let (me, friend) = (BookNode(), BookNode(name: "attic"))
        let own = BookNode(owner: me.owner, name: "nas")
        var book = PeerBook()
        try book.befriend(friend, by: me, name: "Zoë")
        book.saw(own.certificate, at: [], now: bookNow)
        let found = try #require(book.friend(friend.owner.id))
        let device = try #require(book.device(own.key.id))
        #expect(try book.find("Zoë") == .friend(found))
        #expect(try book.find("Zoe\u{308}") == .friend(found), "as people see it")
        #expect(try book.find(friend.owner.id.hex) == .friend(found))
        #expect(try book.find("nas") == .device(device))
        #expect(try book.find(own.key.id.hex.prefix(10).uppercased()) == .device(device))
        #expect(try book.findFriend("attic") == found, "by a device of his")
        #expect(try book.findDevice("attic").id == friend.key.id)
        for text in ["", "nobody", "NAS", String(own.key.id.hex.prefix(3)), "\u{1b}[2J"] {
            #expect(bookError { try book.find(text) } == .unknownPeer)
        }
        #expect(bookError { try book.findFriend("nas") } == .unknownPeer)
        #expect(bookError { try book.findDevice("Zoë") } == .unknownPeer)
    }

    @Test("a name that several have is ambiguous, and says whose it is; a friend and his device of one name are no two")
    func ambiguous() throws {
        let me = BookNode()
        let friend = BookNode(name: "laptop")
        var book = PeerBook()
        try book.befriend(friend, by: me, name: "laptop")
        #expect(try book.find("laptop") == .friend(try #require(book.friend(friend.owner.id))))
        #expect(try book.findDevice("laptop").id == friend.key.id)
        let other = BookNode(owner: me.owner, name: "laptop")
        book.saw(other.certificate, at: [], now: bookNow)
        do {
            _ = try book.find("laptop")
            Issue.record("found one of three")
        } catch {
            #expect(error.code == .ambiguous)
            for part in [friend.owner.id.hex, friend.key.id.hex, other.key.id.hex] {
                #expect("\(error)".contains(part.prefix(12)))
            }
        }
        #expect(try book.findFriend("laptop").owner == friend.owner.id)
        #expect(bookError { try book.findDevice("laptop") } == .ambiguous)
    }

    @Test("who calls himself by another's id does not keep that one from being named by it")
    func impersonatingName() throws {
        let (me, victim, liar) = (BookNode(), BookNode(), BookNode())
        var book = PeerBook()
        try book.befriend(victim, by: me, name: "victim")
        try book.befriend(liar, by: me, name: victim.owner.id.hex)
        #expect(try book.find(victim.owner.id.hex) == .friend(try #require(book.friend(victim.owner.id))))
        #expect(try book.findFriend(victim.owner.id.hex).owner == victim.owner.id)
    }

    @Test("a name is kept as it may be shown: no control characters, none that reverse text, and bounded")
    func names() {
        #expect(
            shownName("a\u{1b}[31m\u{202e}b\n\u{2028}\u{200d}c\u{7f}\u{85}")
                == "a\u{fffd}[31m\u{fffd}b\u{fffd}\u{fffd}\u{fffd}c\u{fffd}")
        #expect(shownName("  Zoë's NAS \u{a0}") == "Zoë's NAS")
        #expect(shownName(" \t\u{3000}").isEmpty)
        #expect(shownName("") == "")
        for length in 0..<300 {
            for text in [
                String(repeating: "é", count: length), String(repeating: "x ", count: length),
                String(repeating: "\u{7}", count: length),
            ] {
                let shown = shownName(text)
                #expect(shown.utf8.count <= 255)
                #expect(shownName(shown).utf8.elementsEqual(shown.utf8), "once is enough")
            }
        }
    }
}
