public import UnixTime

/// The mark that a move leaves where it carried the data from, `<Unix ms> <where to>`: it stands among the data, and so it
/// outlives a restart and reaches every replica.
public enum MoveMark {
    /// Bytes of an address that are told.
    private static let longest = 200

    /// The key. A server of a cluster has one of its own beside it, `RedisNode.ownKey`.
    public static func key(prefix: [UInt8]) -> [UInt8] { prefix + Array("d:moved".utf8) }

    public static func text(to place: String, at time: UnixMilliseconds) -> [UInt8] {
        Array("\(time.sinceEpoch) \(place)".utf8)
    }

    /// Where the data went; empty where the mark does not say so.
    public static func place(in text: [UInt8]) -> String {
        let place = text.drop { $0 != UInt8(ascii: " ") }.dropFirst().prefix(longest)
        return String(decoding: place.map { (0x21...0x7e).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
    }

    /// The same of a place that a mark is made of, which may be long.
    public static func shown(_ place: String) -> String { self.place(in: text(to: place, at: UnixMilliseconds(0))) }

    static func question(_ key: [UInt8]) -> RedisCommand { RedisCommand("GET", key, key: key) }

    /// Why the server is not asked; nil where it says that there is no mark, or does not let itself be asked.
    static func fault(_ reply: RedisReply) -> RedisFault? {
        guard case .bulk(let text) = reply else { return nil }
        let place = place(in: text)
        return RedisFault(.moved, .moved, place.isEmpty ? "" : " to \(place)")
    }

    /// Whether an error leaves it open if there is one: what is asked later may be answered.
    static func isOpen(_ error: String) -> Bool { RedisFault.classify(error: error).fault.kind == .clusterDown }
}

/// Whether a connection that stands has still to be told if its server has the mark of a move.
///
/// A node of a cluster that has just been started is down for a while, and its connection good. What is sent then has the
/// question before it, in the same write, so that nothing is believed that is answered before.
struct OpenMove {
    var keys: [[UInt8]] = []
    /// The last answers left it open.
    private(set) var isOpen = false
    private var inFlight = 0
    private var isLeftOpen = false

    mutating func connected(isOpen: Bool) {
        self.isOpen = isOpen
        (inFlight, isLeftOpen) = (0, false)
    }

    /// What is to be sent before a request.
    mutating func questions() -> [[UInt8]] {
        guard isOpen, inFlight == 0 else { return [] }
        inFlight = keys.count
        return keys.map { MoveMark.question($0).bytes }
    }

    mutating func answered(_ reply: RedisReply) -> RedisFault? {
        inFlight -= 1
        if case .error(let text) = reply, MoveMark.isOpen(text) { isLeftOpen = true }
        if inFlight <= 0 { (isOpen, isLeftOpen, inFlight) = (isLeftOpen, false, 0) }
        return MoveMark.fault(reply)
    }
}
