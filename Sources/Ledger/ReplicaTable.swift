package import BackupFormat
package import HostFiles

/// How a peer's copy stands.
package enum ReplicaState: Sendable, Hashable {
    /// The peer has shown lately that it holds what it said.
    case proven
    /// It said so; a proof is due.
    case unproven
    /// Nothing was heard of it for longer than the grace: it counts no more, and is not thought lost.
    case offline
    /// Something of it was missing or wrong when it was asked for.
    case damaged
}

/// What one peer keeps for this node's owner, as far as is known here.
package struct Replica: Sendable, Hashable {
    package let device: DeviceID
    /// What it stores for this owner at most, by the agreement in force, in bytes.
    package var grantedBytes: UInt64 = 0
    package var usedBytes: UInt64 = 0
    package var packs: UInt64 = 0
    /// Of the peer's vault when it was last looked through.
    package var generation: UInt64 = 0
    /// Seconds since 1970; 0 for never.
    package var lastSeen: Int64 = 0
    package var lastProven: Int64 = 0
    package var isDamaged = false
    /// The snapshots that are committed there, with the revision of their lists of packs.
    package var snapshots: [SnapshotID: UInt64] = [:]
    /// Orders to forget that it has carried out: their nonces.
    package var ordersDelivered: Set<Bytes32> = []

    package init(device: DeviceID) { self.device = device }

    /// A proof older than this has to be renewed, and a peer silent for longer counts no more: 14 days, in seconds.
    package static let graceSeconds: Int64 = 14 * 86_400

    fileprivate func isAhead(now: Int64) -> Bool { max(lastSeen, lastProven) > now }

    /// `now` is seconds since 1970.
    package func state(now: Int64) -> ReplicaState {
        if isDamaged { return .damaged }
        func isOld(_ moment: Int64) -> Bool { elapsed(since: moment, now: now) > Replica.graceSeconds }
        if isOld(lastSeen) { return .offline }
        return isOld(lastProven) ? .unproven : .proven
    }
}

