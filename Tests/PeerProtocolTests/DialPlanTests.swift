import BackupFormat
import PeerProtocol
import TestSupport
import Testing

private func address(_ number: Int) -> PeerAddress { PeerAddress(host: "192.0.2.\(number)", port: 4747) }

@Suite("When to dial which address")
struct DialPlanTests {
    @Test("addresses are tried in order, the next one soon without an answer, and all others are given up when one connects")
    func inTurn() {
        var plan = DialPlan()
        var random = Choices(seed: 1)
        #expect(plan.handle(.candidates([address(1), address(2), address(3)]), at: .zero, using: &random) == [.dial(address(1))])
        #expect(plan.deadline == DialPlan.stagger)
        #expect(plan.handle(.tick, at: .milliseconds(200), using: &random) == [])
        #expect(plan.handle(.tick, at: .milliseconds(300), using: &random) == [.dial(address(2))])
        #expect(plan.handle(.failed(address(1)), at: .milliseconds(310), using: &random) == [.dial(address(3))])
        #expect(plan.handle(.connected, at: .milliseconds(320), using: &random) == [.abandon(address(2)), .abandon(address(3))])
        #expect(plan.deadline == nil)
        // What is heard of them later means nothing.
        #expect(plan.handle(.failed(address(2)), at: .seconds(4), using: &random) == [])
        #expect(plan.deadline == nil)
    }

    @Test("waits grow to a limit, and each is a random part of it; a session that lasted begins anew")
    func backoff() {
        var plan = DialPlan()
        var random = Choices(seed: 2)
        var now = Duration.zero
        _ = plan.handle(.candidates([address(1)]), at: now, using: &random)
        var waits: [Duration] = []
        for _ in 0..<400 {
            #expect(plan.handle(.failed(address(1)), at: now, using: &random) == [])
            guard let deadline = plan.deadline else { break }
            waits.append(deadline - now)
            now = deadline
            #expect(plan.handle(.tick, at: now, using: &random) == [.dial(address(1))])
        }
        #expect(waits.count == 400)
        for (index, wait) in waits.enumerated() {
            #expect(wait >= DialPlan.pauseMin && wait <= min(DialPlan.backoffMax, DialPlan.backoffBase * (1 << min(index, 16))))
        }
        // Evenly spread once the limit is reached.
        let mean = waits[10...].reduce(.zero, +) / (waits.count - 10)
        #expect(mean > DialPlan.backoffMax * 0.4 && mean < DialPlan.backoffMax * 0.6, "\(mean)")
        _ = plan.handle(.connected, at: now, using: &random)
        now += DialPlan.successAfter
        _ = plan.handle(.lost, at: now, using: &random)
        #expect(plan.deadline.map { $0 - now <= DialPlan.backoffBase } == true)
        // One that ends at once does not.
        for _ in 0..<10 {
            now += .seconds(600)
            _ = plan.handle(.tick, at: now, using: &random)
            _ = plan.handle(.connected, at: now, using: &random)
            _ = plan.handle(.lost, at: now, using: &random)
        }
        #expect(plan.failures == 10)
    }

    @Test("a new address is tried at once, and everything is when the network has changed")
    func soon() {
        var plan = DialPlan()
        var random = Choices(seed: 3)
        var now = Duration.zero
        _ = plan.handle(.candidates([address(1)]), at: now, using: &random)
        for _ in 0..<20 {
            now += .seconds(1000)
            _ = plan.handle(.tick, at: now, using: &random)
            _ = plan.handle(.failed(address(1)), at: now, using: &random)
        }
        #expect(plan.handle(.candidates([address(1)]), at: now + .seconds(1), using: &random) == [])
        #expect(plan.handle(.candidates([address(1), address(2)]), at: now + .seconds(2), using: &random) == [.dial(address(2))])
        _ = plan.handle(.failed(address(2)), at: now + .seconds(3), using: &random)
        _ = plan.handle(.wake, at: now + .seconds(4), using: &random)
        #expect(plan.deadline.map { $0 <= now + .seconds(5) } == true)
    }

