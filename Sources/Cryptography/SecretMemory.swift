internal import CSodium
internal import Synchronization

/// Guarded memory in which small secrets stand side by side: all keys of a node's sessions are that small, and to get guarded memory takes
/// six system calls, and a page each of the few that a process may lock.
enum SecretMemory {
    private static let slotBytes = 64
    private static let slotsInRegion = 64

    private struct Free: ~Copyable, @unchecked Sendable {
        // SAFETY: addresses of slots that nobody has; touched under the lock alone.
        var slots: [UnsafeMutableRawPointer] = []
    }
    private static let free = Mutex(Free())

    /// `count` bytes that were zeroed by whoever had them before, or never used. What is longer than a slot has a region for itself.
    static func take(_ count: Int) -> UnsafeMutableRawPointer {
        guard count <= slotBytes else { return region(count) }
        return free.withLock { free in
            if let slot = free.slots.popLast() { return slot }
            let start = region(slotBytes * slotsInRegion)
            sodium_memzero(start, slotBytes * slotsInRegion)
            // Regions stay: a process has as many as its most secrets at one time need.
            for number in 1..<slotsInRegion { free.slots.append(start + number * slotBytes) }
            return start
        }
    }

    /// Zeroes the bytes, and gives them back.
    static func giveBack(_ memory: UnsafeMutableRawPointer, _ count: Int) {
        guard count <= slotBytes else { return sodium_free(memory) }
        sodium_memzero(memory, slotBytes)
        free.withLock { $0.slots.append(memory) }
    }

    private static func region(_ count: Int) -> UnsafeMutableRawPointer {
        guard let memory = sodium_malloc(count) else { preconditionFailure("no memory for a secret of \(count) bytes") }
        return memory
    }
}
