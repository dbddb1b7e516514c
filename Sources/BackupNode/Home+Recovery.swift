internal import BackupFormat
internal import Cryptography
internal import HostFiles
internal import Vault

extension Home {
    /// What `recover` did.
    package struct Recovered: Sendable {
        package var keys: HomeKeys
        /// The vault of this owner is in the home.
        package var hasVault: Bool
        /// What was there before the home was made; nil where there was one.
        fileprivate var before: Before?
    }

    /// What a folder held before a home was made in it.
    fileprivate struct Before: Sendable {
        var hadFolder: Bool
        var names: Set<RawPath>
        var hadConfiguration: Bool
    }

    /// Puts the owner key back from the recovery key's text: into a home that has lost it, or all of its keys, or into a new
    /// home, which is then a new device of the same owner. Changes nothing in a home of another owner.
    package func recover(text: String, host: String, now: Int64) throws(NodeError) -> Recovered {
        let owner: OwnerKey
        do { owner = try OwnerKey(recoveryText: text) } catch { throw NodeError(.key, "recover", "\(error)") }
        let vaults: [OwnerID]
        let hasKeys: Bool
        do {
            vaults = try Vault.owners(disk: disk, directory: vaultDirectory)
            hasKeys = try disk.status(keysDirectory) != nil
        } catch {
            throw NodeError(.home, "recover", "\(error)", path: directory)
        }
        guard vaults.isEmpty || vaults.contains(owner.id) else {
            try requireUsed("recover")
            throw NodeError(
                .key, "recover",
                "this key is well-formed, but the vault here is of another owner; name another folder with --home",
                path: vaultDirectory)
        }
        var made: (keys: HomeKeys, before: Before)?
        if hasKeys {
            do throws(NodeError) { try HomeKeys.putBack(owner, in: self) } catch {
                if error.code == .key { try requireUsed("recover") }
                throw error
            }
        } else {
            let new = HomeKeys.make(owner: owner, name: host, now: now)
            made = (new, look())
            try create(new)
        }
        var repairs: [KeyRepair] = []
        let keys = try HomeKeys.load(self, repairs: &repairs)
        guard keys.owner?.id == owner.id else {
            throw NodeError(.home, "recover", "another process made a home there at the same time", path: directory)
        }
        // Another process may have been first.
        let isMade = made?.keys.identity.key.id == keys.identity.key.id
        return Recovered(keys: keys, hasVault: vaults.contains(owner.id), before: isMade ? made?.before : nil)
    }

    /// Throws what is mistyped in a recovery key's text.
    package static func requireRecoveryText(_ text: String) throws(NodeError) {
        do { _ = try OwnerKey(recoveryText: text) } catch { throw NodeError(.key, "check the recovery key", "\(error)") }
    }

    /// Throws what to do where the home is of no use to anybody: any command makes one, also on a machine that is to get another's keys.
    package func requireUsed(_ operation: String) throws(NodeError) {
        guard isUnused else { return }
        throw NodeError(
            .home, operation, "an earlier command made a home here, which was never used: remove the folder, and run this again",
            path: directory)
    }

    /// No backup, and no peer.
    private var isUnused: Bool {
        guard !mayBeThere(peersDirectory), let owners = try? Vault.owners(disk: disk, directory: vaultDirectory) else {
            return false
        }
        return owners.allSatisfy { owner in
            let vault = try? Vault(disk: disk, directory: vaultDirectory, owner: owner, create: false)
            guard let usage = try? vault?.usage() else { return false }
            return usage.snapshots == 0 && usage.packs == 0 && usage.stubs == 0
        }
    }

    private func look() -> Before {
        let names = try? disk.list(directory)
        return Before(hadFolder: names != nil, names: Set(names ?? []), hadConfiguration: !lacksConfiguration)
    }

    private func mayBeThere(_ path: RawPath) -> Bool {
        do throws(HostFilesError) { return try disk.status(path) != nil } catch { return true }
    }

    /// Removes the home that ``recover(text:host:now:)`` has made, when nothing came of it: a home without backups that is nobody's wish would
    /// be taken for one by the next command. What cannot be removed stays, and the next `recover` goes on with it.
    package func unmake(_ recovered: Recovered) {
        guard let before = recovered.before, !before.names.contains("peers") else { return }
        // Another process may have begun to use it.
        guard !mayBeThere(vaultDirectory) else { return }
        for folder in [peersDirectory.appending("orders"), peersDirectory, keysDirectory] {
            for name in (try? disk.list(folder)) ?? [] { try? disk.unlink(folder.appending(name)) }
            try? disk.removeDirectory(folder)
        }
        // Only the example, as it was written: not what somebody has edited meanwhile.
        let isExample =
            (try? disk.readFile(configurationFile, limit: Configuration.fileBytesMax)) == Array(Configuration.template.utf8)
        if isExample, !configurationIsNamed, !before.hadConfiguration { try? disk.unlink(configurationFile) }
        if !before.names.contains("bakare.toml.last") { try? disk.unlink(lastConfigurationFile) }
        if !before.hadFolder { try? disk.removeDirectory(directory) }
    }
}
