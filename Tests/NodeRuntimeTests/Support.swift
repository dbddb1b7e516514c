import Glibc

/// Waits until `condition` holds; false when it does not for `seconds`.
func eventually(seconds: Int = 20, _ condition: () -> Bool) -> Bool {
    let end = ContinuousClock.now + .seconds(seconds)
    while !condition() {
        if ContinuousClock.now > end { return false }
        usleep(5000)
    }
    return true
}
