// swift-tools-version: 6.2
import PackageDescription

// A package of its own, as yours would be; it takes the client library from the repository that it stands in.
let client: Target.Dependency = .product(name: "TokenCacheClient", package: "tokencached")

let package = Package(
    name: "examples",
    dependencies: [.package(name: "tokencached", path: "../..")],
    targets: [
        .executableTarget(name: "sessions", dependencies: [client]),
        // The workers of ../fcgid.
        .systemLibrary(name: "CFCGI", providers: [.apt(["libfcgi-dev"])]),
        .target(name: "FeedbackSite", dependencies: ["CFCGI"]),
        .executableTarget(name: "feedback-before", dependencies: ["FeedbackSite"]),
        .executableTarget(name: "feedback-after", dependencies: ["FeedbackSite", client]),
    ]
)
