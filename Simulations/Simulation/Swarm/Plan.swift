package import BackupFormat

/// One thing that is done or goes wrong. Machines are numbered from 0.
package enum Act: Sendable, Hashable {
    // Work.
    case edit(Int)
    case backUp(Int)
    case forget(Int, keep: Int)
    case sweep(Int)
    case restore(Int)
    case check(Int)
    // Trouble.
    /// The power goes now, and comes back after so many seconds.
    case crash(Int, seconds: Int)
    /// The power goes at the so manieth write or sync from now on.
    case crashAtWrite(Int, Int, seconds: Int)
    case restart(Int)
    case suspend(Int, seconds: Int)
    /// Suspended at the so manieth operation in its vaults from now on, in the midst of a command or of what a peer asks.
    case suspendAtWork(Int, Int, seconds: Int)
    case cut(Int, Int, seconds: Int, isOneWay: Bool)
    case fillDisk(Int, seconds: Int)
    case failingDisk(Int, oneIn: Int, seconds: Int)
    /// One byte of one file flips.
    case flipByte(Int)
    /// A block of one file is written into another.
    case misdirectedWrite(Int)
    /// A pack is gone from a disk.
    case losePack(Int)
    case loseDisk(Int, seconds: Int)
    /// Takes an image of the disk, and some time later the machine goes on with that.
    case oldImage(Int, seconds: Int)
    case jumpClock(Int, seconds: Int)
    /// A liar throws away what it has taken.
    case dropPacks(Int)
    /// Operations of a disk take up to so many milliseconds each.
    case slowDisk(Int, milliseconds: Int, seconds: Int)
    /// The machine's program is of a later version for so long.
    case otherVersion(Int, seconds: Int)
    /// The first owner ends the agreement with the second.
    case unpair(Int, Int)
    /// Owners that have parted pair again, by the first one's invitation.
    case pairAgain(Int, Int)
    /// The first machine blocks the second, which is of the same owner.
    case block(Int, Int)

    /// Its kind, for counting.
    package var kind: String {
        let text = "\(self)"
        return String(text.prefix { $0 != "(" })
    }
}

/// Something at a moment, in seconds since the world began.
package struct PlannedAct: Sendable, Hashable, CustomStringConvertible {
    package var second: Int
    package var act: Act

    package var description: String { "\(Turns.describe(UInt64(second) * 1_000_000_000)) \(act)" }
}

/// A machine as the plan has it.
package struct PlannedMachine: Sendable, Hashable {
    package var owner: Int
    package var role: Role
    package var isLiar: Bool
    package var clockOffsetSeconds: Int
    package var driftPartsPerMillion: Int
    package var sleepsAtNight: Bool
}

/// Two owners that pair, and what each keeps for the other, in bytes.
package struct PlannedFriendship: Sendable, Hashable {
    package var a: Int
    package var b: Int
    package var quotaBytes: Int
}

