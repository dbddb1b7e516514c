internal import BackupFormat
internal import Cryptography
internal import HostFiles
internal import PeerProtocol
internal import Synchronization
internal import Vault

extension OwnerVault {
    /// Takes a part of an object, and stores it once it is whole; durable then, before this returns.
    ///
    /// What stands on the disk for it at any moment is claimed before: as much as the file that will keep it in the end. So the
    /// first bytes, where they are in a file, go before that is written.
    func put(_ put: Put, _ bulk: [UInt8], session: Int, quotaBytes: UInt64) throws(Refusal) -> Stored {
        let stored = try counting { () throws(Refusal) in try take(put, bulk, session: session, quotaBytes) }
        if stored.isDurable, put.kind == .pack { gate.withLock { _ = $0.damaged.remove(PackID(put.id.value)) } }
        return stored
    }

    private func take(_ put: Put, _ bulk: [UInt8], session: Int, _ quotaBytes: UInt64) throws(Refusal) -> Stored {
        guard let vault = try opened(makingWithin: bulk.isEmpty ? nil : quotaBytes) else {
            return Stored(receivedBytes: 0, isDurable: false, generation: 0)
        }
        let key = ObjectKey(kind: put.kind, id: put.id)
        let generation = try onVault { () throws(VaultError) in try vault.generation }
        func stored(_ bytes: Int) -> Stored {
            Stored(receivedBytes: bytes, isDurable: bytes == put.totalBytes, generation: generation)
        }
        return try with(key) { () throws(Refusal) in
            var arrival = gate.read { $0.arrivals[key] }
            if arrival == nil {
                if try isThere(put, vault) { return stored(put.totalBytes) }
                arrival = try resumed(put, session: session)
            }
            // Its name decides its length: one of both said something wrong.
            let other = arrival.flatMap { $0.totalBytes == put.totalBytes ? nil : $0 }
            let received = other == nil ? arrival?.receivedBytes ?? 0 : 0
            guard !bulk.isEmpty, put.offset == received else { return stored(received) }
            if let other {
                drop(key, other)
                arrival = nil
            }
            guard bulk.count <= put.totalBytes - received else {
                throw Refusal(.invalid, "more bytes than the object has")
            }
            var going = arrival ?? Arrival(totalBytes: put.totalBytes, session: session)
            if going.claimBytes == 0 { try claim(&going, session: session, quotaBytes) }
            if going.session != session { going.isResumed = true }
            going.session = session
            going.lastPart = shared.nextPart()
            if received == 0, bulk.count == put.totalBytes {
                try bulk.withRefusal { bytes throws(Refusal) in try store(key, bytes, vault, claim: going.claimBytes) }
                return stored(put.totalBytes)
            }
            do throws(Refusal) { try append(bulk, to: key, &going) } catch {
                drop(key, going, mayLeaveFile: true)
                // Somebody has removed the file: it begins anew.
                if error.code == .notFound { return stored(0) }
                throw error
            }
            if going.receivedBytes < put.totalBytes {
                gate.withLock { $0.arrivals[key] = going }
                return stored(going.receivedBytes)
            }
            let isResumed = going.isResumed
            do throws(Refusal) { try finish(key, &going, vault) } catch {
                // The parts of other sessions, or a disk that lost power, may be what is wrong: it is all sent again.
                if error.code == .invalid, isResumed { return stored(0) }
                throw error
            }
            return stored(put.totalBytes)
        }
    }

