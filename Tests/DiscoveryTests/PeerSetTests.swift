import BackupFormat
import Discovery
import TestSupport
import Testing

@Suite("Peer set") struct PeerSetTests {
    var set = PeerSet(ownID: device(0))

    /// Has a service found and resolved; gives what follows from its being resolved.
    mutating func see(
        _ key: ServiceKey, _ number: Int, at address: [UInt8] = [10, 0, 0, 1], port: UInt16 = 7000, text: [[UInt8]]? = nil
    ) -> [PeerSet.Effect] {
        _ = set.handle(.found(key))
        return set.handle(.resolved(key, address: address, port: port, text: text ?? DiscoveryTests.text(of: number)))
    }

    @Test("answers of one node through several interfaces and protocols are one node with their addresses")
    mutating func folding() throws {
        #expect(set.handle(.found(key("nas"))) == [.resolve(key("nas"))])
        #expect(set.handle(.found(key("nas"))) == [])
        let first = see(key("nas"), 1).reports
        guard case .appeared(let peer) = first.first else { throw Unexpected(first) }
        #expect(peer.id == device(1))
        #expect(peer.name == "nas")
        #expect(peer.role == .both)
        #expect(peer.freeBytes == 8 << 30)
        #expect(peer.addresses.map(\.description) == ["10.0.0.1:7000"])

        let second = see(key("nas", family: 1), 1, at: linkLocal).reports
        guard case .changed(let both) = second.first else { throw Unexpected(second) }
        #expect(both.addresses.map(\.description) == ["10.0.0.1:7000", "[fe80::1%2]:7000"])
        // The same link-local address through another interface is another address; the same IPv4 address is not.
        _ = see(key("nas", interface: 3, family: 1), 1, at: linkLocal)
        #expect(see(key("nas", interface: 3), 1) == [])
        #expect(set.peers[0].addresses.map(\.description) == ["10.0.0.1:7000", "[fe80::1%2]:7000", "[fe80::1%3]:7000"])
    }

    @Test("a node is gone with its last answer, not before")
    mutating func goodbye() {
        _ = see(key("nas"), 1)
        _ = see(key("nas", family: 1), 1, at: linkLocal)
        #expect(set.handle(.lost(key("nas"))).reports == [.changed(set.peers[0])])
        #expect(set.handle(.lost(key("nas", family: 1))) == [.release(key("nas", family: 1)), .report(.gone(device(1)))])
        #expect(set.handle(.lost(key("nas", family: 1))) == [])
        #expect(set.peers.isEmpty && set.answersCount == 0)
    }

    @Test("the same name on two hosts, or another name on one, does not matter: the id does")
    mutating func identity() {
        _ = see(key("nas"), 1)
        _ = see(key("nas #2"), 2, at: [10, 0, 0, 2])
        #expect(set.peers.map(\.id) == [device(1), device(2)])
        _ = see(key("renamed"), 1)
        #expect(set.handle(.lost(key("nas"))).reports == [])
        #expect(set.peers.map(\.name) == ["renamed", "nas #2"])
    }

    @Test("of answers that disagree the latest counts")
    mutating func disagreement() {
        _ = see(key("nas"), 1)
        _ = see(key("nas", family: 1), 1, at: linkLocal)
        let changed = set.handle(
            .resolved(key("nas"), address: [10, 0, 0, 1], port: 7000, text: text(of: 1, role: .persister, freeBytes: 1 << 30)))
        #expect(changed.reports == [.changed(set.peers[0])])
        #expect(set.peers[0].role == .persister)
        #expect(set.peers[0].freeBytes == 1 << 30)
        #expect(set.handle(.lost(key("nas"))).reports.count == 1)
        #expect(set.peers[0].role == .both)
    }

    @Test("an answer that names another id moves to that node")
    mutating func otherID() {
        _ = see(key("nas"), 1)
        let effects = see(key("nas"), 2)
        #expect(effects.reports == [.gone(device(1)), .appeared(set.peers[0])])
        #expect(set.peers.map(\.id) == [device(2)])
    }

    @Test("this node's own id is passed over, whoever announces it")
    mutating func own() {
        #expect(see(key("me"), 0) == [])
        #expect(set.peers.isEmpty)
        _ = see(key("nas"), 1)
        #expect(see(key("nas"), 0) == [.report(.gone(device(1)))])
    }

    @Test(
        "a name that was this node's own and passed to another after a collision, of which the daemon does not tell, is that node's"
    )
    mutating func ownNameTaken() {
        _ = see(key("backup"), 0)
        let effects = set.handle(.resolved(key("backup"), address: [10, 0, 0, 1], port: 7000, text: text(of: 1)))
        #expect(effects == [.report(.appeared(set.peers[0]))])
    }

    @Test("an answer with a bad record or address means nothing until it is mended")
    mutating func malformed() {
        #expect(see(key("a"), 1, text: [[0xff, 0xfe]]) == [])
        #expect(see(key("b"), 1, at: [127, 0, 0, 1]) == [])
        #expect(see(key("c"), 1, port: 0) == [])
        #expect(see(key("d", interface: -1), 1, at: linkLocal) == [])
        #expect(set.peers.isEmpty && set.answersCount == 4)
        #expect(see(key("a"), 1).reports == [.appeared(set.peers[0])])
        #expect(see(key("a"), 1, text: []) == [.report(.gone(device(1)))])
    }

