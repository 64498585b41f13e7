// swift-tools-version: 6.0
import PackageDescription

/// One settings array for every target, so that no target is laxer than another.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func executable(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(
        name: name,
        dependencies: dependencies,
        exclude: exclude,
        swiftSettings: settings
    )
}

func system(_ name: String, _ pkgConfig: String, _ package: String) -> Target {
    .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([package])])
}

let package = Package(
    name: "peernode",
    products: [
        .executable(name: "peernode", targets: ["PeerNodeDaemon"]),
        .executable(name: "peerctl", targets: ["peerctl"]),
        .executable(name: "peersandbox", targets: ["peersandbox"]),
        // For the nested package Fuzz.
        .library(name: "PeerTestKit", targets: ["PeerTestKit"]),
    ],
    targets: [
        // System libraries: a module map and a shim header each.
        .systemLibrary(name: "CLinux"),
        system("CCrypto", "libcrypto", "libssl-dev"),
        system("CSodium", "libsodium", "libsodium-dev"),
        system("CSQLite", "sqlite3", "libsqlite3-dev"),
        system("CPCRE2", "libpcre2-8", "libpcre2-dev"),
        system("CWebSockets", "libwebsockets", "libwebsockets-dev"),
        system("CJansson", "jansson", "libjansson-dev"),
        system("CJavaScriptCore", "javascriptcoregtk-4.1", "libjavascriptcoregtk-4.1-dev"),
        system("CSeccomp", "libseccomp", "libseccomp-dev"),

        // Values and pure machines.
        library("PeerCrypto", ["CCrypto", "CSodium"]),
        library("Multiformats", ["PeerCrypto"]),
        library("LibP2P", ["Multiformats", "PeerCrypto"]),
        library("MRProtocol", ["Multiformats", "PeerCrypto"]),

        library("FunctionProtocol", []),

        // Storage and user functions.
        library("Database", ["CSQLite"]),
        library("BlockStore", ["Database", "Multiformats", "PeerCrypto"]),
        library(
            "Engines",
            ["FunctionProtocol", "MRProtocol", "Multiformats", "PeerCrypto", "CPCRE2", "CLinux"]
        ),
        // The process that runs user functions; apart, so that no other program loads a JavaScript engine.
        executable("peersandbox", ["FunctionProtocol", "CJavaScriptCore", "CSeccomp", "CLinux"]),

        // Drivers: the only target with network I/O and tasks.
        library(
            "PeerNode",
            [
                "LibP2P", "MRProtocol", "Multiformats", "PeerCrypto", "BlockStore", "Database", "Engines",
                "CLinux", "CWebSockets", "CJansson",
            ]
        ),
        executable("PeerNodeDaemon", ["PeerNode", "CLinux"]),
        executable("peerctl", ["PeerNode", "Engines", "Multiformats", "MRProtocol", "CLinux"]),

        library(
            "PeerTestKit",
            ["LibP2P", "MRProtocol", "Multiformats", "BlockStore", "PeerCrypto", "Engines"]
        ),
        tests("MultiformatsTests", ["Multiformats", "PeerCrypto", "PeerTestKit"], exclude: ["Vectors"]),
        tests(
            "BlockStoreTests",
            [
                "BlockStore", "CSodium", "Database", "Multiformats", "PeerCrypto", "PeerTestKit",
                "CrashWorker",
            ],
            exclude: ["Vectors"]
        ),
        // Killed in the middle of its work by the crash tests of the block store.
        .executableTarget(
            name: "CrashWorker",
            dependencies: ["BlockStore", "Multiformats"],
            path: "Tests/CrashWorker",
            swiftSettings: settings
        ),
        tests("MRProtocolTests", ["MRProtocol", "Multiformats", "PeerTestKit"], exclude: ["Vectors"]),
        tests(
            "LibP2PTests",
            ["LibP2P", "MRProtocol", "Multiformats", "PeerCrypto", "PeerTestKit"],
            exclude: ["Vectors"]
        ),
        // Spawns the peersandbox of the same build, as PeerNodeTests and SandboxTests do.
        tests(
            "EnginesTests",
            ["Engines", "FunctionProtocol", "MRProtocol", "Multiformats", "PeerTestKit", "peersandbox"]
        ),
        tests(
            "PeerNodeTests",
            [
                "PeerNode", "BlockStore", "Engines", "LibP2P", "MRProtocol", "Multiformats", "PeerCrypto",
                "PeerTestKit", "peersandbox",
            ]
        ),
        tests("FunctionProtocolTests", ["FunctionProtocol", "CLinux"]),
        tests(
            "SandboxTests",
            ["Engines", "FunctionProtocol", "MRProtocol", "PeerTestKit", "CLinux", "peersandbox"]
        ),
        tests("SourceTests", []),
        tests("PeerctlTests", ["PeerNode", "PeerTestKit", "Multiformats"]),
    ],
    swiftLanguageModes: [.v6]
)