    /// Whether the whole of it is there, right and durable.
    private func isThere(_ put: Put, _ vault: Vault) throws(Refusal) -> Bool {
        switch put.kind {
        case .pack:
            let id = PackID(put.id.value)
            guard try onVault({ () throws(VaultError) in try vault.holds(id) }) else { return false }
            let total = try onVault { () throws(VaultError) in try vault.packBytes(id) }
            guard total == put.totalBytes else { throw Refusal(.invalid, "that pack has another length") }
        case .page:
            guard try onVault({ () throws(VaultError) in try vault.holds(PageID(put.id.value)) }) else { return false }
            let page = try onVault { () throws(VaultError) in try vault.page(PageID(put.id.value)) }
            guard page.encode().count == put.totalBytes else { throw Refusal(.invalid, "that page has another length") }
        case .draft:
            let isWhole = try withDraft(put.id) { bytes throws(Refusal) in bytes?.count == put.totalBytes }
            // A process before may have been killed before it did this.
            if isWhole { try onDisk { () throws(HostFilesError) in try incoming.sync() } }
            return isWhole
        case .snapshot: throw Refusal(.invalid, "a snapshot is put as a draft")
        }
        try onVault { () throws(VaultError) in try vault.sync() }
        return true
    }

    /// What a session before has left of it; nothing is claimed for it yet.
    private func resumed(_ put: Put, session: Int) throws(Refusal) -> Arrival? {
        let key = ObjectKey(kind: put.kind, id: put.id)
        let found = try onDisk { () throws(HostFilesError) in try incoming.bytes(of: key) }
        guard found > 0 else { return nil }
        guard found < put.totalBytes else {
            // Its end was lost on the way to the vault, or it is of another length: it begins anew.
            try onDisk { () throws(HostFilesError) in try incoming.remove(key) }
            markStale()
            return nil
        }
        var arrival = Arrival(totalBytes: put.totalBytes, session: session)
        arrival.receivedBytes = found
        arrival.isResumed = true
        return arrival
    }

    private func claim(_ arrival: inout Arrival, session: Int, _ quotaBytes: UInt64) throws(Refusal) {
        let bytes = ProtectedFile.fileBytes(contentBytes: arrival.totalBytes)
        try claim(bytes, session: session, quotaBytes, replacing: arrival.receivedBytes)
        arrival.claimBytes = bytes
    }

    /// Claims room before anything is written. Only with a key.
    func claim(_ bytes: Int, session: Int, _ quotaBytes: UInt64, replacing parkedBytes: Int = 0) throws(Refusal) {
        // The accounts hold only while nothing has failed since the last count, which another thread may have found out just now.
        guard !gate.read({ $0.isStale }) else { throw Refusal.uncounted }
        let limits = try shared.limits(quotaBytes: quotaBytes)
        let owner = owner
        let isGranted = shared.accounts.withLock {
            $0.claim(bytes, for: owner, session: session, limits, replacing: parkedBytes)
        }
        guard isGranted else { throw Refusal.full }
    }

