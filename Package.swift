// swift-tools-version: 6.2
import PackageDescription

/// Every target is built in Swift 6 mode with the stricter import and existential rules.
let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// A release build whose code runs on many threads: a simulation lives many lives at once.
let isThreaded = Context.environment["TOKENCACHED_THREADS"] != nil

/// The daemon's release build leaves out the run-time checks for overlapping access, an eighth of what a hit costs: its
/// state belongs to one thread, and every test runs with them. References are counted without atomic instructions, another
/// tenth: the process has no other thread, which a test looks at. The client library has none of this.
let daemon: [SwiftSetting] =
    strict + [
        .unsafeFlags(
            ["-enforce-exclusivity=unchecked"] + (isThreaded ? [] : ["-Xfrontend", "-assume-single-threaded"]),
            .when(configuration: .release))
    ]

/// What a simulation lives thousands of lives in is optimised in test builds, too, with all their run-time checks.
let lived: SwiftSetting = .unsafeFlags(["-O"], .when(configuration: .debug))

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let histogram: Target.Dependency = .product(name: "Histogram", package: "hdrhistogram-swift")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "tokencached",
    products: [
        .executable(name: "tokencached", targets: ["tokencached"]),
        .executable(name: "tokencachectl", targets: ["tokencachectl"]),
        .executable(name: "tokencache-load", targets: ["tokencache-load"]),
        .library(name: "TokenCacheClient", targets: ["TokenCacheClient"]),
    ],
    dependencies: [
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.3.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.6.3"),
    ],
    targets: [
        // C libraries of the distribution, and calls of Linux: a module map and a shim header each, nothing else.
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CLibevent", pkgConfig: "libevent", providers: [.apt(["libevent-dev"])]),
        .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "libssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),

        // One-way order: each target imports only what stands above it.
        .target(name: "Host", dependencies: ["CLinux"], swiftSettings: strict),
        .target(name: "UnixTime", swiftSettings: daemon + [lived]),
        .target(name: "WireProtocol", swiftSettings: daemon),
        .target(name: "TokenCrypto", dependencies: ["COpenSSL", "Host", "UnixTime"], swiftSettings: daemon + [lived]),
        .target(name: "Tokens", dependencies: ["TokenCrypto", "UnixTime"], swiftSettings: daemon + [lived]),
        .target(
            name: "EventLoop", dependencies: ["Host", "UnixTime", "CLibevent", "CLinux", "COpenSSL"],
            swiftSettings: daemon),
        .target(name: "ReplyScanner", dependencies: ["CHiredis"], swiftSettings: strict),
        .target(
            name: "RedisLink",
            dependencies: [
                "Host", "EventLoop", "UnixTime", "WireProtocol", "ReplyScanner", deque, logging,
            ],
            resources: [.embedInCode("Scripts")], swiftSettings: daemon + [lived]),
        .target(
            name: "EmbeddedRedis", dependencies: ["Host", "EventLoop", "RedisLink", "CLinux", logging],
            swiftSettings: strict),
        .target(
            name: "TokenCache",
            dependencies: ["Tokens", "TokenCrypto", "UnixTime", "RedisLink", "EventLoop", "CLinux", deque, logging],
            resources: [.embedInCode("Scripts")],
            swiftSettings: daemon + [lived]),
        .target(
            name: "TokenCacheServer",
            dependencies: [
                "TokenCache", "Tokens", "TokenCrypto", "UnixTime", "EmbeddedRedis", "RedisLink", "WireProtocol",
                "EventLoop", "Host", "CLinux", "CYAML", deque, logging,
            ],
            resources: [.embedInCode("Pages")], swiftSettings: daemon),
        .target(name: "TokenCacheClient", dependencies: ["ReplyScanner", "CLinux"], swiftSettings: strict),
        .executableTarget(
            name: "tokencached", dependencies: ["TokenCacheServer", "TokenCrypto", "Host", logging],
            swiftSettings: strict),
        // From one Redis to another, for tokencachectl.
        .target(
            name: "Migration",
            dependencies: ["TokenCacheServer", "TokenCache", "TokenCrypto", "UnixTime", "RedisLink", "EventLoop"],
            resources: [.embedInCode("Scripts")], swiftSettings: strict),
        .executableTarget(
            name: "tokencachectl",
            dependencies: [
                "TokenCacheClient", "Migration", "TokenCacheServer", "EventLoop", "TokenCrypto", "UnixTime", "Host",
                argumentParser,
            ],
            swiftSettings: strict),

        // The load test: a client of its own, so that it measures servers and not a library.
        .target(
            name: "LoadTest", dependencies: ["Host", "CLinux", histogram],
            resources: [.embedInCode("Scripts"), .embedInCode("Pages")], swiftSettings: strict),
        .executableTarget(
            name: "tokencache-load", dependencies: ["LoadTest", "Host", argumentParser], swiftSettings: strict),
        // The client library beside bare hiredis.
        .executableTarget(
            name: "client-benchmark",
            dependencies: ["TokenCacheClient", "LoadTest", "Host", "CHiredis", argumentParser],
            swiftSettings: strict),

        // What tests of several targets begin a random choice from; it is a `RandomSource`, too, and so knows TokenCrypto.
        .target(
            name: "SeededRandom", dependencies: ["TokenCrypto"], path: "Tests/SeededRandom", swiftSettings: strict),

        // Folders, processes, servers and clients that tests of several targets need. It knows no target of the daemon.
        // The harness looks through megabytes for every secret of a test: unoptimised that takes most of the run.
        .target(
            name: "TestSupport", path: "Tests/TestSupport", swiftSettings: strict + [.unsafeFlags(["-O"])]),

        // Unit tests need no server and finish in seconds.
        .testTarget(
            name: "WireProtocolTests", dependencies: ["WireProtocol", "SeededRandom"], swiftSettings: strict),
        .testTarget(
            name: "TokenCryptoTests", dependencies: ["TokenCrypto", "UnixTime", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "TokensTests", dependencies: ["Tokens", "TokenCrypto", "UnixTime", "SeededRandom"],
            swiftSettings: strict),
        // Starts redis-servers of its own, on Unix sockets.
        .testTarget(
            name: "TokenCacheTests",
            dependencies: [
                "TokenCache", "Tokens", "TokenCrypto", "UnixTime", "RedisLink", "EventLoop", "SeededRandom", logging,
                "TestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "NearCacheTests",
            dependencies: [
                "TokenCache", "Tokens", "TokenCrypto", "UnixTime", "RedisLink", "EventLoop", "SeededRandom",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "FlowExplorationTests",
            dependencies: ["TokenCache", "Tokens", "TokenCrypto", "UnixTime", "EventLoop", "SeededRandom"],
            // Hundreds of thousands of worlds are copied and compared.
            swiftSettings: strict + [.unsafeFlags(["-O"])]),
        // Whole daemons below their listeners, before a model of Redis, in virtual time. Optimised: it runs thousands of lives.
        .testTarget(
            name: "SimulatorTests",
            dependencies: [
                "TokenCache", "Tokens", "TokenCrypto", "UnixTime", "RedisLink", "EventLoop", "SeededRandom",
                "TestSupport", logging,
            ],
            path: "Tests/Simulator", exclude: ["scenarios"],
            swiftSettings: strict + [.unsafeFlags(["-O"])]),
        .testTarget(
            name: "EventLoopTests", dependencies: ["EventLoop", "COpenSSL", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "RedisLinkTests",
            dependencies: [
                "EmbeddedRedis", "RedisLink", "ReplyScanner", "EventLoop", "UnixTime", logging, "SeededRandom",
                "TestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "TokenCacheServerTests",
            dependencies: [
                "TokenCacheServer", "TokenCache", "Tokens", "UnixTime", "EventLoop", "WireProtocol", "Host",
                "SeededRandom", logging, "TestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "TokenCacheClientTests", dependencies: ["TokenCacheClient", "Host", "SeededRandom", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "TokenCacheCtlTests",
            dependencies: ["tokencachectl", "TokenCacheClient", "Tokens", "TokenCrypto", "UnixTime", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "LoadTestTests",
            dependencies: ["LoadTest", "Host", "tokencached", "tokencache-load", histogram, "TestSupport"],
            swiftSettings: strict),

        // Makes a virtual environment with libraries of another language, once for a build folder.
        .testTarget(
            name: "IndependentLibraryTests", dependencies: ["Tokens", "TokenCrypto", "UnixTime", "TestSupport"],
            exclude: ["environment.sh", "libraries.txt", "sealed.py"], swiftSettings: strict),

        // Integration tests start real redis-servers and daemons of their own.
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "TestSupport", "tokencached", "tokencachectl", "tokencache-load", "TokenCacheClient", "Tokens",
                "TokenCrypto",
            ],
            swiftSettings: strict),
    ]
)
