public import UnixTime

/// The mark that a move leaves where it carries the data from: it stands among the data, and so it outlives a restart and
/// reaches every replica. No daemon serves from where it stands, at whatever stage the move is.
///
/// As text it is `<Unix ms> <where to>`, and ` moving` behind that until all is there.
public struct MoveMark: Equatable, Sendable {
    public enum Stage: Sendable {
        /// Nothing can be written here any more, and not all is at the other place yet.
        case moving
        /// All is at the other place, and only there.
        case moved
    }

    public let stage: Stage
    /// Where the data goes or went, printable and short; empty where the mark does not say so.
    public let place: String

    /// Bytes of an address that are told.
    private static let longest = 200
    private static let moving = Array(" moving".utf8)

    public init(_ stage: Stage, to place: String) {
        self.stage = stage
        self.place = Self.shown(Array(place.utf8)[...])
    }

    public init(_ text: [UInt8]) {
        let rest = text.drop { $0 != UInt8(ascii: " ") }
        let isMoving = rest.suffix(Self.moving.count).elementsEqual(Self.moving)
        stage = isMoving ? .moving : .moved
        place = Self.shown(rest.dropLast(isMoving ? Self.moving.count : 0).dropFirst())
    }

    public func text(at time: UnixMilliseconds) -> [UInt8] {
        Array("\(time.sinceEpoch) \(place)".utf8) + (stage == .moving ? Self.moving : [])
    }

    private static func shown(_ place: ArraySlice<UInt8>) -> String {
        let printable = place.prefix(longest).map { (0x21...0x7e).contains($0) ? $0 : UInt8(ascii: "?") }
        return String(decoding: printable, as: UTF8.self)
    }

    /// The key. A server of a cluster has one of its own beside it, `RedisNode.ownKey`.
    public static func key(prefix: [UInt8]) -> [UInt8] { prefix + Array("d:moved".utf8) }

    static func question(_ key: [UInt8]) -> RedisCommand { RedisCommand("GET", key, key: key) }

    /// Why the server is not asked.
    var fault: RedisFault {
        let row: KnownFault = stage == .moving ? .moving : .moved
        return RedisFault(.moved, row, place.isEmpty ? "" : " to \(place)")
    }

    /// The same of an answer; nil where it says that there is no mark, or none.
    static func fault(_ reply: RedisReply) -> RedisFault? {
        guard case .bulk(let text) = reply else { return nil }
        return MoveMark(text).fault
    }

    /// Whether an error leaves it open if there is one: what is asked later may be answered. Who may not read the mark, or
    /// finds something else there, never learns it.
    /// - Parameter isOwn: the key is the server's own; another key may belong to another server, which is asked itself.
    static func isOpen(_ error: String, isOwn: Bool) -> Bool {
        let fault = RedisFault.classify(error: error).fault
        return switch fault.kind {
        case .credentials, .wrongType, .other: false
        case .cluster: isOwn || fault.redirection?.isOnce != false
        default: true
        }
    }
}

/// Whether a connection that stands has still to be told if its server has the mark of a move.
///
/// A node of a cluster that has just been started is down for a while, and its connection good; slots may be on their way.
/// What is sent then has the question before it, in the same write, so that nothing is believed that is answered before.
struct OpenMove {
    /// The last is the server's own.
    var keys: [[UInt8]] = []
    /// The last answers left it open.
    private(set) var isOpen = false
    private var inFlight = 0
    private var isLeftOpen = false

    mutating func connected(isOpen: Bool) {
        self.isOpen = isOpen
        (inFlight, isLeftOpen) = (0, false)
    }

    /// What is to be sent before anything else.
    mutating func questions() -> [[UInt8]] {
        guard isOpen, inFlight == 0 else { return [] }
        inFlight = keys.count
        return keys.map { MoveMark.question($0).bytes }
    }

    mutating func answered(_ reply: RedisReply) -> RedisFault? {
        inFlight -= 1
        if case .error(let text) = reply, MoveMark.isOpen(text, isOwn: inFlight <= 0) { isLeftOpen = true }
        if inFlight <= 0 { (isOpen, isLeftOpen, inFlight) = (isLeftOpen, false, 0) }
        return MoveMark.fault(reply)
    }
}
