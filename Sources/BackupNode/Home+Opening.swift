extension Home {
    /// What came of opening a home.
    package struct Opened: Sendable {
        package var keys: HomeKeys
        /// The home was made just now: its recovery key is to be shown.
        package var isNew: Bool
        /// Damage to key files that was found.
        package var repairs: [KeyRepair] = []
    }

    /// The keys of this home; where there is no home, one is made for a new owner.
    package func open(host: String, now: Int64) throws(NodeError) -> Opened {
        let isNew = !exists
        if isNew { try create(HomeKeys.generate(name: host, now: now)) }
        var repairs: [KeyRepair] = []
        let keys = try HomeKeys.load(self, repairs: &repairs)
        return Opened(keys: keys, isNew: isNew, repairs: repairs)
    }

    /// Makes the home, of a new owner or, with a device file's text, as a write-only device. Throws if one is there.
    package func initialize(deviceFile: [UInt8]?, host: String, now: Int64) throws(NodeError) -> Opened {
        guard !exists else {
            throw NodeError(
                .home, "init", "there is a home already; its recovery key is shown by `key show`. Name another with --home",
                path: directory)
        }
        let made = try deviceFile.map { bytes throws(NodeError) in try DeviceFile.decode(bytes) }
        try create(made ?? HomeKeys.generate(name: host, now: now))
        var repairs: [KeyRepair] = []
        let keys = try HomeKeys.load(self, repairs: &repairs)
        // Another process may have been first.
        if let made, made.identity.key.id != keys.identity.key.id {
            throw NodeError(.home, "init", "another process made a home there at the same time", path: directory)
        }
        return Opened(keys: keys, isNew: true, repairs: repairs)
    }
}