    @Test("names that mean nothing make room for new ones, the oldest first")
    mutating func eviction() {
        for number in 0..<600 {
            let effects = see(key("\(number)"), 1, text: [])
            #expect(effects == [])
        }
        #expect(set.answersCount == 512)
        #expect(set.handle(.lost(key("87"))) == [])
        #expect(set.handle(.lost(key("88"))) == [.release(key("88"))])
        #expect(set.handle(.found(key("nas"))) == [.resolve(key("nas"))])
        #expect(set.handle(.found(key("nas 2"))) == [.browseAgain, .release(key("89")), .resolve(key("nas 2"))])
    }

    @Test("what cannot be resolved is let go, and asked for again later")
    mutating func unresolved() {
        _ = set.handle(.found(key("nas")))
        #expect(set.handle(.unresolved(key("nas"))) == [.release(key("nas")), .browseAgain])
        #expect(set.handle(.unresolved(key("nas"))) == [])
        #expect(set.handle(.resolved(key("nas"), address: [10, 0, 0, 1], port: 1, text: text(of: 1))) == [])
        _ = see(key("nas"), 1)
        #expect(set.handle(.unresolved(key("nas"))) == [.release(key("nas")), .report(.gone(device(1))), .browseAgain])
    }

    @Test("without the daemon everyone is gone, and may appear again")
    mutating func daemonLost() {
        _ = see(key("b"), 2)
        _ = see(key("a"), 1)
        #expect(set.handle(.daemonLost) == [.report(.gone(device(1))), .report(.gone(device(2)))])
        #expect(set.handle(.daemonLost) == [])
        #expect(see(key("a"), 1).reports == [.appeared(set.peers[0])])
    }

    @Test("100,000 names are not kept: room for 512 answers, 128 nodes, 16 answers a node, and the rest is asked for later")
    mutating func flood() {
        for number in 0..<100_000 {
            let effects = set.handle(.found(key("\(number)")))
            #expect(effects == (number < 512 ? [.resolve(key("\(number)"))] : [.browseAgain]))
        }
        #expect(set.answersCount == 512)
        for number in 0..<512 {
            let effects = see(key("\(number)"), number + 1)
            #expect(effects.contains(.browseAgain) == (number >= 128))
        }
        #expect(set.peers.count == 128)
        #expect(set.answersCount == 128)
        for interface in 2...41 as ClosedRange<Int32> { _ = see(key("0", interface: interface, family: 1), 1, at: linkLocal) }
        #expect(set.peers[0].addresses.count == 16)
        #expect(set.answersCount == 143)
        // A place that is freed is taken by the next.
        _ = set.handle(.lost(key("5")))
        #expect(see(key("late"), 600).reports.count == 1)
    }

    @Test(
        "whatever comes, events agree with each other and the set with a plain fold of the answers that hold", arguments: 0..<200)
    func model(seed: Int) {
        var choices = Choices(seed: UInt64(seed))
        var set = PeerSet(ownID: device(0))
        var resolved: [ServiceKey: (id: Int, address: ServiceAddress, text: Int)] = [:]
        var watched: Set<ServiceKey> = []
        var shown: [DeviceID: DiscoveredPeer] = [:]
        for _ in 0..<300 {
            let key = key(
                ["a", "b", "c"][choices.below(3)], interface: 2 + Int32(choices.below(3)), family: Int32(choices.below(2)))
            let effects: [PeerSet.Effect]
            switch choices.below(10) {
            case 0..<3: effects = set.handle(.found(key))
            case 3..<4:
                effects = set.handle(choices.below(2) == 0 ? .lost(key) : .unresolved(key))
                resolved[key] = nil
            case 9 where choices.below(10) == 0:
                effects = set.handle(.daemonLost)
                resolved = [:]
                watched = []
            default:
                let id = choices.below(5)
                let free = choices.below(3)
                let bytes: [UInt8] = key.addressFamily == 0 ? [10, 0, 0, UInt8(choices.below(3))] : linkLocal
                let record = choices.below(8) == 0 ? text(["txtvers=9"]) : text(of: id, freeBytes: UInt64(free) << 30)
                effects = set.handle(.resolved(key, address: bytes, port: 7, text: record))
                resolved[key] = nil
                if watched.contains(key), id != 0, record.count > 1,
                    let address = ServiceAddress(bytes: bytes, port: 7, interface: UInt32(key.interface))
                {
                    resolved[key] = (id, address, free)
                }
            }
            for effect in effects {
                switch effect {
                case .resolve(let key): #expect(watched.insert(key).inserted)
                case .release(let key): #expect(watched.remove(key) != nil)
                case .browseAgain: break
                case .report(.appeared(let peer)): #expect(shown.updateValue(peer, forKey: peer.id) == nil)
                case .report(.changed(let peer)):
                    let former = shown.updateValue(peer, forKey: peer.id)
                    #expect(former != nil && former != peer)
                case .report(.gone(let id)): #expect(shown.removeValue(forKey: id) != nil)
                case .report: Issue.record("\(effect)")
                }
            }
            #expect(set.answersCount == watched.count)
            #expect(set.peers == shown.values.sorted { $0.id < $1.id })
            let addresses = Dictionary(grouping: resolved.values, by: { device($0.id) })
                .mapValues { Set($0.map(\.address)).sorted() }
            #expect(shown.mapValues(\.addresses) == addresses)
        }
    }
}

private struct Unexpected: Error {
    let events: [DiscoveryEvent]
    init(_ events: [DiscoveryEvent]) { self.events = events }
}
