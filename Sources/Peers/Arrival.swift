internal import BackupFormat
internal import HostFiles

/// An object that is on its way: where its first bytes are, and what is promised to it. It belongs to the thread that has its key.
struct Arrival {
    let totalBytes: Int
    /// From the first on.
    var receivedBytes = 0
    /// Claimed in the accounts, for the file that will keep it and never more than that at once.
    var claimBytes = 0
    /// Where the bytes are; nil if they are in a file.
    var buffer: ArrivalBuffer?
    /// The session that brought the last part.
    var session: Int
    /// The number of that part, among all that came.
    var lastPart: UInt64 = 0
    /// Some of it came in another session: the one that brings the rest is not to blame if the whole is wrong.
    var isResumed = false

    /// Of the claim, what stands on the disk.
    var arrivedBytes: Int { buffer == nil ? receivedBytes : 0 }
}

/// Memory for an object that arrives, taken from a budget and given back with it.
// SAFETY: only the thread that has the object's key touches the bytes.
final class ArrivalBuffer: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer
    private let budget: ByteBudget
    private let takenBytes: Int

    private init(_ byteCount: Int, _ budget: ByteBudget, takenBytes: Int) {
        // Aligned, so that it is written from where it lies, round the page cache.
        bytes = .allocate(byteCount: byteCount, alignment: Limits.leafBytes)
        self.budget = budget
        self.takenBytes = takenBytes
    }

    deinit {
        bytes.deallocate()
        budget.release(takenBytes)
    }

    /// Nil if there is not that much free now.
    static func ifFree(_ byteCount: Int, from budget: ByteBudget) -> ArrivalBuffer? {
        guard budget.tryAcquire(byteCount) else { return nil }
        return ArrivalBuffer(byteCount, budget, takenBytes: byteCount)
    }

    /// Waits for a turn: for a budget that is held only while the disk works. Takes all of it, so that many who want little do not keep
    /// out one who wants much.
    static func waiting(_ byteCount: Int, for budget: ByteBudget) -> ArrivalBuffer {
        ArrivalBuffer(byteCount, budget, takenBytes: budget.acquire(budget.total) ?? 0)
    }

    func first(_ byteCount: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[..<byteCount]) }
}

extension ServiceState {
    /// Who has brought nothing while so many parts came from others stands still.
    private static let stalledParts: UInt64 = 64

    /// Memory for an object that begins to come; nil if it has to go to a file. Takes it from transfers that stand still.
    func arrivalBuffer(_ byteCount: Int) -> ArrivalBuffer? {
        guard let assembly, byteCount <= assembly.total else { return nil }
        if let buffer = ArrivalBuffer.ifFree(byteCount, from: assembly) { return buffer }
        let parts = parts
        var stalled: [(place: OwnerVault, key: ObjectKey, lastPart: UInt64)] = []
        for place in allPlaces {
            let found = place.gate.read { gate in
                gate.arrivals.filter { $0.value.buffer != nil && $0.value.lastPart + ServiceState.stalledParts < parts }
            }
            for (key, arrival) in found { stalled.append((place, key, arrival.lastPart)) }
        }
        for victim in stalled.sorted(by: { $0.lastPart < $1.lastPart }) where assembly.free < byteCount {
            victim.place.tryWith(victim.key) { victim.place.spill(victim.key) }
        }
        return ArrivalBuffer.ifFree(byteCount, from: assembly)
    }
}

extension OwnerVault {
    /// Arrivals of one owner that are remembered; what is beyond waits in files, with nothing promised to it.
    static let arrivalsMax = 64

    /// Moves what has come from memory to a file. Only with its key; whoever brings it goes on as before.
    func spill(_ key: ObjectKey) {
        guard var arrival = gate.read({ $0.arrivals[key] }), let buffer = arrival.buffer else { return }
        do throws(Refusal) {
            try create(key, buffer.first(arrival.receivedBytes))
            shared.accounts.withLock { $0.arrived(arrival.receivedBytes, for: owner) }
            arrival.buffer = nil
            gate.withLock { $0.arrivals[key] = arrival }
        } catch {
            shared.note(error, "make room for other uploads")
            drop(key, arrival, mayLeaveFile: true)
        }
    }

    func create(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(Refusal) {
        let live = liveNames
        let hasMadeRoom = try onDisk { () throws(HostFilesError) in
            // One that was left behind is not gone on with.
            try incoming.remove(key)
            return try incoming.create(key, bytes, except: live)
        }
        if hasMadeRoom { markStale() }
    }

    /// Forgets an arrival and all that came of it, and gives back what it held. Only with its key.
    func drop(_ key: ObjectKey, _ arrival: Arrival, mayLeaveFile: Bool = false) {
        gate.withLock { $0.arrivals[key] = nil }
        var isGone = true
        if arrival.buffer == nil || mayLeaveFile {
            do throws(HostFilesError) { try incoming.remove(key) } catch {
                isGone = false
                shared.note(Refusal(error), "remove what came of an upload")
            }
        }
        shared.accounts.withLock { accounts in
            if isGone {
                accounts.arrived(-arrival.arrivedBytes, for: owner)
                accounts.settle(arrival.claimBytes, for: owner, change: 0)
            } else {
                // As much as may be there, until it is counted.
                accounts.arrived(-arrival.arrivedBytes, for: owner)
                accounts.settle(arrival.claimBytes, for: owner, change: arrival.claimBytes)
            }
        }
        if !isGone { markStale() }
    }

    /// Keeps what has come for that session in a file, for another session to go on with, and gives back the rest. Only with its key.
    func park(_ key: ObjectKey, session: Int?) throws(Refusal) {
        guard let arrival = gate.read({ $0.arrivals[key] }), session == nil || arrival.session == session else { return }
        if let buffer = arrival.buffer {
            do throws(Refusal) { try create(key, buffer.first(arrival.receivedBytes)) } catch {
                drop(key, arrival, mayLeaveFile: true)
                throw error
            }
        }
        gate.withLock { $0.arrivals[key] = nil }
        shared.accounts.withLock { accounts in
            accounts.arrived(-arrival.arrivedBytes, for: owner)
            accounts.settle(arrival.claimBytes, for: owner, change: arrival.receivedBytes)
        }
    }

    /// Makes room in the list of arrivals for one more.
    func makeRoomForArrival() throws(Refusal) {
        let oldest = gate.read { gate -> ObjectKey? in
            guard gate.arrivals.count >= OwnerVault.arrivalsMax else { return nil }
            return gate.arrivals.filter { !gate.busy.contains($0.key) }.min { $0.value.lastPart < $1.value.lastPart }?.key
        }
        guard let oldest else { return }
        tryWith(oldest) {
            do throws(Refusal) { try park(oldest, session: nil) } catch { shared.note(error, "keep what has come of an upload") }
        }
    }
}
