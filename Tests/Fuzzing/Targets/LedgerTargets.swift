internal import BackupFormat
internal import HostFiles
internal import Ledger

/// The chunk index, opened on a segment that somebody made up; and what is known of losses and of copies at peers.
let ledgerTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "index-segment",
        run: { bytes in
            var choices = Choices(bytes)
            let isMended = choices.byte() & 1 == 1
            var content = Array(choices.rest)
            if isMended { mendBlocks(&content) }
            let disk = SimulatedDisk()
            try disk.makeDirectory("/index")
            try ProtectedFile.write(content, disk, "/index/a.segment")
            guard let index = try? ChunkIndex.open(disk: disk, directory: "/index", memoryBytes: 1 << 18) else { return }
            var ids = [ChunkID(.zero)]
            content.withUnsafeBytes { content in
                for offset in stride(from: 0, to: min(content.count - 32, 20 * 48), by: 48) {
                    ids.append(ChunkID(Bytes32(UnsafeRawBufferPointer(rebasing: content[offset...]))))
                }
            }
            for id in ids {
                guard let location = try? index.lookup(id) else { continue }
                try promise(Int(location.packNumber) < index.packCount, "a pack without a number")
                _ = index.packID(location.packNumber)
                _ = try? index.allLocations(of: id)
            }
            let pack = PackID(.zero)
            _ = index.synchronise(present: [pack])
            // A segment may lie about which packs it covers; what it does not claim must be kept.
            let isClaimed = index.isCovered(pack)
            try index.add(pack: pack, entries: [PackEntry(id: ids[0], offset: 16, sealedBytes: 41, plainBytes: 0)])
            try index.flush()
            if !isClaimed { try promise(try index.lookup(ids[0]) != nil, "a row that was added is gone") }
        },
        seeds: {
            let disk = SimulatedDisk()
            let index = try ChunkIndex.open(disk: disk, directory: "/index", memoryBytes: 1 << 18)
            for pack in 0..<3 as Range<UInt64> {
                let entries = (0..<40).map { chunk in
                    PackEntry(
                        id: ChunkID(Bytes32(words: (UInt64(chunk) << 58, pack, 0, 0))), offset: UInt32(16 + 50 * chunk),
                        sealedBytes: 50, plainBytes: 9)
                }
                try index.add(pack: PackID(Bytes32(words: (pack, 0, 0, 1))), entries: entries)
            }
            try index.flush()
            let files = disk.files(under: "/index")
            return try files.map { try [1] + ProtectedFile.content(disk, $0.path, limit: 1 << 20) }
        }),
    FuzzTarget(
        name: "known-losses",
        run: { bytes in
            guard let losses = try? KnownLosses(decoding: Array(bytes)) else { return }
            try promise(losses.encode().elementsEqual(bytes), "known losses: other bytes than were decoded")
        },
        seeds: {
            var losses = KnownLosses()
            let none = losses.encode()
            for (number, kind) in [KnownLosses.Kind.damaged, .missing, .elsewhere].enumerated() {
                losses.packs[PackID(Bytes32(words: (UInt64(number), 2, 3, 4)))] = kind
            }
            losses.snapshots = [SnapshotID(.zero), SnapshotID(Bytes32(words: (7, 7, 7, 7)))]
            return [none, losses.encode()]
        }),
    FuzzTarget(
        name: "replica-table",
        run: { bytes in
            guard let table = try? ReplicaTable(decoding: Array(bytes)) else { return }
            let again = try? ReplicaTable(decoding: table.encode())
            try promise(again == table, "replica table: reads otherwise than it was written")
            try keepPromises(table)
        },
        seeds: { [ReplicaTable().encode(), seedReplicas.encode()] }),
    FuzzTarget(
        name: "replica-file",
        run: { bytes in
            let content = Array(bytes.prefix(64 << 10))
            let disk = SimulatedDisk()
            try disk.makeDirectory("/ledger")
            try ProtectedFile.write(content, disk, "/ledger/replicas")
            let table = ReplicaTable.read(disk, directory: "/ledger")
            let expected = (try? ReplicaTable(decoding: content)) ?? ReplicaTable()
            try promise(table == expected, "replica file: another table than its bytes are")
            try table.write(disk, directory: "/ledger")
            let again = ReplicaTable.read(disk, directory: "/ledger")
            try promise(again == table, "replica file: reads otherwise than it was written")
        },
        seeds: { [ReplicaTable().encode(), seedReplicas.encode()] }),
]

private let seedReplicas: ReplicaTable = {
    var table = ReplicaTable()
    for number in 1...2 as ClosedRange<UInt64> {
        var replica = Replica(device: DeviceID(Bytes32(words: (number, 7, 7, 7))))
        replica.grantedBytes = 1 << 40
        replica.usedBytes = number
        replica.packs = UInt64.max
        replica.lastSeen = 1_800_000_000
        replica.lastProven = number == 1 ? 0 : -5
        replica.isDamaged = number == 1
        replica.snapshots = [SnapshotID(.zero): 0, SnapshotID(Bytes32(words: (number, 1, 1, 1))): UInt64.max]
        replica.ordersDelivered = [.zero, Bytes32(words: (number, 2, 2, 2))]
        table[replica.device] = replica
    }
    return table
}()

/// What holds of any table, whatever its times are and whatever time it is.
private func keepPromises(_ table: ReplicaTable) throws(BrokenPromise) {
    for (device, replica) in table.replicas {
        try promise(replica.device == device, "replica table: a replica in another's place")
    }
    for now in [Int64.min, 0, 1_800_000_000, Int64.max] {
        for replica in table.replicas.values { _ = replica.state(now: now) }
        let proven = table.proven(SnapshotID(.zero), revision: 0, now: now)
        try promise(proven <= table.replicas.count, "replica table: proven on more than there are")
        var corrected = table
        corrected.correct(now: now)
        try promise(!corrected.isAhead(now: now), "replica table: a time that is still to come")
        try promise(corrected.saysNearly(corrected, within: 60), "replica table: says something else than it does")
        _ = corrected.saysNearly(table, within: Int64.max)
    }
    var changed = table
    changed.forgetUnproven()
    let isHearsayGone = changed.replicas.values.allSatisfy { $0.lastProven != 0 || $0.snapshots.isEmpty }
    try promise(isHearsayGone, "replica table: builds on what was only said")
    changed.keep([])
    try promise(changed.replicas.isEmpty, "replica table: keeps who is no peer")
}

/// Makes the checksum of every entry block right, as docs/FORMAT.md defines it.
private func mendBlocks(_ content: inout [UInt8]) {
    func word(_ offset: Int) -> UInt64 { (0..<8).reduce(0) { $0 | UInt64(content[offset + $1]) << UInt64(8 * $1) } }
    func mixed(_ hash: UInt64, _ word: UInt64) -> UInt64 {
        let value = hash ^ word
        return (value << 29 | value >> 35) &* 0x9e37_79b9_7f4a_7c15
    }
    guard content.count >= 48 else { return }
    for start in stride(from: 0, through: content.count - 48 - 4096, by: 4096) {
        var lanes: [UInt64] = [0, 1, 2, 3]
        for index in 0..<511 { lanes[index % 4] = mixed(lanes[index % 4], word(start + 8 * index)) }
        let checksum = mixed(mixed(mixed(lanes[0], lanes[1]), lanes[2]), lanes[3])
        for byte in 0..<8 { content[start + 4088 + byte] = UInt8(truncatingIfNeeded: checksum >> UInt64(8 * byte)) }
    }
}
