// swift-tools-version: 6.2
import PackageDescription

/// The path of libFuzzer without its main, as Tests/Fuzzing/run sets it: then modules are built to be fuzzed.
let fuzzer = Context.environment["BAKARE_FUZZER"]

/// Set to build the bugs that the simulator's checkers must find (`make mutants`), in a build folder of their own.
let mutants = Context.environment["BAKARE_MUTANTS"]

/// Settings of every Swift target: warnings are errors, existentials are spelled out.
let strict: [SwiftSetting] =
    [
        .treatAllWarnings(as: .error),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
    ] + (fuzzer == nil ? [] : [.unsafeFlags(["-sanitize=fuzzer,address"])])
    + (mutants == nil ? [] : [.define("MUTANTS")])

/// The program carries Swift's runtime: to load it as ten libraries takes longer at each start than a search for a rare name. No test
/// may depend on a target with these settings: it would have two runtimes.
let runtimeInside: [LinkerSetting] = [
    // Nothing looks its symbols up, and the more of them there are, the longer a start takes.
    .unsafeFlags(["-static-stdlib", "-use-ld=lld", "-Xlinker", "--no-export-dynamic"]),
    .linkedLibrary("_FoundationCollections"), .linkedLibrary("_FoundationCShims"),
]

/// A library target of ours, under Sources/.
func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

