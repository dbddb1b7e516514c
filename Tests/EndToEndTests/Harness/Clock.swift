import Foundation
internal import Glibc

/// The path of a library that, given in `LD_PRELOAD`, puts a program's clock so many seconds ahead; behind, if they are negative.
func shiftedClock(seconds: Int, in scratch: Scratch) throws -> String {
    let source = """
        #include <sys/syscall.h>
        #include <time.h>
        #include <unistd.h>
        int clock_gettime(clockid_t clock, struct timespec *now) {
            int result = syscall(SYS_clock_gettime, clock, now);
            if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec += \(seconds);
            return result;
        }

        """
    let library = scratch.path("clock\(seconds).so")
    try Data(source.utf8).write(to: URL(fileURLWithPath: scratch.path("clock.c")))
    let path = environmentText("PATH") ?? "/usr/bin:/bin"
    let folders = path.split(separator: ":").map(String.init)
    var said: [String] = []
    // The toolchain has the last one.
    for name in ["cc", "gcc", "clang"] {
        let places: [String] = folders.map { "\($0)/\(name)" }
        guard let compiler = places.first(where: { access($0, X_OK) == 0 }) else { continue }
        let words = [compiler, "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", library, scratch.path("clock.c")]
        let outcome = try Running(words.map { Bytes($0.utf8) }, environment: ["PATH": path]).finish(timeoutSeconds: 60)
        if outcome.code == 0 { return library }
        said.append("\(compiler): \(outcome.summary)")
    }
    throw TestFailure("no C compiler that works: \(said.joined(separator: "\n"))")
}
