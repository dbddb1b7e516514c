internal import BackupFormat
internal import HostFiles

/// A program of the user's that runs before or after a backup of a set of sources.
package struct BackupHook: Sendable {
    package enum Moment: String, Sendable { case before, after }

    private let moment: Moment
    private let set: SourceSet
    private let words: [String]

    private static let lineBytesMax = 1000
    /// Of what it says, so many bytes are passed on.
    private static let saidBytesMax = 1 << 20
    /// Between asking it to end and ending it.
    private static let graceMilliseconds = 5000

    /// Nil where the set has none.
    package init?(_ moment: Moment, of set: SourceSet) {
        words = moment == .before ? set.before : set.after
        guard !words.isEmpty else { return nil }
        self.moment = moment
        self.set = set
    }

    /// Runs it to its end. What it says goes to `say`, line by line; `result` and `snapshot` are for one that runs after.
    ///
    /// Throws when it cannot be started, ends with something else than 0, or takes longer than it may: then it is ended.
    package func run(
        result: String? = nil, snapshot: String? = nil, isStopping: () -> Bool, say: (String) -> Void
    ) throws(NodeError) {
        let name = "the command `\(moment.rawValue)` of \(set.name)"
        guard let program = words.first,
            let child = ChildProcess(
                RawPath(program), words.dropFirst().map { Array($0.utf8) }, variables: variables(result, snapshot), output: .both)
        else { throw NodeError(.failed, "backup", "\(name) cannot be started: \(words.first ?? "")") }
        var lines = HookLines(lineBytesMax: BackupHook.lineBytesMax, bytesMax: BackupHook.saidBytesMax)
        let start = monotonicNanoseconds()
        func elapsed() -> Int { Int((monotonicNanoseconds() - start) / 1_000_000) }
        var endBy: Int?
        var isLate = false
        while true {
            let code = child.poll()
            while true {
                let bytes = child.read()
                if bytes.isEmpty { break }
                lines.take(bytes, say)
            }
            if let code {
                lines.end(say)
                if isLate { throw NodeError(.failed, "backup", "\(name) took longer than hook_timeout and was ended") }
                if isStopping() { throw NodeError(.interrupted, "backup", "interrupted") }
                guard code == 0 else { throw NodeError(.failed, "backup", "\(name) ended with \(code)") }
                return
            }
            if endBy == nil, isStopping() || elapsed() > set.hookSeconds * 1000 {
                isLate = !isStopping()
                child.terminate()
                endBy = elapsed() + BackupHook.graceMilliseconds
            }
            if let endBy, elapsed() > endBy { child.killGroup() }
            sleep(milliseconds: 10)
        }
    }

    private func variables(_ result: String?, _ snapshot: String?) -> [[UInt8]] {
        var texts = ["BAKARE_HOOK=\(moment.rawValue)", "BAKARE_SOURCE=\(set.name)"]
        if let result { texts.append("BAKARE_RESULT=\(result)") }
        if let snapshot { texts.append("BAKARE_SNAPSHOT=\(snapshot)") }
        return texts.map { Array($0.utf8) }
    }
}

/// Cuts what a program says into lines that can be shown.
struct HookLines {
    private var line: [UInt8] = []
    private var said = 0
    private let lineBytesMax: Int
    private let bytesMax: Int

    init(lineBytesMax: Int, bytesMax: Int) {
        self.lineBytesMax = lineBytesMax
        self.bytesMax = bytesMax
    }

    mutating func take(_ bytes: [UInt8], _ say: (String) -> Void) {
        for byte in bytes {
            if byte == 0x0a { end(say) } else if line.count < lineBytesMax { line.append(byte) }
        }
    }

    mutating func end(_ say: (String) -> Void) {
        defer { line = [] }
        guard !line.isEmpty, said < bytesMax else { return }
        said += line.count
        say(said < bytesMax ? RawPath(bytes: line).description : "(and more, which is left out)")
    }
}
