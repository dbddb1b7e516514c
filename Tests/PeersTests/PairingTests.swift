import BackupFormat
import Cryptography
import PeerProtocol
import Peers
import TestSupport
import Testing

@Suite("Pairing")
struct PairingTests {
    private let me = BookNode(name: "inviter")

    /// What `inviter` tells about an invitation that `token` opens.
    private func invitation(
        _ kind: InvitationKind, by inviter: BookNode, token: Bytes32 = .random(), addresses: [String] = ["nas.example:4411"]
    ) -> Invitation {
        Invitation(
            inviterKey: inviter.key.agreementPublicKey, inviterOwner: inviter.owner.id, token: token, kind: kind, quotaBytes: 500,
            expires: bookNow + 3600, addresses: addresses, name: "attic")
    }

    /// Checks that the inviter refuses, and that nothing has changed.
    private func expectRefusal(
        _ expected: PeerBookError.Code, _ book: PeerBook, _ pair: Pair, _ identity: PeerIdentity, token: Bytes32,
        keys: InviterKeys? = nil, now: Int64 = bookNow, _ place: SourceLocation = #_sourceLocation
    ) {
        var changed = book
        let found = bookError { try changed.admit(pair, from: identity, token: token, keys: keys ?? me.keys, now: now) }
        #expect(found == expected, sourceLocation: place)
        #expect(changed == book, sourceLocation: place)
    }

    // MARK: Friends

    @Test("two owners become friends: each knows the other's device, quota and promise, and the invitation is used up")
    func friends() throws {
        let joiner = BookNode(name: "joiner's laptop")
        var (mine, token) = try PeerBook.inviting(.friend)
        var theirs = PeerBook()
        let invitation = invitation(.friend, by: me, token: token)
        try theirs.requireJoinable(
            invitation, own: joiner.certificate, ownKey: joiner.key.agreementPublicKey, now: bookNow)
        let paired = try mine.admit(
            joiner.pair(70, name: "Ann"), from: joiner.identity, token: token, keys: me.keys, now: bookNow)
        #expect(paired == Paired(quotaBytes: 500))
        try theirs.joined(inviter: me.identity, invitation: invitation, quotaBytes: 70, paired: paired, now: bookNow + 1)
        #expect(mine.invitations.isEmpty)
        let friend = try #require(mine.friend(joiner.owner.id))
        #expect(friend.name == "Ann" && friend.quotaBytes == 500 && friend.promisedBytes == 70)
        #expect(friend.pairedAt == bookNow && friend.isPaired)
        #expect(mine.devices.map(\.certificate) == [joiner.certificate])
        let inviter = try #require(theirs.friend(me.owner.id))
        #expect(inviter.name == "attic" && inviter.quotaBytes == 70 && inviter.promisedBytes == 500)
        #expect(theirs.devices.map(\.certificate) == [me.certificate])
        #expect(theirs.devices.map(\.addresses) == [["nas.example:4411"]])
        #expect(mine.acquaintances(owner: me.owner.id).friends == [joiner.owner.id])
        #expect(theirs.acquaintances(owner: joiner.owner.id).friends == [me.owner.id])
    }

    @Test("an invitation lets in one node: the same one again, or another, is refused")
    func once() throws {
        let (joiner, second) = (BookNode(), BookNode())
        var (book, token) = try PeerBook.inviting(.friend)
        _ = try book.admit(joiner.pair(), from: joiner.identity, token: token, keys: me.keys, now: bookNow)
        expectRefusal(.unknownInvitation, book, joiner.pair(), joiner.identity, token: token)
        expectRefusal(.unknownInvitation, book, second.pair(), second.identity, token: token)
        expectRefusal(.unknownInvitation, book, second.pair(), second.identity, token: .random())
    }

    @Test("an invitation is of no use from its expiry on, also in a session that was opened before")
    func expired() throws {
        let joiner = BookNode()
        var (book, token) = try PeerBook.inviting(.friend)
        expectRefusal(.expired, book, joiner.pair(), joiner.identity, token: token, now: bookNow + 3600)
        _ = try book.admit(joiner.pair(), from: joiner.identity, token: token, keys: me.keys, now: bookNow + 3599)
    }

