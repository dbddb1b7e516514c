internal import Glibc
internal import Simulation

/// Hands out seeds to processes of their own, gathers what they say, and makes failures small.
///
/// Each seed has a process of its own: one that traps or hangs takes nothing with it, and no seed depends on those before it.
struct Coordinator {
    private let options: Options
    private let began = ContinuousClock.now
    private let processors = Coordinator.allowedProcessors()
    private(set) var passed = 0
    private(set) var failures: [(seed: UInt64, checker: String, text: String)] = []
    private var nodeDays = 0
    private var counts: [String: Int] = [:]
    /// Those that took the most of the processor, the most first.
    private var dearest: [(seed: UInt64, milliseconds: Int)] = []

    /// A seed that takes longer has got stuck.
    private static let seedSecondsMax = 600

    init(_ options: Options) { self.options = options }

    private struct Child {
        let process: pid_t
        let output: Int32
        let seed: UInt64
        /// Of the workers.
        let slot: Int
        let began: ContinuousClock.Instant
        var bytes: [UInt8] = []
    }

    /// The process's exit code.
    mutating func run() -> Int32 {
        runSeeds()
        summary()
        requireStates()
        if options.shrinks {
            for failure in failures.prefix(3) where failure.checker != Coordinator.unreached {
                shrink(failure.seed, failure.checker)
            }
        }
        writeLine("\(passed) passed, \(failures.count) failed")
        return failures.isEmpty ? 0 : 1
    }

    mutating func runSeeds() {
        var children: [Child] = []
        var next = options.first
        let end = options.first + options.count
        while next < end || !children.isEmpty {
            let isLate =
                options.secondsMax.map { ContinuousClock.now - began > .seconds($0) } ?? false
                || failures.contains { options.endsWith.contains($0.checker) }
            while next < end, !isLate, children.count < options.workers {
                let slot = (0..<options.workers).first { slot in !children.contains { $0.slot == slot } } ?? 0
                if let child = start(next, without: options.without, slot: slot) { children.append(child) }
                next += 1
            }
            if isLate { next = end }
            children = children.compactMap { read($0) }
        }
    }

    // MARK: Processes

    private func start(_ seed: UInt64, without: Set<Int>, slot: Int = 0) -> Child? {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { return nil }
        // Each has the folder for itself, at the same place, and the same addresses.
        let user = geteuid() == 0 ? ["-m"] : ["-m", "-r"]
        let shell = "mount -t tmpfs none \(Simulate.folder) && exec \(pinning(slot)) setarch -R \"$0\" \"$@\""
        var words = ["unshare"] + user + ["sh", "-c", shell, CommandLine.arguments[0], "--worker", "--seed", "\(seed)"]
        if let mutant = options.mutant { words = ["env", "BAKARE_MUTANT=\(mutant)"] + words }
        if let size = options.size { words += ["--size", "\(size.machines),\(size.days)"] }
        if let pace = options.pace { words += ["--pace", pace.rawValue] }
        if options.isTraced { words.append("--trace") }
        if !without.isEmpty { words += ["--without", without.sorted().map(String.init).joined(separator: ",")] }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_addclose(&actions, ends[0])
        posix_spawn_file_actions_addclose(&actions, ends[1])
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var process = pid_t()
        let result = posix_spawnp(&process, words[0], &actions, nil, &arguments, environ)
        posix_spawn_file_actions_destroy(&actions)
        close(ends[1])
        guard result == 0 else {
            close(ends[0])
            return nil
        }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        return Child(process: process, output: ends[0], seed: seed, slot: slot, began: .now)
    }

    /// One of many threads of a world runs at a time: to wake the next on another processor takes several times as long as on the same.
    /// Workers take different ones of those that they may have.
    private func pinning(_ slot: Int) -> String {
        processors.count > 1 ? "taskset -c \(processors[slot % processors.count])" : ""
    }

