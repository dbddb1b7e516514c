internal import BackupFormat
internal import BackupNode
internal import HostFiles

/// Whether the machine is in a state in which a set may be backed up by itself.
struct WorkConditions {
    private let set: SourceSet
    private var metered: (isMetered: Bool, at: Int64)?

    private static let askAgainSeconds: Int64 = 60
    private static let answerMilliseconds: Int64 = 2000

    init(_ set: SourceSet) { self.set = set }

    /// What speaks against it, in words; nil for nothing.
    mutating func objection() -> String? {
        if !set.onBattery, SystemConditions.isOnBattery() == true { return "the machine runs on its battery" }
        if let most = set.maxLoad, let load = SystemConditions.load(), load > most { return "the load is above max_load" }
        if !set.onMetered, isMetered() { return "the network connection is metered" }
        return nil
    }

    /// Asks NetworkManager, now and then. Without an answer, no.
    private mutating func isMetered() -> Bool {
        let now = Int64(monotonicNanoseconds() / 1_000_000_000)
        if let metered, now - metered.at < WorkConditions.askAgainSeconds { return metered.isMetered }
        let found = WorkConditions.ask().flatMap { SystemConditions.isMetered(answer: $0) } ?? false
        metered = (found, now)
        return found
    }

    private static func ask() -> String? {
        let manager = "org.freedesktop.NetworkManager"
        let words = ["--system", "get-property", manager, "/org/freedesktop/NetworkManager", manager, "Metered"]
        guard let child = ChildProcess("busctl", words.map { Array($0.utf8) }, output: .both) else { return nil }
        let deadline = monotonicNanoseconds() / 1_000_000 + UInt64(answerMilliseconds)
        var said: [UInt8] = []
        while monotonicNanoseconds() / 1_000_000 < deadline {
            said += child.read()
            if let code = child.poll() {
                said += child.read()
                return code == 0 ? String(decoding: said.prefix(100), as: UTF8.self) : nil
            }
            sleep(milliseconds: 10)
        }
        child.killGroup()
        while child.poll() == nil { sleep(milliseconds: 10) }
        return nil
    }
}
