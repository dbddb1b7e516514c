internal import BackupFormat
internal import Glibc

// Arguments are bytes, the argument parser takes text. A byte that is not part of UTF-8 becomes a character of a private
// plane, and back again where the argument stands for a path; a character of that plane in an argument goes the same way.

private let escapeBase: UInt32 = 0x10_ff00

/// The bytes as text that ``rawBytes(_:)`` turns back.
func escapedText(_ bytes: [UInt8]) -> String {
    var text = String.UnicodeScalarView()
    var rest = bytes[...]
    while !rest.isEmpty {
        var decoder = UTF8()
        var iterator = rest.makeIterator()
        if case .scalarValue(let scalar) = decoder.decode(&iterator), scalar.value < escapeBase {
            text.append(scalar)
            rest = rest.dropFirst(UTF8.width(scalar))
        } else {
            if let first = rest.first, let scalar = Unicode.Scalar(escapeBase + UInt32(first)) { text.append(scalar) }
            rest = rest.dropFirst()
        }
    }
    return String(text)
}

func rawBytes(_ text: String) -> [UInt8] {
    var bytes: [UInt8] = []
    for scalar in text.unicodeScalars {
        if scalar.value >= escapeBase {
            bytes.append(UInt8(scalar.value - escapeBase))
        } else {
            bytes += Array(String(scalar).utf8)
        }
    }
    return bytes
}

/// Text of the argument parser's with such characters shown as `\xNN`.
func readable(_ text: String) -> String {
    String(
        text.unicodeScalars.map { $0.value >= escapeBase ? "\\x" + hexadecimal([UInt8($0.value - escapeBase)]) : String($0) }
            .joined())
}

extension RawPath {
    /// From an argument.
    init(argument: String) { self.init(bytes: rawBytes(argument)) }
}

/// The arguments of the process, without its name.
func rawArguments() -> [String] {
    CommandLine.unsafeArgv.withMemoryRebound(to: UnsafeMutablePointer<CChar>?.self, capacity: Int(CommandLine.argc)) { pointers in
        (1..<max(1, Int(CommandLine.argc))).compactMap { index in
            pointers[index].map { text in
                escapedText(UnsafeBufferPointer(start: text, count: strlen(text)).map { UInt8(bitPattern: $0) })
            }
        }
    }
}

/// Moves options that every command takes from before the command to after it: the parser knows them only there.
func hoistGlobalOptions(_ arguments: [String]) -> [String] {
    let valued: Set = ["--home", "--config", "--progress"]
    let flags: Set = ["--quiet", "-q", "--verbose", "-v", "--json"]
    let nested: Set = ["key", "config"]
    var hoisted: [String] = []
    var rest = arguments[...]
    func takeOptions() {
        while let first = rest.first {
            if flags.contains(first) || valued.contains(where: { first.hasPrefix($0 + "=") }) {
                hoisted.append(first)
                rest = rest.dropFirst()
            } else if valued.contains(first), rest.count > 1 {
                hoisted += rest.prefix(2)
                rest = rest.dropFirst(2)
            } else {
                return
            }
        }
    }
    takeOptions()
    guard let command = rest.first, !command.hasPrefix("-") else { return arguments }
    var path = [command]
    rest = rest.dropFirst()
    if nested.contains(command) {
        takeOptions()
        if let inner = rest.first, !inner.hasPrefix("-") {
            path.append(inner)
            rest = rest.dropFirst()
        }
    }
    return path + hoisted + (command == "check" ? completedReadData(rest) : Array(rest))
}

/// `--read-data` is the one option whose value may be left out; `--read-data 5%` is understood too.
private func completedReadData(_ arguments: ArraySlice<String>) -> [String] {
    var completed: [String] = []
    var rest = arguments
    while let argument = rest.popFirst() {
        guard argument == "--read-data" else {
            completed.append(argument)
            continue
        }
        if let next = rest.first, next.hasSuffix("%") {
            completed.append("--read-data=\(next)")
            rest = rest.dropFirst()
        } else {
            completed.append("--read-data=100%")
        }
    }
    return completed
}
