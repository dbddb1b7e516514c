/// Tells that the machine was suspended: one clock has counted that time, the other has not.
package struct SuspensionDetector {
    /// Less is a clock being set right.
    package static let least = Duration.seconds(1)

    private var offset: Duration

    package init(bootTime: Duration, awakeTime: Duration) { offset = bootTime - awakeTime }

    /// True when the machine was suspended since this was called last.
    package mutating func wasSuspended(bootTime: Duration, awakeTime: Duration) -> Bool {
        let before = offset
        offset = bootTime - awakeTime
        return offset - before >= SuspensionDetector.least
    }
}
