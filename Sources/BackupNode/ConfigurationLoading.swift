internal import HostFiles

extension Home {
    /// The configuration in force, and what was wrong on the way.
    package struct LoadedConfiguration: Sendable {
        package var configuration: Configuration
        /// What is wrong with `bakare.toml`; empty if it is right or missing.
        package var problems: [ConfigurationProblem] = []
        /// Where the values come from instead, in words, if there are problems.
        package var fallback: String?
    }

    /// Whether there is surely no `bakare.toml`.
    package var lacksConfiguration: Bool {
        do throws(HostFilesError) { return try disk.status(configurationFile) == nil } catch { return false }
    }

    /// Reads `bakare.toml`. One that is missing means defaults, unless a flag names it.
    ///
    /// With problems, the values are those of the last one that was right, or the defaults: enough to read backups with, but
    /// whoever writes asks ``requireSound(_:)`` first. A right one is kept for that purpose where a home exists.
    package func loadConfiguration() -> LoadedConfiguration {
        var loaded = LoadedConfiguration(configuration: Configuration())
        let text: [UInt8]
        do throws(HostFilesError) {
            guard let found = try disk.readFile(configurationFile, limit: Configuration.fileBytesMax) else {
                if configurationIsNamed { loaded.problems = [problem("there is no such file")] }
                return loaded
            }
            text = found
        } catch {
            loaded.problems = [problem(error.description)]
            fallBack(&loaded)
            return loaded
        }
        loaded.problems = loaded.configuration.apply(text, file: configurationFile)
        if loaded.problems.isEmpty { keep(text) } else { fallBack(&loaded) }
        return loaded
    }

    /// The configuration, unless something is wrong with it.
    package func requireSound(_ loaded: LoadedConfiguration) throws(NodeError) -> Configuration {
        guard loaded.problems.isEmpty else { throw Configuration.error(loaded.problems) }
        return loaded.configuration
    }

    private func problem(_ message: String) -> ConfigurationProblem {
        ConfigurationProblem(file: configurationFile, message: message)
    }

    private func fallBack(_ loaded: inout LoadedConfiguration) {
        loaded.fallback = "using the defaults"
        guard let last = try? ProtectedFile.content(disk, lastConfigurationFile, limit: Configuration.fileBytesMax) else {
            return
        }
        var configuration = Configuration()
        guard configuration.apply(last, file: lastConfigurationFile).isEmpty else { return }
        loaded.configuration = configuration
        loaded.fallback = "using the last configuration that was right"
    }

    private func keep(_ text: [UInt8]) {
        guard exists, (try? ProtectedFile.content(disk, lastConfigurationFile, limit: Configuration.fileBytesMax)) != text
        else { return }
        // A home that cannot be written to is still good for reading.
        try? disk.replaceProtectedFile(lastConfigurationFile, with: text)
    }
}

extension Configuration {
    /// Every key with its value as TOML and where it comes from, in the order of the commented example.
    package var listed: [(key: String, value: String, origin: Origin)] {
        let keys = ConfigurationKey.all()
        guard !sets.isEmpty else { return keys.map { ($0.name, $0.show(self), origins[$0.name] ?? .standard) } }
        let ofSets = keys.filter { $0.name.hasPrefix("sources.") }
        let first = ofSets.first?.name
        return keys.flatMap { key -> [(key: String, value: String, origin: Origin)] in
            if key.name == first { return sets.flatMap { listed($0, ofSets) } }
            return key.name.hasPrefix("sources.") ? [] : [(key.name, key.show(self), origins[key.name] ?? .standard)]
        }
    }

    private func listed(_ set: SourceSet, _ keys: [ConfigurationKey]) -> [(key: String, value: String, origin: Origin)] {
        var one = self
        one.sources = set
        return keys.map { key in
            let name = "sources.\(set.name)." + key.name.dropFirst("sources.".count)
            return (name, key.show(one), origins[name] ?? .standard)
        }
    }
}