    private func append(_ bulk: [UInt8], to key: ObjectKey, _ arrival: inout Arrival) throws(Refusal) {
        if arrival.receivedBytes == 0 {
            try makeRoomForArrival()
            arrival.buffer = shared.arrivalBuffer(arrival.totalBytes)
        }
        let offset = arrival.receivedBytes
        if let buffer = arrival.buffer {
            UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[offset...]).copyBytes(from: bulk)
        } else {
            try bulk.withRefusal { bytes throws(Refusal) in
                if offset == 0 { return try create(key, bytes) }
                try onDisk { () throws(HostFilesError) in try incoming.append(key, at: offset, bytes) }
            }
            shared.accounts.withLock { $0.arrived(bulk.count, for: owner) }
        }
        arrival.receivedBytes += bulk.count
    }

    /// Stores what has come whole.
    private func finish(_ key: ObjectKey, _ arrival: inout Arrival, _ vault: Vault) throws(Refusal) {
        let whole: ArrivalBuffer
        if let buffer = arrival.buffer {
            whole = buffer
        } else {
            let total = arrival.totalBytes
            whole =
                shared.assembly.flatMap { ArrivalBuffer.ifFree(total, from: $0) }
                ?? ArrivalBuffer.waiting(total, for: shared.work)
            do throws(HostFilesError) {
                try incoming.read(key, into: whole.bytes)
                try incoming.remove(key)
            } catch {
                drop(key, arrival)
                throw error.code == .notFound ? Refusal(.invalid, "what had come of it is gone") : Refusal(error)
            }
            shared.accounts.withLock { $0.arrived(-total, for: owner) }
        }
        gate.withLock { $0.arrivals[key] = nil }
        arrival.buffer = nil
        try store(key, UnsafeRawBufferPointer(whole.bytes), vault, claim: arrival.claimBytes)
    }

    /// Checks an object that is whole, stores it, makes it durable, and settles its claim.
    private func store(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer, _ vault: Vault, claim: Int
    ) throws(Refusal) {
        var change = 0
        var isSettled = false
        defer {
            let settled = change
            shared.accounts.withLock { $0.settle(claim, for: owner, change: settled) }
            if !isSettled { markStale() }
        }
        let mismatch = Refusal(.invalid, "its bytes are not those that its name says")
        switch key.kind {
        case .pack:
            // Held while the thread encodes and writes: nothing else is waited for meanwhile.
            let turn = shared.writers.acquire(1) ?? 0
            defer { shared.writers.release(turn) }
            let id = PackID(key.id.value)
            do throws(VaultError) {
                let before = try vault.fileBytes(id)
                let tree = try vault.storeVerified(pack: id, bytes: bytes, replacing: true)
                change = (try vault.fileBytes(id) ?? 0) - (before ?? 0)
                if before == nil { gate.withLock { $0.packs += 1 } }
                try vault.sync()
                shared.arrived.withLock { $0.add(id, MerkleOutline(tree)) }
            } catch {
                isSettled = error.code == .rejected
                throw error.code == .rejected ? mismatch : Refusal(error)
            }
        case .page:
            let id = PageID(key.id.value)
            guard PageID(sha256(bytes)) == id else {
                isSettled = true
                throw mismatch
            }
            try onVault { () throws(VaultError) in
                let before = try vault.fileBytes(id) ?? 0
                try vault.storePage(Array(bytes))
                change = (try vault.fileBytes(id) ?? 0) - before
                try vault.sync()
            }
        case .draft:
            guard sha256(bytes) == key.id.value else {
                isSettled = true
                throw mismatch
            }
            let (longer, hasMadeRoom) = try onDisk { () throws(HostFilesError) in try incoming.storeDraft(key.id, bytes) }
            change = longer
            if hasMadeRoom { return }
        case .snapshot: throw Refusal(.invalid, "a snapshot is put as a draft")
        }
        isSettled = true
    }

    /// Calls `body` with a draft that is whole; with nil where there is none, or it is beyond repair. Counts as work while it runs, so
    /// `body` must not wait for more memory.
    func withDraft<R>(_ id: ObjectID, _ body: ([UInt8]?) throws(Refusal) -> R) throws(Refusal) -> R {
        guard let fileBytes = try onDisk({ () throws(HostFilesError) in try incoming.draftFileBytes(id) }) else {
            return try body(nil)
        }
        let turn = shared.recordTurn(fileBytes)
        defer { shared.work.release(turn) }
        let bytes: [UInt8]?
        do throws(HostFilesError) {
            let found = try incoming.draft(id)
            bytes = sha256(found) == id.value ? found : nil
        } catch {
            guard error.code == .notFound || error.code == .damaged else { throw Refusal(error) }
            bytes = nil
        }
        return try body(bytes)
    }
}

extension Array<UInt8> {
    /// Calls `body` with the bytes; unlike `withUnsafeBytes`, keeps the type of its error.
    func withRefusal<R>(_ body: (UnsafeRawBufferPointer) throws(Refusal) -> R) throws(Refusal) -> R {
        try withUnsafeBufferPointer { buffer throws(Refusal) in try body(UnsafeRawBufferPointer(buffer)) }
    }
}
