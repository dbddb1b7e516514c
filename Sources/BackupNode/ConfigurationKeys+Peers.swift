internal import BackupFormat

extension ConfigurationKey {
    /// The keys of the table `peers`.
    static func peers() -> [ConfigurationKey] {
        [
            ConfigurationKey(
                name: "peers.listen", expects: "an address and a port, as in \"[::]:4747\" or \"192.0.2.7:4747\"",
                show: { JSON.string($0.listen.description).text },
                set: { configuration, value in
                    guard case .string(let text) = value, let address = try? PeerAddress(text, orAnyPort: true) else {
                        return false
                    }
                    configuration.listen = address
                    return true
                }),
            ConfigurationKey(
                name: "peers.role", expects: "\"auto\", \"publisher\", \"persister\" or \"both\"",
                show: { JSON.string($0.role.name).text },
                set: { configuration, value in
                    guard case .string(let text) = value, let role = Role.allCases.first(where: { $0.name == text }) else {
                        return false
                    }
                    configuration.role = role
                    return true
                }),
            count("peers.replicas", \.replicas, in: Configuration.replicasRange),
            ConfigurationKey(
                name: "peers.reserve", expects: "a size, as in \"10GB\"", show: { showSize($0.reserveBytes) },
                set: { configuration, value in
                    guard let bytes = bytes(value) else { return false }
                    configuration.reserveBytes = bytes
                    return true
                }),
            ConfigurationKey(
                name: "peers.local_copy", expects: "\"full\" or a size, as in \"20GiB\"",
                show: { $0.localCopyBytes.map(showSize) ?? "\"full\"" },
                set: { configuration, value in
                    if case .string("full") = value {
                        configuration.localCopyBytes = nil
                        return true
                    }
                    guard let bytes = bytes(value) else { return false }
                    configuration.localCopyBytes = bytes
                    return true
                }),
            ConfigurationKey(
                name: "peers.spool", expects: "a size of at least 16MiB, as in \"4GiB\"", show: { showSize($0.spoolBytes) },
                set: { configuration, value in
                    guard let bytes = bytes(value), bytes >= Limits.packBytesMax else { return false }
                    configuration.spoolBytes = bytes
                    return true
                }),
            addresses("peers.addresses", \.peerAddresses),
            addresses("peers.advertise", \.advertised),
            switchKey("peers.discovery", \.discovers),
        ]
    }

    private static func addresses(
        _ name: String, _ path: WritableKeyPath<Configuration, [PeerAddress]>
    ) -> ConfigurationKey {
        ConfigurationKey(
            name: name, expects: "a list of at most \(Configuration.addressesMax) addresses, as in [\"nas.example:4747\"]",
            show: { showStrings($0[keyPath: path].map(\.description)) },
            set: { configuration, value in
                guard case .strings(let texts) = value, texts.count <= Configuration.addressesMax else { return false }
                var addresses: [PeerAddress] = []
                for text in texts {
                    guard let address = try? PeerAddress(text) else { return false }
                    addresses.append(address)
                }
                configuration[keyPath: path] = addresses
                return true
            })
    }
}

extension Configuration {
    /// As many as an invitation holds.
    static let addressesMax = 16
    static let replicasRange = 1...16
}
