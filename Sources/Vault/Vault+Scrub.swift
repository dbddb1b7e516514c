package import BackupFormat
internal import Cryptography
internal import HostFiles

extension Vault {
    /// Checks that every committed snapshot has all it needs, and reads files whole to see that they are as written.
    ///
    /// Records and pages are all read. Of the packs, the part `readData` (0 to 1), chosen by `seed`, and those of `besides`; the rest are
    /// only looked for. With `repair`, damaged blocks are rewritten from parity, and what lies in the trash by mistake is brought back.
    /// What is beyond that is in the report, pack by pack, with the bytes that are lost. `goesOn` is shown the report as it grows, and
    /// says whether to go on: if not, `.interrupted` is thrown, and all that was mended so far stays mended.
    package func scrub(
        readData: Double, seed: UInt64, besides: Set<PackID> = [], repair: Bool, goesOn: (ScrubReport) -> Bool = { _ in true }
    ) throws(VaultError) -> ScrubReport {
        var report = ScrubReport()
        func pause() throws(VaultError) {
            if !goesOn(report) { throw VaultError(.interrupted, "check", "all of the vault") }
        }
        let pages = try scrubSnapshots(repair, &report)
        try pause()
        let packs = try scrubPages(pages, repair, &report)
        report.packs = packs.count
        let isChosen = { (pack: PackID) in self.isChosen(pack, readData, seed) || besides.contains(pack) }
        report.packsToRead = packs.reduce(0) { $0 + (isChosen($1) ? 1 : 0) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Limits.packBytesMax, alignment: 4096)
        defer { buffer.deallocate() }
        for pack in packs {
            try pause()
            guard try isPresent(.pack(pack), repair, &report) else {
                guard try scrubStub(pack, repair, &report) else {
                    report.missingPacks.append(pack)
                    continue
                }
                report.elsewhere += 1
                if readData > 0, isChosen(pack) { report.elsewhereToRead.append(pack) }
                continue
            }
            guard isChosen(pack) else { continue }
            try scrub(pack, repair, buffer, &report)
        }
        try pause()
        try findIncomplete(&report)
        try findStrangers(&report)
        if repair { try sync() }
        return report
    }

    /// A choice that is the same for the same pack and seed; ids are hashes, so their bits are even.
    private func isChosen(_ pack: PackID, _ part: Double, _ seed: UInt64) -> Bool {
        if part >= 1 || part <= 0 { return part >= 1 }
        let mixed = (pack.value.words.0 ^ seed) &* 0x9e37_79b9_7f4a_7c15
        return Double(mixed >> 11) / Double(1 << 53) < part
    }

    private func isPresent(_ stored: Stored, _ repair: Bool, _ report: inout ScrubReport) throws(VaultError) -> Bool {
        if repair {
            let presence = try bringHome(stored)
            if presence == .broughtBack { report.restored += 1 }
            return presence != .missing
        }
        do throws(VaultError) {
            try withFound(stored, "look for") { path throws(HostFilesError) in
                guard try disk.status(path) != nil else { throw HostFilesError(.notFound, "look for", path: path) }
            }
            return true
        } catch {
            if error.code == .notFound { return false }
            throw error
        }
    }

    /// Checks the blocks of one file, and mends them. Nil if not even its table is left.
    private func scrub(
        _ path: RawPath, _ isRight: ProtectedFile.ContentCheck?, _ repair: Bool, _ report: inout ScrubReport
    ) throws(HostFilesError) -> ProtectionReport? {
        let found: ProtectionReport
        do throws(HostFilesError) {
            let file =
                repair
                ? try ProtectedFile.openForRepair(disk, path, isRight: isRight)
                : try ProtectedFile.open(disk, path, isRight: isRight)
            report.bytesRead += file.fileBytes
            found = try file.scrub(repair: repair)
        } catch {
            guard error.code == .damaged else { throw error }
            report.damagedFiles += 1
            return nil
        }
        if found.wasDamaged {
            report.damagedFiles += 1
            if found.isWhole { report.repairedFiles += 1 }
            if found.lost.isEmpty { report.mendableFiles += 1 }
        }
        return found
    }