    @Test("a friend who joins again gets the new quota, and comes back after an agreement was ended")
    func renewal() throws {
        let joiner = BookNode()
        var book = PeerBook()
        try book.befriend(joiner, by: me, quotaBytes: 100, name: "Ann")
        try book.befriend(joiner, by: me, quotaBytes: 900, name: "Ann B.", now: bookNow + 50)
        #expect(book.friends.count == 1 && book.devices.count == 1)
        #expect(book.friend(joiner.owner.id)?.quotaBytes == 900)
        #expect(book.friend(joiner.owner.id)?.name == "Ann B.")
        #expect(book.friend(joiner.owner.id)?.pairedAt == bookNow, "the agreement goes on")
        expect(book.unpair(joiner.owner.id, now: bookNow + 60))
        try book.befriend(joiner, by: me, quotaBytes: 5, now: bookNow + 70)
        #expect(book.friend(joiner.owner.id)?.pairedAt == bookNow + 70)
        #expect(book.friend(joiner.owner.id)?.isPaired == true)
    }

    @Test("devices of one owner, a node without an owner, and this node itself are no friends")
    func notFriends() throws {
        let (book, token) = try PeerBook.inviting(.friend)
        let own = BookNode(owner: me.owner)
        expectRefusal(.sameOwner, book, own.pair(), own.identity, token: token)
        let bare = BookNode()
        expectRefusal(.noCertificate, book, bare.pair(), bare.identity(nil), token: token)
        expectRefusal(.thisNode, book, me.pair(), me.identity, token: token)
    }

    @Test("a node that claims another's device id is refused, whether it shows a certificate for it or not")
    func claimedID() throws {
        let (victim, thief) = (BookNode(), BookNode())
        for kind in InvitationKind.allCases {
            var (book, token) = try PeerBook.inviting(kind)
            try book.befriend(victim, by: me)
            for claimed in [victim.key.id, me.key.id] {
                let identity = thief.identity(kind == .friend ? thief.certified(serial: 1, device: claimed) : nil)
                expectRefusal(.otherDevice, book, thief.pair(device: claimed), identity, token: token)
            }
            // Its certificate says one thing, and it says another.
            if kind == .friend {
                expectRefusal(.otherDevice, book, thief.pair(device: DeviceID(.random())), thief.identity, token: token)
            }
            // A key that is known under another id.
            let identity = victim.identity(kind == .friend ? victim.certified(serial: 5, device: thief.key.id) : nil)
            expectRefusal(.otherDevice, book, victim.pair(device: thief.key.id), identity, token: token)
        }
    }

    @Test("a blocked device is refused, also in a session that began before")
    func blocked() throws {
        let joiner = BookNode()
        var (book, token) = try PeerBook.inviting(.friend)
        book.saw(joiner.certificate, at: [], now: bookNow)
        expect(book.block(joiner.key.id))
        expectRefusal(.blocked, book, joiner.pair(), joiner.identity, token: token)
    }