    @Test("a peer that refuses this node, as after it was blocked, is soon asked again, and not every few minutes for ever")
    func refused() {
        var plan = DialPlan()
        var random = Choices(seed: 5)
        _ = plan.handle(.candidates([address(1)]), at: .zero, using: &random)
        var (now, dials) = (Duration.zero, [Duration]())
        while let deadline = plan.deadline ?? (dials.isEmpty ? .zero : nil), deadline < .seconds(2 * 86_400) {
            now = max(now, deadline)
            if plan.inFlight.isEmpty, plan.handle(.tick, at: now, using: &random).isEmpty { continue }
            dials.append(now)
            _ = plan.handle(.refused(address(1)), at: now, using: &random)
        }
        // Five within a minute; then once in half an hour to an hour.
        #expect(dials.count { $0 < .seconds(60) } >= 5, "\(dials)")
        let later = dials.count { $0 >= .seconds(86_400) }
        #expect(later >= 23 && later <= 49, "\(later)")
    }

    @Test("an address at which another node answers, as after a device was replaced, is not dialled every few minutes for ever")
    func strangers() {
        var plan = DialPlan()
        var random = Choices(seed: 4)
        var now = Duration.zero
        _ = plan.handle(.candidates([address(1)]), at: now, using: &random)
        /// Lets a day pass, in which every attempt ends so; answers how many there were at either address.
        func day(_ end: (PeerAddress) -> DialPlan.Event) -> [PeerAddress: Int] {
            var dials: [PeerAddress: Int] = [:]
            let midnight = now + .seconds(86_400)
            while let deadline = plan.deadline, deadline < midnight {
                now = max(now, deadline)
                var effects = plan.handle(.tick, at: now, using: &random)
                while case .dial(let address)? = effects.popLast() {
                    dials[address, default: 0] += 1
                    effects += plan.handle(end(address), at: now, using: &random)
                }
            }
            return dials
        }
        _ = plan.handle(.otherPeer(address(1)), at: now, using: &random)
        _ = day { .otherPeer($0) }
        let dials = day { .otherPeer($0) }[address(1)] ?? 0
        #expect(dials >= 3 && dials <= 8, "\(dials)")
        // Another address of the same peer is tried as often as before.
        #expect(plan.handle(.candidates([address(1), address(2)]), at: now, using: &random) == [.dial(address(2))])
        _ = plan.handle(.failed(address(2)), at: now, using: &random)
        let both = day { $0 == address(1) ? .otherPeer($0) : .failed($0) }
        #expect((both[address(1)] ?? 0) <= 8 && (both[address(2)] ?? 0) > 300, "\(both)")
        // In another network the address may be the peer's.
        _ = plan.handle(.wake, at: now, using: &random)
        now = max(now, plan.deadline ?? now)
        #expect(plan.handle(.tick, at: now, using: &random) == [.dial(address(1))])
    }

    @Test(
        "whatever happens, in any order: no dialling when connected, no address twice at once, never at rest without a session",
        arguments: 0..<300 as Range<UInt64>)
    func anyOrder(seed: UInt64) {
        var choices = Choices(seed: seed)
        var random = Choices(seed: seed ^ 77)
        var plan = DialPlan()
        var now = Duration.zero
        var dialling: [PeerAddress] = []
        var dials = 0
        for _ in 0..<400 {
            if choices.below(2) == 0 { now += .milliseconds(choices.below(3000)) }
            let event: DialPlan.Event
            switch choices.below(10) {
            case 0: event = .candidates((0..<choices.below(20)).map { _ in address(choices.below(25)) })
            case 1: event = .connected
            case 2, 3: event = .lost
            case 4: event = .wake
            case 5: event = .failed(dialling.randomElement(using: &choices) ?? address(choices.below(25)))
            case 6: event = .otherPeer(dialling.randomElement(using: &choices) ?? address(choices.below(25)))
            default:
                if let deadline = plan.deadline { now = max(now, deadline) }
                event = .tick
            }
            switch event {
            case .failed(let address), .otherPeer(let address): dialling.removeAll { $0 == address }
            default: break
            }
            for effect in plan.handle(event, at: now, using: &random) {
                switch effect {
                case .dial(let address):
                    #expect(!plan.isConnected && !dialling.contains(address) && plan.candidates.contains(address))
                    dialling.append(address)
                    dials += 1
                case .abandon(let address):
                    #expect(dialling.contains(address))
                    dialling.removeAll { $0 == address }
                }
            }
            #expect(Set(dialling) == Set(plan.inFlight))
            #expect(plan.candidates.count <= DialPlan.candidatesMax)
            #expect(plan.isConnected || plan.candidates.isEmpty || plan.deadline != nil || !plan.inFlight.isEmpty)
        }
        #expect(dials > 0)
    }
}
