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
        /// Nothing was in the folder before.
        package var isNew: Bool
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
            throw NodeError(
                .key, "recover",
                "this key is well-formed, but the vault here is of another owner; name another folder with --home",
                path: vaultDirectory)
        }
        var isNew = false
        if hasKeys {
            try HomeKeys.putBack(owner, in: self)
        } else {
            isNew = ((try? disk.list(directory)) ?? []).isEmpty
            try create(HomeKeys.make(owner: owner, name: host, now: now))
        }
        var repairs: [KeyRepair] = []
        let keys = try HomeKeys.load(self, repairs: &repairs)
        guard keys.owner?.id == owner.id else {
            throw NodeError(.home, "recover", "another process made a home there at the same time", path: directory)
        }
        return Recovered(keys: keys, hasVault: vaults.contains(owner.id), isNew: isNew)
    }

    /// Removes the home that ``recover(text:host:now:)`` has made, when nothing came of it: a home without backups that is nobody's wish would
    /// be taken for one by the next command. What cannot be removed stays, and the next `recover` goes on with it.
    package func unmake(_ recovered: Recovered) {
        guard recovered.isNew else { return }
        // Another process may have begun to use it.
        guard (try? disk.status(vaultDirectory)) == .some(nil) else { return }
        for folder in [peersDirectory.appending("orders"), peersDirectory, keysDirectory] {
            for name in (try? disk.list(folder)) ?? [] { try? disk.unlink(folder.appending(name)) }
            try? disk.removeDirectory(folder)
        }
        var files = [lastConfigurationFile]
        // Only the example, as it was written: not what somebody has edited meanwhile.
        let isExample =
            (try? disk.readFile(configurationFile, limit: Configuration.fileBytesMax)) == Array(Configuration.template.utf8)
        if isExample, !configurationIsNamed, configurationFile.parent == directory { files.append(configurationFile) }
        for file in files { try? disk.unlink(file) }
        try? disk.removeDirectory(directory)
    }
}