/// The tests of one module, under Tests/.
func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: "\(name)Tests", dependencies: dependencies, swiftSettings: strict)
}

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "bakare",
    products: [.executable(name: "bakare-node", targets: ["BakareNode"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    ],
    targets: [
        .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CISAL", pkgConfig: "libisal", providers: [.apt(["libisal-dev"])]),
        // Its library is loaded when discovery starts.
        .target(name: "CAvahi"),
        .target(name: "CLinux"),
        // By name, for the program only: nothing is called.
        .target(name: "CJemalloc", linkerSettings: [.linkedLibrary("jemalloc")]),

        module("BackupFormat", []),
        module("Cryptography", ["BackupFormat", "CSodium", "COpenSSL"]),
        module("Chunking", ["BackupFormat", "CZstd"]),
        module("HostFiles", ["BackupFormat", "CLinux", "CISAL"]),
        module("Vault", ["Cryptography", "HostFiles", "BackupFormat"]),
        module("Ledger", ["BackupFormat", "HostFiles"]),
        module("PeerProtocol", ["Cryptography", "BackupFormat"]),
        module("Placement", ["BackupFormat"]),
        module("Control", ["HostFiles", "BackupFormat"]),
        module("Peers", ["PeerProtocol", "Placement", "Vault", "Cryptography", "HostFiles", "BackupFormat"]),
        module("Replication", ["PeerProtocol", "Vault", "Cryptography", "HostFiles", "BackupFormat"]),
        module("Discovery", ["HostFiles", "BackupFormat", "CAvahi", "CLinux"]),
        module("NameIndex", ["Chunking", "Cryptography", "HostFiles", "BackupFormat"]),
        module("Archive", ["Chunking", "Cryptography", "HostFiles", "Ledger", "NameIndex", "Vault", "BackupFormat"]),
        module("BackupNode", ["Archive", "NameIndex", "Vault", "Ledger", "Cryptography", "HostFiles", "BackupFormat"]),
        module("NodeRuntime", ["PeerProtocol", "Cryptography", "HostFiles", "BackupFormat", nioCore, nioPosix]),
        module(
            "Daemon",
            [
                "BackupNode", "Archive", "Peers", "Replication", "Placement", "Control", "Discovery", "NodeRuntime",
                "PeerProtocol",
                "Ledger", "Vault", "Cryptography", "HostFiles", "BackupFormat",
            ]),
        .executableTarget(
            name: "BakareNode",
            dependencies: [
                "Daemon", "Peers", "BackupNode", "Archive", "NameIndex", "Cryptography", "HostFiles", "BackupFormat", "CJemalloc",
                arguments,
            ],
            swiftSettings: strict, linkerSettings: runtimeInside),

        .target(
            name: "Simulation",
            dependencies: [
                "Daemon", "BackupNode", "Archive", "Peers", "Replication", "Placement", "PeerProtocol", "Ledger", "Vault",
                "Cryptography",
                "HostFiles", "BackupFormat", "CSodium",
            ], path: "Simulations/Simulation", swiftSettings: strict),
        .executableTarget(
            name: "Simulate", dependencies: ["Simulation", "BackupFormat"], path: "Simulations/Simulate", swiftSettings: strict,
            linkerSettings: runtimeInside),
        .target(name: "Durability", path: "Simulations/Durability", swiftSettings: strict),
        .executableTarget(
            name: "DurabilityTable", dependencies: ["Durability"], path: "Simulations/DurabilityTable", swiftSettings: strict),

        tests("BackupFormat", ["BackupFormat"]),
        tests("Cryptography", ["Cryptography", "BackupFormat", "CSodium", "TestSupport"]),
        tests("Chunking", ["Chunking", "BackupFormat"]),
        tests("HostFiles", ["HostFiles", "BackupFormat", "TestSupport"]),
        tests("Vault", ["Vault", "Cryptography", "HostFiles", "BackupFormat", "TestSupport"]),
        tests("Ledger", ["Ledger", "HostFiles", "BackupFormat", "TestSupport"]),
        tests("PeerProtocol", ["PeerProtocol", "Cryptography", "BackupFormat", "TestSupport"]),
        tests("Placement", ["Placement", "BackupFormat", "TestSupport"]),
        tests("Control", ["Control", "HostFiles", "BackupFormat"]),
        tests(
            "Replication", ["Replication", "PeerProtocol", "Vault", "Cryptography", "HostFiles", "BackupFormat", "TestSupport"]),
        tests(
            "Peers",
            [
                "Peers", "Replication", "PeerProtocol", "Placement", "Vault", "Cryptography", "HostFiles", "BackupFormat",
                "TestSupport",
            ]),
        tests("Discovery", ["Discovery", "LabHarness", "DiscoveryProbe", "BackupFormat", "TestSupport"]),
        tests("NameIndex", ["NameIndex", "Cryptography", "HostFiles", "BackupFormat", "TestSupport"]),
        tests(
            "Archive",
            [
                "Archive", "NameIndex", "Vault", "Ledger", "Chunking", "Cryptography", "HostFiles", "BackupFormat", "CLinux",
                "TestSupport",
            ]),
        tests("BackupNode", ["BackupNode", "Archive", "Cryptography", "Vault", "HostFiles", "BackupFormat"]),
        tests(
            "NodeRuntime",
            ["NodeRuntime", "PeerProtocol", "Cryptography", "HostFiles", "BackupFormat", nioCore, nioPosix, "TestSupport"]),
        tests(
            "Daemon",
            [
                "Daemon", "BackupNode", "Archive", "Vault", "HostFiles", "Peers", "PeerProtocol", "Cryptography", "BackupFormat",
                "CLinux", "TestSupport",
            ]),
        tests("NodeLab", ["LabHarness"]),
        tests("Tidy", []),
        tests("Simulation", []),
        tests("EndToEnd", ["CLinux"]),
        tests("Durability", ["Durability"]),

        .target(
            name: "TestSupport", dependencies: ["HostFiles", "BackupFormat"], path: "Tests/TestSupport", swiftSettings: strict),
        .target(
            name: "LabHarness", path: "Tests/LabHarness", exclude: ["lab"], swiftSettings: strict),
        .executableTarget(
            name: "DiscoveryProbe", dependencies: ["Discovery", "CLinux", "BackupFormat"], path: "Tests/DiscoveryProbe",
            swiftSettings: strict),
        .target(
            name: "FuzzTargets",
            dependencies: [
                "BackupNode", "Archive", "NameIndex", "Peers", "PeerProtocol", "Control", "Discovery", "Chunking", "Ledger",
                "Cryptography", "HostFiles", "BackupFormat",
            ],
            path: "Tests/Fuzzing/Targets", swiftSettings: strict),
        .executableTarget(
            name: "WireSpeed", dependencies: ["NodeRuntime", "PeerProtocol", "Cryptography", "HostFiles", "BackupFormat"],
            path: "Tests/Benchmarks/WireSpeed", swiftSettings: strict),
        tests("Format", ["FuzzTargets", "Peers", "Chunking", "Cryptography", "HostFiles", "BackupFormat"]),
    ]
)

if let fuzzer {
    package.targets.append(
        .executableTarget(
            name: "Fuzz", dependencies: ["FuzzTargets"], path: "Tests/Fuzzing/Fuzz", swiftSettings: strict,
            linkerSettings: [.unsafeFlags(["-sanitize=address", fuzzer, "-lstdc++"])]))
}