    /// Those that this process may run on.
    private static func allowedProcessors() -> [Int] {
        guard let file = fopen("/proc/self/status", "r") else { return [] }
        defer { fclose(file) }
        var buffer = [CChar](repeating: 0, count: 8192)
        while fgets(&buffer, Int32(buffer.count), file) != nil {
            let line = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            guard line.hasPrefix("Cpus_allowed_list:") else { continue }
            return line.split(separator: ":")[1].split(separator: ",").flatMap { part -> [Int] in
                let ends = part.split(separator: "-").compactMap { end in Int(end.filter { $0.isNumber }) }
                guard let first = ends.first, let last = ends.last, first <= last else { return [] }
                return Array(first...last)
            }
        }
        return []
    }

    /// Takes what a child has written; nil when it has ended, and was counted.
    private mutating func read(_ child: Child) -> Child? {
        var child = child
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = Glibc.read(child.output, &buffer, buffer.count)
        if count > 0 {
            child.bytes += buffer[..<count]
            return child
        }
        if count < 0, errno == EAGAIN {
            if ContinuousClock.now - child.began > .seconds(Coordinator.seedSecondsMax) { kill(child.process, SIGKILL) }
            usleep(2000)
            return child
        }
        finish(child)
        return nil
    }

    private mutating func finish(_ child: Child) {
        close(child.output)
        var status: Int32 = 0
        var usage = rusage()
        wait4(child.process, &status, 0, &usage)
        dearest.append((child.seed, usage.milliseconds))
        dearest = Array(dearest.sorted { $0.milliseconds > $1.milliseconds }.prefix(5))
        let lines = String(decoding: child.bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        if options.isTraced { for line in lines where Report(line: line) == nil { writeLine(line) } }
        guard let report = lines.lazy.compactMap({ Report(line: $0) }).first else {
            return fail(child.seed, Coordinator.endless, lines.last ?? "the process ended with \(status)")
        }
        nodeDays += report.nodeDays
        for (kind, number) in report.counts { counts[kind, default: 0] += number }
        if report.hasPassed {
            passed += 1
            if options.count == 1 { writeLine("seed \(report.seed): digest \(report.digest), \(report.steps) steps") }
        } else {
            fail(report.seed, report.checker, report.text)
        }
        if options.mutant == nil, (passed + failures.count) % 100 == 0 { writeLine("\(progress)") }
    }

    private mutating func fail(_ seed: UInt64, _ checker: String, _ text: String) {
        failures.append((seed, checker, text))
        guard options.mutant == nil else { return }
        writeLine("FAILED seed \(seed): \(checker): \(text)")
        writeLine("  again, step by step: Simulations/run --seed \(seed) --trace\(size)")
    }

    private var size: String {
        (options.size.map { " --size \($0.machines),\($0.days)" } ?? "") + (options.pace.map { " --pace \($0.rawValue)" } ?? "")
    }

    private var progress: String {
        let seconds = (ContinuousClock.now - began) / .seconds(1)
        let done = passed + failures.count
        let rate = Int(Double(done) / max(0.001, seconds) * 100)
        let daysRate = Int(Double(nodeDays) / max(0.001, seconds))
        let processor = processorMilliseconds
        return "\(done) seeds, \(nodeDays) node-days, \(failures.count) failed; "
            + "\(rate / 100).\(rate % 100 / 10)\(rate % 10) seeds a second, \(daysRate) node-days a second; "
            + "\(processor / max(1, done)) ms of processor a seed, \(tenths(processor * 10 / max(1, nodeDays))) a node-day"
    }

    /// Of the processes that have ended: what a run is worth also on a machine that has other things to do.
    private var processorMilliseconds: Int {
        var usage = rusage()
        return getrusage(Int32(RUSAGE_CHILDREN.rawValue), &usage) == 0 ? usage.milliseconds : 0
    }

    private func tenths(_ number: Int) -> String { "\(number / 10).\(number % 10)" }

    private func summary() {
        let groups = [("act: ", "work and trouble:"), ("network: ", "network faults:"), ("spent: ", "steps spent on:")]
        for (group, title) in groups + [("", "states reached and checks made:")] {
            let found = counts.filter { key, _ in
                group.isEmpty ? !groups.contains { key.hasPrefix($0.0) } : key.hasPrefix(group)
            }
            guard !found.isEmpty else { continue }
            writeLine(title)
            for (kind, number) in found.sorted(by: { $0.key < $1.key }) {
                writeLine("  \(kind.dropFirst(group.count)): \(number)")
            }
        }
        if options.count > 1 {
            writeLine(
                "dearest: "
                    + dearest.map { "seed \($0.seed) \(tenths($0.milliseconds / 100)) s" }.joined(separator: ", "))
        }
        writeLine(progress)
    }

    /// What so many seeds of all sizes reach, unless it cannot be reached any more: then what is checked of it is worth nothing.
    private mutating func requireStates() {
        guard options.size == nil, options.pace == nil, passed + failures.count >= Coordinator.manySeeds else { return }
        for state in Coordinator.states where counts[state] == nil {
            failures.append((options.first, Coordinator.unreached, state))
            writeLine("FAILED: nothing of so many seeds came to: \(state)")
        }
    }

    private static let unreached = "every state is reached"
    private static let manySeeds = 1000
    private static let states = [
        "suspended in a command", "suspended while it served", "paired again", "recovered", "discovered", "restored in part",
        "restored whole", "done: unpair", "done: block", "backed up a set of its own", "compared agreements",
        "checked for garbage",
        "compared books of those who have parted", "checked what was acknowledged", "looked for what is forgotten",
        "snapshots beyond help", "spent: waited for a slow disk", "network: another version, refused with that reason",
        "network: one-way cut", "network: duplicate", "network: reordering", "network: truncation", "network: flipped bit",
    ]

    // MARK: Shrinking

    /// Leaves out acts of the plan, in ever smaller groups, as long as the same checker still finds something.
    private mutating func shrink(_ seed: UInt64, _ checker: String) {
        let total = Plan(seed: seed, size: options.size, pace: options.pace).acts.count
        var without = options.without
        var group = max(1, total / 2)
        var tries = 0
        while tries < 60 {
            var isSmaller = false
            for start in stride(from: 0, to: total, by: group) where tries < 60 {
                let more = without.union(Set(start..<min(start + group, total)))
                guard more.count > without.count else { continue }
                tries += 1
                if fails(seed, checker, without: more) {
                    without = more
                    isSmaller = true
                }
            }
            if group == 1 { if !isSmaller { break } } else { group = max(1, group / 2) }
        }
        let list = without.sorted().map(String.init).joined(separator: ",")
        writeLine("seed \(seed) fails with \(total - without.count) of \(total) acts:")
        writeLine("  Simulations/run --seed \(seed) --trace\(size) --without \(list)")
    }

    private func fails(_ seed: UInt64, _ checker: String, without: Set<Int>) -> Bool {
        guard let child = start(seed, without: without) else { return false }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(child.output, &buffer, buffer.count)
            if count > 0 {
                bytes += buffer[..<count]
            } else if count < 0, errno == EAGAIN {
                if ContinuousClock.now - child.began > .seconds(Coordinator.seedSecondsMax) { kill(child.process, SIGKILL) }
                usleep(2000)
            } else {
                break
            }
        }
        close(child.output)
        var status: Int32 = 0
        waitpid(child.process, &status, 0)
        let report = String(decoding: bytes, as: UTF8.self).split(separator: "\n").lazy.compactMap { Report(line: String($0)) }
            .first
        guard let report else { return checker == Coordinator.endless }
        return report.checker == checker
    }

    /// Of seeds whose process trapped, hung, or came to no end.
    private static let endless = "runs to its end"
}

extension rusage {
    /// Of the processor, in the program and in the kernel.
    fileprivate var milliseconds: Int {
        (ru_utime.tv_sec + ru_stime.tv_sec) * 1000 + Int(ru_utime.tv_usec + ru_stime.tv_usec) / 1000
    }
}
