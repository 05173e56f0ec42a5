internal import CLinux
internal import Glibc

/// Which core does what, so that client and server do not take each other's time.
public struct Cores: Sendable, Equatable {
    /// Where the server under test runs; nil leaves it to the kernel.
    public var server: Int?
    /// Where the client's first thread runs.
    public var client: Int?
    /// Where the Redis behind the daemon runs: a core of its own where there is one.
    public var store: Int?

    public init(server: Int? = nil, client: Int? = nil, store: Int? = nil) {
        self.server = server
        self.client = client
        self.store = store
    }

    /// Whether that Redis has to share the daemon's core.
    var isStoreBehindServer: Bool { store != nil && store == server }

    /// The cores this process may use.
    public static let allowed = current

    /// The cores the calling thread may use now.
    static var current: [Int] {
        var cores = core_set()
        guard get_cores(0, &cores) > 0 else { return [] }
        return withUnsafeBytes(of: &cores) { bytes in
            (0..<bytes.count * 8).filter { bytes[$0 / 8] >> UInt8($0 % 8) & 1 == 1 }
        }
    }

    /// A core each for server, client and store, as far as there are; with a single one nothing is pinned.
    public static func apart(_ cores: [Int] = allowed, clientThreads: Int = 1) -> Cores {
        guard let first = cores.first, cores.count > clientThreads else { return Cores() }
        let client = cores[cores.count - clientThreads]
        return Cores(server: first, client: client, store: cores.count > clientThreads + 1 ? cores[1] : first)
    }

    /// Holds the calling thread on `core`.
    @discardableResult
    static func pin(to core: Int) -> Bool { restrict(to: [core]) }

    /// Lets the calling thread run on every core it was given at the start.
    static func unpin() { _ = restrict(to: allowed) }

    private static func restrict(to chosen: [Int]) -> Bool {
        var cores = core_set()
        withUnsafeMutableBytes(of: &cores) { bytes in
            for core in chosen where core >= 0 && core < bytes.count * 8 { bytes[core / 8] |= 1 << UInt8(core % 8) }
        }
        return set_cores(0, &cores) == 0
    }
}
