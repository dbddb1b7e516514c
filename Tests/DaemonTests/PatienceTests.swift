import BackupFormat
import Daemon
import Testing

@Test("whoever was there when it began has a minute and a half to come back; whoever was not is not waited for")
func patience() {
    let (one, two) = (DeviceID(Bytes32(words: (1, 0, 0, 0))), DeviceID(Bytes32(words: (2, 0, 0, 0))))
    var patience = Patience()
    func expectsMore(_ present: [DeviceID], now: Int64) -> Bool { patience.expectsMore(present, now: now) }
    #expect(!expectsMore([], now: 100))
    #expect(!expectsMore([one, two], now: 101))
    #expect(expectsMore([two], now: 102))
    #expect(expectsMore([], now: 191))
    // Two was there a second longer.
    #expect(expectsMore([], now: 192))
    #expect(!expectsMore([], now: 193))
    #expect(!expectsMore([one], now: 500))
    // A clock that is set back ends no waiting for ever.
    #expect(!expectsMore([], now: 100))
}