    /// The pages that all committed snapshots need.
    private func scrubSnapshots(_ repair: Bool, _ report: inout ScrubReport) throws(VaultError) -> [PageID] {
        var pages: Set<PageID> = []
        for id in try snapshots() {
            do throws(VaultError) {
                _ = try files("check", "snapshot \(id)") { () throws(HostFilesError) in
                    try scrub(snapshotPath(id), Vault.isRecord(named: snapshotPath(id)), repair, &report)
                }
                for page in try snapshotRecord(id).pages { pages.insert(page.id) }
                report.snapshots += 1
            } catch {
                switch error.code {
                case .notFound: continue
                case .damaged: report.lostSnapshots.append(id)
                default: throw error
                }
            }
        }
        return pages.sorted()
    }

    /// The packs that these pages name, sorted.
    private func scrubPages(_ pages: [PageID], _ repair: Bool, _ report: inout ScrubReport) throws(VaultError) -> [PackID] {
        var packs = PackIDList([])
        for id in pages {
            do throws(VaultError) {
                _ = try isPresent(.page(id), repair, &report)
                _ = try withFound(.page(id), "check") { path throws(HostFilesError) in
                    try scrub(path, Stored.page(id).isRight, repair, &report)
                }
                packs.add(try page(id).packs)
                report.pages += 1
            } catch {
                guard error.code == .notFound || error.code == .damaged else { throw error }
                report.lostPages.append(id)
            }
        }
        return packs.sorted()
    }

    /// Whether a whole stub of the pack is here.
    private func scrubStub(_ pack: PackID, _ repair: Bool, _ report: inout ScrubReport) throws(VaultError) -> Bool {
        guard try isPresent(.stub(pack), repair, &report) else { return false }
        do throws(VaultError) {
            _ = try withFound(.stub(pack), "check") { path throws(HostFilesError) in try scrub(path, nil, repair, &report) }
            _ = try stub(pack)
            return true
        } catch {
            guard error.code == .notFound || error.code == .damaged else { throw error }
            return false
        }
    }

    private func scrub(
        _ pack: PackID, _ repair: Bool, _ buffer: UnsafeMutableRawBufferPointer, _ report: inout ScrubReport
    ) throws(VaultError) {
        do throws(VaultError) {
            let isRight = Stored.pack(pack).isRight
            let found = try withFound(.pack(pack), "check") { path throws(HostFilesError) in
                try scrub(path, isRight, repair, &report)
            }
            report.packsRead += 1
            if let found, !found.lost.isEmpty {
                state.withLock { $0.openPacks.remove(pack) }
                let length = try withFound(.pack(pack), "check") { path throws(HostFilesError) in
                    try ProtectedFile.open(disk, path).contentBytes
                }
                report.damagedPacks.append(DamagedPack(id: pack, contentBytes: length, lost: found.lost))
                return
            }
            guard found != nil else {
                report.damagedPacks.append(DamagedPack(id: pack, contentBytes: 0, lost: []))
                return
            }
            // Checksums tell decay; only the hash tells that these are the pack's bytes and no others.
            let file = try withFound(.pack(pack), "check") { path throws(HostFilesError) in
                try ProtectedFile.open(disk, path, isRight: isRight)
            }
            let count = min(file.contentBytes, buffer.count)
            let content = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
            _ = try files("check", "pack \(pack)") { () throws(HostFilesError) in try file.readChecked(0..<count, into: content) }
            guard count == file.contentBytes, MerkleTree(hashing: UnsafeRawBufferPointer(content)).packID == pack else {
                report.damagedFiles += 1
                report.damagedPacks.append(DamagedPack(id: pack, contentBytes: file.contentBytes, lost: [0..<file.contentBytes]))
                return
            }
        } catch {
            switch error.code {
            case .notFound: report.missingPacks.append(pack)
            // As when it decays while it is looked at.
            case .damaged: report.damagedPacks.append(DamagedPack(id: pack, contentBytes: 0, lost: []))
            default: throw error
            }
        }
    }

