internal import BackupFormat

/// How much is packed into the days of a life. What may happen is the same in both.
package enum Pace: String, Sendable, Hashable {
    /// Several edits, commands and faults a day.
    case busy
    /// What homes do: backups at their hour, a look now and then, a fault a week.
    case calm

    /// Of a hundred seeds so many live busy lives.
    static let busyOfHundred = 50

    /// Once in so many writes; 0 for never.
    var networkRates: [Int] { self == .busy ? [0, 0, 5000, 2000, 500] : [0, 0, 0, 20_000, 5000] }

    /// How many machines, where so many were drawn: most calm lives are of the few that a home has.
    func machines(_ drawn: Int, _ choices: inout SplitMix64) -> Int {
        self == .busy || drawn > 8 ? drawn : choices.pick([1, 2, 2, 3, 3, 4, 5, drawn]) ?? drawn
    }

    /// Days from one backup of a machine to the next, in a calm life.
    func interval(_ choices: inout SplitMix64) -> Int { choices.pick([1, 7, 14, 14, 30, 30]) ?? 14 }

    /// How long a life is. What a life costs is the work in it, and that the more the more was done before and the more machines there
    /// are: so busy lives are mostly short and some long, calm ones the longer the less is backed up, and of many machines
    /// only some are lived as long as those of few.
    func days(_ machineCount: Int, interval: Int, _ choices: inout SplitMix64) -> Int {
        let isLong = choices.isOne(in: 50)
        let nodeDays: Int
        switch self {
        case .busy: nodeDays = choices.within(isLong ? 100...200 : 6...36)
        case .calm: nodeDays = min(choices.within(80...500), Pace.backupsMax * interval) * (isLong ? 3 : 1)
        }
        let isShortened = machineCount >= 10 && !choices.isOne(in: 10)
        return max(2, nodeDays / machineCount / (isShortened ? 3 : 1))
    }

    private static let backupsMax = 16
}

extension Plan {
    /// Each machine that has something to back up does so at an hour of its own, each day or more seldom; some, three
    /// at most, do on one of the days each hour.
    mutating func drawCalmWork(_ choices: inout SplitMix64, each interval: Int) {
        let end = days * 86_400
        /// How often something is done that is done each so many days.
        func times(each interval: Int, _ choices: inout SplitMix64) -> Int {
            days / interval + (choices.below(interval) < days % interval ? 1 : 0)
        }
        var hourlyLeft = 3
        for (index, machine) in machines.enumerated() {
            if machine.role != .persister {
                let hour = choices.below(86_400)
                for day in stride(from: 0, to: days, by: interval) {
                    let second = day * 86_400 + (hour + choices.below(1800)) % 86_400
                    // On some days there is nothing new.
                    if choices.below(4) > 0 { add(second - choices.below(3600), .edit(index)) }
                    add(second, .backUp(index))
                }
                if choices.isOne(in: 8), hourlyLeft > 0 {
                    hourlyLeft -= 1
                    let day = choices.below(days)
                    for hour in 0..<24 {
                        add(day * 86_400 + hour * 3600, .edit(index))
                        add(day * 86_400 + hour * 3600 + 60, .backUp(index))
                    }
                }
                for _ in 0..<times(each: 2 * interval, &choices) {
                    add(choices.below(end), .forget(index, keep: choices.within(1...6)))
                }
                for _ in 0..<times(each: 30, &choices) { add(choices.below(end), .restore(index)) }
            }
            for _ in 0..<times(each: 7, &choices) { add(choices.below(end), .sweep(index)) }
            for _ in 0..<times(each: 30, &choices) { add(choices.below(end), .check(index)) }
            drawNights(index, &choices)
        }
    }
}
