import Foundation
import Synchronization

/// A thread that does something again and again beside the test, until it is told to stop.
final class Background: Sendable {
    private let isStopping = Atomic(false)
    private let ended = DispatchSemaphore(value: 0)
    private let roundsDone = Atomic(0)

    /// `body` gets the number of its round; what it throws ends the thread.
    init(_ body: @escaping @Sendable (Int) throws -> Void) {
        let thread = Thread { [self] in
            var round = 0
            while !isStopping.load(ordering: .relaxed) {
                do { try body(round) } catch { break }
                round += 1
                roundsDone.store(round, ordering: .relaxed)
            }
            ended.signal()
        }
        thread.stackSize = 1 << 20
        thread.start()
    }

    /// How many rounds it has done.
    var rounds: Int { roundsDone.load(ordering: .relaxed) }

    /// Ends after the round that it is in.
    func stop() {
        isStopping.store(true, ordering: .relaxed)
        ended.wait()
        ended.signal()
    }
}