/// All that a seed draws beforehand: the cluster, the work and the trouble. What is left to the world is the order of threads, and what the
/// network does to single messages.
package struct Plan: Sendable {
    package let seed: UInt64
    package let pace: Pace
    package var days: Int
    package var machines: [PlannedMachine]
    package var friendships: [PlannedFriendship]
    package var replicas: Int
    /// Of the set that is one folder of the sources, which is backed up by itself now and then; nil where there is no such set.
    package var folderReplicas: Int?
    /// All grace times are zero.
    package var hasNoGrace: Bool
    package var network: NetworkFaults
    package var acts: [PlannedAct]

    var lies: Liar.Kind { seed.isMultiple(of: 4) ? .keepsUpAppearances : seed.isMultiple(of: 2) ? .subtle : .shameless }
    package var nodeDays: Int { days * machines.count }

    /// Machines that one owner has on average, at most: all of a person's machines have sessions with each other.
    private static let machinesOfOne = 10

    /// What a seed stands for. `size` asks for so many machines and days in place of what the seed would draw, and for a busy life
    /// unless `pace` says otherwise.
    package init(seed: UInt64, size: (machines: Int, days: Int)? = nil, pace: Pace? = nil) {
        var choices = SplitMix64(seed &* 0x2545_f491_4f6c_dd1d)
        self.seed = seed
        let kind = choices.below(100)
        let count: Int
        switch kind {
        case 0: count = choices.within(30...100)
        case 1..<10: count = choices.within(10...20)
        default: count = choices.within(1...8)
        }
        var tempo = SplitMix64(seed &* 0xd6e8_feb8_6659_fd93 ^ 0xca1)
        let drawnPace: Pace = tempo.below(100) < Pace.busyOfHundred ? .busy : .calm
        self.pace = pace ?? (size == nil ? drawnPace : .busy)
        let machineCount = size?.machines ?? self.pace.machines(count, &tempo)
        let interval = self.pace.interval(&tempo)
        days = size?.days ?? self.pace.days(machineCount, interval: interval, &tempo)
        replicas = choices.pick([1, 2, 2, 2, 3]) ?? 2
        hasNoGrace = choices.isOne(in: 4)
        let owners = min(
            machineCount, max(machineCount / Plan.machinesOfOne, choices.within(1...max(1, min(20, machineCount / 2 + 1)))))
        let hasLiar = machineCount > 2 && choices.isOne(in: 5)
        let isQuiet = choices.isOne(in: 5)
        machines = (0..<machineCount).map { index in
            PlannedMachine(
                owner: index < owners ? index : choices.below(owners),
                role: choices.pick([.auto, .auto, .auto, .both, .persister]) ?? .auto,
                isLiar: false, clockOffsetSeconds: choices.isOne(in: 4) ? choices.within(-3600...3600) : 0,
                driftPartsPerMillion: choices.isOne(in: 3) ? choices.within(-200...200) : 0, sleepsAtNight: choices.isOne(in: 6))
        }
        // Whoever has but one machine needs one that backs up.
        for owner in 0..<owners where !machines.contains(where: { $0.owner == owner && $0.role != .persister }) {
            if let index = machines.firstIndex(where: { $0.owner == owner }) { machines[index].role = .auto }
        }
        if hasLiar { machines[machineCount - 1].isLiar = true }
        friendships = []
        for a in 0..<owners {
            for b in (a + 1)..<max(owners, a + 1) where owners <= 4 || choices.below(owners) < 4 {
                let quota = choices.isOne(in: 4) ? choices.within(100_000...2_000_000) : 1 << 34
                friendships.append(PlannedFriendship(a: a, b: b, quotaBytes: quota))
            }
        }
        network = NetworkFaults()
        network.latencyMilliseconds = choices.pick([2, 20, 40, 300]) ?? 40
        if !isQuiet {
            let rates = self.pace.networkRates
            func rate(_ choices: inout SplitMix64) -> Int { choices.pick(rates) ?? 0 }
            network.resets = rate(&choices)
            network.flippedBytes = rate(&choices)
            network.truncations = rate(&choices)
            network.duplicates = rate(&choices)
            network.reorderings = rate(&choices)
            network.stalls = rate(&choices)
            network.bytesPerSecond = choices.pick([20_000, 1_000_000, 100_000_000]) ?? 1_000_000
        }
        acts = []
        switch self.pace {
        case .busy:
            drawWork(&choices)
            if !isQuiet { drawTrouble(&choices, max(1, days * machines.count / choices.within(2...12))) }
        case .calm:
            drawCalmWork(&choices, each: interval)
            if !isQuiet { drawTrouble(&choices, 1 + days / 7) }
        }
        // From numbers of their own, so that seeds without any of it live as they did before there was such a thing.
        var more = SplitMix64(seed &* 0x9fb2_1c65_1e98_df25 ^ 0x5e75)
        drawMore(&more, isQuiet: isQuiet)
        var sleep = SplitMix64(seed &* 0xa24b_aed4_963e_e407 ^ 0x51ee)
        drawLate(&sleep, isQuiet: isQuiet)
        acts.sort { $0.second < $1.second }
    }

    mutating func add(_ second: Int, _ act: Act) { acts.append(PlannedAct(second: max(600, second), act: act)) }

    private mutating func drawWork(_ choices: inout SplitMix64) {
        let end = days * 86_400
        for (index, machine) in machines.enumerated() {
            if machine.role != .persister {
                for _ in 0..<max(1, days / choices.within(1...4)) {
                    let second = choices.below(end)
                    add(second, .edit(index))
                    let backUp = second + choices.within(1...3600)
                    add(backUp, .backUp(index))
                    // While its packs arrive.
                    if choices.isOne(in: 3) { add(backUp, .sweep(choices.below(machines.count))) }
                }
                for _ in 0..<days / 5 { add(choices.below(end), .forget(index, keep: choices.within(1...6))) }
                for _ in 0..<days / 4 { add(choices.below(end), .restore(index)) }
            }
            for _ in 0..<days / 5 { add(choices.below(end), .sweep(index)) }
            for _ in 0..<days / 10 { add(choices.below(end), .check(index)) }
            drawNights(index, &choices)
        }
    }

    mutating func drawNights(_ index: Int, _ choices: inout SplitMix64) {
        guard machines[index].sleepsAtNight else { return }
        for day in 0..<days {
            add(day * 86_400 + 79_200 + choices.below(3600), .suspend(index, seconds: choices.within(20_000...30_000)))
        }
    }

    private mutating func drawMore(_ choices: inout SplitMix64, isQuiet: Bool) {
        let end = days * 86_400
        if choices.isOne(in: 4) { folderReplicas = choices.within(1...3) }
        if choices.isOne(in: 6), let friendship = choices.pick(friendships) {
            let (a, b) = choices.isOne(in: 2) ? (friendship.a, friendship.b) : (friendship.b, friendship.a)
            add(choices.below(end), .unpair(a, b))
        }
        let (one, other) = (choices.below(machines.count), choices.below(machines.count))
        if choices.isOne(in: 3), one != other, machines[one].owner == machines[other].owner {
            add(choices.below(end), .block(one, other))
        }
        // Nothing comes after that by which it would be found but the proofs.
        if lies == .keepsUpAppearances, let liar = machines.firstIndex(where: \.isLiar) { add(end, .dropPacks(liar)) }
        guard !isQuiet else { return }
        if choices.isOne(in: 3) {
            for _ in 0..<choices.within(1...3) {
                let seconds = choices.pick([600, 7200, 86_400, 400_000]) ?? 600
                add(
                    choices.below(end),
                    .slowDisk(
                        choices.below(machines.count), milliseconds: choices.pick([50, 1000, 20_000]) ?? 50, seconds: seconds))
            }
        }
        if choices.isOne(in: 8) {
            add(choices.below(end), .otherVersion(choices.below(machines.count), seconds: choices.within(3600...400_000)))
        }
    }

    /// Friends that make it up again; and lids that are closed while the machine, or another that sends to it, is at work.
    private mutating func drawLate(_ choices: inout SplitMix64, isQuiet: Bool) {
        for planned in acts {
            guard case .unpair(let a, let b) = planned.act, choices.isOne(in: 2) else { continue }
            add(planned.second + choices.within(600...400_000), .pairAgain(b, a))
        }
        let works = acts.filter { ["backUp", "sweep", "forget", "restore"].contains($0.act.kind) }
        guard !isQuiet, choices.isOne(in: 2), !works.isEmpty else { return }
        for _ in 0..<choices.within(1...4) {
            guard let work = choices.pick(works) else { return }
            let seconds = choices.pick([30, 7200, 86_400, 400_000, 3_000_000]) ?? 30
            let worker: Int? =
                switch work.act {
                case .backUp(let index), .sweep(let index), .restore(let index), .forget(let index, _): index
                default: nil
                }
            guard let worker else { continue }
            let sleeper = choices.isOne(in: 3) ? choices.below(machines.count) : worker
            add(work.second - 1, .suspendAtWork(sleeper, choices.within(1...150), seconds: seconds))
        }
    }

    private mutating func drawTrouble(_ choices: inout SplitMix64, _ total: Int) {
        let end = days * 86_400
        for _ in 0..<total {
            let (machine, second) = (choices.below(machines.count), choices.below(end))
            let other = choices.below(machines.count)
            let length = choices.pick([30, 600, 7200, 86_400, 400_000]) ?? 600
            switch choices.below(24) {
            case 0, 1: add(second, .crash(machine, seconds: length))
            case 2, 3, 4, 5: add(second, .crashAtWrite(machine, choices.within(1...200), seconds: length))
            case 6: add(second, .restart(machine))
            case 7, 8: add(second, .suspend(machine, seconds: choices.isOne(in: 6) ? 3_000_000 : length))
            case 9, 10, 11: if machine != other { add(second, .cut(machine, other, seconds: length, isOneWay: false)) }
            case 12: if machine != other { add(second, .cut(machine, other, seconds: length, isOneWay: true)) }
            case 13: add(second, .fillDisk(machine, seconds: length))
            case 14: add(second, .failingDisk(machine, oneIn: choices.pick([20, 100, 1000]) ?? 100, seconds: min(length, 7200)))
            case 15, 16: add(second, .flipByte(machine))
            case 17: add(second, .misdirectedWrite(machine))
            case 18: add(second, .losePack(machine))
            case 19: if choices.isOne(in: 2) { add(second, .loseDisk(machine, seconds: length)) }
            case 20: if choices.isOne(in: 2) { add(second, .oldImage(machine, seconds: length)) }
            case 21:
                add(
                    second,
                    .jumpClock(machine, seconds: choices.pick([-3600, 3600, 86_400, -400_000, 3_000_000, -40_000_000]) ?? 60))
            default: if let liar = machines.firstIndex(where: \.isLiar) { add(second, .dropPacks(liar)) }
            }
        }
    }
}
