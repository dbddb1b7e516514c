package import BackupFormat

/// When to dial which of a peer's addresses: a value that is told what happened and says what to do, and dials nothing itself.
///
/// It goes through the addresses in order, begins with the next when one has failed or has taken ``stagger`` without an answer, and
/// begins again after a random part of a time that doubles with each round that failed ("full jitter": so nodes that
/// lost each other at one moment do not come back at one moment). An address at which another node has answered is left out of rounds
/// for a time that doubles each time: a device that was replaced, or whose address went to somebody else, is not dialled there for ever. So is
/// one where the peer itself refused.
package struct DialPlan {
    /// Between the beginnings of two attempts of one round.
    package static let stagger = Duration.milliseconds(300)
    /// The longest wait after the first round that failed; then twice as long each time.
    package static let backoffBase = Duration.seconds(1)
    package static let backoffMax = Duration.seconds(300)
    /// No two rounds begin within less, whatever happens.
    package static let pauseMin = Duration.milliseconds(100)
    /// A session that lasted so long was no failure.
    package static let successAfter = Duration.seconds(30)
    /// An address at which another node answers is tried again after a minute, then after twice as long each time, up to eight
    /// hours: each attempt is a handshake at both ends, and a peer that is back at its address dials by itself.
    package static let strangerBase = Duration.seconds(60)
    package static let strangerMax = Duration.seconds(8 * 3600)
    /// One where the peer refuses: after a second, then after twice as long each time, up to an hour, since it may think better of it.
    package static let refusalMax = Duration.seconds(3600)
    /// More addresses than that are not tried.
    package static let candidatesMax = 16

    package enum Event {
        /// Where the peer may be, the likeliest first. Takes the place of what was said before.
        case candidates([PeerAddress])
        /// An attempt came to nothing.
        case failed(PeerAddress)
        /// An attempt came to another node than the peer.
        case otherPeer(PeerAddress)
        /// The peer was there, and does not know this node, as after it was blocked; or what answers speaks otherwise.
        case refused(PeerAddress)
        /// There is a session with the peer, whoever dialled.
        case connected
        /// There is none any more.
        case lost
        /// The network has changed, or the machine was suspended: what failed before may work now.
        case wake
        /// ``deadline`` has come.
        case tick
    }

    package enum Effect: Equatable {
        case dial(PeerAddress)
        /// Nobody needs this attempt any more. It is not said to have failed.
        case abandon(PeerAddress)
    }

    package private(set) var candidates: [PeerAddress] = []
    /// Attempts under way.
    package private(set) var inFlight: [PeerAddress] = []
    /// Addresses whose turn comes in this round.
    private var remaining: [PeerAddress] = []
    package private(set) var failures = 0
    package private(set) var isConnected = false
    private var connectedAt = Duration.zero
    /// When the next address of this round, or the next round, begins.
    private var nextAt: Duration?
    private var roundBeganAt: Duration?
    /// Where another node has answered, or the peer has refused: how often in a row, and when it is tried again.
    private var strangers: [PeerAddress: (times: Int, until: Duration, isRefusal: Bool)] = [:]

    package init() {}

    /// When a ``Event/tick`` is due; nil while there is nothing to wait for.
    package var deadline: Duration? { isConnected ? nil : nextAt }

    package mutating func handle(_ event: Event, at now: Duration, using random: inout some RandomNumberGenerator) -> [Effect] {
        switch event {
        case .candidates(let addresses): return take(addresses, now)
        case .failed(let address): return attemptFailed(address, now, &random)
        case .otherPeer(let address):
            if inFlight.contains(address) { noteStranger(address, isRefusal: false, now, &random) }
            return attemptFailed(address, now, &random)
        case .refused(let address):
            // It may be about to learn who this is: at first it is asked again soon.
            if inFlight.contains(address) { noteStranger(address, isRefusal: true, now, &random) }
            return attemptFailed(address, now, &random)
        case .connected:
            isConnected = true
            connectedAt = now
            strangers = [:]
            return abandonAll()
        case .lost:
            guard isConnected else { return [] }
            isConnected = false
            failures = now - connectedAt >= DialPlan.successAfter ? 0 : failures + 1
            nextAt = candidates.isEmpty ? nil : now + pause(&random)
            return []
        case .wake:
            guard !isConnected else { return [] }
            failures = 0
            strangers = [:]
            let effects = abandonAll()
            nextAt = candidates.isEmpty ? nil : now + pause(&random)
            return effects
        case .tick: return tick(now)
        }
    }

    private mutating func take(_ addresses: [PeerAddress], _ now: Duration) -> [Effect] {
        let before = candidates
        candidates = []
        for address in addresses where !candidates.contains(address) && candidates.count < DialPlan.candidatesMax {
            candidates.append(address)
        }
        remaining.removeAll { !candidates.contains($0) }
        strangers = strangers.filter { candidates.contains($0.key) }
        let new = candidates.filter { !before.contains($0) && !inFlight.contains($0) }
        guard !isConnected, !new.isEmpty else {
            if candidates.isEmpty, inFlight.isEmpty { nextAt = nil }
            return []
        }
        // A new address does not wait for what others have failed at.
        remaining = new + remaining
        let earliest = max(now, roundBeganAt.map { $0 + DialPlan.pauseMin } ?? now)
        nextAt = min(nextAt ?? earliest, earliest)
        return tick(now)
    }

    private mutating func attemptFailed(
        _ address: PeerAddress, _ now: Duration, _ random: inout some RandomNumberGenerator
    ) -> [Effect] {
        guard let index = inFlight.firstIndex(of: address) else { return [] }
        inFlight.remove(at: index)
        guard !isConnected else { return [] }
        if !remaining.isEmpty {
            nextAt = now
            return tick(now)
        }
        guard inFlight.isEmpty else { return [] }
        failures += 1
        nextAt = candidates.isEmpty ? nil : now + pause(&random)
        return []
    }

    private mutating func noteStranger(
        _ address: PeerAddress, isRefusal: Bool, _ now: Duration, _ random: inout some RandomNumberGenerator
    ) {
        let base = isRefusal ? DialPlan.backoffBase : DialPlan.strangerBase
        let most = isRefusal ? DialPlan.refusalMax : DialPlan.strangerMax
        // A device that was replaced by one that refuses, or the other way round, is something new.
        let times = strangers[address].map { $0.isRefusal == isRefusal ? $0.times : 0 } ?? 0
        let longest = min(most, base * (1 << min(times, 16)))
        let half = longest.components.seconds * 500
        strangers[address] = (times + 1, now + .milliseconds(half + Int64.random(in: 0...half, using: &random)), isRefusal)
    }

    private mutating func tick(_ now: Duration) -> [Effect] {
        guard !isConnected, let due = nextAt, now >= due else { return [] }
        if remaining.isEmpty, inFlight.isEmpty {
            remaining = candidates.filter { address in strangers[address].map { $0.until <= now } ?? true }
        }
        guard !remaining.isEmpty else {
            nextAt = inFlight.isEmpty ? candidates.compactMap { strangers[$0]?.until }.min() : nil
            return []
        }
        if inFlight.isEmpty { roundBeganAt = now }
        let address = remaining.removeFirst()
        inFlight.append(address)
        nextAt = remaining.isEmpty ? nil : now + DialPlan.stagger
        return [.dial(address)]
    }

    private mutating func abandonAll() -> [Effect] {
        defer {
            inFlight = []
            remaining = []
            nextAt = nil
        }
        return inFlight.map { .abandon($0) }
    }

    /// A random part of the time that so many failures call for.
    private func pause(_ random: inout some RandomNumberGenerator) -> Duration {
        let longest = min(DialPlan.backoffMax, DialPlan.backoffBase * (1 << min(max(0, failures - 1), 16)))
        let milliseconds = longest.components.seconds * 1000
        return max(DialPlan.pauseMin, .milliseconds(Int64.random(in: 0...milliseconds, using: &random)))
    }
}
