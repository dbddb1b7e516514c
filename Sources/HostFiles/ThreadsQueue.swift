/// A first-in, first-out queue between threads, bounded by count and by weight.
///
/// A producer that is ahead waits; so does a consumer with nothing to do.
package final class BoundedQueue<Element: Sendable>: Sendable {
    private struct State {
        /// A ring; nil where no element waits.
        var ring: [Element?]
        var weights: [Int]
        var head = 0
        var count = 0
        var weight = 0
        var closed = false
    }

    private let state: ConditionLock<State>
    private let weightMax: Int

    /// At most `countMax` elements (1 or more), and elements of at most `weightMax` together, unless one alone weighs more.
    package init(countMax: Int, weightMax: Int = .max) {
        precondition(countMax > 0 && weightMax > 0)
        self.weightMax = weightMax
        state = ConditionLock(
            State(ring: Array(repeating: nil, count: countMax), weights: Array(repeating: 0, count: countMax)))
    }

    /// Adds an element, waiting for room. False, and the element is dropped, once the queue is closed.
    @discardableResult
    package func push(_ element: Element, weight: Int = 1) -> Bool {
        state.wait { state in
            if state.closed { return false }
            return add(element, weight, to: &state) ? true : nil
        }
    }

    /// Adds an element if there is room now and the queue is open.
    package func tryPush(_ element: Element, weight: Int = 1) -> Bool {
        state.withLock { !$0.closed && add(element, weight, to: &$0) }
    }

    private func add(_ element: Element, _ weight: Int, to state: inout State) -> Bool {
        guard state.count < state.ring.count, state.count == 0 || weight <= weightMax - state.weight else { return false }
        let place = (state.head + state.count) % state.ring.count
        state.ring[place] = element
        state.weights[place] = weight
        state.count += 1
        state.weight += weight
        return true
    }

    /// The oldest element, waiting for one. Nil once the queue is closed and empty.
    package func pop() -> Element? {
        let popped: Element?? = state.wait { state in
            if let element = take(&state) { return .some(element) }
            return state.closed ? .some(nil) : nil
        }
        return popped ?? nil
    }

    /// The oldest element, if there is one now.
    package func tryPop() -> Element? { state.withLock { take(&$0) } }

    private func take(_ state: inout State) -> Element? {
        guard state.count > 0, let element = state.ring[state.head] else { return nil }
        state.ring[state.head] = nil
        state.weight -= state.weights[state.head]
        state.head = (state.head + 1) % state.ring.count
        state.count -= 1
        return element
    }

    /// No more elements come: consumers get what is there, then nil. Producers that wait give up.
    package func close() { state.withLock { $0.closed = true } }

    /// Closes, and drops what is there.
    package func cancel() {
        state.withLock { state in
            state.closed = true
            while take(&state) != nil {}
        }
    }

    /// How many elements wait now.
    package var count: Int { state.withLock { $0.count } }
}

/// A number of bytes that threads share out among themselves.
package final class ByteBudget: Sendable {
    private struct State {
        var free: Int
        var cancelled = false
    }

    /// All there is, in bytes.
    package let total: Int
    private let state: ConditionLock<State>

    package init(_ total: Int) {
        precondition(total > 0)
        self.total = total
        state = ConditionLock(State(free: total))
    }

    /// Takes `bytes` (or all there is, if it is asked for more), waiting until others give back.
    /// What was taken, to be given back later; nil once cancelled.
    package func acquire(_ bytes: Int) -> Int? {
        let wanted = min(max(bytes, 0), total)
        let taken: Int?? = state.wait { state in
            if state.cancelled { return .some(nil) }
            guard state.free >= wanted else { return nil }
            state.free -= wanted
            return .some(wanted)
        }
        return taken ?? nil
    }

    /// Takes `bytes` if they are free now.
    package func tryAcquire(_ bytes: Int) -> Bool {
        state.withLock { state in
            guard !state.cancelled, state.free >= bytes else { return false }
            state.free -= bytes
            return true
        }
    }

    /// Gives back what was taken.
    package func release(_ bytes: Int) {
        state.withLock { state in
            state.free += bytes
            precondition(state.free <= total, "more bytes given back than taken")
        }
    }

    /// Ends all waiting: `acquire` gives nil from now on.
    package func cancel() { state.withLock { $0.cancelled = true } }

    /// Bytes that nobody holds now.
    package var free: Int { state.withLock { $0.free } }
}