    @Test("a full book takes no more friends, but renews those it has, and leaves the invitation open")
    func full() throws {
        var book = PeerBook()
        var last = BookNode()
        for _ in 0..<Limits.friendsMax {
            last = BookNode()
            try book.befriend(last, by: me)
        }
        let token = Bytes32.random()
        try book.invite(kind: .friend, quotaBytes: 9, expires: bookNow + 9, token: token, now: bookNow)
        let joiner = BookNode()
        expectRefusal(.full, book, joiner.pair(), joiner.identity, token: token)
        let known = invitation(.friend, by: last)
        try book.requireJoinable(known, own: me.certificate, ownKey: me.key.agreementPublicKey, now: bookNow)
        #expect(
            bookError {
                try book.requireJoinable(
                    invitation(.friend, by: joiner), own: me.certificate, ownKey: me.key.agreementPublicKey, now: bookNow)
            } == .full)
        _ = try book.admit(last.pair(), from: last.identity, token: token, keys: me.keys, now: bookNow)
        #expect(book.friend(last.owner.id)?.quotaBytes == 9)
    }

    @Test("names that the other side gave are cleaned and bounded, and never empty")
    func names() throws {
        let joiner = BookNode(name: "\u{1b}]0;title\u{7}")
        for (given, kept) in [
            ("\u{202e}gpj.exe\n", "\u{fffd}gpj.exe"), ("", "\u{fffd}]0;title\u{fffd}"), (" \n", "\u{fffd}]0;title\u{fffd}"),
        ] {
            var book = PeerBook()
            try book.befriend(joiner, by: me, name: given)
            #expect(book.friends.map(\.name) == [kept])
            #expect(book.devices.map(\.name) == ["\u{fffd}]0;title\u{fffd}"])
        }
        let nameless = BookNode(name: "\t")
        var book = PeerBook()
        try book.befriend(nameless, by: me, name: "")
        #expect(book.friends.map(\.name) == [String(nameless.owner.id.hex.prefix(8))])
    }

    // MARK: Devices of the owner

    @Test("a new device of the owner is certified for its own key, and given what its kind needs and no more")
    func ownDevice() throws {
        for (kind, permissions) in [(InvitationKind.ownDevice, Permissions.all), (.writeOnlyDevice, .backup)] {
            let node = NodeKey.generate()
            let identity = PeerIdentity(agreementKey: node.agreementPublicKey, certificate: nil, agent: "new")
            var (book, token) = try PeerBook.inviting(kind)
            let invitation = invitation(kind, by: me, token: token)
            let pair = Pair(quotaBytes: 0, device: node.id, name: "new \u{1b}device")
            let paired = try book.admit(pair, from: identity, token: token, keys: me.keys, now: bookNow)
            #expect(book.friends.isEmpty && book.invitations.isEmpty)
            let admitted = try AdmittedDevice(paired, invitation: invitation, node: node)
            #expect(admitted.certificate.permissions == permissions)
            #expect(admitted.certificate.name == "new \u{fffd}device")
            #expect(admitted.certificate.serial == UInt64(bookNow))
            #expect(book.devices.map(\.certificate) == [admitted.certificate])
            #expect(admitted.owner?.seedBytes == (kind == .ownDevice ? me.owner.seedBytes : nil))
            #expect(admitted.publisher.owner == me.owner.id)
            #expect(admitted.publisher.dedupSecret == me.owner.publisherKeys.dedupSecret)
            #expect(admitted.publisher.footerKey == me.owner.publisherKeys.footerKey)
            #expect(admitted.publisher.sealingPublicKey == me.owner.publisherKeys.sealingPublicKey)
            #expect(paired.keys.count <= Limits.admittedKeyBytesMax)
            var theirs = PeerBook()
            try theirs.joined(inviter: me.identity, invitation: invitation, quotaBytes: 0, paired: paired, now: bookNow)
            #expect(theirs.friends.isEmpty)
            #expect(theirs.devices.map(\.certificate) == [me.certificate])
        }
    }

    @Test("a write-only device gives no seed away, whatever it is asked: it can invite friends alone")
    func writeOnlyInviter() throws {
        let keys = InviterKeys(owner: nil, publisher: me.owner.publisherKeys, certificate: me.certificate)
        let node = NodeKey.generate()
        let identity = PeerIdentity(agreementKey: node.agreementPublicKey, certificate: nil, agent: "new")
        for kind in [InvitationKind.ownDevice, .writeOnlyDevice] {
            let (book, token) = try PeerBook.inviting(kind)
            #expect(bookError { try keys.requireAble(kind) } == .writeOnly)
            expectRefusal(
                .writeOnly, book, Pair(quotaBytes: 0, device: node.id, name: ""), identity, token: token, keys: keys)
        }
        try keys.requireAble(.friend)
        let friend = BookNode()
        var (book, token) = try PeerBook.inviting(.friend)
        _ = try book.admit(friend.pair(), from: friend.identity, token: token, keys: keys, now: bookNow)
        #expect(book.friends.count == 1)
    }

    @Test("a node that has an owner does not become a device by an invitation")
    func ownedJoiner() throws {
        for kind in [InvitationKind.ownDevice, .writeOnlyDevice] {
            let (book, token) = try PeerBook.inviting(kind)
            let (stranger, own) = (BookNode(), BookNode(owner: me.owner, permissions: .backup))
            expectRefusal(.otherOwner, book, stranger.pair(), stranger.identity, token: token)
            expectRefusal(.alreadyDevice, book, own.pair(), own.identity, token: token)
        }
    }

    @Test("a device whose answer was lost is certified anew, with a higher serial even when the clock has gone back")
    func lostAnswer() throws {
        let node = NodeKey.generate()
        let identity = PeerIdentity(agreementKey: node.agreementPublicKey, certificate: nil, agent: "new")
        var book = PeerBook()
        var serials: [UInt64] = []
        for now in [bookNow, bookNow, bookNow - 500, -5] {
            let token = Bytes32.random()
            try book.invite(kind: .ownDevice, quotaBytes: 0, expires: now + 9, token: token, now: now)
            let paired = try book.admit(
                Pair(quotaBytes: 0, device: node.id, name: "n"), from: identity, token: token, keys: me.keys, now: now)
            let admitted = try AdmittedDevice(paired, invitation: invitation(.ownDevice, by: me), node: node)
            #expect(book.devices.map(\.certificate) == [admitted.certificate])
            serials.append(admitted.certificate.serial)
        }
        #expect(serials == (0..<4).map { UInt64(bookNow) + $0 })
    }

    // MARK: Who joins

    @Test("an inviter that answers with anything but what it offered is not believed")
    func falseAnswers() throws {
        let node = NodeKey.generate()
        let other = BookNode()
        let own = invitation(.ownDevice, by: me)
        let certificate = me.owner.certify(node, name: "n", permissions: .all, serial: 1)
        let seed = OwnerKeyRecord(seed: me.owner.seedBytes).encode()
        func isRefused(_ certificate: Certificate, _ keys: [UInt8], _ invitation: Invitation) -> Bool {
            let paired = Paired(quotaBytes: 0, certificate: certificate.encode(), keys: keys)
            return bookError { try AdmittedDevice(paired, invitation: invitation, node: node) } == .falseAnswer
        }
        #expect(!isRefused(certificate, seed, own))
        #expect(isRefused(certificate, OwnerKeyRecord(seed: other.owner.seedBytes).encode(), own))
        #expect(isRefused(other.owner.certify(node, name: "n", permissions: .all, serial: 1), seed, own))
        #expect(isRefused(me.owner.certify(node, name: "n", permissions: .backup, serial: 1), seed, own))
        #expect(isRefused(me.certificate, seed, own), "for another node")
        #expect(isRefused(certificate, [1, 2, 3], own))
        #expect(isRefused(certificate, seed, invitation(.writeOnlyDevice, by: me)))
        #expect(isRefused(certificate, seed, invitation(.friend, by: me)))
        var forged = certificate
        forged.serial += 1
        #expect(isRefused(forged, seed, own))
        #expect(
            bookError { try AdmittedDevice(Paired(quotaBytes: 0), invitation: own, node: node) } == .falseAnswer)
    }

    @Test("who joins keeps nothing of an inviter that is not the one of the invitation, or gives what was not offered")
    func falseInviter() throws {
        let (other, sibling) = (BookNode(), BookNode(owner: me.owner))
        var book = PeerBook()
        let friendly = Paired(quotaBytes: 1)
        let invitation = invitation(.friend, by: me)
        let stolen = PeerIdentity(agreementKey: me.key.agreementPublicKey, certificate: other.certificate, agent: "")
        for identity in [other.identity, sibling.identity, me.identity(nil), stolen] {
            #expect(
                bookError {
                    try book.joined(inviter: identity, invitation: invitation, quotaBytes: 1, paired: friendly, now: bookNow)
                } == .falseAnswer)
        }
        let keys = Paired(quotaBytes: 1, certificate: [1], keys: [1])
        #expect(
            bookError { try book.joined(inviter: me.identity, invitation: invitation, quotaBytes: 1, paired: keys, now: bookNow) }
                == .falseAnswer)
        let device = self.invitation(.ownDevice, by: me)
        #expect(
            bookError { try book.joined(inviter: me.identity, invitation: device, quotaBytes: 1, paired: friendly, now: bookNow) }
                == .falseAnswer)
        #expect(book == PeerBook())
    }

    @Test("an invitation that cannot be used here is refused before anybody is dialled")
    func joinable() throws {
        let (joiner, sibling) = (BookNode(), BookNode(owner: me.owner))
        func code(_ kind: InvitationKind, _ node: BookNode, hasOwner: Bool = true, now: Int64 = bookNow) -> PeerBookError.Code? {
            bookError {
                try PeerBook().requireJoinable(
                    invitation(kind, by: me), own: hasOwner ? node.certificate : nil, ownKey: node.key.agreementPublicKey,
                    now: now)
            }
        }
        #expect(code(.friend, joiner) == nil)
        #expect(code(.friend, joiner, now: bookNow + 3599) == nil)
        #expect(code(.friend, joiner, now: bookNow + 3600) == .expired)
        #expect(code(.friend, me) == .thisNode)
        #expect(code(.ownDevice, me) == .thisNode)
        #expect(code(.friend, sibling) == .sameOwner)
        #expect(code(.friend, joiner, hasOwner: false) == .noCertificate)
        for kind in [InvitationKind.ownDevice, .writeOnlyDevice] {
            #expect(code(kind, joiner, hasOwner: false) == nil)
            #expect(code(kind, joiner) == .otherOwner)
            #expect(code(kind, sibling) == .alreadyDevice)
        }
        var book = PeerBook()
        book.saw(me.certificate, at: [], now: bookNow)
        expect(book.block(me.key.id))
        #expect(
            bookError {
                try book.requireJoinable(
                    invitation(.friend, by: me), own: joiner.certificate, ownKey: joiner.key.agreementPublicKey, now: bookNow)
            } == .blocked)
    }

    @Test("every refusal has words, fit for a terminal and for a message")
    func words() {
        for code in PeerBookError.Code.allCases {
            let text = PeerBookError(code, "detail").description
            #expect(text.count > 20 && text.utf8.count < Limits.reasonBytesMax)
            #expect(!text.unicodeScalars.contains { $0.isUnsafeToShow })
        }
    }
}
