package import BackupFormat

extension PeerBook {
    /// The device of that id; of several, which different owners claim to have, the one seen last.
    package func device(_ id: DeviceID) -> KnownDevice? {
        devices.filter { $0.id == id }.max { $0.lastSeen < $1.lastSeen }
    }

    package func device(_ id: DeviceID, of owner: OwnerID) -> KnownDevice? {
        devices.first { $0.id == id && $0.owner == owner }
    }

    /// The device that holds this key.
    package func device(agreementKey: Bytes32) -> KnownDevice? { devices.first { $0.agreementKey == agreementKey } }

    package func devices(of owner: OwnerID) -> [KnownDevice] { devices.filter { $0.owner == owner } }

    /// A node has shown this certificate, which is its owner's word, and proved that it holds the key; it was reached at `addresses`, the
    /// likeliest first, or came by itself.
    ///
    /// Of two certificates of a device the one with the higher serial stays. What is no address is passed over. Where there is no room,
    /// the device that was not seen for longest is forgotten, of its own owner first, then of the owner with the most; blocked ones
    /// stay. False if it was not taken.
    @discardableResult
    package mutating func saw(_ certificate: Certificate, at addresses: [String], now: Int64) -> Bool {
        var device = KnownDevice(certificate: certificate, addresses: [], lastSeen: now, isBlocked: false)
        var known = devices
        if let index = known.firstIndex(where: { $0.place == device.place }) {
            let old = known.remove(at: index)
            if old.certificate.serial >= certificate.serial {
                // An older certificate with another key says nothing of the device as it is now.
                guard old.agreementKey == certificate.agreementKey else { return false }
                device.certificate = old.certificate
            }
            device.isBlocked = old.isBlocked
            if old.agreementKey == device.agreementKey { device.addresses = old.addresses }
        }
        if let index = known.firstIndex(where: { $0.agreementKey == device.agreementKey }) {
            // Who holds the key calls itself otherwise now. That does not lift a block.
            device.isBlocked = known.remove(at: index).isBlocked || device.isBlocked
        }
        device.addresses = merged(addresses, device.addresses)
        guard known.makeRoom(for: device.owner) else { return false }
        let place = known.firstIndex { $0.place > device.place } ?? known.count
        known.insert(device, at: place)
        devices = known
        return true
    }

    /// Refuses sessions with the device from now on, also under later certificates; of every owner that claims to have it, if none is
    /// given. False if it is not known.
    package mutating func block(_ id: DeviceID, of owner: OwnerID? = nil) -> Bool { setBlocked(id, owner, true) }

    package mutating func unblock(_ id: DeviceID, of owner: OwnerID? = nil) -> Bool { setBlocked(id, owner, false) }

    private mutating func setBlocked(_ id: DeviceID, _ owner: OwnerID?, _ isBlocked: Bool) -> Bool {
        let found = devices.indices.filter { devices[$0].id == id && (owner == nil || devices[$0].owner == owner) }
        for index in found { devices[index].isBlocked = isBlocked }
        return !found.isEmpty
    }

    /// The newer ones that are addresses, then those that were kept, each once.
    private func merged(_ newer: [String], _ older: [String]) -> [String] {
        var addresses: [String] = []
        for address in newer.lazy.filter(isAddress) + older where !addresses.contains(address) {
            guard addresses.count < Limits.addressesMax else { break }
            addresses.append(address)
        }
        return addresses
    }
}

extension [KnownDevice] {
    /// Forgets devices until there is room for one more of `owner`. False if only blocked ones are left.
    fileprivate mutating func makeRoom(for owner: OwnerID) -> Bool {
        if filter({ $0.owner == owner }).count >= Limits.devicesPerOwnerMax {
            return removeLongestUnseen { $0.owner == owner }
        }
        guard count >= Limits.devicesMax else { return true }
        // So nobody can push out another's by having many. An owner's devices stand together.
        var run: (owner: OwnerID, count: Int)?
        var most: (owner: OwnerID, count: Int)?
        for device in self where !device.isBlocked {
            run = (device.owner, device.owner == run?.owner ? (run?.count ?? 0) + 1 : 1)
            if let run, run.count > most?.count ?? 0 { most = run }
        }
        return removeLongestUnseen { $0.owner == most?.owner }
    }

    private mutating func removeLongestUnseen(_ condition: (KnownDevice) -> Bool) -> Bool {
        guard
            let index = indices.filter({ condition(self[$0]) && !self[$0].isBlocked })
                .min(by: { self[$0].lastSeen < self[$1].lastSeen })
        else { return false }
        remove(at: index)
        return true
    }
}
