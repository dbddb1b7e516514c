internal import BackupFormat
internal import NIOCore
internal import PeerProtocol

/// Keeps a session with one wanted peer: carries out what ``DialPlan`` decides, on an event loop.
final class PeerDialer: @unchecked Sendable {
    // SAFETY: all that changes is touched on `eventLoop` alone, which ``handle(_:)`` sees to; the rest is constant.
    private let peer: Bytes32
    private let shell: TransportShell
    private let eventLoop: any EventLoop
    private var plan = DialPlan()
    private var random = SystemRandomNumberGenerator()
    private var attempts: [PeerAddress: DialAttempt] = [:]
    private var timer: Scheduled<Void>?
    private var isStopped = false

    init(peer: Bytes32, shell: TransportShell) {
        self.peer = peer
        self.shell = shell
        eventLoop = shell.group.next()
    }

    func setCandidates(_ addresses: [PeerAddress]) { handle(.candidates(addresses)) }
    func connected() { handle(.connected) }
    func lost() { handle(.lost) }
    func wake() { handle(.wake) }

    func stop() {
        eventLoop.execute { [self] in
            isStopped = true
            timer?.cancel()
            timer = nil
            for attempt in attempts.values { attempt.abandon() }
            attempts = [:]
        }
    }

    private func handle(_ event: DialPlan.Event) {
        eventLoop.execute { [self] in
            guard !isStopped else { return }
            for effect in plan.handle(event, at: shell.clock.now(), using: &random) { perform(effect) }
            setTimer()
        }
    }

    private func perform(_ effect: DialPlan.Effect) {
        switch effect {
        case .dial(let address):
            attempts[address] = shell.dial(
                address, peer: peer, token: nil, purpose: .keep,
                ended: { [weak self] attempt, error in self?.attemptEnded(address, attempt, error) })
        case .abandon(let address): attempts.removeValue(forKey: address)?.abandon()
        }
    }

    private func attemptEnded(_ address: PeerAddress, _ attempt: DialAttempt, _ error: PeerProtocolError) {
        eventLoop.execute { [self] in
            // An attempt that was abandoned has no say in what came after it.
            guard !isStopped, attempts[address] === attempt else { return }
            attempts[address] = nil
            switch error.code {
            // Another node has shown its key there: that seldom changes within hours.
            case .otherPeer: handle(.otherPeer(address))
            // What nobody has signed, as a portal's page or a false refusal, is believed for less.
            case .otherVersion, .notThisProtocol, .notWelcome: handle(.refused(address))
            default: handle(.failed(address))
            }
        }
    }

    private func setTimer() {
        timer?.cancel()
        timer = nil
        guard let deadline = plan.deadline else { return }
        timer = eventLoop.scheduleTask(in: shell.clock.timeAmount(deadline - shell.clock.now())) { [weak self] in
            self?.handle(.tick)
        }
    }
}
