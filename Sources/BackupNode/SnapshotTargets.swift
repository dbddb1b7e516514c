package import Archive
package import BackupFormat
internal import Cryptography
internal import Synchronization
package import Vault

/// On how many nodes besides this one each snapshot is to be.
///
/// A set of `[[sources]]` may have a number of its own. Which set a snapshot is of follows from its sealed part and its signature, so no
/// peer can say otherwise: a snapshot that this device made of just the set's paths. All others have the number of `[peers]`.
package final class SnapshotTargets: Sendable {
    private let vault: Vault
    private let owner: OwnerKey?
    private let device: DeviceID
    private let configuration: Configuration
    /// What a snapshot holds never changes.
    private let known = Mutex<[SnapshotID: Int]>([:])

    private static let knownMax = 65_536

    package init(_ configuration: Configuration, _ keys: HomeKeys, _ vault: Vault) {
        self.configuration = configuration
        self.vault = vault
        owner = keys.owner
        device = keys.identity.key.id
        let numbers = [configuration.replicas] + configuration.sourceSets.compactMap(\.replicas)
        largest = numbers.max() ?? configuration.replicas
        // What this node lets go of here must be with others whatever the set, and a write-only device cannot tell one set from another.
        let isOne = configuration.localCopyBytes != nil || owner == nil
        least = isOne ? largest : numbers.min() ?? configuration.replicas
    }

    /// The largest and the least that any snapshot can have.
    package let largest: Int
    package let least: Int

    package subscript(_ id: SnapshotID) -> Int {
        if largest == least { return largest }
        if let target = known.withLock({ $0[id] }) { return target }
        // In doubt more copies, and asked again: it may be mended.
        guard let owner, let record = try? vault.snapshotRecord(id), let opened = try? owner.open(record.sealed),
            let contents = try? opened.withUnsafeBytes({ try SnapshotContents(decoding: $0) })
        else { return largest }
        let target = target(of: contents.paths, by: record.device)
        known.withLock { known in
            if known.count >= SnapshotTargets.knownMax { known = [:] }
            known[id] = target
        }
        return target
    }

    package subscript(_ snapshot: SnapshotSummary) -> Int {
        largest == least ? largest : target(of: snapshot.paths, by: snapshot.device)
    }

    private func target(of paths: [RawPath], by device: DeviceID) -> Int {
        device == self.device ? configuration.replicas(of: paths) : configuration.replicas
    }
}

extension Configuration {
    /// On how many other nodes a snapshot of these paths is to be, if this node made it. With several sets of the same paths, the most.
    package func replicas(of paths: [RawPath]) -> Int {
        let wanted = Set(paths)
        return sourceSets.filter { Set($0.paths) == wanted }.map { $0.replicas ?? replicas }.max() ?? replicas
    }
}
