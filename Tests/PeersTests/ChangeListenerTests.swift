import BackupFormat
import HostFiles
import Peers
import Synchronization
import Testing

@Test("a node that was told of changes two hundred thousand times is told of one more")
func manyChanges() {
    let service = ServeRules().service(SimulatedDisk(), own: ServeOwner().key.id)
    let told = Mutex(0)
    let change = VaultChange.forgotten(ServeOwner().key.id, [])
    service.onChange = { _ in told.withLock { $0 += 1 } }
    for _ in 0..<200_000 { _ = service.onChange }
    service.onChange(change)
    #expect(told.withLock { $0 } == 1)
}
