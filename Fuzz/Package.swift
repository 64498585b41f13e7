// swift-tools-version: 6.0
import PackageDescription

/// Fuzzers of every parser that reads a peer's bytes; `make fuzz` builds it with libFuzzer and the address sanitizer.
let package = Package(
    name: "Fuzz",
    dependencies: [.package(name: "peernode", path: "..")],
    targets: [
        .systemLibrary(name: "CFuzzer"),
        .executableTarget(
            name: "Fuzz",
            dependencies: ["CFuzzer", .product(name: "PeerTestKit", package: "peernode")]
        ),
    ],
    swiftLanguageModes: [.v6]
)
