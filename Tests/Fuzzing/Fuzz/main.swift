// Runs one fuzz target under libFuzzer: `Fuzz TARGET [libFuzzer's arguments]`. `Fuzz --list` names the targets, and
// `Fuzz --seeds TARGET FOLDER` writes the target's seeds into a folder.

internal import FuzzTargets
internal import Glibc

private typealias TestOneInput = @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
private typealias Arguments = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<Int32>, _ arguments: UnsafeMutablePointer<Arguments?>, _ test: TestOneInput
) -> Int32

/// The one target of this process; a C callback carries no context.
nonisolated(unsafe) private var target: FuzzTarget?

private func say(_ message: String) {
    let line = message + "\n"
    write(2, line, line.utf8.count)
}

private func fail(_ message: String) -> Never {
    say(message)
    exit(64)
}

private func find(_ name: String) -> FuzzTarget {
    guard let found = FuzzTarget.all.first(where: { $0.name == name }) else { fail("Fuzz: no target \(name)") }
    return found
}

private let words = CommandLine.arguments
switch words.dropFirst().first {
case nil: fail("Fuzz TARGET [libFuzzer's arguments] | --list | --seeds TARGET FOLDER")
case "--list":
    for target in FuzzTarget.all { print(target.name) }
case "--seeds":
    guard words.count == 4 else { fail("Fuzz --seeds TARGET FOLDER") }
    for (index, seed) in try find(words[2]).seeds().enumerated() {
        let path = "\(words[3])/seed-\(index)"
        guard let file = fopen(path, "w") else { fail("Fuzz: cannot write \(path)") }
        fwrite(seed, 1, seed.count, file)
        fclose(file)
    }
case .some(let name):
    target = find(name)
    // libFuzzer takes its arguments from the program's name on; the target's name takes that place.
    var count = CommandLine.argc - 1
    var arguments: Arguments? = CommandLine.unsafeArgv + 1
    exit(
        runDriver(&count, &arguments) { bytes, count in
            do { try target?.run(UnsafeRawBufferPointer(start: bytes, count: count)) } catch {
                say("broken promise: \(error)")
                abort()
            }
            return 0
        })
}
