package import BackupFormat
internal import CLinux

/// What the machine says of itself that may speak against work just now. Where it does not say, nothing speaks against it.
package enum SystemConditions {
    /// Whether the machine runs from a battery: one discharges, and no mains supply is there. Nil where the system does not tell.
    package static func isOnBattery(supplies: RawPath = "/sys/class/power_supply") -> Bool? {
        guard let names = try? RealDisk().list(supplies) else { return nil }
        var isDischarging = false
        var hasMains = false
        var isTold = false
        for name in names {
            let supply = supplies.appending(name)
            switch text(supply.appending("type")) {
            case "Mains", "USB":
                isTold = true
                if text(supply.appending("online")) == "1" { hasMains = true }
            case "Battery":
                // One of a mouse, say, does not drive the machine.
                guard text(supply.appending("scope")) != "Device" else { continue }
                isTold = true
                if text(supply.appending("status")) == "Discharging" { isDischarging = true }
            default: continue
            }
        }
        return isTold ? isDischarging && !hasMains : nil
    }

    /// The load of the last minute, in hundredths. Nil where the system does not tell.
    package static func load(_ path: RawPath = "/proc/loadavg") -> Int? {
        guard let first = text(path)?.split(separator: " ").first else { return nil }
        let parts = first.split(separator: ".")
        guard let whole = parts.first.flatMap({ Int($0) }), whole < 1_000_000 else { return nil }
        let fraction = parts.count > 1 ? Int(parts[1].prefix(2)) ?? 0 : 0
        return whole * 100 + fraction
    }

    /// What NetworkManager answered when it was asked for its property `Metered`: `u 1` (yes) or `u 3` (likely). Nil for no answer.
    package static func isMetered(answer: String) -> Bool? {
        let words = answer.split(whereSeparator: { $0 == " " || $0 == "\n" })
        guard words.count == 2, words[0] == "u", let value = Int(words[1]) else { return nil }
        return value == 0 ? nil : value == 1 || value == 3
    }

    private static func text(_ path: RawPath) -> String? {
        let fd = path.bytes.withUnsafeBytes { linux_openat(linux_AT_FDCWD, $0.baseAddress, $0.count, linux_O_RDONLY, 0) }
        guard fd >= 0 else { return nil }
        defer { _ = linux_close(fd) }
        let bytes = [UInt8](unsafeUninitializedCapacity: 256) { buffer, used in
            used = Int(max(0, linux_read(fd, buffer.baseAddress, buffer.count)))
        }
        return String(decoding: bytes.prefix { $0 != 0x0a }, as: UTF8.self)
    }
}