/// Which peer holds which snapshots of this node's owner: written by the running node, read by commands.
///
/// A cache as all of the ledger is: peers are asked again when they connect, so a table that is damaged, old or gone costs a few
/// questions, and counts too few copies until they are answered.
package struct ReplicaTable: Sendable, Hashable {
    package private(set) var replicas: [DeviceID: Replica] = [:]

    package init() {}

    package subscript(device: DeviceID) -> Replica {
        get { replicas[device] ?? Replica(device: device) }
        set { replicas[device] = newValue }
    }

    /// Forgets what is not at one of these devices: of those who are no peers any more nothing counts.
    package mutating func keep(_ devices: Set<DeviceID>) { replicas = replicas.filter { devices.contains($0.key) } }

    /// Forgets what peers have only said, as to a recovery: it is worth telling, and no proof may build on it.
    package mutating func forgetUnproven() {
        for device in replicas.keys where replicas[device]?.lastProven == 0 { replicas[device]?.snapshots = [:] }
    }

    /// What is said to have been later than `now` is a clock's mistake, this one's or that of then: it counts as of now, so that a peer that is
    /// gone is not thought here, nor what it had proven, for as long as a clock was fast.
    package mutating func correct(now: Int64) {
        for (device, replica) in replicas where replica.isAhead(now: now) {
            replicas[device]?.lastSeen = min(replica.lastSeen, now)
            replicas[device]?.lastProven = min(replica.lastProven, now)
        }
    }

    package func isAhead(now: Int64) -> Bool { replicas.values.contains { $0.isAhead(now: now) } }

    /// On how many peers the snapshot is proven, in this revision or a later one.
    package func proven(_ snapshot: SnapshotID, revision: UInt64, now: Int64) -> Int {
        replicas.values.count { replica in
            guard let there = replica.snapshots[snapshot] else { return false }
            return there >= revision && replica.state(now: now) == .proven
        }
    }

    /// Whether both say the same, but for when peers were last seen, and that within so many seconds.
    package func saysNearly(_ other: ReplicaTable, within seconds: Int64) -> Bool {
        replicas.count == other.replicas.count
            && replicas.allSatisfy { device, replica in
                guard var there = other.replicas[device] else { return false }
                let apart = elapsed(since: replica.lastSeen, now: there.lastSeen)
                if apart >= -seconds, apart <= seconds { there.lastSeen = replica.lastSeen }
                return there == replica
            }
    }

    // MARK: On disk

    private static let name: RawPath = "replicas"
    private static let bytesMax = 64 << 20
    private static let replicasMax = 4096

    /// The table in a ledger's folder; empty where there is none that can be read.
    package static func read(_ disk: any Disk, directory: RawPath) -> ReplicaTable {
        guard let bytes = try? ProtectedFile.content(disk, directory.appending(name), limit: bytesMax),
            let table = try? ReplicaTable(decoding: bytes)
        else { return ReplicaTable() }
        return table
    }

    package func write(_ disk: any Disk, directory: RawPath) throws(HostFilesError) {
        try disk.replaceProtectedFile(directory.appending(ReplicaTable.name), with: encode())
    }

    /// `bakareRT`, version; count; for each replica: device 32, granted u64, used u64, packs u64, generation u64, last seen and last
    /// proven as signed varints, damaged u8, count of snapshots with id 32 and revision varint, count of orders with 32 each.
    package func encode() -> [UInt8] {
        var writer = ByteWriter()
        writer.head("bakareRT")
        writer.count(replicas.count)
        for replica in replicas.values.sorted(by: { $0.device < $1.device }) {
            writer.bytes32(replica.device.value)
            writer.uint64(replica.grantedBytes)
            writer.uint64(replica.usedBytes)
            writer.uint64(replica.packs)
            writer.uint64(replica.generation)
            writer.signedVarint(replica.lastSeen)
            writer.signedVarint(replica.lastProven)
            writer.byte(replica.isDamaged ? 1 : 0)
            writer.count(replica.snapshots.count)
            for (id, revision) in replica.snapshots.sorted(by: { $0.key < $1.key }) {
                writer.bytes32(id.value)
                writer.varint(revision)
            }
            writer.count(replica.ordersDelivered.count)
            for nonce in replica.ordersDelivered.sorted() { writer.bytes32(nonce) }
        }
        return writer.bytes
    }

    package init(decoding bytes: [UInt8]) throws(FormatError) {
        let result = bytes.withUnsafeBytes { buffer in
            Result { () throws(FormatError) in
                var reader = ByteReader(buffer, "replica table")
                try reader.head("bakareRT")
                var replicas: [DeviceID: Replica] = [:]
                for _ in 0..<(try reader.count(limit: ReplicaTable.replicasMax)) {
                    let replica = try ReplicaTable.replica(&reader)
                    replicas[replica.device] = replica
                }
                try reader.end()
                return replicas
            }
        }
        replicas = try result.get()
    }

    private static func replica(_ reader: inout ByteReader) throws(FormatError) -> Replica {
        var replica = Replica(device: DeviceID(try reader.bytes32()))
        replica.grantedBytes = try reader.uint64()
        replica.usedBytes = try reader.uint64()
        replica.packs = try reader.uint64()
        replica.generation = try reader.uint64()
        replica.lastSeen = try reader.signedVarint()
        replica.lastProven = try reader.signedVarint()
        replica.isDamaged = try reader.byte() != 0
        // Each takes 33 bytes at least, so that a count cannot ask for more memory than the file has.
        for _ in 0..<(try reader.count(limit: reader.remaining / 33)) {
            let id = SnapshotID(try reader.bytes32())
            replica.snapshots[id] = try reader.varint()
        }
        for _ in 0..<(try reader.count(limit: reader.remaining / 32)) {
            replica.ordersDelivered.insert(try reader.bytes32())
        }
        return replica
    }
}
