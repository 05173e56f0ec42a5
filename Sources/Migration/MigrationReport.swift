internal import TokenCache
internal import TokenCrypto
internal import UnixTime

/// What came of a move.
public struct MigrationReport: Sendable {
    public var source = ""
    public var target = ""
    /// The keys that were compared at the end, or counted for a dry run, by kind: `sessions`, `indexes`, ….
    public var keys: [(kind: String, count: Int64)] = []
    /// Of all that was compared, in the order in which it was; empty for a dry run.
    public var digest = ""
    /// Daemons that were before the source within the last minutes: host and socket.
    public var daemons: [String] = []
    /// Who lost the rights at the source, and the commands that give them back; empty where the fence is the operator's.
    public var fencedUser: String?
    public var undo: [String] = []
    /// Where it lost them: the source's masters, and their replicas.
    public var fencedServers: [String] = []
    /// The commands that take away the mark there, which says where the data went; empty where there is none.
    public var unmark: [String] = []
    /// Where the rights stay taken after a restart of the server, and how.
    public var keptServers: [String] = []
    /// Since when nothing can be written at the source, until all was carried.
    public var fenced = Duration.zero
    /// From then until the last daemon was before the target; nil where that was not waited for.
    public var outage: Duration?
    /// The source was a daemon's own server, whose key ring stands there.
    public var keyRingFile: String?

    /// A part of what takes a move back.
    public struct UndoStep: Sendable {
        /// Where it is done; empty where there is one place.
        public let place: String
        /// Commands for a shell, or why there are none.
        public let lines: [String]
    }

    /// How to go back, in the order in which it is done: rights first, as whoever takes the mark away may need them.
    public var undoSteps: [UndoStep] {
        let isOne = fencedServers.count <= 1
        let rights =
            undo.isEmpty && fencedUser != nil
            ? ["its rights were taken before, and what they were is not known here"] : undo.map { "redis-cli \($0)" }
        return [
            UndoStep(place: isOne ? "" : "at each of \(fencedServers.joined(separator: ", "))", lines: rights),
            UndoStep(place: isOne ? "" : "at a master", lines: unmark.map { "redis-cli -c \($0)" }),
        ].filter { !$0.lines.isEmpty }
    }

    /// The same in one line.
    public var undoing: String {
        undoSteps.map { ($0.place.isEmpty ? "" : "\($0.place): ") + $0.lines.joined(separator: "; ") }
            .joined(separator: "; ")
    }

    public var total: Int64 { keys.reduce(0) { $0 + $1.count } }
}

/// Counts and digests of what both sides have, key by key in one order: equal digests mean that all of it is.
struct Comparison {
    private var counts: [StoredKey.Kind: Int64] = [:]
    private var digests = [Digest(), Digest()]
    private let crypto: CryptoContext
    /// Keys that were not at the target as they should be, and were carried once more.
    var repaired: Int64 = 0
    /// Keys that the target alone had, and were taken away.
    var strangers: Int64 = 0

    init() throws(MigrationFault) {
        do throws(CryptoError) { crypto = try CryptoContext() } catch { throw .server("OpenSSL: \(error)") }
    }

    mutating func take(_ key: StoredKey, source: KeyContents, target: KeyContents) throws(MigrationFault) {
        counts[key.kind, default: 0] += 1
        for (side, contents) in [source, target].enumerated() {
            var bytes = digests[side].withUnsafeBytes(Array.init)
            for part in [key.name(isCluster: false)] + contents.parts {
                withUnsafeBytes(of: UInt64(part.count).littleEndian) { bytes += $0 }
                bytes += part
            }
            do throws(CryptoError) { digests[side] = try crypto.digest(bytes) } catch {
                throw .server("OpenSSL: \(error)")
            }
        }
    }

    var isEqual: Bool { digests[0] == digests[1] }
    var digest: String { String(decoding: digests[0].withUnsafeBytes { Hex.encode($0) }, as: UTF8.self) }

    var rows: [(kind: String, count: Int64)] { counts.rows }
}

extension [StoredKey.Kind: Int64] {
    /// With a name for people and programs.
    var rows: [(kind: String, count: Int64)] {
        StoredKey.Kind.allCases.map { kind in
            let name =
                switch kind {
                case .session: "sessions"
                case .epoch: "epochs"
                case .index: "indexes"
                case .numbers: "numbers"
                case .captcha: "captchas"
                }
            return (name, self[kind] ?? 0)
        }
    }
}