    /// Reads one pack to its end, with its parity, mends what can be mended, and reads it once more to see that it is what its name says.
    /// Memory: 1 MiB.
    package func scrub(_ pack: PackID) throws(VaultError) -> PackHealth {
        do throws(VaultError) {
            var found = try withFound(.pack(pack), "check") { path throws(HostFilesError) in
                try ProtectedFile.open(disk, path, isRight: Stored.pack(pack).isRight).scrub(repair: false)
            }
            if found.wasDamaged {
                found = try mend(.pack(pack))
                state.withLock { $0.openPacks.remove(pack) }
            }
            guard found.lost.isEmpty, try tree(of: pack) != nil else { return .beyondRepair }
            return found.wasDamaged ? .mended : .whole
        } catch {
            switch error.code {
            case .notFound, .elsewhere: return .gone
            case .damaged: return .beyondRepair
            default: throw error
            }
        }
    }

    /// Names the snapshots that miss something; reads their pages again only if anything is missing.
    private func findIncomplete(_ report: inout ScrubReport) throws(VaultError) {
        guard !report.missingPacks.isEmpty || !report.damagedPacks.isEmpty || !report.lostPages.isEmpty else { return }
        let badPacks = Set(report.missingPacks).union(report.damagedPacks.map { $0.id })
        let badPages = Set(report.lostPages)
        for id in try snapshots() where !report.lostSnapshots.contains(id) {
            do throws(VaultError) {
                var isIncomplete = false
                for entry in try snapshotRecord(id).pages where !isIncomplete {
                    isIncomplete = badPages.contains(entry.id)
                    if !isIncomplete { isIncomplete = try page(entry.id).packs.contains { badPacks.contains($0) } }
                }
                if isIncomplete { report.incompleteSnapshots.append(id) }
            } catch {
                if error.code == .notFound { continue }
                guard error.code == .damaged else { throw error }
                report.incompleteSnapshots.append(id)
            }
        }
    }

    /// Names that are not those of a vault's files. They are left alone.
    private func findStrangers(_ report: inout ScrubReport) throws(VaultError) {
        var found: [RawPath] = []
        func look(_ folder: RawPath, _ belongs: (RawPath) -> Bool) throws(VaultError) {
            for name in try files("list", folder, { () throws(HostFilesError) in try disk.list(folder) }) where !belongs(name) {
                found.append(folder.appending(name))
            }
        }
        func isID(_ name: RawPath) -> Bool { name.bytes.count == 64 && Bytes32(hex: name.text)?.hex == name.text }
        try look(root) { (Vault.folders + [Vault.stubsName, "reserve", Vault.incomingName]).contains($0.text) }
        try look(snapshotsFolder, isID)
        try look(pagesFolder, isID)
        try look(packsFolder) { hexadecimalBytes($0.text)?.count == 1 }
        func isFolder(_ folder: RawPath) throws(VaultError) -> Bool {
            try files("look at", folder) { () throws(HostFilesError) in try disk.status(folder) }?.isDirectory == true
        }
        let hasStubs = try isFolder(stubsFolder)
        if hasStubs { try look(stubsFolder) { hexadecimalBytes($0.text)?.count == 1 } }
        for byte in UInt8.min...UInt8.max {
            for folder in [packFolder(byte)] + (hasStubs ? [stubFolder(byte)] : []) where try isFolder(folder) {
                try look(folder) { isID($0) && Bytes32(hex: $0.text)?.firstByte == byte }
            }
        }
        report.strangers = found
    }
}
