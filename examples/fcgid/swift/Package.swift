// swift-tools-version: 6.2
import PackageDescription

// A package of its own, as yours would be; it takes the client library from the repository that it stands in.
let package = Package(
    name: "feedback",
    dependencies: [.package(name: "tokencached", path: "../../..")],
    targets: [
        .systemLibrary(name: "CFCGI", providers: [.apt(["libfcgi-dev"])]),
        .target(name: "FeedbackSite", dependencies: ["CFCGI"]),
        .executableTarget(name: "feedback-before", dependencies: ["FeedbackSite"]),
        .executableTarget(
            name: "feedback-after",
            dependencies: ["FeedbackSite", .product(name: "TokenCacheClient", package: "tokencached")]),
    ]
)
