package import BackupFormat

/// How long to wait for peers whose connection broke: a value.
package struct Patience: Sendable {
    private var lastThere: [DeviceID: Int64] = [:]

    /// A peer that was there since the question was asked has so long to come back, in seconds.
    package static let seconds: Int64 = 90

    package init() {}

    /// Whether one of those that were there, and are not now, may still come back. `now` is in seconds.
    package mutating func expectsMore(_ present: [DeviceID], now: Int64) -> Bool {
        for device in present { lastThere[device] = now }
        return lastThere.contains { device, moment in
            !present.contains(device) && now >= moment && now - moment <= Patience.seconds
        }
    }
}
