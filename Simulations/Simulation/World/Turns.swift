internal import Glibc
internal import HostFiles

/// A number for each machine of a simulation; those that belong to none, such as the director's, have ``Turns/nobody``.
package typealias MachineIndex = Int

/// All threads of a simulated world, and its time. One thread runs at a time; which is next follows from the seed.
///
/// The threads are the system's, so that what blocks in production blocks here, with its stack; each waits at a gate of its own
/// until it gets the turn. When nobody can go on, time jumps to the next moment at which something happens.
package final class Turns: ThreadTurns, @unchecked Sendable {
    // SAFETY: all that changes is touched by the thread that has the turn alone; handing it over (sem_post, sem_wait) orders memory.

    package static let nobody: MachineIndex = -1
    /// The start of the simulated time, in nanoseconds since 1970: 2026-01-01.
    package static let epoch: Int64 = 1_767_225_600 * 1_000_000_000

    private final class Seat {
        let gate: UnsafeMutablePointer<sem_t>
        var thread = 0
        var machine = Turns.nobody
        var name = ""
        var body: (@Sendable () -> Void)?
        /// Counts its pauses, so that a wake-up that comes late finds nobody.
        var pauses: UInt64 = 0
        var reason: ObjectIdentifier?
        var isReady: (() -> Bool)?
        var hasTimedOut = false
        /// How often it got the turn in this life.
        var turns = 0

        init() {
            gate = .allocate(capacity: 1)
            sem_init(gate, 0, 0)
        }
    }

    private enum Happening {
        case wake(Seat, pause: UInt64)
        case run(MachineIndex, @Sendable () -> Void)
    }

    private struct Clock {
        var offset: Int64 = 0
        /// Nanoseconds gained in each second.
        var drift: Int64 = 0
        var isSuspended = false
        var heldSeats: [Seat] = []
        var heldRuns: [@Sendable () -> Void] = []
        var alive = 0
    }

    /// Nanoseconds since the world began.
    package private(set) var now: UInt64 = 0
    /// How often the turn was handed over, and things happened.
    package private(set) var steps: UInt64 = 0
    /// Of all that has happened, in order: two runs of one seed have the same.
    package private(set) var digest: UInt64 = 0xcbf2_9ce4_8422_2325
    /// What the steps were, by kind: turns of threads by name, and what time brought.
    package private(set) var spent: [String: Int] = [:]
    /// Told of each note.
    package var trace: ((String) -> Void)?

    private var choices: SplitMix64
    private var happenings = Agenda<Happening>()
    private var runnable: [Seat] = []
    private var paused: [ObjectIdentifier: [Seat]] = [:]
    private var alive: [Int: Seat] = [:]
    private var idle: [Seat] = []
    private var clocks: [Clock] = []
    private var running: Seat
    /// The machine in whose name something happens now.
    private var machineNow = Turns.nobody
    private var threads = 0
    private var fileNumbers: [UInt64: UInt64] = [:]
    private let stepsMax: UInt64

    /// The calling thread is the first, and belongs to no machine.
    package init(seed: UInt64, stepsMax: UInt64) {
        choices = SplitMix64(seed)
        self.stepsMax = stepsMax
        running = Seat()
        expectSleepingThreads(Turns.sleepingThreads)
    }

    private static let sleepingThreads: UInt32 = 16_384

    // MARK: Machines

    package func addMachine(clockOffset: Int64, drift: Int64) -> MachineIndex {
        clocks.append(Clock(offset: clockOffset, drift: drift))
        return clocks.count - 1
    }

    /// Threads of the machine that have not ended.
    package func aliveThreads(of machine: MachineIndex) -> Int { clocks[machine].alive }
    package func threadNames(of machine: MachineIndex) -> [String] {
        alive.sorted { $0.key < $1.key }.filter { $0.value.machine == machine }.map(\.value.name)
    }
    package func isSuspended(_ machine: MachineIndex) -> Bool { clocks[machine].isSuspended }

    /// Its threads get no turn until it is resumed.
    package func suspend(_ machine: MachineIndex) {
        clocks[machine].isSuspended = true
        clocks[machine].heldSeats += runnable.filter { $0.machine == machine }
        runnable.removeAll { $0.machine == machine }
    }

    /// Suspends the machine in the midst of what its running thread does, after `then`. False, and nothing is done, where another runs.
    package func suspendHere(_ machine: MachineIndex, then: () -> Void) -> Bool {
        guard machineNow == machine, running.machine == machine, !clocks[machine].isSuspended else { return false }
        let seat = running
        spent["suspended at work", default: 0] += 1
        suspend(machine)
        clocks[machine].heldSeats.append(seat)
        then()
        handOver(from: seat, waits: true)
        return true
    }

    package func resume(_ machine: MachineIndex) {
        clocks[machine].isSuspended = false
        runnable += clocks[machine].heldSeats
        clocks[machine].heldSeats = []
        for body in clocks[machine].heldRuns { happenings.add(at: now, .run(machine, body)) }
        clocks[machine].heldRuns = []
    }

    package func jumpClock(of machine: MachineIndex, by nanoseconds: Int64) { clocks[machine].offset += nanoseconds }

    /// The clock is right again.
    package func mendClock(of machine: MachineIndex) {
        clocks[machine].offset = 0
        clocks[machine].drift = 0
    }

    /// Seconds since 1970 by the machine's clock.
    package func clockSeconds(of machine: MachineIndex) -> Int64 { realtime(machine) / 1_000_000_000 }

    private func realtime(_ machine: MachineIndex) -> Int64 {
        let passed = Int64(now)
        guard machine != Turns.nobody else { return Turns.epoch + passed }
        return Turns.epoch + passed + clocks[machine].offset + passed / 1_000_000_000 * clocks[machine].drift
    }

    /// Does something on a machine after a while; it must be short and must not wait. While the machine is suspended it is put off.
    package func after(_ nanoseconds: UInt64, on machine: MachineIndex, _ body: @escaping @Sendable () -> Void) {
        happenings.add(at: now + nanoseconds, .run(machine, body))
    }

    /// Runs `body` on a new thread of the machine.
    package func start(on machine: MachineIndex, _ name: String = "task", _ body: @escaping @Sendable () -> Void) {
        _ = begin(machine, name, body)
    }

    /// Adds a line to what the digest covers.
    package func note(_ line: @autoclosure () -> String) {
        let line = line()
        for byte in line.utf8 { mix(UInt64(byte)) }
        mix(now)
        trace?("\(Turns.describe(now)) [\(steps)] \(line)")
    }

    /// Days, hours, minutes and seconds.
    package static func describe(_ nanoseconds: UInt64) -> String {
        let seconds = nanoseconds / 1_000_000_000
        func two(_ number: UInt64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(seconds / 86_400)d \(two(seconds / 3600 % 24)):\(two(seconds / 60 % 60)):\(two(seconds % 60))"
    }

    /// Lets the world go on until that moment; for the director.
    package func sleep(until moment: UInt64) {
        while now < moment { _ = pause(ObjectIdentifier(self), until: moment) { false } }
    }

    private func mix(_ number: UInt64) { digest = (digest ^ number) &* 0x0000_0100_0000_01b3 }

    // MARK: ThreadTurns

    package func start(name: String, _ body: @escaping @Sendable () -> Void) -> Int? { begin(machineNow, name, body) }

    private func begin(_ machine: MachineIndex, _ name: String, _ body: @escaping @Sendable () -> Void) -> Int? {
        let seat: Seat
        if let free = idle.popLast() {
            seat = free
        } else {
            seat = Seat()
            guard makeThread(for: seat) else { return nil }
        }
        threads += 1
        seat.thread = threads
        seat.machine = machine
        seat.name = name
        seat.body = body
        alive[threads] = seat
        if machine != Turns.nobody { clocks[machine].alive += 1 }
        makeRunnable(seat)
        return threads
    }

    package func join(_ thread: Int) {
        guard let seat = alive[thread] else { return }
        _ = pause(ObjectIdentifier(seat), until: nil) { self.alive[thread] == nil }
    }

    package func pause(_ reason: ObjectIdentifier, until deadline: UInt64?, isReady: @escaping () -> Bool) -> Bool {
        if let deadline, now >= deadline { return false }
        let seat = running
        seat.isReady = isReady
        seat.hasTimedOut = false
        seat.pauses += 1
        seat.reason = reason
        paused[reason, default: []].append(seat)
        if let deadline { happenings.add(at: max(deadline, now), .wake(seat, pause: seat.pauses)) }
        handOver(from: seat, waits: true)
        return !seat.hasTimedOut
    }

    /// The running thread may lose its turn here, if it runs in the name of `machine`.
    package func mayPreempt(on machine: MachineIndex) {
        guard machineNow == machine, running.machine == machine, !runnable.isEmpty, choices.next() % Turns.preemptsOneIn == 0
        else {
            return
        }
        let seat = running
        spent["preempted", default: 0] += 1
        runnable.append(seat)
        handOver(from: seat, waits: true)
    }

    private static let preemptsOneIn: UInt64 = 8

    /// Once in a while the running thread waits here for up to so long, if it runs in the name of `machine`: its disk is slow.
    package func mayDawdle(on machine: MachineIndex, upTo nanoseconds: UInt64) {
        guard machineNow == machine, running.machine == machine, choices.next() % Turns.dawdlesOneIn == 0 else { return }
        spent["waited for a slow disk", default: 0] += 1
        sleep(until: now + 1 + choices.next() % nanoseconds)
    }

    private static let dawdlesOneIn: UInt64 = 16

    package func wake(_ reason: ObjectIdentifier) {
        // Whoever is ready may have changed something for the others.
        while let index = paused[reason]?.firstIndex(where: { isReady($0) }), let seat = paused[reason]?.remove(at: index) {
            if paused[reason]?.isEmpty == true { paused[reason] = nil }
            seat.reason = nil
            seat.isReady = nil
            makeRunnable(seat)
        }
    }

    /// Asked in the name of the thread that waits.
    private func isReady(_ seat: Seat) -> Bool {
        let before = machineNow
        machineNow = seat.machine
        defer { machineNow = before }
        return seat.isReady?() ?? true
    }

    package func monotonicNanoseconds() -> UInt64 { now }
    package func realtimeNanoseconds() -> Int64 { realtime(machineNow) }
    package func random() -> UInt64 { choices.next() }

    package func fileNumber(_ inode: UInt64) -> UInt64 {
        if let known = fileNumbers[inode] { return known }
        fileNumbers[inode] = UInt64(fileNumbers.count + 1)
        return UInt64(fileNumbers.count)
    }

    // MARK: Handing over

    private func makeRunnable(_ seat: Seat) {
        if seat.machine != Turns.nobody, clocks[seat.machine].isSuspended {
            clocks[seat.machine].heldSeats.append(seat)
        } else {
            runnable.append(seat)
        }
    }

    /// Gives the turn to whoever is next, and waits until it comes back.
    private func handOver(from seat: Seat, waits: Bool) {
        while runnable.isEmpty { happen() }
        steps += 1
        if steps > stepsMax { end("the world does not come to rest: \(steps) steps") }
        let index = runnable.count == 1 ? 0 : Int(choices.next() % UInt64(runnable.count))
        let next = runnable[index]
        runnable.swapAt(index, runnable.count - 1)
        runnable.removeLast()
        mix(UInt64(next.thread))
        running = next
        machineNow = next.machine
        next.turns += 1
        if next === seat, waits { return }
        sem_post(next.gate)
        if waits { while sem_wait(seat.gate) != 0 {} }
    }

    private func happen() {
        guard let (moment, happening) = happenings.next() else { end("nobody can go on, and nothing will happen") }
        now = max(now, moment)
        steps += 1
        switch happening {
        case .wake(let seat, let pause):
            guard seat.pauses == pause, let reason = seat.reason else { return }
            spent["waited to the end", default: 0] += 1
            paused[reason]?.removeAll { $0 === seat }
            if paused[reason]?.isEmpty == true { paused[reason] = nil }
            seat.reason = nil
            seat.isReady = nil
            seat.hasTimedOut = true
            makeRunnable(seat)
        case .run(let machine, let body):
            if machine != Turns.nobody, clocks[machine].isSuspended {
                clocks[machine].heldRuns.append(body)
                return
            }
            spent["happened", default: 0] += 1
            // What it starts belongs to that machine, and so does the clock that it reads.
            let before = machineNow
            machineNow = machine
            body()
            machineNow = before
        }
    }

    private func end(_ reason: String) -> Never {
        writeLine("simulation: \(reason) at \(Turns.describe(now))")
        exit(70)
    }

    private func makeThread(for seat: Seat) -> Bool {
        let box = Unmanaged.passRetained(Start(turns: self, seat: seat))
        var thread = pthread_t()
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, 2 << 20)
        let result = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                start.turns.work(start.seat)
                return nil
            }, box.toOpaque())
        pthread_attr_destroy(&attributes)
        if result != 0 { box.release() }
        return result == 0
    }

    private final class Start {
        let turns: Turns
        let seat: Seat
        init(turns: Turns, seat: Seat) {
            self.turns = turns
            self.seat = seat
        }
    }

    /// What one of the system's threads does: one body after the other.
    private func work(_ seat: Seat) {
        while true {
            while sem_wait(seat.gate) != 0 {}
            guard let body = seat.body else { return }
            seat.body = nil
            body()
            alive[seat.thread] = nil
            spent["turns of \(seat.name)", default: 0] += seat.turns
            seat.turns = 0
            if seat.machine != Turns.nobody { clocks[seat.machine].alive -= 1 }
            wake(ObjectIdentifier(seat))
            idle.append(seat)
            handOver(from: seat, waits: false)
        }
    }

    /// Lets go of the system's threads. Nothing may run any more.
    package func close() {
        for seat in idle {
            seat.body = nil
            sem_post(seat.gate)
        }
        idle = []
    }
}
